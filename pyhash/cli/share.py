# SPDX-License-Identifier: Apache-2.0
"""``pyhash share``: time-limited links to one release, to read it or to store it."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click

from pyhash import errors
from pyhash.cli.answer import Answer
from pyhash.cli.command import PATH, answering
from pyhash.cli.log_options import access_log_options, open_log_option, recorded, under_log
from pyhash.cli.network import network_of, network_options
from pyhash.cli.settings import Settings
from pyhash.cli.trust import publisher_options, take_trust

if TYPE_CHECKING:
    from pyhash.fetch.links import LinkSet

_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}


@answering(
    "share",
    example="pyhash share s3://models/llama links.json --key publisher.pub"
    " --credentials reader.toml --for 12h\n"
    "pyhash pull links://links.json my-model --key publisher.pub",
)
@click.argument("home")
@click.argument("output", type=PATH)
@click.option("--release", metavar="ROOT", help="Which release. Default: the latest.")
@click.option(
    "--for", "lifetime", default="24h", show_default=True, metavar="TIME", help="30m, 12h, 7d."
)
@click.option(
    "--upload",
    type=PATH,
    metavar="BUNDLE",
    help="Links to store the release of this bundle, with a writer's credential.",
)
@click.option(
    "--nginx-secret", type=PATH, metavar="FILE", help="HOME is https:// and served by nginx."
)
@network_options
@access_log_options
@publisher_options
def command(
    settings: Settings,
    *,
    home: str,
    output: str,
    release: str | None,
    lifetime: str,
    upload: str | None,
    nginx_secret: str | None,
    credentials: str | None,
    ca: str | None,
    proxy: str | None,
    log: str | None,
    log_key: str | None,
    **parameters: Any,
) -> Answer:
    """Write links to the files of one release in HOME to the file OUTPUT.

    Each link works for one file and until it expires; who has the file OUTPUT can read the release,
    so it is written for your eyes only.
    """
    from pyhash import atomic
    from pyhash.credentials import load_secret
    from pyhash.fetch.links import dump_links
    from pyhash.share import share_release, share_upload

    access = open_log_option(log, log_key)
    policy = under_log(take_trust(parameters).policy_for(home), access)
    network = network_of(credentials, ca, proxy)
    life = parse_time(lifetime)
    secret = None if nginx_secret is None else load_secret(nginx_secret)
    if upload is not None and (release is not None or secret is not None):
        raise errors.UsageError("--upload takes neither --release nor --nginx-secret")

    def make() -> LinkSet:
        if upload is not None:
            return share_upload(upload, home, policy, lifetime=life, network=network)
        return share_release(
            home, policy, lifetime=life, network=network, release=release, nginx_secret=secret
        )

    links = recorded(
        access,
        "share",
        home,
        make,
        done=lambda one: {"root": one.root, "credential": network.account},
    )
    atomic.write_file(output, dump_links(links), mode=0o600)
    return _answer(output, links)


def _answer(output: str, links: LinkSet) -> Answer:
    from pyhash.merkle import format_root

    root, expires = format_root(links.root), links.expires.isoformat()
    return Answer(
        "ok",
        f"{output} holds {len(links.urls)} links",
        summary=(
            f"links      {output} ({len(links.urls)}, to {links.method}; keep it to yourself)",
            f"root       {root}",
            f"expires    {expires}",
        ),
        root=root,
        files=len(links.urls),
        details={"method": links.method, "expires": expires, "output": output},
    )


def parse_time(text: str) -> timedelta:
    """Return a duration: a number and m, h or d.

    Raises:
        UsageError: It is none.
    """
    match = re.fullmatch(r"([0-9]{1,6})([mhd])", text)
    if match is None:
        raise errors.UsageError(f"{text!r} is no time; for example 30m, 12h or 7d")
    return int(match[1]) * _UNITS[match[2]]
