# SPDX-License-Identifier: Apache-2.0
"""Standard output and standard error, when their other end is gone or full too.

Says how writing went; what that means for the exit code is decided elsewhere.
"""

from __future__ import annotations

import os
import sys


def write_stdout(data: bytes) -> OSError | None:
    """Write to standard output at once.

    Args:
        data: What to write; nothing at all is fine.

    Returns:
        None when it was written, or when the reader went away, as ``head`` does when it has
        enough; the error when it could not be written.

    Raises:
        OSError: As ``silence_stdout``, after a failure.
    """
    if not data:
        return None
    if sys.stdout is None:  # what Python makes of a descriptor 1 that is closed
        return OSError("standard output is closed")
    try:
        sys.stdout.buffer.write(data)
        sys.stdout.flush()
    except BrokenPipeError:
        silence_stdout()
    except OSError as error:
        silence_stdout()
        return error
    return None


def write_stderr(text: str) -> None:
    """Write to standard error; where that is not possible there is nobody left to tell.

    Raises nothing.
    """
    if sys.stderr is None:
        return
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except OSError:
        return


def raw_line(line: str | bytes) -> str | bytes:
    """Return a line with names for programs: bytes, which are written as they are, as
    ``sha256sum`` does; but where a terminal would get it a string, which will be escaped.

    Raises nothing for a name that the system gave.
    """
    return os.fsdecode(line) if is_terminal(sys.stdout) else os.fsencode(line)


def silence_stdout() -> None:
    """Let what is still in the buffer go nowhere, so that the interpreter's own flush at its end
    does not fail, complain and change the exit code.

    Raises:
        OSError: There is no ``/dev/null``, or standard output has no descriptor.
    """
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)


def is_terminal(stream: object) -> bool:
    """Is a standard stream, which may be None, a terminal? Raises nothing."""
    isatty = getattr(stream, "isatty", None)
    return bool(isatty and isatty())
