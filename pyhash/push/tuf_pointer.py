# SPDX-License-Identifier: Apache-2.0
"""Publishing the pointer "latest" under TUF: making a repository, a new pointer, a new root key.

Four roles with a key each, Ed25519, in files of their own. The root key belongs offline: it is only
needed to make the repository and to replace keys.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from pyhash import atomic
from pyhash.errors import KeyFileError, PushError, SignatureError, UsageError
from pyhash.push._base import Target
from pyhash.push.tuf_metadata import key_path, public_key, refuse_older, take_back, tuf_types
from pyhash.releases import POINTER_NAME, TUF_METADATA, TUF_TARGETS, dump_pointer
from pyhash.signing.pem_files import read_private_key

if TYPE_CHECKING:
    from typing import TypeAlias

    from securesystemslib.signer import CryptoSigner, Key
    from tuf.api.metadata import Metadata, Root, Snapshot, Targets, Timestamp

    # What is signed online: the pointer, and what says that it is the latest.
    _Online: TypeAlias = tuple[Metadata[Targets], Metadata[Snapshot], Metadata[Timestamp]]

ROLES = ("root", "targets", "snapshot", "timestamp")
# How long each may be believed. A client that sees nothing newer than this refuses: no freeze.
LIFETIMES = {
    "root": timedelta(days=365),
    "targets": timedelta(days=90),
    "snapshot": timedelta(days=30),
    "timestamp": timedelta(days=7),
}
_NEXT = ".next"  # in the name of a key that is not published yet


def init_repository(target: Target, keys: str) -> bytes:
    """Make four keys and a repository that points nowhere yet.

    Args:
        target: The home.
        keys: A directory for the keys, which must not be there yet.

    Returns:
        The root metadata, which verifiers need from somewhere else than the home.

    Raises:
        UsageError: The home has a repository, or the directory is there.
        PushError, WriteError: It cannot be stored.
        DependencyError: The extra ``tuf`` is not installed.
    """
    api = tuf_types()
    if target.size_of(f"{TUF_METADATA}1.root.json") is not None:
        raise UsageError(f"{target.name}: has a TUF repository already")
    if os.path.lexists(keys):
        raise UsageError(f"{keys}: is there already; keys are not written over")
    signers = {role: _new_key(keys, role) for role in ROLES}
    root = api.Root(version=1, expires=_expires("root"), consistent_snapshot=True)
    for role, signer in signers.items():
        root.add_key(signer.public_key, role)
    signed_root: Metadata[Root] = api.Metadata(root)
    signed_root.sign(signers["root"])
    targets: Metadata[Targets] = api.Metadata(api.Targets(version=1, expires=_expires("targets")))
    snapshot = api.Metadata(api.Snapshot(version=1, expires=_expires("snapshot")))
    timestamp = api.Metadata(api.Timestamp(version=1, expires=_expires("timestamp")))
    data: bytes = signed_root.to_bytes()
    target.put_new(f"{TUF_METADATA}1.root.json", data)
    _publish(target, keys, signers, (targets, snapshot, timestamp))
    return data


def publish_pointer(target: Target, keys: str, root: bytes, bundle: bytes) -> None:
    """Let the trusted pointer lead to a release.

    Args:
        target: The home; the release is there.
        keys: The directory of the keys; that of root is not needed.
        root: Checkpoint root of the release.
        bundle: Its bundle.

    Raises:
        UsageError: The home has no repository.
        SignatureError: Its metadata are not what these keys signed.
        PolicyError: They are older than what these keys signed before.
        KeyFileError: A key cannot be used.
        PushError: It cannot be read or stored.
        DependencyError: The extra ``tuf`` is not installed.
    """
    api = tuf_types()
    signers = {role: _load_key(keys, role) for role in ROLES if role != "root"}
    trusted: dict[str, list[Key]] = {role: [one.public_key] for role, one in signers.items()}
    online = _take_back_all(target, keys, trusted)
    pointer = dump_pointer(root)
    entry = api.TargetFile.from_data(POINTER_NAME, pointer, ["sha256"])
    entry.unrecognized_fields["custom"] = {"bundle_sha256": hashlib.sha256(bundle).hexdigest()}
    digest = entry.hashes["sha256"]
    target.put_over(f"{TUF_TARGETS}{digest}.{POINTER_NAME}", pointer)
    online[0].signed.targets[POINTER_NAME] = entry
    _publish_next(target, keys, signers, online)


def renew_timestamp(target: Target, keys: str) -> None:
    """Say again that the pointer is the latest, before it expires.

    Args:
        target: The home.
        keys: The directory of the keys; only that of timestamp is needed.

    Raises:
        UsageError, SignatureError, PolicyError, KeyFileError, PushError, DependencyError: As
            ``publish_pointer``.
    """
    tuf_types()
    signer = _load_key(keys, "timestamp")
    timestamp = take_back(target, "timestamp.json", "timestamp", [signer.public_key])
    refuse_older(keys, target, "timestamp", timestamp.signed.version)
    timestamp.signed.version += 1
    timestamp.signed.expires = _expires("timestamp")
    timestamp.sign(signer)
    target.put_over(f"{TUF_METADATA}timestamp.json", timestamp.to_bytes())
    refuse_older(keys, target, "timestamp", timestamp.signed.version)


def rotate_key(target: Target, keys: str, role: str) -> None:
    """Replace the key of one role; for ``root``, both the old and the new one sign.

    What the old key signed is signed again as it is: after a theft, let the pointer lead to the
    right release anew. The old key stays until the new one is published. Interrupted or failed,
    the same call goes on: a new key that was published, without anybody here knowing, is taken up
    and not lost.

    Args:
        target: The home.
        keys: The directory of the keys, that of root among them; the new one replaces the old.
        role: One of ``ROLES``.

    Raises:
        UsageError: No such role.
        SignatureError, PolicyError, KeyFileError, PushError, DependencyError: As
            ``publish_pointer``.
    """
    tuf_types()
    if role not in ROLES:
        raise UsageError(f"no role {role!r}; there are {', '.join(ROLES)}")
    number = 1
    while target.size_of(f"{TUF_METADATA}{number + 1}.root.json") is not None:
        number += 1
    roots = _take_back_roots(target, number, public_key(keys, "root"))
    refuse_older(keys, target, "root", number)
    root, trusted = roots[0], _named(roots)
    # What the old key signed counts for nothing any more: all of it is signed again.
    online = None if role == "root" else _take_back_all(target, keys, trusted)
    if _next_is_published(keys, role, root):
        _take_up(keys, role)
        if online:
            _publish_next(target, keys, {one: _load_key(keys, one) for one in ROLES}, online)
        return
    signers = {one: _load_key(keys, one) for one in ROLES}
    old = signers[role]
    new = _new_key(keys, role + _NEXT)
    root.signed.revoke_key(old.public_key.keyid, role)
    root.signed.add_key(new.public_key, role)
    root.signed.version = number + 1
    root.signed.expires = _expires("root")
    root.sign(signers["root"])
    if role == "root":
        root.sign(new, append=True)
    name = f"{TUF_METADATA}{number + 1}.root.json"
    if not target.put_new(name, root.to_bytes()):
        raise PushError(f"{target.name}: {name}: somebody was faster; try again", name, target.name)
    refuse_older(keys, target, "root", number + 1)  # which remembers it
    _take_up(keys, role)
    if online:
        _publish_next(target, keys, {**signers, role: new}, online)


def _take_back_roots(target: Target, number: int, root_key: Key) -> list[Metadata[Root]]:
    """The latest root metadata, and those before, which name the key that was replaced last.

    What a replacement that was interrupted has not signed again is signed by that one.
    """
    roots = [take_back(target, f"{number}.root.json", "root", [root_key], version=number)]
    before = number - 1
    if before:
        # Signed by another key where it was the root's that was replaced: not needed then.
        with suppress(SignatureError):
            name = f"{before}.root.json"
            roots.append(take_back(target, name, "root", [root_key], version=before))
    return roots


def _named(roots: Sequence[Metadata[Root]]) -> dict[str, list[Key]]:
    """The keys of each role that one of these roots names."""
    return {
        role: [root.signed.keys[one] for root in roots for one in root.signed.roles[role].keyids]
        for role in ROLES
    }


def _take_back_all(target: Target, keys: str, trusted: dict[str, list[Key]]) -> _Online:
    """What the home holds now, each signed by its role, and what the other says it is."""
    timestamp = take_back(target, "timestamp.json", "timestamp", trusted["timestamp"])
    refuse_older(keys, target, "timestamp", timestamp.signed.version)
    version = timestamp.signed.snapshot_meta.version
    name = f"{version}.snapshot.json"
    snapshot = take_back(target, name, "snapshot", trusted["snapshot"], version=version)
    version = snapshot.signed.meta["targets.json"].version
    name = f"{version}.targets.json"
    targets = take_back(target, name, "targets", trusted["targets"], version=version)
    return targets, snapshot, timestamp


def _publish_next(
    target: Target, keys: str, signers: dict[str, CryptoSigner], online: _Online
) -> None:
    for metadata in online:
        metadata.signed.version += 1
        metadata.signed.expires = _expires(metadata.signed.type)
    _publish(target, keys, signers, online)


def _publish(target: Target, keys: str, signers: dict[str, CryptoSigner], online: _Online) -> None:
    """Store what others point to before what points to it."""
    targets, snapshot, timestamp = online
    snapshot.signed.meta["targets.json"].version = targets.signed.version
    timestamp.signed.snapshot_meta.version = snapshot.signed.version
    targets.sign(signers["targets"])
    snapshot.sign(signers["snapshot"])
    timestamp.sign(signers["timestamp"])
    base = TUF_METADATA
    target.put_over(f"{base}{targets.signed.version}.targets.json", targets.to_bytes())
    target.put_over(f"{base}{snapshot.signed.version}.snapshot.json", snapshot.to_bytes())
    target.put_over(f"{base}timestamp.json", timestamp.to_bytes())
    refuse_older(keys, target, "timestamp", timestamp.signed.version)  # which remembers it


def _new_key(keys: str, role: str) -> CryptoSigner:
    """Make a key and write it: the private half in PEM, the public one as TUF has it."""
    from securesystemslib.signer import CryptoSigner

    signer = CryptoSigner.generate_ed25519()
    public = {"keyid": signer.public_key.keyid, **signer.public_key.to_dict()}
    try:
        os.makedirs(keys, mode=0o700, exist_ok=True)
    except OSError as error:
        raise KeyFileError(f"{keys}: {error.strerror}", keys) from error
    atomic.write_file(key_path(keys, role), signer.private_bytes, mode=0o600)
    atomic.write_file(f"{key_path(keys, role)}.pub", json.dumps(public).encode("ascii"))
    return signer


def _next_is_published(keys: str, role: str, root: Metadata[Root]) -> bool:
    """Whether a new key of a role is here that the published root names already."""
    new = role + _NEXT
    if not os.path.exists(f"{key_path(keys, new)}.pub"):
        return False
    return public_key(keys, new).keyid in root.signed.roles[role].keyids


def _take_up(keys: str, role: str) -> None:
    """Let a new key have the name of the old one; the public half last, as it tells that there is
    something to take up.
    """
    try:
        for suffix in ("", ".pub"):
            with suppress(FileNotFoundError):
                os.rename(key_path(keys, role + _NEXT) + suffix, key_path(keys, role) + suffix)
        atomic.sync_directory(keys)
    except OSError as error:
        raise KeyFileError(f"{keys}: {error.strerror}", keys) from error


def _load_key(keys: str, role: str) -> CryptoSigner:
    from securesystemslib.signer import CryptoSigner

    place = key_path(keys, role)
    public: Any = public_key(keys, role)
    # No URI of the library's: it cuts paths, and the environment can point it elsewhere.
    private = read_private_key(place)
    try:
        return CryptoSigner(private, public)  # which refuses one that does not fit
    except ValueError as error:
        raise KeyFileError(f"{place}: cannot be used: {error}", place) from error


def _expires(role: str) -> datetime:
    return datetime.now(UTC).replace(microsecond=0) + LIFETIMES[role]
