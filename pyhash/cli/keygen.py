# SPDX-License-Identifier: Apache-2.0
"""``pyhash keygen``: makes a key pair, and never overwrites one."""

from __future__ import annotations

import click

from pyhash.cli.answer import Answer
from pyhash.cli.command import PATH, answering
from pyhash.cli.secrets import asker, passphrase_options
from pyhash.cli.settings import Settings
from pyhash.errors import UsageError

CURVES = ("P-256", "P-384", "P-521")  # as signing.ecdsa has them


@answering("keygen", example="pyhash keygen publisher")
@click.argument("name", type=PATH)
@click.option("--curve", type=click.Choice(CURVES), default=CURVES[0], help="Default: P-256.")
@click.option("--encrypt", is_flag=True, help="Encrypt the private key with a passphrase.")
@passphrase_options
def command(
    settings: Settings,
    *,
    name: str,
    curve: str,
    encrypt: bool,
    passphrase_fd: int | None,
    passphrase_env: str | None,
) -> Answer:
    """Make NAME.key, to sign with and keep secret, and NAME.pub, for everybody who verifies.

    ECDSA. The private key has mode 0600, and a passphrase with --encrypt, which is asked for unless
    an option says where it is. Existing files are never overwritten.
    """
    from pyhash.signing import ecdsa

    private_path, public_path = f"{name}.key", f"{name}.pub"
    if not encrypt and (passphrase_fd is not None or passphrase_env is not None):
        raise UsageError("--passphrase-fd and --passphrase-env belong to --encrypt")
    ask = asker(passphrase_fd, passphrase_env, confirm=True)
    key = ecdsa.generate_key(curve)
    ecdsa.write_key_pair(key, private_path, public_path, ask(private_path) if encrypt else None)
    return Answer(
        "ok",
        f"made {private_path} and {public_path}",
        summary=(
            f"private key  {private_path}  (keep it secret, keep a copy)",
            f"public key   {public_path}  (give it to whoever verifies)",
            f"key          {key.hint}",
        ),
        key=key.hint,
        details={"private_key": private_path, "public_key": public_path, "curve": curve},
    )
