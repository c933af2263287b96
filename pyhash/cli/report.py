# SPDX-License-Identifier: Apache-2.0
"""Shows an answer: as text for people on two streams, or as one document for programs.

What a format looks like is its own file's business, in ``formats``.
"""

from __future__ import annotations

import sys
from dataclasses import replace

from pyhash.cli import formats, output
from pyhash.cli.answer import Answer
from pyhash.cli.formats.text import headline, refusal_lines
from pyhash.cli.settings import Settings
from pyhash.cli.terminal_text import printable
from pyhash.frozen import frozen


@frozen
class Report:
    """An answer, and how it is to be shown.

    Attributes:
        command: Which command gave it.
        answer: The answer.
        settings: Format and quietness.
        on_stdout: False for a command that leaves standard output to its child.
    """

    command: str
    answer: Answer
    settings: Settings
    on_stdout: bool = True

    def show(self) -> int:
        """Write the report; returns the exit code of the process.

        A report that cannot be written turns success into an error: whoever reads it must not
        take half of it for the whole. A reader that went away is no error.

        Raises:
            OSError: As ``output.write_stdout``.
        """
        is_text = self.settings.format == formats.TEXT
        failure = self._text() if is_text else self._document()
        if self.answer.note and not self.settings.quiet:
            output.write_stderr(f"{printable(self.answer.note)}\n")
        if failure is None:
            return self.answer.exit_code
        failed = replace(
            self.answer, result="error", label="error", message=f"writing the report: {failure}"
        )
        output.write_stderr(f"{headline(failed)}\n")
        return self.answer.exit_code or failed.exit_code

    def _document(self) -> OSError | None:
        document = formats.dump(self.settings.format, self.command, self.answer)
        if self.on_stdout:
            return output.write_stdout(document)
        output.write_stderr(document.decode("ascii"))
        return None

    def _text(self) -> OSError | None:
        answer = self.answer
        summary = () if self.settings.quiet else answer.summary
        failure = output.write_stdout(b"".join(map(_encode, (*answer.lines, *summary))))
        if answer.exit_code:
            output.write_stderr("".join(f"{line}\n" for line in refusal_lines(answer)))
        return failure


def _encode(line: str | bytes) -> bytes:
    if isinstance(line, bytes):
        return line + b"\n"
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    return (printable(line) + "\n").encode(encoding, "backslashreplace")
