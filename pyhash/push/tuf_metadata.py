# SPDX-License-Identifier: Apache-2.0
"""TUF metadata as a publisher takes it back from its home, to sign the next version of it.

Whoever can write to the home would otherwise have signed what he put there. So what is taken back
must be signed by the publisher's own keys, be of the version that what points to it says, and not
be older than what was seen with these keys on this host.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from pyhash import atomic, files, limits
from pyhash.errors import (
    DependencyError,
    FormatError,
    KeyFileError,
    PolicyError,
    PushError,
    ReadError,
    SignatureError,
    UsageError,
)
from pyhash.push._base import Target
from pyhash.releases import TUF_METADATA
from pyhash.strict_json import JsonValue, expect_integer, expect_object, load_json

if TYPE_CHECKING:
    from securesystemslib.signer import Key

SEEN_NAME = "seen.json"  # beside the keys: the highest version of two roles


def tuf_types() -> Any:
    """Return python-tuf's metadata types, and its error, as one namespace.

    Raises:
        DependencyError: The extra ``tuf`` is not installed.
    """
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


def key_path(keys: str, role: str) -> str:
    """Return where the private half of a role's key lies; the public one has ``.pub`` behind it.

    Raises nothing.
    """
    return os.path.join(keys, f"{role}.pem")


def public_key(keys: str, role: str) -> Key:
    """Return the public half of a role's key.

    Raises:
        KeyFileError: It is not there, or is none.
    """
    from securesystemslib.signer import Key

    place = f"{key_path(keys, role)}.pub"
    try:
        data = files.read_small(place, limits.MAX_KEY_FILE_BYTES)
        fields = load_json(data, path=place, max_bytes=limits.MAX_KEY_FILE_BYTES)
        public: Any = dict(expect_object(fields, "the key", place))
        return Key.from_dict(public.pop("keyid"), public)
    except (KeyError, ValueError, TypeError, FormatError, ReadError) as error:
        raise KeyFileError(f"{place}: cannot be used: {error}", place) from error


def take_back(
    target: Target, name: str, role: str, keys: Sequence[Key], *, version: int | None = None
) -> Any:
    """Read one file of metadata that one of these keys has signed.

    Args:
        target: The home.
        name: Of the file, below the directory of metadata.
        role: What it must be.
        keys: Any one of them must have signed it.
        version: That it must have; None: any.

    Returns:
        The ``Metadata`` of python-tuf.

    Raises:
        UsageError: It is not there.
        SignatureError: None of the keys has signed it, or it is of another role or version.
        PushError: It cannot be read.
        DependencyError: The extra ``tuf`` is not installed.
    """
    types = tuf_types()
    place = f"{target.name}: {TUF_METADATA}{name}"
    data = target.read_small(TUF_METADATA + name, limits.MAX_TUF_BYTES)
    if data is None:
        raise UsageError(f"{target.name}: has no TUF repository (no {TUF_METADATA}{name})")
    try:
        metadata = types.Metadata.from_bytes(data)
    except types.DeserializationError as error:
        raise PushError(f"{place}: {error}", name, target.name) from error
    if metadata.signed.type != role or not any(_has_signed(key, metadata) for key in keys):
        raise SignatureError(
            f"{place}: not {role} metadata that your key signed: somebody else wrote it. Nothing"
            " was signed; find out who can write there"
        )
    if version is not None and metadata.signed.version != version:
        raise SignatureError(
            f"{place}: version {metadata.signed.version}, where {version} was signed: somebody"
            " put an older one in its place. Nothing was signed"
        )
    return metadata


def _has_signed(key: Key, metadata: Any) -> bool:
    from securesystemslib.exceptions import UnverifiedSignatureError

    signature = metadata.signatures.get(key.keyid)
    if signature is None:
        return False
    try:
        key.verify_signature(signature, metadata.signed_bytes)
    except UnverifiedSignatureError:  # of which VerificationError is one
        return False
    return True


def refuse_older(keys: str, target: Target, role: str, version: int) -> None:
    """Refuse metadata older than what was seen with these keys, and remember what is newer.

    Args:
        keys: The directory of the keys.
        target: The home, for messages.
        role: ``timestamp``, which says what all others online are, or ``root``.
        version: The one that the home has, signed.

    Raises:
        PolicyError: It is older.
        FormatError, ReadError: What was seen cannot be read.
        WriteError: It cannot be remembered.
    """
    place = os.path.join(keys, SEEN_NAME)
    seen: dict[str, JsonValue] = {}
    if os.path.lexists(place):
        data = files.read_small(place, limits.MAX_KEY_FILE_BYTES)
        fields = load_json(data, path=place, max_bytes=limits.MAX_KEY_FILE_BYTES)
        seen = expect_object(fields, "what was seen", place)
    before = expect_integer(seen.get(role, 0), role, place)
    if version < before:
        raise PolicyError(
            f"{target.name}: the {role} metadata have version {version}, and {before} was signed"
            " before: somebody brought an earlier state back. Nothing was signed; if it was you,"
            f" remove {place}"
        )
    if version > before:
        data = json.dumps({**seen, role: version}).encode("ascii")
        atomic.write_file(place, data, mode=0o600)
