# SPDX-License-Identifier: Apache-2.0
"""The JSON object that every command answers with: its documented keys, and their types.

What the values should be is for the tests to say.
"""

from __future__ import annotations

from typing import Any

import pyhash
from tests.support import command_line
from tests.support.command_line import Signed

VERIFY = ("verify", "model", "--key", "publisher.pub")

KEYS = {
    "pyhash": str,
    "command": str,
    "result": str,
    "exit_code": int,
    "message": str,
    "checkpoint": (str, type(None)),
    "root": (str, type(None)),
    "guarantee": (str, type(None)),
    "key": (str, type(None)),
    "files": (int, type(None)),
    "bytes": (int, type(None)),
    "seconds": (float, type(None)),
    "findings": list,
}
FINDING_KEYS = {
    "code": str,
    "path": str,
    "message": str,
    "expected": (str, type(None)),
    "actual": (str, type(None)),
    "ranges": list,
}


def check_object(found: dict[str, Any]) -> None:
    """The documented keys are there, in order, with values of the documented types."""
    assert list(found)[: len(KEYS)] == list(KEYS)
    for key, kind in KEYS.items():
        assert isinstance(found[key], kind), key
    assert found["pyhash"] == pyhash.__version__
    for finding in found["findings"]:
        assert list(finding) == list(FINDING_KEYS)
        for key, kind in FINDING_KEYS.items():
            assert isinstance(finding[key], kind), key
        for one in finding["ranges"]:
            assert list(one) == ["start", "end", "tensors"]
            assert 0 <= one["start"] < one["end"]
            assert all(isinstance(name, str) for name in one["tensors"])


def verify_object(signed: Signed, *more: str) -> tuple[int, dict[str, Any]]:
    """Verify in a process of its own; returns the exit code and the object."""
    process = command_line.pyhash(*VERIFY, "--format", "json", *more, cwd=signed.directory)
    assert process.stderr == b""
    found = command_line.answer(process)
    check_object(found)
    assert found["command"] == "verify"
    assert found["exit_code"] == process.returncode
    return process.returncode, found
