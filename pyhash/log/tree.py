# SPDX-License-Identifier: Apache-2.0
"""Roots, inclusion proofs and consistency proofs of an RFC 6962 tree, over a source of nodes.

Pure functions: where nodes come from (tiles, memory) is the caller's, and that is where the engine
folds many at once. Proofs are in the order of RFC 6962: from the leaf, or the old root, up.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pyhash import limits
from pyhash.errors import LogError
from pyhash.merkle import EMPTY_ROOT, node_hash

# (height, index) -> root of the leaves [index * 2**height, (index + 1) * 2**height)
Nodes = Callable[[int, int], bytes]


def split(count: int) -> int:
    """Return the largest power of two below ``count``, which is at least 2. Raises nothing."""
    return 1 << ((count - 1).bit_length() - 1)


def range_root(nodes: Nodes, start: int, end: int) -> bytes:
    """Return the root over the leaves [start, end), a subtree of some RFC 6962 tree.

    Args:
        nodes: The source.
        start: A multiple of the largest power of two that is not above ``end - start``.
        end: At least ``start``.

    Raises:
        What ``nodes`` raises.
    """
    count = end - start
    if count == 0:
        return EMPTY_ROOT
    if count & (count - 1) == 0:
        height = count.bit_length() - 1
        return nodes(height, start >> height)
    middle = start + split(count)
    return node_hash(range_root(nodes, start, middle), range_root(nodes, middle, end))


def inclusion_proof(nodes: Nodes, index: int, size: int) -> tuple[bytes, ...]:
    """Return the proof that leaf ``index`` is in the tree of ``size`` leaves (RFC 6962, 2.1.1).

    Raises:
        What ``nodes`` raises.
    """
    start, end, siblings = 0, size, []
    while end - start > 1:
        middle = start + split(end - start)
        if index < middle:
            siblings.append((middle, end))
            end = middle
        else:
            siblings.append((start, middle))
            start = middle
    return tuple(range_root(nodes, *sibling) for sibling in reversed(siblings))


def consistency_proof(nodes: Nodes, old: int, size: int) -> tuple[bytes, ...]:
    """Return the proof that the tree of ``old`` leaves is the beginning of that of ``size`` ones
    (RFC 6962, 2.1.2); empty when either is all or nothing.

    Raises:
        What ``nodes`` raises.
    """
    if old in (0, size):
        return ()
    start, end, siblings, is_whole = 0, size, [], True
    while end != old:
        middle = start + split(end - start)
        if old <= middle:
            siblings.append((middle, end))
            end = middle
        else:
            siblings.append((start, middle))
            start = middle
            is_whole = False
    own = () if is_whole else ((start, end),)
    return tuple(range_root(nodes, *one) for one in (*own, *reversed(siblings)))


def verify_inclusion(
    leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes
) -> None:
    """Check an inclusion proof (RFC 9162, 2.1.3.2); return nothing when it holds.

    Args:
        leaf: Leaf hash, 32 bytes.
        index: Which leaf it is said to be.
        size: Leaves of the tree.
        proof: Hashes, from the leaf up.
        root: Root of the tree, which is trusted.

    Raises:
        LogError: It does not hold.
    """
    if index >= size or len(proof) > limits.MAX_PROOF_HASHES:
        raise LogError(f"the proof is of entry {index} in a log of {size} entries")
    here, last, node = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            raise LogError("the inclusion proof is too long")
        if here & 1 or here == last:
            node = node_hash(sibling, node)
            while not here & 1 and here:
                here, last = here >> 1, last >> 1
        else:
            node = node_hash(node, sibling)
        here, last = here >> 1, last >> 1
    if last != 0 or node != root:
        raise LogError(f"the inclusion proof of entry {index} does not lead to the signed root")


def verify_consistency(
    old: tuple[int, bytes], new: tuple[int, bytes], proof: Sequence[bytes]
) -> None:
    """Check a consistency proof (RFC 9162, 2.1.4.2); return nothing when it holds.

    Args:
        old: Size and root of the smaller tree.
        new: Size and root of the larger tree.
        proof: Hashes, from the old root up.

    Raises:
        LogError: The larger tree does not begin with the smaller one.
    """
    (old_size, old_root), (new_size, new_root) = old, new
    if old_size > new_size:
        raise LogError(f"the log had {old_size} entries and has {new_size}: it was cut short")
    if old_size == new_size or old_size == 0:
        is_same = old_root == new_root if old_size == new_size else old_root == EMPTY_ROOT
        if not is_same or proof:
            raise LogError(f"two logs of {old_size} entries with different roots")
        return
    rest = list(proof[: limits.MAX_PROOF_HASHES])
    if old_size & (old_size - 1) == 0:
        rest.insert(0, old_root)
    before, after = _fold_both(old_size - 1, new_size - 1, rest)
    if before != old_root or after != new_root or len(proof) > limits.MAX_PROOF_HASHES:
        raise LogError(
            f"the log of {new_size} entries does not begin with the {old_size} that it had: it"
            " was rewritten"
        )


def _fold_both(here: int, last: int, proof: Sequence[bytes]) -> tuple[bytes, bytes]:
    """Fold one proof to the root of the smaller and to that of the larger tree."""
    while here & 1:
        here, last = here >> 1, last >> 1
    if not proof:
        raise LogError("the consistency proof is too short")
    before = after = proof[0]
    for node in proof[1:]:
        if last == 0:
            raise LogError("the consistency proof is too long")
        if here & 1 or here == last:
            before, after = node_hash(node, before), node_hash(node, after)
            while not here & 1 and here:
                here, last = here >> 1, last >> 1
        else:
            after = node_hash(after, node)
        here, last = here >> 1, last >> 1
    if last != 0:
        raise LogError("the consistency proof is too short")
    return before, after
