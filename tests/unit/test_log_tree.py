# SPDX-License-Identifier: Apache-2.0
"""Trees of logs: roots and proofs are those of RFC 6962 as hashlib computes them, and no other
proof is taken.
"""

from __future__ import annotations

import hashlib
import random

import pytest

from pyhash import limits, merkle
from pyhash.errors import LogError
from pyhash.log import tree
from tests.support import logs

ENTRIES = [b"entry %d" % number for number in range(33)]
SIZES = [1, 2, 3, 4, 5, 7, 8, 9, 16, 17, 33]


def nodes(height: int, index: int) -> bytes:
    return logs.root(ENTRIES[index << height : (index + 1) << height])


def test_leaves() -> None:
    mixed = [b"", b"a", b"bb", b"a", b"c" * 200, b"dd"]
    assert merkle.leaf_hashes(mixed) == [logs.leaf(one) for one in mixed]
    assert merkle.leaf_hashes([]) == []


@pytest.mark.parametrize("size", [0, *SIZES])
def test_roots(size: int) -> None:
    assert tree.range_root(nodes, 0, size) == logs.root(ENTRIES[:size])


@pytest.mark.parametrize("size", SIZES)
def test_inclusion(size: int) -> None:
    root = logs.root(ENTRIES[:size])
    for index in range(size):
        proof = tree.inclusion_proof(nodes, index, size)
        assert list(proof) == logs.path(index, ENTRIES[:size])
        tree.verify_inclusion(logs.leaf(ENTRIES[index]), index, size, proof, root)


@pytest.mark.parametrize("size", SIZES)
def test_consistency(size: int) -> None:
    new = (size, logs.root(ENTRIES[:size]))
    for old in range(size + 1):
        proof = tree.consistency_proof(nodes, old, size)
        expected = logs.subproof(old, ENTRIES[:size]) if old else []
        assert list(proof) == expected
        tree.verify_consistency((old, logs.root(ENTRIES[:old])), new, proof)


def wrong(proof: tuple[bytes, ...]) -> list[tuple[bytes, ...]]:
    """Proofs that are nearly right."""
    made = [(*proof, bytes(32)), (bytes(32), *proof), proof[:-1], proof[1:], tuple(reversed(proof))]
    for place in range(len(proof)):
        changed = list(proof)
        changed[place] = hashlib.sha256(changed[place]).digest()
        made.append(tuple(changed))
    return [one for one in made if one != proof]


@pytest.mark.parametrize("size", [1, 2, 3, 8, 13])
def test_no_other_inclusion(size: int) -> None:
    root = logs.root(ENTRIES[:size])
    for index in random.Random(size).sample(range(size), min(size, 6)):
        leaf = logs.leaf(ENTRIES[index])
        proof = tree.inclusion_proof(nodes, index, size)
        for other in wrong(proof):
            with pytest.raises(LogError):
                tree.verify_inclusion(leaf, index, size, other, root)
        for place in {*range(size + 2)} - {index}:
            with pytest.raises(LogError):
                tree.verify_inclusion(leaf, place, size, proof, root)
        with pytest.raises(LogError):
            tree.verify_inclusion(logs.leaf(b"other"), index, size, proof, root)


@pytest.mark.parametrize("size", [2, 3, 8, 13])
def test_no_other_consistency(size: int) -> None:
    new = (size, logs.root(ENTRIES[:size]))
    for old in range(1, size):
        before = (old, logs.root(ENTRIES[:old]))
        proof = tree.consistency_proof(nodes, old, size)
        for other in wrong(proof):
            with pytest.raises(LogError):
                tree.verify_consistency(before, new, other)
        with pytest.raises(LogError, match="rewritten"):
            tree.verify_consistency((old, bytes(32)), new, proof)


def test_same_size_and_shrunk() -> None:
    one, other = (5, logs.root(ENTRIES[:5])), (5, bytes(32))
    tree.verify_consistency(one, one, ())
    with pytest.raises(LogError, match="different roots"):
        tree.verify_consistency(one, other, ())
    with pytest.raises(LogError, match="different roots"):
        tree.verify_consistency(one, one, (bytes(32),))
    with pytest.raises(LogError, match="cut short"):
        tree.verify_consistency(one, (4, logs.root(ENTRIES[:4])), ())
    with pytest.raises(LogError, match="different roots"):
        tree.verify_consistency((0, bytes(32)), one, ())
    with pytest.raises(LogError, match="too short"):
        tree.verify_consistency((3, logs.root(ENTRIES[:3])), one, ())


def test_cap_of_proofs() -> None:
    huge = (bytes(32),) * (limits.MAX_PROOF_HASHES + 1)
    with pytest.raises(LogError):
        tree.verify_inclusion(bytes(32), 0, 1 << 48, huge, bytes(32))
    with pytest.raises(LogError):
        tree.verify_consistency((3, bytes(32)), (1 << 48, bytes(32)), huge)
