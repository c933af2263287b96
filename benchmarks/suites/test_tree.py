# SPDX-License-Identifier: Apache-2.0
"""Chunk digests, leaves and nodes of a shard in memory, and the fold of stored nodes to a root."""

from __future__ import annotations

import os
from typing import Any

import pytest

from pyhash import Options, hash_buffer, merkle
from pyhash.processors import usable_processors
from tests import reference


@pytest.mark.parametrize("threads", sorted({1, usable_processors()}))
def test_shard_in_memory(threads: int, measure: Any, request: pytest.FixtureRequest) -> None:
    size = request.config.getoption("--size-mib") << 20
    data = os.urandom(1 << 20) * (size >> 20)
    options = Options(threads=threads)
    found = measure(
        lambda: hash_buffer(data, options=options), size=size, threads=threads, cache="memory"
    )
    assert found.root == merkle.shard_root(found.span_nodes)
    span = reference.shard_root(data[: 1 << 20])
    assert {found.span_nodes[at : at + 32] for at in range(0, len(found.span_nodes), 32)} == {span}


def test_fold_of_span_nodes(measure: Any, request: pytest.FixtureRequest) -> None:
    """As many nodes as a shard of a thousand times the size has."""
    count = 1000 * request.config.getoption("--size-mib")
    nodes = os.urandom(32) * count
    root = measure(lambda: merkle.shard_root(nodes), size=len(nodes), threads=1, cache="memory")
    assert root == reference.shard_root_of_nodes([nodes[:32]] * count)
