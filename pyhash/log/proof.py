# SPDX-License-Identifier: Apache-2.0
"""Proofs that an entry is in a log (c2sp.org/tlog-proof): text that is checked offline.

A proof holds an index, the hashes from the entry up, and the signed checkpoint. Nothing in it is
trusted but what the keys of the caller signed.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass

from pyhash import limits
from pyhash.errors import FormatError, LimitError
from pyhash.log.checkpoint import (
    TrustedLog,
    VerifiedCheckpoint,
    load_number,
    verify_checkpoint,
)
from pyhash.log.tree import verify_inclusion
from pyhash.merkle import DIGEST_BYTES, leaf_hashes

FIRST_LINE = "c2sp.org/tlog-proof@v1"
_EXTRA, _INDEX = "extra ", "index "


@dataclass(frozen=True, slots=True)
class Proof:
    """A proof that has been read or made, and not yet checked.

    Attributes:
        index: Number of the entry.
        hashes: From the entry's sibling up, 32 bytes each.
        checkpoint: The signed checkpoint, as bytes.
    """

    index: int
    hashes: tuple[bytes, ...]
    checkpoint: bytes


@dataclass(frozen=True, slots=True)
class VerifiedEntry:
    """An entry that a log holds. Only ``verify_proof`` and the log's reader construct one.

    Attributes:
        index: Its number.
        entry: Its bytes.
        checkpoint: The checkpoint that it is under.
    """

    index: int
    entry: bytes
    checkpoint: VerifiedCheckpoint


def dump_proof(proof: Proof) -> bytes:
    """Write a proof: the inverse of ``load_proof``. Pure, thread-safe, raises nothing."""
    hashes = (base64.b64encode(one).decode("ascii") for one in proof.hashes)
    lines = (FIRST_LINE, f"{_INDEX}{proof.index}", *hashes, "")
    return "".join(f"{line}\n" for line in lines).encode("ascii") + proof.checkpoint


def load_proof(data: bytes, path: str) -> Proof:
    """Read a proof strictly. Pure, thread-safe.

    Args:
        data: The whole proof.
        path: Where it came from, for messages.

    Raises:
        LimitError: Too many hashes, or an index that no log has.
        FormatError: Not a proof.
    """
    head, gap, checkpoint = data.partition(b"\n\n")
    if not gap or not head.isascii():
        raise FormatError(f"{path}: not the proof of a log", path)
    first, *lines = head.decode("ascii").split("\n")
    if lines and lines[0].startswith(_EXTRA):
        del lines[0]  # says nothing that could be trusted
    if first != FIRST_LINE or not lines or not lines[0].startswith(_INDEX):
        raise FormatError(f"{path}: not a proof that begins with {FIRST_LINE!r}", path)
    index = load_number(lines[0].removeprefix(_INDEX), "the index", path)
    if len(lines) - 1 > limits.MAX_PROOF_HASHES:
        raise LimitError(f"{path}: more than {limits.MAX_PROOF_HASHES} hashes", path)
    return Proof(index, tuple(_load_hash(line, path) for line in lines[1:]), checkpoint)


def verify_proof(entry: bytes, proof: Proof, trust: TrustedLog, path: str) -> VerifiedEntry:
    """Check offline that an entry is in a log. Pure, thread-safe.

    Args:
        entry: The exact bytes of the entry.
        proof: What ``load_proof`` gave.
        trust: The keys of the log and of its witnesses.
        path: Where the proof came from, for messages.

    Raises:
        SignatureError: The checkpoint is not signed by the log.
        LogError: Of another log, too few witnesses, or the entry is not in it.
        FormatError, LimitError: The checkpoint is none.
    """
    checkpoint = verify_checkpoint(proof.checkpoint, trust, path)
    tree = checkpoint.checkpoint
    (leaf,) = leaf_hashes([entry])
    verify_inclusion(leaf, proof.index, tree.size, proof.hashes, tree.root)
    return VerifiedEntry(proof.index, entry, checkpoint)


def _load_hash(line: str, path: str) -> bytes:
    try:
        data = binascii.a2b_base64(line, strict_mode=True)
    except ValueError as error:
        raise FormatError(f"{path}: a hash of the proof is not base64: {error}", path) from error
    if len(data) != DIGEST_BYTES or base64.b64encode(data).decode("ascii") != line:
        raise FormatError(f"{path}: a hash of the proof is not 32 bytes in base64", path)
    return data
