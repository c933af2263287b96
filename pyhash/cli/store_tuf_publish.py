# SPDX-License-Identifier: Apache-2.0
"""``pyhash store tuf-publish``: lets the trusted pointer of a home lead to a release."""

from __future__ import annotations

import click

from pyhash import errors
from pyhash.cli.answer import Answer
from pyhash.cli.command import PATH, answering
from pyhash.cli.network import network_of, network_options
from pyhash.cli.settings import Settings


@answering(
    "store tuf-publish",
    example="pyhash store tuf-publish s3://models/llama tuf-keys my-model --key publisher.pub",
)
@click.argument("home")
@click.argument("keys", type=PATH)
@click.argument("model", type=PATH)
@click.option(
    "--key",
    "trusted",
    multiple=True,
    required=True,
    type=PATH,
    metavar="K.pub",
    help="Public key to trust. Repeatable.",
)
@network_options
def command(
    settings: Settings,
    *,
    home: str,
    keys: str,
    model: str,
    trusted: tuple[str, ...],
    credentials: str | None,
    ca: str | None,
    proxy: str | None,
) -> Answer:
    """Let the pointer under TUF in HOME lead to the release that MODEL was pushed as."""
    from pyhash import files, limits, signed_bundle
    from pyhash.locations import places
    from pyhash.merkle import format_root
    from pyhash.policy import Policy
    from pyhash.push import tuf_pointer
    from pyhash.push.targets import open_target

    bundle_path, _ = places(model, None, None)
    bundle = files.read_small(bundle_path, limits.MAX_BUNDLE_BYTES)
    manifest, _ = signed_bundle.check_signed(bundle, bundle_path, Policy.from_key_files(trusted))
    if manifest.root is None:
        raise errors.UsageError(f"{model}: signed by another tool, without a root")
    target = open_target(home, network_of(credentials, ca, proxy))
    tuf_pointer.publish_pointer(target, keys, manifest.root, bundle)
    root = format_root(manifest.root)
    return Answer("ok", f"{home} leads to {root}", root=root)
