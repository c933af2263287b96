# SPDX-License-Identifier: Apache-2.0
"""MAIN PATH. Verify a checkpoint in the eight steps of docs/format-v1.md, "Verifying".

The numbers in the code are those of the steps. Only this module makes a ``Verified``; the gate
and the loaders accept nothing else. There is no argument that leaves a step out.

What is promised of a ``Verified``: no constructor, copy, ``replace``, pickle or ``__new__`` gives
one that ``expect_verified`` accepts, so none comes about by accident or from a file. Code that
runs in this process and wants to lie can: Python hides no names from it.
"""

from __future__ import annotations

import os
import time
import weakref
from collections.abc import Sequence
from dataclasses import InitVar, dataclass
from typing import TYPE_CHECKING, NoReturn

from pyhash import errors, files, hashing
from pyhash.findings import raise_findings
from pyhash.guarantees import CONTENT, Guarantee
from pyhash.manifest import Manifest
from pyhash.opening import accept, given_policy, open_checkpoint
from pyhash.policy import Policy
from pyhash.signing import Identity

if TYPE_CHECKING:
    from pyhash.policy import PolicyFile

_SEAL = object()


# Equal to itself only: what it proves was found out once, about one set of files.
@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Verified:
    """Proof that a checkpoint is what a trusted key signed. Only ``verify`` makes one.

    It cannot be constructed, changed, copied or pickled.

    Attributes:
        location: The checkpoint as the caller named it.
        policy: What it was held against.
        manifest: What was signed.
        root: Checkpoint root, 32 bytes; None for a bundle made by another OMS tool.
        guarantee: A name of ``guarantees.MEANINGS``, which says what it means.
        detail: What exactly was compared, where that is not every byte; else empty.
        details: The same for programs, as names and values.
        key_hint: The trusted key that signed: SHA-256 of its public PEM, hex.
        signers: Everybody trusted who signed, each once.
        listing: The files as they were while hashed, for a later comparison.
        ignored: Paths that were left out.
        own: Paths where the bundle and the tree file may lie; left out as regular files.
        size: Bytes hashed now.
        seconds: Wall time of the whole verification.
    """

    location: str
    policy: Policy
    manifest: Manifest
    root: bytes | None
    guarantee: str
    detail: str
    details: tuple[tuple[str, object], ...]
    key_hint: str
    signers: tuple[Identity, ...]
    listing: files.Listing
    ignored: tuple[str, ...]
    own: tuple[str, ...]
    size: int
    seconds: float
    _seal: InitVar[object]

    def __post_init__(self, _seal: object) -> None:
        if _seal is not _SEAL:
            raise errors.UsageError("only pyhash.verify makes a Verified")
        _MADE.add(self)

    def __reduce__(self) -> NoReturn:
        raise errors.UsageError("a Verified cannot be copied or stored; verify again")


_MADE: weakref.WeakSet[Verified] = weakref.WeakSet()


def expect_verified(proof: object) -> Verified:
    """Return the proof if ``verify`` made it in this process. Thread-safe.

    Args:
        proof: What a caller offers as a proof.

    Raises:
        UsageError: It is something else, or a copy.
    """
    if type(proof) is not Verified:
        raise errors.UsageError(f"this takes a Verified, not a {type(proof).__name__}")
    if proof not in _MADE:
        raise errors.UsageError("this Verified was not made by pyhash.verify")
    return proof


def verify(
    path: str | os.PathLike[str],
    *,
    keys: Sequence[str | os.PathLike[str]] = (),
    policy: Policy | PolicyFile | None = None,
    signature: str | os.PathLike[str] | None = None,
    tree: str | os.PathLike[str] | None = None,
    cosignatures: Sequence[str | os.PathLike[str]] = (),
    ignore: Sequence[str] = (),
    root: str | None = None,
    links_within: str | os.PathLike[str] | None = None,
    accept_historical: bool = False,
    guarantee: Guarantee = CONTENT,
    options: hashing.Options | None = None,
) -> Verified:
    """Verify a checkpoint, every byte of it, or raise; may be called from several threads.

    Args:
        path: A directory, or one file.
        keys: Public keys to trust, PEM files; any one may have signed.
        policy: Instead of ``keys``, ``ignore`` and ``root``. Whatever its mode is, it is enforced.
        signature: The bundle; None: ``model.sig`` in the directory, or beside a file, ``.sig``.
        tree: The tree file; None: likewise. Only needed to say where damage is.
        cosignatures: Further bundles over the same statement, for a policy that wants several
            signers; every one of them must hold.
        ignore: Paths inside the checkpoint that may be there unsigned.
        root: The only checkpoint root to accept; None: any.
        links_within: A directory, such as the root of a download cache, that links to files may
            lead into: the file is what the link leads to. None: links are refused.
        accept_historical: Also take bundles that model-signing wrote before version 1.1. Some of
            their signatures are over an encoding that is not DSSE; only for bundles that are known
            to be that old, until they have been signed again.
        guarantee: How the bytes are compared; the default hashes every one of them now.
        options: How to hash.

    Returns:
        The proof.

    Raises:
        VerificationError: No; the subclass says why, ``findings`` what and where.
        CheckError: The answer could not be found out. Refuse, too.
        UsageError: Neither keys nor a policy, or both, or a key out of the checkpoint itself.
        KeyboardInterrupt: Ctrl-C; no answer.
    """
    began = time.monotonic()
    policy = given_policy(path, policy, keys, ignore, root)
    opened = open_checkpoint(  # 1, 2, 3, 4
        path,
        policy,
        guarantee=guarantee.name,
        signature=signature,
        tree=tree,
        cosignatures=cosignatures,
        links_within=links_within,
        accept_historical=accept_historical,
        closed=guarantee.closed,
    )
    compared = guarantee.compare(opened, options or hashing.Options())  # 5, 6, 7
    raise_findings(compared.findings)
    name = compared.guarantee or guarantee.name
    accept(opened, name)  # what was done, as before what was asked for
    return Verified(  # 8
        location=opened.location,
        policy=policy,
        manifest=opened.manifest,
        root=opened.manifest.root,
        guarantee=name,
        detail=compared.detail,
        details=compared.details,
        key_hint=opened.key_hint,
        signers=opened.signers,
        listing=opened.listing,
        ignored=opened.ignored,
        own=opened.own,
        size=compared.size,
        seconds=time.monotonic() - began,
        _seal=_SEAL,
    )
