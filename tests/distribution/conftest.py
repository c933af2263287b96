# SPDX-License-Identifier: Apache-2.0
"""A release for reading, one for changing, and real servers that are started once."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pyhash.pull import transfer
from pyhash.store.embedded import EmbeddedStore, running_store
from tests.distribution._https_server import Server, serve
from tests.distribution._release import Release, make_release


@pytest.fixture(autouse=True)
def brief_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between tries; how long they are is the business of test_transfer.py."""
    monkeypatch.setattr(transfer, "BACKOFF_SECONDS", 0.01)


@pytest.fixture(scope="session")
def release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    """A signed checkpoint; not to be changed."""
    return make_release(tmp_path_factory.mktemp("release"))


@pytest.fixture
def own_release(release: Release, tmp_path: Path) -> Release:
    """A copy that the test may change."""
    shutil.copytree(release.model, tmp_path / "model")
    return replace(release, model=tmp_path / "model")


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedStore]:
    """A real S3 server with a writer and a reader."""
    with running_store(tmp_path_factory.mktemp("store") / "store") as running:
        yield running


@pytest.fixture
def server(release: Release) -> Iterator[Server]:
    """An HTTPS server that gives the files of the release, and can be told to misbehave."""
    with serve(release.model) as running:
        yield running
