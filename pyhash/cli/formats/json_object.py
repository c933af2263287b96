# SPDX-License-Identifier: Apache-2.0
"""``--format json``: an answer as one JSON object on one line."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from pyhash import __version__
from pyhash.cli.answer import Answer
from pyhash.cli.terminal_text import dump_json


def dump(command: str, answer: Answer) -> bytes:
    """Return the document. Raises nothing."""
    return dump_line(as_object(command, answer))


def dump_line(value: dict[str, Any]) -> bytes:
    """Return one object as one line of ASCII. Raises nothing."""
    return f"{dump_json(value)}\n".encode("ascii")


def as_object(command: str, answer: Answer) -> dict[str, Any]:
    """Return the JSON object of an answer. Every key is always there, null where it has no sense.

    Keys: ``pyhash`` (version), ``command``, ``result``, ``exit_code``, ``message``,
    ``checkpoint``, ``root``, ``guarantee``, ``key``, ``files``, ``bytes``, ``seconds``,
    ``findings`` (objects with ``code``, ``path``, ``message``, ``expected``, ``actual`` and
    ``ranges`` of ``start``, ``end``, ``tensors``), then those of the command alone. Raises nothing.
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
