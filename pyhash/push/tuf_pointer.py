# SPDX-License-Identifier: Apache-2.0
"""Publishing the pointer "latest" under TUF: making a repository, a new pointer, a new root key.

Four roles with a key each, Ed25519, in files of their own. The root key belongs offline: it is only
needed to make the repository and to replace keys.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from pyhash import atomic, files, limits
from pyhash.errors import DependencyError, KeyFileError, PushError, UsageError
from pyhash.push._base import Target
from pyhash.releases import POINTER_NAME, TUF_METADATA, TUF_TARGETS, dump_pointer
from pyhash.strict_json import expect_object, load_json

if TYPE_CHECKING:
    from securesystemslib.signer import CryptoSigner
    from tuf.api.metadata import Metadata, Root, Snapshot, Targets, Timestamp

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
    api = _api()
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
    _publish(target, signers, targets, snapshot, timestamp)
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
        KeyFileError: A key cannot be used.
        PushError: It cannot be read or stored.
        DependencyError: The extra ``tuf`` is not installed.
    """
    api = _api()
    signers = {role: _load_key(keys, role) for role in ROLES if role != "root"}
    timestamp: Metadata[Timestamp] = _read(target, "timestamp.json")
    version = timestamp.signed.snapshot_meta.version
    snapshot: Metadata[Snapshot] = _read(target, f"{version}.snapshot.json")
    version = snapshot.signed.meta["targets.json"].version
    targets: Metadata[Targets] = _read(target, f"{version}.targets.json")
    pointer = dump_pointer(root)
    entry = api.TargetFile.from_data(POINTER_NAME, pointer, ["sha256"])
    entry.unrecognized_fields["custom"] = {"bundle_sha256": hashlib.sha256(bundle).hexdigest()}
    digest = entry.hashes["sha256"]
    target.put_over(f"{TUF_TARGETS}{digest}.{POINTER_NAME}", pointer)
    targets.signed.targets[POINTER_NAME] = entry
    for metadata in (targets, snapshot, timestamp):
        metadata.signed.version += 1
        metadata.signed.expires = _expires(metadata.signed.type)
    _publish(target, signers, targets, snapshot, timestamp)


def renew_timestamp(target: Target, keys: str) -> None:
    """Say again that the pointer is the latest, before it expires.

    Args:
        target: The home.
        keys: The directory of the keys; only that of timestamp is needed.

    Raises:
        UsageError, KeyFileError, PushError, DependencyError: As ``publish_pointer``.
        ReadError, LimitError, FormatError: The public half of the key cannot be read, or is none.
    """
    _api()
    timestamp: Metadata[Timestamp] = _read(target, "timestamp.json")
    timestamp.signed.version += 1
    timestamp.signed.expires = _expires("timestamp")
    timestamp.sign(_load_key(keys, "timestamp"))
    target.put_over(f"{TUF_METADATA}timestamp.json", timestamp.to_bytes())


def rotate_key(target: Target, keys: str, role: str) -> None:
    """Replace the key of one role; for ``root``, both the old and the new one sign.

    The old key stays until the new one is published. Interrupted or failed, the same call goes on:
    a new key that was published, without anybody here knowing, is taken up and not lost.

    Args:
        target: The home.
        keys: The directory of the keys, that of root among them; the new one replaces the old.
        role: One of ``ROLES``.

    Raises:
        UsageError: No such role.
        KeyFileError, PushError, DependencyError: As ``publish_pointer``.
    """
    _api()
    if role not in ROLES:
        raise UsageError(f"no role {role!r}; there are {', '.join(ROLES)}")
    number = 1
    while target.size_of(f"{TUF_METADATA}{number + 1}.root.json") is not None:
        number += 1
    root: Metadata[Root] = _read(target, f"{number}.root.json")
    if _next_is_published(keys, role, root):
        _take_up(keys, role)
        if role != "root":
            _resign(target, {one: _load_key(keys, one) for one in ROLES})
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
    _take_up(keys, role)
    if role != "root":
        _resign(target, {**signers, role: new})


def _resign(target: Target, signers: dict[str, CryptoSigner]) -> None:
    """Sign everything again, as what the old key signed counts for nothing any more."""
    timestamp: Metadata[Timestamp] = _read(target, "timestamp.json")
    snapshot: Metadata[Snapshot] = _read(
        target, f"{timestamp.signed.snapshot_meta.version}.snapshot.json"
    )
    targets: Metadata[Targets] = _read(
        target, f"{snapshot.signed.meta['targets.json'].version}.targets.json"
    )
    for metadata in (targets, snapshot, timestamp):
        metadata.signed.version += 1
        metadata.signed.expires = _expires(metadata.signed.type)
    _publish(target, signers, targets, snapshot, timestamp)


def _publish(
    target: Target,
    signers: dict[str, CryptoSigner],
    targets: Metadata[Targets],
    snapshot: Metadata[Snapshot],
    timestamp: Metadata[Timestamp],
) -> None:
    """Store what others point to before what points to it."""
    snapshot.signed.meta["targets.json"].version = targets.signed.version
    timestamp.signed.snapshot_meta.version = snapshot.signed.version
    targets.sign(signers["targets"])
    snapshot.sign(signers["snapshot"])
    timestamp.sign(signers["timestamp"])
    base = TUF_METADATA
    target.put_over(f"{base}{targets.signed.version}.targets.json", targets.to_bytes())
    target.put_over(f"{base}{snapshot.signed.version}.snapshot.json", snapshot.to_bytes())
    target.put_over(f"{base}timestamp.json", timestamp.to_bytes())


def _read(target: Target, name: str) -> Any:
    api = _api()
    data = target.read_small(TUF_METADATA + name, limits.MAX_TUF_BYTES)
    if data is None:
        raise UsageError(f"{target.name}: has no TUF repository (no {TUF_METADATA}{name})")
    try:
        return api.Metadata.from_bytes(data)
    except api.DeserializationError as error:
        raise PushError(
            f"{target.name}: {TUF_METADATA}{name}: {error}", name, target.name
        ) from error


def _key_path(keys: str, role: str) -> str:
    return os.path.join(keys, f"{role}.pem")


def _new_key(keys: str, role: str) -> CryptoSigner:
    """Make a key and write it: the private half in PEM, the public one as TUF has it."""
    from securesystemslib.signer import CryptoSigner

    signer = CryptoSigner.generate_ed25519()
    public = {"keyid": signer.public_key.keyid, **signer.public_key.to_dict()}
    try:
        os.makedirs(keys, mode=0o700, exist_ok=True)
    except OSError as error:
        raise KeyFileError(f"{keys}: {error.strerror}", keys) from error
    atomic.write_file(_key_path(keys, role), signer.private_bytes, mode=0o600)
    atomic.write_file(f"{_key_path(keys, role)}.pub", json.dumps(public).encode("ascii"))
    return signer


def _next_is_published(keys: str, role: str, root: Metadata[Root]) -> bool:
    """Whether a new key of a role is here that the published root names already."""
    place = f"{_key_path(keys, role + _NEXT)}.pub"
    if not os.path.exists(place):
        return False
    fields = load_json(
        files.read_small(place, limits.MAX_KEY_FILE_BYTES),
        path=place,
        max_bytes=limits.MAX_KEY_FILE_BYTES,
    )
    return expect_object(fields, "the key", place).get("keyid") in root.signed.roles[role].keyids


def _take_up(keys: str, role: str) -> None:
    """Let a new key have the name of the old one; the public half last, as it tells that there is
    something to take up.
    """
    try:
        for suffix in ("", ".pub"):
            with suppress(FileNotFoundError):
                os.rename(_key_path(keys, role + _NEXT) + suffix, _key_path(keys, role) + suffix)
        atomic.sync_directory(keys)
    except OSError as error:
        raise KeyFileError(f"{keys}: {error.strerror}", keys) from error


def _load_key(keys: str, role: str) -> CryptoSigner:
    from securesystemslib.signer import CryptoSigner, Key

    place = _key_path(keys, role)
    fields = load_json(
        files.read_small(f"{place}.pub", limits.MAX_KEY_FILE_BYTES),
        path=f"{place}.pub",
        max_bytes=limits.MAX_KEY_FILE_BYTES,
    )
    try:
        mode = os.stat(place).st_mode
    except OSError as error:
        raise KeyFileError(f"{place}: {error.strerror}", place) from error
    if stat.S_IMODE(mode) & 0o077:
        raise KeyFileError(f"{place}: others can read this key; chmod 600 {place}", place)
    try:
        public: Any = dict(expect_object(fields, "the key", place))
        key = Key.from_dict(public.pop("keyid"), public)
        signer = CryptoSigner.from_priv_key_uri(f"file2:{place}", key)
    except (KeyError, ValueError, OSError) as error:
        raise KeyFileError(f"{place}: cannot be used: {error}", place) from error
    return signer


def _expires(role: str) -> datetime:
    return datetime.now(UTC).replace(microsecond=0) + LIFETIMES[role]


def _api() -> Any:
    """python-tuf's metadata types, and its error, as one namespace."""
    try:
        import tuf.api.metadata as metadata
        from tuf.api.serialization import DeserializationError
    except ImportError as error:
        raise DependencyError(
            "tuf is not installed: pip install 'pyhash-checkpoint[tuf]'"
        ) from error
    names = ("Metadata", "Root", "Snapshot", "TargetFile", "Targets", "Timestamp")
    found = {name: getattr(metadata, name) for name in names}
    return SimpleNamespace(DeserializationError=DeserializationError, **found)
