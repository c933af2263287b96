# SPDX-License-Identifier: Apache-2.0
"""Files that hold keys: read whole and only when nobody else can reach a secret, written once.

Knows PEM labels and file modes, and no kind of key.
"""

from __future__ import annotations

import os
import stat
from contextlib import ExitStack, suppress
from typing import Any

from pyhash import limits
from pyhash.atomic import sync_directory
from pyhash.errors import KeyFileError

_PEM_BEGIN = b"-----BEGIN "


def pem_labels(pem: bytes) -> list[bytes]:
    """Labels of the PEM blocks, in the order of the file. A block with two keys is not guessed.

    Raises nothing.
    """
    lines = [line for line in pem.splitlines() if line.startswith(_PEM_BEGIN)]
    return [line[len(_PEM_BEGIN) :].rstrip().removesuffix(b"-----") for line in lines]


def read_key_file(name: str, *, private: bool, max_bytes: int | None = None) -> bytes:
    """Read a small regular file whole; a private one only when nobody else can reach it.

    Args:
        name: The file.
        private: It holds a secret.
        max_bytes: Cap; None: MAX_KEY_FILE_BYTES.

    Raises:
        KeyFileError: It cannot be read, is no file, is too large or, if private, open to others.
    """
    max_bytes = limits.MAX_KEY_FILE_BYTES if max_bytes is None else max_bytes
    try:
        # O_NONBLOCK: a FIFO must end in an error, not hang.
        descriptor = os.open(name, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            _check_key_file(name, os.fstat(descriptor), private=private)
            data = b""
            while len(data) <= max_bytes:
                block = os.read(descriptor, max_bytes)
                if not block:
                    return data
                data += block
        finally:
            os.close(descriptor)
    except OSError as error:
        raise KeyFileError(f"{name}: cannot be read: {error.strerror}", name) from error
    raise KeyFileError(f"{name}: larger than {max_bytes} bytes; this is no key file", name)


def read_private_key(name: str) -> Any:
    """Return an unencrypted private key of any kind, as ``cryptography`` has it.

    Raises:
        KeyFileError: As ``read_key_file``; or it is no such key.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    data = read_key_file(name, private=True)
    try:
        return load_pem_private_key(data, None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise KeyFileError(f"{name}: cannot be used: {error}", name) from error


def _check_key_file(name: str, status: os.stat_result, *, private: bool) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise KeyFileError(f"{name}: not a regular file", name)
    if private and status.st_mode & 0o077:
        raise KeyFileError(
            f"{name}: mode {stat.S_IMODE(status.st_mode):04o} lets others reach the private key; "
            "run chmod 600 on it, and replace the key if others could have read it",
            name,
        )


def write_new_file(name: str, data: bytes, mode: int) -> None:
    """Create a file that is not there yet; sync it and its directory; or leave nothing.

    Raises:
        KeyFileError: It exists or cannot be written.
    """
    with ExitStack() as undo:
        try:
            # O_EXCL also refuses a symbolic link, dangling or not.
            descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            undo.callback(remove_file, name)
            with open(descriptor, "wb") as file:
                os.fchmod(descriptor, mode)
                file.write(data)
                file.flush()
                os.fsync(descriptor)
            sync_directory(os.path.dirname(name) or ".")
        except FileExistsError as error:
            message = f"{name}: exists already; keys are never overwritten"
            raise KeyFileError(message, name) from error
        except OSError as error:
            message = f"{name}: cannot be written: {error.strerror}"
            raise KeyFileError(message, name) from error
        undo.pop_all()


def remove_file(name: str) -> None:
    """Remove a file on the way out of a failure. Raises nothing."""
    # The error that led here says more than a failure to clean up would.
    with suppress(OSError):
        os.unlink(name)
