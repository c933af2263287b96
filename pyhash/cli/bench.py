# SPDX-License-Identifier: Apache-2.0
"""``pyhash bench``: how fast this host reads and hashes, and which of the two holds it back."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from pyhash.cli import output
from pyhash.cli.answer import Answer
from pyhash.cli.command import PATH, answering
from pyhash.cli.settings import Settings
from pyhash.cli.terminal_text import amount, printable
from pyhash.errors import UsageError

if TYPE_CHECKING:
    from types import FrameType

EXAMPLE = """\
pyhash bench /models --size 8GiB --html bench.html
pyhash bench /models/llama/model-00001-of-00004.safetensors
pyhash bench /dev/nvme0n1 --format json"""

UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "KI": 1 << 10, "MI": 1 << 20, "GI": 1 << 30}
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@answering("bench", example=EXAMPLE)
@click.argument("target", metavar="DIRECTORY | FILE | DEVICE", type=PATH)
@click.option("--size", default="2GiB", metavar="SIZE", help="How much to read. Default: 2GiB.")
@click.option("--files", type=click.IntRange(1, 1024), default=8, help="Files to make. Default: 8.")
@click.option(
    "--rounds",
    type=click.IntRange(1, 1000),
    default=5,
    help="How often everything takes its turn. Default: 5.",
)
@click.option("--no-peers", "peers", flag_value=False, default=True, help="Run no other tools.")
@click.option("--html", type=PATH, metavar="FILE", help="Also write a page with plots to FILE.")
def command(
    settings: Settings,
    *,
    target: str,
    size: str,
    files: int,
    rounds: int,
    peers: bool,
    html: str | None,
) -> Answer:
    """Measure reading alone, hashing alone and both together, and say which of the two binds.

    In DIRECTORY, SIZE bytes of files are made in a new subdirectory, and removed again at the end,
    also after Ctrl-C. A FILE or DEVICE is only read. Other tools that are installed (sha256sum,
    openssl, b3sum, model_signing, and fio for reading) are measured beside, on the same files.
    """
    from pyhash.benchmark import Plan, run_benchmark

    wanted = _parse_size(size)
    with settings.hashing_options() as options, _ended_by_signals():
        plan = Plan(
            target,
            wanted,
            files,
            rounds,
            options.threads,
            options.reader,
            options.kernel,
            peers=peers,
        )
        result = run_benchmark(plan, _quiet if settings.quiet else _tell)
    if html is not None:
        from pyhash.atomic import write_file
        from pyhash.benchmark.page import dump_page

        write_file(html, dump_page(result).encode())
    return Answer(
        "ok",
        result["verdicts"][0]["sentence"],
        lines=tuple(_lines(result)),
        bytes=result["sample"]["bytes"],
        files=result["sample"]["files"],
        details={"benchmark": result},
    )


def _lines(result: dict[str, Any]) -> Iterator[str]:
    """The verdicts, then what they stand on, then what a reader must know."""
    yield from (one["sentence"] for one in result["verdicts"])
    for title in ("reading", "hashing", "together"):
        yield from _rates(title, result[title])
    for name, rates in result["peers"].items():
        yield from _rates(f"whole processes, cached: {name}", rates)
    yield from (f"note: {one}" for one in result["notes"])


def _rates(title: str, rates: dict[str, dict[str, float]]) -> Iterator[str]:
    if not rates:
        return
    yield f"{title}: median [lowest, highest round]"
    width = max(map(len, rates))
    for name, rate in rates.items():
        median, low, high = (f"{amount(round(rate[key]))}/s" for key in ("median", "min", "max"))
        yield f"  {name.ljust(width)}  {median} [{low}, {high}]"


def _parse_size(text: str) -> int:
    found = re.fullmatch(r"(\d{1,15})\s*([KMG]I?|)B?", text.strip().upper())
    if found is None:
        raise UsageError(f"--size {text}: give a number with a unit, such as 512MiB or 8GiB")
    return int(found[1]) * UNITS[found[2]]


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Let every polite end be like Ctrl-C, once: a second one must not end the cleaning up."""
    ended: list[int] = []

    def end(number: int, _: FrameType | None) -> None:
        if not ended:
            ended.append(number)
            raise KeyboardInterrupt

    before = {number: signal.signal(number, end) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _tell(text: str) -> None:
    output.write_stderr(f"{printable(text)}\n")


def _quiet(_: str) -> None:
    """Tell nobody."""
