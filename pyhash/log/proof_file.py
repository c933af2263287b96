# SPDX-License-Identifier: Apache-2.0
"""The file beside a checkpoint with the proofs that its statements are in a log.

One JSON object a line: the SHA-256 of a statement's bundle, and its proof as text. The file is not
signed and need not be: each proof is held against the log's key and the statement itself.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping

from pyhash import atomic, files, limits
from pyhash.errors import FormatError, LimitError, LogError, ReadError
from pyhash.log.checkpoint import TrustedLog
from pyhash.log.events import statement_entry
from pyhash.log.lock import locked_directory
from pyhash.log.proof import Proof, VerifiedEntry, dump_proof, load_proof, verify_proof
from pyhash.strict_json import expect_fields, expect_string, load_json


def load_proofs(location: str | os.PathLike[str]) -> dict[str, Proof]:
    """Read the proofs beside a checkpoint.

    Args:
        location: The file; that it is not there means that there are none.

    Returns:
        SHA-256 of a bundle, in hex, to its proof.

    Raises:
        FormatError, LimitError: Not such a file, or one bundle has two proofs.
        ReadError: It is there and cannot be read.
    """
    name = os.fspath(location)
    try:
        data = files.read_small(name, limits.MAX_PROVENANCE_FILE_BYTES)
    except ReadError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            return {}
        raise
    found: dict[str, Proof] = {}
    lines = data.splitlines()
    if len(lines) > limits.MAX_STATEMENTS:
        raise LimitError(f"{name}: more than {limits.MAX_STATEMENTS} proofs", name)
    for line in lines:
        value = load_json(line, path=name, max_bytes=4 * limits.MAX_NOTE_BYTES)
        fields = expect_fields(value, "a proof", name, required=("bundle", "proof"))
        digest = expect_string(fields["bundle"], "the digest of a bundle", name)
        if digest in found:
            raise FormatError(f"{name}: two proofs for one statement", name)
        text = expect_string(fields["proof"], "a proof", name)
        found[digest] = load_proof(text.encode("utf-8"), name)
    return found


def add_proofs(location: str | os.PathLike[str], proofs: Mapping[bytes, Proof]) -> None:
    """Add proofs to the file beside a checkpoint; a newer one of the same bundle replaces it.

    Args:
        location: The file; made when it is not there.
        proofs: Exact bytes of each bundle to its proof.

    Raises:
        FormatError, LimitError, ReadError: What is there is no such file.
        WriteError: The system refused; what was there before still is.
    """
    named = {hashlib.sha256(bundle).hexdigest(): proof for bundle, proof in proofs.items()}
    _merge(os.fspath(location), named, newer=True)


def verify_logged(
    bundle: bytes, proofs: Mapping[str, Proof], trust: TrustedLog, path: str
) -> VerifiedEntry:
    """Check offline that a statement is in a log. Pure, thread-safe.

    Args:
        bundle: The exact bytes of the statement's bundle.
        proofs: What ``load_proofs`` gave.
        trust: The keys of the log and of its witnesses.
        path: What the statement is, for messages.

    Raises:
        LogError: There is no proof of it, or it does not hold.
        SignatureError, FormatError: The checkpoint of the proof is not the log's.
    """
    proof = proofs.get(hashlib.sha256(bundle).hexdigest())
    if proof is None:
        raise LogError(f"{path}: there is no proof that this statement is in {trust.key.name}")
    return verify_proof(statement_entry(bundle), proof, trust, path)


def copy_proofs(source: str | os.PathLike[str], target: str | os.PathLike[str]) -> None:
    """Add to one file the proofs of another that it does not have.

    Raises:
        FormatError, LimitError, ReadError: One of them cannot be read, or is no such file.
        WriteError: As ``add_proofs``.
    """
    found = load_proofs(source)
    if found:
        _merge(os.fspath(target), found, newer=False)


def _merge(name: str, proofs: Mapping[str, Proof], *, newer: bool) -> None:
    with locked_directory(os.path.dirname(name) or "."):
        known = load_proofs(name)
        merged = {**known, **proofs} if newer else {**proofs, **known}
        lines = (
            json.dumps(
                {"bundle": digest, "proof": dump_proof(proof).decode("utf-8")},
                ensure_ascii=False,
                separators=(",", ":"),
            )
            for digest, proof in sorted(merged.items())
        )
        atomic.write_file(name, "".join(f"{line}\n" for line in lines).encode())
