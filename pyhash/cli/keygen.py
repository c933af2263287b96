# SPDX-License-Identifier: Apache-2.0
"""``pyhash keygen``: makes a key pair, and never overwrites one."""

from __future__ import annotations

import click

from pyhash.cli.answer import Answer
from pyhash.cli.command import PATH, answering
from pyhash.cli.settings import Settings

CURVES = ("P-256", "P-384", "P-521")  # as signing.ecdsa has them


@answering("keygen", example="pyhash keygen publisher")
@click.argument("name", type=PATH)
@click.option("--curve", type=click.Choice(CURVES), default=CURVES[0], help="Default: P-256.")
def command(settings: Settings, name: str, curve: str) -> Answer:
    """Make NAME.key, to sign with and keep secret, and NAME.pub, for everybody who verifies.

    ECDSA. The private key has no passphrase and mode 0600. Existing files are never overwritten.
    """
    from pyhash.signing import ecdsa

    private_path, public_path = f"{name}.key", f"{name}.pub"
    key = ecdsa.generate_key(curve)
    ecdsa.write_key_pair(key, private_path, public_path)
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
