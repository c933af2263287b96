# SPDX-License-Identifier: Apache-2.0
"""The stage of every attack. It has been seen to verify, so no refusal can be for nothing."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import pyhash
from pyhash.signing.ecdsa import generate_key, write_key_pair
from tests.attacks._stage import SMALL_BYTES, Commands, Stage, make_checkpoint, make_stage
from tests.support.mutations import SHARD_BYTES


@pytest.fixture(scope="session")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Commands]:
    """Runs command lines."""
    server = Commands(tmp_path_factory.mktemp("output"))
    yield server
    server.close()


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory, commands: Commands) -> Path:
    """A directory with a small checkpoint, signed, and the keys; to be copied."""
    return _prepare(tmp_path_factory.mktemp("prepared"), SMALL_BYTES, commands)


@pytest.fixture(scope="session")
def prepared_large(tmp_path_factory: pytest.TempPathFactory, commands: Commands) -> Path:
    """The same with shards of three spans."""
    return _prepare(tmp_path_factory.mktemp("prepared"), SHARD_BYTES, commands)


def _prepare(home: Path, shard_bytes: int, commands: Commands) -> Path:
    for name in ("publisher", "attacker"):
        write_key_pair(generate_key(), home / f"{name}.key", home / f"{name}.pub")
    make_checkpoint(home / "model", shard_bytes=shard_bytes)
    pyhash.sign(home / "model", home / "publisher.key")
    make_stage(home, commands).expect_verified()  # and starts its child
    return home


@pytest.fixture
def stage(prepared: Path, commands: Commands, tmp_path: Path) -> Iterator[Stage]:
    """A small signed checkpoint that verifies."""
    with _copied(prepared, tmp_path / "stage", commands) as made:
        yield made


@pytest.fixture
def large_stage(prepared_large: Path, commands: Commands, tmp_path: Path) -> Iterator[Stage]:
    """A signed checkpoint with shards of three spans that verifies."""
    with _copied(prepared_large, tmp_path / "stage", commands) as made:
        yield made


@contextmanager
def _copied(source: Path, home: Path, commands: Commands) -> Iterator[Stage]:
    shutil.copytree(source, home)
    made = make_stage(home, commands)
    made.verify()
    yield made
    shutil.rmtree(home)
