# SPDX-License-Identifier: Apache-2.0
"""The ``pyhash`` command: help and version at once, everything else through click.

Importing click takes three times as long as starting Python, so that ``pyhash --help`` does
without; ``cli.command_table`` has the text, and the click group shows the same one.
"""

from __future__ import annotations

import gc
import sys

GC_THRESHOLD = 100_000  # objects that are made before cycles among them are looked for
INTERRUPTED = 130  # as shells have it: 128 + SIGINT


def main() -> int:
    """Run the command line of this process.

    Returns:
        The exit code: 0 verified or done, 1 refused, 2 usage, 3 could not check,
        130 interrupted. Raises nothing.
    """
    # A command imports, works and ends: looking for cycles in what stays costs a fifth of a start.
    gc.set_threshold(GC_THRESHOLD)
    try:
        return _main(sys.argv[1:])
    except KeyboardInterrupt:  # while modules were imported; later ones are answered in cli
        return INTERRUPTED
    finally:
        gc.freeze()  # and looking once more at the end, when all of it goes, a tenth


def _main(arguments: list[str]) -> int:
    from pyhash.cli import command_table, output

    if arguments == ["--version"]:
        from pyhash import __version__

        return _print(f"pyhash {__version__}")
    if len(arguments) == 1 and arguments[0] in command_table.HELP_OPTIONS:
        return _print(command_table.help_text())
    if not arguments:
        output.write_stderr(f"{command_table.help_text()}\n")
        return 2
    from pyhash.cli.group import run

    return run(arguments)


def _print(text: str) -> int:
    from pyhash.cli import output

    return 0 if output.write_stdout(f"{text}\n".encode()) is None else 3


if __name__ == "__main__":
    sys.exit(main())
