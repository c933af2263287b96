# SPDX-License-Identifier: Apache-2.0
"""Every kernel that runs here, through Python: NIST's vectors, and hashlib on anything.

tests/c/test_kernels.c looks closer (every length, guard pages, a model of AVX-512); this shows
that the kernels of the extension that is installed are the ones that were looked at.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography_vectors import open_vector_file
from hypothesis import given, settings
from hypothesis import strategies as st

from pyhash import _native, errors
from pyhash._native import (
    Kernel,
    Range,
    fold_nodes,
    hash_messages,
    hash_ranges,
    kernels,
    kernels_by_count,
)
from tests import reference

SPAN = 1 << 20
# Checkpoints of the Monte Carlo test, of 100; each takes a thousand calls.
CHECKPOINTS = 2


@pytest.fixture(params=kernels(), ids=lambda kernel: kernel.name)
def kernel(request: pytest.FixtureRequest) -> Kernel:
    found: Kernel = request.param
    if not found.supported:
        pytest.skip(f"kernel {found.name} did not run: the processor lacks it")
    return found


def vectors(name: str) -> Iterator[tuple[str, str]]:
    with open_vector_file(f"hashes/SHA2/{name}.rsp", "r") as file:
        for line in file:
            key, separator, value = line.strip().partition(" = ")
            if separator and not key.startswith(("#", "[")):
                yield key, value


def message_vectors() -> list[tuple[bytes, bytes]]:
    found = []
    size, message = 0, b""
    for name in ("SHA256ShortMsg", "SHA256LongMsg"):
        for key, value in vectors(name):
            if key == "Len":
                size = int(value) // 8
            elif key == "Msg":
                message = bytes.fromhex(value)[:size]
            else:
                found.append((message, bytes.fromhex(value)))
    return found


def test_there_are_kernels() -> None:
    names = [kernel.name for kernel in kernels()]
    assert len(set(names)) == len(names)
    assert names[-1] == "portable"
    assert kernels()[-1].supported
    print(
        "kernels:", ", ".join(f"{k.name}{'' if k.supported else ' (not here)'}" for k in kernels())
    )


def test_nist_messages(kernel: Kernel) -> None:
    found = message_vectors()
    assert len(found) == 129
    for message, digest in found:
        if message:
            copies = 2 * kernel.lanes + 1
            assert hash_messages(message * copies, len(message), kernel=kernel.name) == (
                digest * copies
            )


def test_nist_monte_carlo(kernel: Kernel) -> None:
    values = [bytes.fromhex(value) for key, value in vectors("SHA256Monte") if key != "COUNT"]
    assert len(values) == 101
    seed = values[0]
    for expected in values[1 : 1 + CHECKPOINTS]:
        one, two, three = seed, seed, seed
        for _ in range(1000):
            one, two, three = two, three, hash_messages(one + two + three, 96, kernel=kernel.name)
        assert three == expected
        seed = three


@given(
    size=st.integers(1, 5000),
    count=st.integers(1, 40),
    seed=st.binary(min_size=1, max_size=64),
)
@settings(max_examples=40, deadline=None)
def test_any_messages(size: int, count: int, seed: bytes) -> None:
    data = (seed * (size * count // len(seed) + 1))[: size * count]
    expected = b"".join(
        hashlib.sha256(data[i * size : (i + 1) * size]).digest() for i in range(count)
    )
    for one in kernels():
        if one.supported:
            assert hash_messages(data, size, kernel=one.name) == expected


@given(nodes=st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=70))
@settings(max_examples=40, deadline=None)
def test_any_nodes(nodes: list[bytes]) -> None:
    expected = reference.fold(nodes)
    for one in kernels():
        if one.supported:
            assert fold_nodes(b"".join(nodes), kernel=one.name) == expected


@given(
    sizes=st.lists(st.integers(0, 3 * 65536 + 5) | st.integers(0, 300), min_size=1, max_size=12),
    threads=st.integers(1, 3),
    file_digests=st.booleans(),
)
@settings(max_examples=30, deadline=None)
def test_any_ranges(sizes: list[int], threads: int, file_digests: bool) -> None:
    data = hashlib.shake_128(b"any").digest(max(sizes))
    ranges = [Range("memory", memoryview(data)[:size], 0, size) for size in sizes]
    for one in kernels():
        if one.supported:
            found = hash_ranges(ranges, threads=threads, file_digests=file_digests, kernel=one.name)
            for size, result in zip(sizes, found, strict=True):
                assert result.span_nodes == b"".join(reference.span_nodes(data[:size]))
                digest = hashlib.sha256(data[:size]).digest() if file_digests else None
                assert result.file_digest == digest


def test_a_range_within_a_shard_has_the_shard_s_nodes(kernel: Kernel) -> None:
    data = hashlib.shake_128(b"within").digest(3 * SPAN + 70_000)
    nodes = reference.span_nodes(data)
    for first in range(4):
        for last in range(first, 5):
            end = min(last * SPAN, len(data))
            (found,) = hash_ranges([Range("m", data, first * SPAN, end)], kernel=kernel.name)
            assert found.span_nodes == b"".join(nodes[first:last])


def test_refused() -> None:
    with pytest.raises(errors.EngineError):
        hash_messages(b"abc", 3, kernel="none")
    with pytest.raises(errors.EngineError):
        fold_nodes(bytes(32), kernel="none")
    for data, size in ((b"abc", 2), (b"abc", 0), (b"abc", -1)):
        with pytest.raises(errors.UsageError, match="whole number"):
            hash_messages(data, size)
    for nodes in (b"", bytes(31), bytes(33)):
        with pytest.raises(errors.UsageError, match="whole digests"):
            fold_nodes(nodes)
    with pytest.raises(errors.UsageError):
        hash_ranges([Range("m", bytes(10), 1, 10)])


@pytest.mark.parametrize("name", [one.name for one in kernels() if not one.supported])
def test_kernel_of_another_processor_is_refused(name: str) -> None:
    with pytest.raises(errors.EngineError):
        hash_messages(b"abc", 3, kernel=name)


def test_kernel_for_each_number_of_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    """By hand: three messages take "one" 3/2 and "pair" 4/3; five take "pair" 6/3, as "wide"."""
    measured = (
        (Kernel("wide", 16, True), 8.0),
        (Kernel("pair", 2, True), 3.0),
        (Kernel("one", 1, True), 2.0),
    )
    monkeypatch.setattr(_native, "measure_kernels", lambda: measured)
    assert kernels_by_count() == ("one", "pair", "pair", "pair", *["wide"] * 12)


def test_long_calls_choose_by_number() -> None:
    size = 2 * _native.CALIBRATED_BYTES + 5
    data = hashlib.shake_128(b"chosen").digest(1 << 20) * (size >> 20) + b"12345"
    for count in (1, 2, 5, 17):
        ranges = [Range("m", data, 0, size)] * count
        for nodes in (False, True):
            found = hash_ranges(ranges, threads=2, span_nodes=nodes, file_digests=True)
            assert {one.file_digest for one in found} == {hashlib.sha256(data).digest()}


def test_fewer_files_than_threads(tmp_path: Path) -> None:
    """Spans are then hashed beside the digest, which counts as progress only once."""
    data = hashlib.shake_128(b"few").digest(1 << 20) * 40 + b"end"
    (tmp_path / "file").write_bytes(data)
    done: list[int] = []
    with (tmp_path / "file").open("rb") as file:
        ranges = [Range("file", file.fileno(), 0, len(data)), Range("memory", data, 0, len(data))]
        for count in (1, 2):
            found = hash_ranges(ranges[:count], threads=5, file_digests=True, progress=done.append)
            assert done[-1] == count * len(data)
            for one in found:
                assert one.file_digest == hashlib.sha256(data).digest()
                assert one.span_nodes == b"".join(reference.span_nodes(data))
