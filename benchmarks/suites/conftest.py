# SPDX-License-Identifier: Apache-2.0
"""Sizes, sample files and bookkeeping of the pytest-benchmark suites. Measures nothing itself."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

MIB = 1 << 20


def pytest_addoption(parser: pytest.Parser) -> None:
    """How much is read, in how many files, how often."""
    parser.addoption("--size-mib", type=int, default=512, help="bytes of all files, in MiB")
    parser.addoption("--files", type=int, default=8, help="number of files")
    parser.addoption("--rounds", type=int, default=7, help="measured rounds, after one unmeasured")


@dataclass(frozen=True)
class Files:
    """Files of random bytes, and what hashlib says of each."""

    directory: Path
    paths: tuple[Path, ...]
    digests: tuple[bytes, ...]
    size: int


@pytest.fixture(scope="session")
def files(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Files:
    """The sample, in one directory that is a checkpoint too."""
    count = request.config.getoption("--files")
    each = max(1, request.config.getoption("--size-mib") // count) * MIB
    directory = tmp_path_factory.mktemp("sample")
    paths, digests = [], []
    for number in range(count):
        data = os.urandom(MIB) * (each // MIB)
        paths.append(directory / f"weights-{number:05d}.bin")
        with paths[-1].open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        digests.append(hashlib.sha256(data).digest())
    return Files(directory, tuple(paths), tuple(digests), each * count)


Measure = Callable[..., Any]


@pytest.fixture
def measure(benchmark: Any, request: pytest.FixtureRequest) -> Measure:
    """Time a function, note what its numbers stand for, and return what it returned last."""

    def run(function: Callable[[], Any], *, size: int, **conditions: object) -> Any:
        benchmark.extra_info.update(bytes=size, **conditions)
        rounds = request.config.getoption("--rounds")
        setup = conditions.pop("setup", None)
        benchmark.extra_info.pop("setup", None)
        return benchmark.pedantic(
            function, setup=setup, rounds=rounds, iterations=1, warmup_rounds=1
        )

    return run
