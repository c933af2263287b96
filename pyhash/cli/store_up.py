# SPDX-License-Identifier: Apache-2.0
"""``pyhash store up``: runs the embedded store until it is told to stop."""

from __future__ import annotations

import signal
import subprocess
import time
from dataclasses import asdict
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

import click

from pyhash.cli import output
from pyhash.cli.answer import Answer
from pyhash.cli.command import PATH, answering
from pyhash.cli.settings import Settings
from pyhash.cli.terminal_text import dump_json

if TYPE_CHECKING:
    from pyhash.store.embedded import EmbeddedStore

_POLL_SECONDS = 0.2


@answering(
    "store up",
    example="pyhash store up my-store\n"
    "pyhash push my-model s3://models --key publisher.pub --credentials my-store/writer.toml\n"
    "pyhash pull s3://models copy --key publisher.pub --credentials my-store/reader.toml",
)
@click.argument("directory", type=PATH)
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Default: a free one.")
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    metavar="ADDRESS",
    help="Of this machine; S3 over TLS listens there.",
)
@click.argument("child", nargs=-1, type=click.UNPROCESSED)
def command(
    settings: Settings, *, directory: str, port: int, host: str, child: tuple[str, ...]
) -> Answer:
    """Run a real S3 server in DIRECTORY on this machine, with TLS, a writer and a reader.

    Credentials are DIRECTORY/writer.toml and DIRECTORY/reader.toml; every access is taken down in
    DIRECTORY/audit.jsonl. It runs until Ctrl-C, or after --, for as long as a command runs.
    """
    from pyhash.store.embedded import running_store

    signal.signal(signal.SIGTERM, _stop)
    with running_store(directory, host=host, port=port) as store:
        try:
            _announce(store, settings)
            code = subprocess.run(child, check=False).returncode if child else _sleep(store)  # noqa: S603
        except KeyboardInterrupt:
            code = 0
    if code:
        return Answer("error", f"{child[0] if child else 'the store'}: ended with {code}")
    return Answer("ok", f"{directory}: stopped", details={"store": asdict(store)})


def _stop(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def _announce(store: EmbeddedStore, settings: Settings) -> None:
    """Say where it is, now and not at the end; a program gets one JSON line."""
    if settings.format != "text":
        output.write_stderr(dump_json(asdict(store)).replace("\n", "") + "\n")
    elif not settings.quiet:
        output.write_stderr(
            f"up         {store.endpoint}, bucket {store.bucket}\n"
            f"writer     {store.writer}\n"
            f"reader     {store.reader}\n"
            f"audit      {store.audit}\n"
        )


def _sleep(store: EmbeddedStore) -> int:
    """Wait until the server ends by itself, which it should not."""
    while store.is_up():
        time.sleep(_POLL_SECONDS)
    return 1
