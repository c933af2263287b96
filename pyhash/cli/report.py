# SPDX-License-Identifier: Apache-2.0
"""Shows an answer: as text for people, or as one JSON object for programs.

Untrusted names are escaped here and nowhere else.
"""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass, replace
from typing import Any

from pyhash import __version__
from pyhash.cli import output
from pyhash.cli.answer import Answer
from pyhash.cli.settings import Settings
from pyhash.cli.terminal_text import dump_json, printable
from pyhash.errors import DamagedRange, Finding

SHOWN_FINDINGS = 20  # lines; JSON has them all
SHOWN_RANGES = 4  # of one file
SHOWN_TENSORS = 4  # of one range


@dataclass(frozen=True, slots=True)
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
        """
        failure = self._json() if self.settings.format == "json" else self._text()
        if self.answer.note and not self.settings.quiet:
            output.write_stderr(f"{printable(self.answer.note)}\n")
        if failure is None:
            return self.answer.exit_code
        failed = replace(
            self.answer, result="error", label="error", message=f"writing the report: {failure}"
        )
        output.write_stderr(f"{_headline(failed)}\n")
        return self.answer.exit_code or failed.exit_code

    def _json(self) -> OSError | None:
        text = dump_json(as_object(self.command, self.answer)) + "\n"
        if self.on_stdout:
            return output.write_stdout(text.encode("ascii"))
        output.write_stderr(text)
        return None

    def _text(self) -> OSError | None:
        answer = self.answer
        summary = () if self.settings.quiet else answer.summary
        failure = output.write_stdout(b"".join(map(_encode, (*answer.lines, *summary))))
        if answer.exit_code:
            output.write_stderr("".join(f"{line}\n" for line in refusal_lines(answer)))
        return failure


def as_object(command: str, answer: Answer) -> dict[str, Any]:
    """Return the JSON object of an answer. Every key is always there, null where it has no sense.

    Keys: ``pyhash`` (version), ``command``, ``result``, ``exit_code``, ``message``,
    ``checkpoint``, ``root``, ``guarantee``, ``key``, ``files``, ``bytes``, ``seconds``,
    ``findings`` (objects with ``code``, ``path``, ``message``, ``expected``, ``actual`` and
    ``ranges`` of ``start``, ``end``, ``tensors``), then those of the command alone.
    """
    return {
        "pyhash": __version__,
        "command": command,
        "result": answer.result,
        "exit_code": answer.exit_code,
        "message": answer.message,
        "checkpoint": answer.checkpoint,
        "root": answer.root,
        "guarantee": answer.guarantee,
        "key": answer.key,
        "files": answer.files,
        "bytes": answer.bytes,
        "seconds": answer.seconds,
        "findings": [asdict(finding) for finding in answer.findings],
        **answer.details,
    }


def refusal_lines(answer: Answer) -> list[str]:
    """Return a refusal or an error as lines for a terminal: what, where, what to do."""
    shown = answer.findings[:SHOWN_FINDINGS]
    if len(shown) == 1 and not shown[0].ranges and shown[0].message in answer.message:
        shown = ()  # the headline has said it
    more = max(0, len(answer.findings) - SHOWN_FINDINGS)
    return [
        _headline(answer),
        *(f"  {_describe(finding)}" for finding in shown),
        *([f"  and {more} more"] if more else []),
        *([printable(answer.advice)] if answer.advice else []),
    ]


def _headline(answer: Answer) -> str:
    return printable(f"{answer.label or answer.result}: {answer.message}")


def _describe(finding: Finding) -> str:
    """One finding on one line; known ranges take the place of the message that sums them up."""
    if not finding.ranges:
        return printable(f"{finding.path}: {finding.message}")
    shown = [_describe_range(one) for one in finding.ranges[:SHOWN_RANGES]]
    more = len(finding.ranges) - len(shown)
    ranges = "; ".join([*shown, *([f"and {more} more ranges"] if more else [])])
    return printable(f"{finding.path}: differs in {ranges}")


def _describe_range(damaged: DamagedRange) -> str:
    where = f"bytes [{damaged.start}, {damaged.end})"
    names = damaged.tensors
    if not names:
        return where
    more = f" and {len(names) - SHOWN_TENSORS} more" if len(names) > SHOWN_TENSORS else ""
    return (
        f"{where} (tensor{'s' if len(names) > 1 else ''} {', '.join(names[:SHOWN_TENSORS])}{more})"
    )


def _encode(line: str | bytes) -> bytes:
    if isinstance(line, bytes):
        return line + b"\n"
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    return (printable(line) + "\n").encode(encoding, "backslashreplace")
