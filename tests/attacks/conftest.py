# SPDX-License-Identifier: Apache-2.0
"""The stage of every attack. It has been seen to verify, so no refusal can be for nothing."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import pyhash
from pyhash.signing.ecdsa import generate_key, write_key_pair
from tests.attacks._stage import Commands, Stage, make_stage
from tests.support.attacks import make_victim


@pytest.fixture(scope="session")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Commands]:
    """Runs command lines."""
    server = Commands(tmp_path_factory.mktemp("output"))
    yield server
    server.close()


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory, commands: Commands) -> Path:
    """A directory with the checkpoint, signed, and the keys; to be copied. It starts its child."""
    home = tmp_path_factory.mktemp("prepared")
    for name in ("publisher", "attacker"):
        write_key_pair(generate_key(), home / f"{name}.key", home / f"{name}.pub")
    make_victim(home / "model")
    pyhash.sign(home / "model", home / "publisher.key")
    make_stage(home, commands).expect_verified()
    return home


@pytest.fixture
def stage(prepared: Path, commands: Commands, tmp_path: Path) -> Iterator[Stage]:
    """A signed checkpoint that verifies."""
    home = tmp_path / "stage"
    shutil.copytree(prepared, home)
    made = make_stage(home, commands)
    made.verify()
    yield made
    shutil.rmtree(home)
