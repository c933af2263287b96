# SPDX-License-Identifier: Apache-2.0
"""The directory that records are kept in, and the key of this host that authenticates them.

Only its owner may reach it. A directory that others could write to, or a key that others could
read, would let them write receipts, so both are refused and never repaired.
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import os
import stat
from dataclasses import field

from pyhash import atomic
from pyhash.errors import LimitError, ReceiptError
from pyhash.frozen import frozen

KEY_NAME = "host.key"
KEY_BYTES = 32
OTHERS = 0o077  # permission bits that nobody but the owner may have


@frozen
class Store:
    """An open place for records. Immutable, thread-safe; never shows its key in ``repr``.

    Attributes:
        directory: Where the records lie.
    """

    directory: str
    _key: bytes = field(repr=False, compare=False)

    def authenticate(self, purpose: bytes, data: bytes) -> bytes:
        """Return the HMAC-SHA256 of some data under the host's key. Raises nothing.

        Args:
            purpose: What kind of record it is, so that none passes for one of another kind.
            data: The record.
        """
        return hmac.digest(self._key, purpose + b"\0" + data, "sha256")

    def place(self, location: str, suffix: str) -> str:
        """Return the path of the record of one checkpoint. Raises nothing.

        Args:
            location: The checkpoint, as resolved by ``os.path.realpath``.
            suffix: Which kind of record.
        """
        name = hashlib.sha256(os.fsencode(location)).hexdigest()
        return os.path.join(self.directory, f"{name}.{suffix}")

    def read(self, path: str, limit: int) -> bytes | None:
        """Return the bytes of a record, not authenticated yet; None where there is none.

        Args:
            path: What ``place`` returned.
            limit: Bytes that it may have.

        Raises:
            ReceiptError: It cannot be read, is no regular file, or is not its owner's alone.
            LimitError: It is larger.
        """
        return _read_private(path, limit)


def open_store(directory: str | os.PathLike[str], *, create: bool = False) -> Store:
    """Open a place for records. Safe to call from any thread.

    Args:
        directory: Owned by this process's effective user, mode 0700.
        create: Make the directory and the key where they are missing, to write the first record.

    Returns:
        The store.

    Raises:
        ReceiptError: The directory or its key is missing, is another user's, or is open to
            others; or cannot be read or made.
    """
    text = os.fspath(directory)
    try:
        if create:
            os.makedirs(text, mode=0o700, exist_ok=True)
        descriptor = os.open(text, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            _check_private(text, os.fstat(descriptor))
            if create:
                fcntl.flock(descriptor, fcntl.LOCK_EX)  # of two first users, one makes the key
            return Store(text, _load_key(text, create=create))
        finally:
            os.close(descriptor)
    except FileNotFoundError as error:
        raise ReceiptError(
            f"{text}: no receipts are kept here; verify --write-receipt writes the first", text
        ) from error
    except OSError as error:
        raise ReceiptError(f"{text}: {error.strerror}", text) from error


def _load_key(directory: str, *, create: bool) -> bytes:
    path = os.path.join(directory, KEY_NAME)
    key = _read_private(path, KEY_BYTES)
    if key is None and create:
        key = os.urandom(KEY_BYTES)
        atomic.write_file(path, key, mode=0o600)
    if key is None:
        raise ReceiptError(
            f"{path}: there is no key, so no receipt here can be believed; verify --write-receipt"
            " makes one",
            path,
        )
    if len(key) != KEY_BYTES:
        raise ReceiptError(f"{path}: {len(key)} bytes; the key has {KEY_BYTES}", path)
    return key


def _read_private(path: str, limit: int) -> bytes | None:
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ReceiptError(f"{path}: {error.strerror}", path) from error
    try:
        with open(descriptor, "rb", closefd=False) as file:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise ReceiptError(f"{path}: not a regular file", path)
            _check_private(path, status)
            data = file.read(limit + 1)
    except OSError as error:
        raise ReceiptError(f"{path}: {error.strerror}", path) from error
    finally:
        os.close(descriptor)
    if len(data) > limit:
        raise LimitError(f"{path}: more than {limit} bytes", path)
    return data


def _check_private(path: str, status: os.stat_result) -> None:
    if status.st_uid != os.geteuid():
        raise ReceiptError(
            f"{path}: belongs to user {status.st_uid}, this process runs as {os.geteuid()};"
            " somebody else's receipts prove nothing to it",
            path,
        )
    if status.st_mode & OTHERS:
        raise ReceiptError(
            f"{path}: mode {stat.S_IMODE(status.st_mode):04o} lets others reach it, who could have"
            " written receipts; remove the directory and verify --write-receipt anew",
            path,
        )
