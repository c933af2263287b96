# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the command line's tests: a signed checkpoint of one's own, and a way to run."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pyhash.cli import group
from tests.support import command_line
from tests.support.command_line import Signed

Run = Callable[..., tuple[int, str, str]]
Write = Callable[..., None]


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> Signed:
    """A signed checkpoint that no test may change."""
    return command_line.signed_checkpoint(tmp_path_factory.mktemp("published"))


@pytest.fixture
def signed(published: Signed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Signed:
    """A copy of its own; the current directory is the one that it lies in."""
    shutil.copytree(published.directory, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return Signed(tmp_path)


@pytest.fixture
def run(capsysbinary: pytest.CaptureFixture[bytes]) -> Run:
    """Run a command line in this process: exit code, standard output, standard error."""

    def run(*arguments: str) -> tuple[int, str, str]:
        code = group.run(arguments)
        out, err = capsysbinary.readouterr()
        return code, out.decode(), err.decode()

    return run


@pytest.fixture
def write(signed: Signed) -> Write:
    """Write policy.toml, of one rule that trusts the publisher, with further lines."""

    def write(*lines: str, name: str = "model", top: str = "") -> None:
        head = f'version = 1\n{top}\n[[rule]]\nname = "{name}"\nkeys = ["publisher.pub"]'
        Path("policy.toml").write_text("\n".join([head, *lines]) + "\n")

    return write
