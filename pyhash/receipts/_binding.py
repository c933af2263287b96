# SPDX-License-Identifier: Apache-2.0
"""What every record is bound to: one checkpoint at one place, one signed manifest, one boot."""

from __future__ import annotations

import hashlib
import os

from pyhash.errors import FormatError, ReceiptError
from pyhash.files import Identity
from pyhash.frozen import frozen
from pyhash.manifest import Manifest
from pyhash.strict_json import JsonValue, expect_fields, expect_string, show

BOOT_ID = "/proc/sys/kernel/random/boot_id"
FIELDS = ("location", "manifest", "signer", "boot_id")


@frozen
class Binding:
    """What a record speaks about; a record with another one says nothing here.

    Attributes:
        location: The checkpoint, links resolved.
        manifest: SHA-256 of everything that the manifest says, hex: paths, sizes, roots, digests.
            Two bundles that say the same are the same here; the signature is checked each time.
        signer: Hint of the trusted key that signed.
        boot_id: The kernel's word for this boot. Over a boot, device numbers may be given to
            other devices, and anybody with the disk in hand could have written to it.
    """

    location: str
    manifest: str
    signer: str
    boot_id: str

    def difference(self, other: Binding) -> str:
        """Return why a record with this binding says nothing about ``other``; "" if it does.

        Args:
            other: What is to be verified now.

        Returns:
            A clause for people. Raises nothing.
        """
        if self.location != other.location:
            return f"it is about {show(self.location)}"
        if self.manifest != other.manifest:
            return "it is about another signed manifest"
        if self.signer != other.signer:
            return f"another key had signed then, {self.signer}"
        if self.boot_id != other.boot_id:
            return "it is from before the last boot, or from another host"
        return ""


def bind(location: str, manifest: Manifest, signer: str) -> Binding:
    """Return what a record about a checkpoint is bound to.

    Args:
        location: The checkpoint as the caller named it.
        manifest: What is signed.
        signer: Hint of the key that signed it.

    Raises:
        ReceiptError: The system does not say which boot this is.
    """
    # repr shows every field, also those of later versions, each in one unambiguous way.
    said = hashlib.sha256(repr(manifest).encode("utf-8", "backslashreplace"))
    resolved = os.fsencode(os.path.realpath(location)).decode("utf-8", "backslashreplace")
    return Binding(resolved, said.hexdigest(), signer, boot_id())


def boot_id(path: str | os.PathLike[str] = BOOT_ID) -> str:
    """Return the kernel's identifier of this boot.

    Args:
        path: Where the kernel says it.

    Raises:
        ReceiptError: It does not.
    """
    try:
        with open(path, "rb") as file:
            found = file.read().decode("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ReceiptError(
            f"{path}: cannot be read, so that no receipt can be bound to this boot", str(path)
        ) from error
    if not found:
        raise ReceiptError(f"{path}: is empty", str(path))
    return found


def dump_binding(binding: Binding) -> dict[str, JsonValue]:
    """Return a binding as JSON. Raises nothing."""
    return {name: getattr(binding, name) for name in FIELDS}


def load_binding(value: JsonValue, path: str) -> Binding:
    """Read what ``dump_binding`` wrote.

    Args:
        value: Parsed JSON.
        path: Where it came from, for messages.

    Raises:
        FormatError: It is something else.
    """
    fields = expect_fields(value, "the binding", path, required=FIELDS)
    return Binding(*(expect_string(fields[name], name, path) for name in FIELDS))


def dump_identity(identity: Identity) -> str:
    """Return an identity as text: JSON has no place for nanoseconds since 1970."""
    return (
        f"{identity.device} {identity.inode} {identity.size} {identity.mtime_ns}"
        f" {identity.ctime_ns}"
    )


def load_identity(value: JsonValue, path: str) -> Identity:
    """Read what ``dump_identity`` wrote.

    Args:
        value: Parsed JSON.
        path: Where it came from, for messages.

    Raises:
        FormatError: It is something else.
    """
    try:
        return Identity(*map(int, expect_string(value, "an identity", path).split()))
    except (TypeError, ValueError) as error:
        raise FormatError(f"{path}: {show(str(value))} is no identity of a file", path) from error
