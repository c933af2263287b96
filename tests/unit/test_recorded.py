# SPDX-License-Identifier: Apache-2.0
"""What was done and could not be recorded does not count as done; a refusal keeps its reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from pyhash.access import AccessLog
from pyhash.cli.log_options import recorded
from pyhash.errors import ReadError, SignatureError
from tests.support.logs import make_log


@pytest.fixture
def log(tmp_path: Path) -> AccessLog:
    made = make_log(tmp_path / "log")
    return AccessLog(str(made.directory), made.signer)


@pytest.mark.parametrize("operation", ["sign", "verify", "run", "load", "push", "pull", "share"])
def test_a_success_that_cannot_be_recorded_is_none(log: AccessLog, operation: str) -> None:
    def work() -> str:
        Path(log.directory, "journal").unlink()
        return "done"

    with pytest.raises(ReadError, match="journal"):
        recorded(log, operation, "model", work, done=lambda _: {})


def test_a_refusal_that_cannot_be_recorded_stays_one(log: AccessLog) -> None:
    def work() -> str:
        Path(log.directory, "journal").unlink()
        raise SignatureError("nobody signed this")

    with pytest.raises(SignatureError, match="nobody signed this"):
        recorded(log, "verify", "model", work, done=lambda _: {})
