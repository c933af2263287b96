# SPDX-License-Identifier: Apache-2.0
"""What a command came to, and the one place where an exception becomes an exit code.

How an answer is shown is ``report``'s business.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field
from typing import Any, TypeVar

import click

from pyhash import errors
from pyhash.errors import Finding
from pyhash.frozen import frozen

EXIT_CODES = {
    "verified": 0,
    "matches": 0,
    "signed": 0,
    "ok": 0,
    "accepted": 0,
    "unverified": 0,
    "refused": 1,
    "usage": 2,
    "error": 3,
    "interrupted": 130,
}

T = TypeVar("T")


@frozen
class Answer:
    """What a command came to.

    Attributes:
        result: A key of ``EXIT_CODES``.
        message: One sentence; may hold untrusted names, unescaped.
        label: What stands before the message in text, where that is not the result.
        lines: What was asked for, line by line, for standard output in text format. Strings are
            escaped when shown; bytes are written as they are.
        summary: Lines about the work itself; ``--quiet`` leaves them out.
        note: What a person must know about ``lines``; goes to standard error.
        advice: What to do after a refusal.
        checkpoint, root, guarantee, key, files, bytes, seconds, findings: As in the JSON object.
        held: Paths of the files that the answer holds for, for formats that list each one.
        details: Further keys of the JSON object, the command's own.
    """

    result: str
    message: str = ""
    label: str = ""
    lines: tuple[str | bytes, ...] = ()
    summary: tuple[str, ...] = ()
    note: str = ""
    advice: str = ""
    checkpoint: str | None = None
    root: str | None = None
    guarantee: str | None = None
    key: str | None = None
    files: int | None = None
    bytes: int | None = None
    seconds: float | None = None
    findings: tuple[Finding, ...] = ()
    held: tuple[str, ...] = ()
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def exit_code(self) -> int:
        """The exit code of the process. Raises nothing."""
        return EXIT_CODES[self.result]

    @property
    def succeeded(self) -> bool:
        """Whether it holds, or was done; ``unverified`` did not, whatever starts then.

        Raises nothing.
        """
        return self.exit_code == 0 and self.result != "unverified"


def answered(work: Callable[[], T]) -> T | Answer:
    """Do something; whatever it raises becomes an answer.

    Returns:
        What ``work`` returned, or the answer that its exception comes to. Raises nothing, so
        that no fault of ours can end in an exit code that says something else.
    """
    try:
        return work()
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - the one place that may
        return answer_for(error)


def answer_for(error: BaseException) -> Answer:
    """Return what an exception comes to: refused, usage, interrupted, or else: error.

    Raises nothing.
    """
    if isinstance(error, errors.VerificationError):
        return Answer("refused", str(error), advice=_advice(error), findings=error.findings)
    if isinstance(error, errors.UsageError):
        return Answer("usage", str(error))
    if isinstance(error, click.UsageError):
        command = error.ctx.command_path if error.ctx else "pyhash"
        return Answer("usage", error.format_message(), advice=f"{command} --help says more.")
    if isinstance(error, (KeyboardInterrupt, click.Abort, errors.CancelledError)):
        return Answer("interrupted", "interrupted before there was an answer")
    if isinstance(error, errors.CheckError):
        return Answer("error", str(error))
    if isinstance(error, ImportError):
        return Answer("error", f"a library is not there, or not whole: {error}")
    if isinstance(error, OSError):
        return Answer("error", f"the system refused: {error}")
    if isinstance(error, MemoryError):
        return Answer("error", "out of memory")
    return Answer("error", f"a fault in pyhash itself: {type(error).__name__}: {error}")


_ADVICE: dict[type[errors.VerificationError], str] = {
    errors.UnsignedError: "Get the bundle from the publisher, or name it with --signature.",
    errors.SignatureError: "Do not load it. Ask the publisher, over another channel, which key"
    " signed it.",
    errors.PolicyError: "Do not load it, or change the policy on purpose.",
    errors.MissingShardError: "Fetch the missing files again from the publisher.",
    errors.UnexpectedFileError: "Remove what nobody signed; if it may be there, name it with"
    " --ignore.",
    errors.SizeMismatchError: "Do not load it. Fetch these files again from the publisher.",
    errors.DigestMismatchError: "Do not load it. Fetch these files again from the publisher; if"
    " they differ again, look at the drive, and at who can write there.",
    errors.ChangedWhileReadError: "Find out what writes to these files, stop it, and try again.",
    errors.LogError: "Keep a copy of the log and of every checkpoint of it that you have; together"
    " they prove what its keeper did.",
    errors.ProvenanceError: "Do not load it. Ask the publisher for the missing statements, or"
    " change what is required on purpose.",
    errors.ClosureError: "Do not load it. Its publisher must take that out and sign it again.",
}


def _advice(error: errors.VerificationError) -> str:
    return _ADVICE.get(type(error), "Do not load it.")
