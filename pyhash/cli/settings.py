# SPDX-License-Identifier: Apache-2.0
"""The options that every command has, and what they come to.

Reads no environment variable and no configuration file: what a command checks is on its line.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from pyhash import errors
from pyhash.cli import formats, output
from pyhash.cli.output import write_stderr
from pyhash.cli.progress import progress_bar
from pyhash.frozen import frozen

if TYPE_CHECKING:
    from pyhash.hashing import Options

READERS = ("auto", "mmap", "buffered", "direct")  # as _native.READERS, which would load the engine


@frozen
class Settings:
    """What the common options say.

    Attributes:
        format: One of ``formats.FORMATS``.
        quiet: Neither progress nor summary; refusals and errors are still told.
        threads: Threads to hash with; None: all.
        reader: One of ``READERS``.
        kernel: Name of a kernel; None: the fastest.
    """

    format: str = formats.TEXT
    quiet: bool = False
    threads: int | None = None
    reader: str = "auto"
    kernel: str | None = None

    @contextmanager
    def hashing_options(self) -> Iterator[Options]:
        """Yield the options of the library; a progress bar is there until the block ends.

        Raises:
            UsageError: There is no such kernel.
        """
        from pyhash.hashing import Options

        if self.kernel is not None:
            _check_kernel(self.kernel)
        shown = not self.quiet and output.is_terminal(sys.stderr)
        with progress_bar(shown=shown) as progress:
            note = None if self.quiet else _note
            yield Options(self.threads, self.reader, self.kernel, progress, note)


def _check_kernel(name: str) -> None:
    from pyhash import _native  # here, as not every command needs the engine

    names = [kernel.name for kernel in _native.kernels()]
    if name not in names:
        raise errors.UsageError(f"no kernel {name!r}; there are {', '.join(names)}")


def _note(text: str) -> None:
    write_stderr(f"note: {text}\n")


def common_options() -> list[click.Parameter]:
    """Return the options that ``Settings`` holds, under its names. Raises nothing."""
    return [
        click.Option(
            ["--format"],
            type=click.Choice(formats.FORMATS),
            default=formats.TEXT,
            help="For programs: "
            + "; ".join(f"{name}: {what}" for name, (_, what) in formats.MACHINE_FORMATS.items())
            + ".",
        ),
        click.Option(["--quiet", "-q"], is_flag=True, help="No progress and no summary."),
        click.Option(
            ["--threads"], type=click.IntRange(min=1), metavar="N", help="Default: all processors."
        ),
        click.Option(
            ["--reader"],
            type=click.Choice(READERS),
            default="auto",
            help="How files are read. Default: as suits the file system.",
        ),
        click.Option(
            ["--kernel"], metavar="NAME", help="Default: the fastest here. See pyhash doctor."
        ),
    ]


def guess_settings(arguments: Sequence[str]) -> Settings:
    """Return the format that a command line asks for, when it does not make sense otherwise.

    Raises nothing.

    Args:
        arguments: The command line; what follows ``--`` is somebody else's.
    """
    own = list(arguments)
    own = own[: own.index("--")] if "--" in own else own
    pairs = list(zip(own, [*own[1:], ""], strict=True))
    wanted = (
        name
        for name in formats.MACHINE_FORMATS
        if f"--format={name}" in own or ("--format", name) in pairs
    )
    return Settings(format=next(wanted, formats.TEXT))
