# SPDX-License-Identifier: Apache-2.0
"""Credential files: who a writer or a reader is to a store. TOML, one table, closed to others."""

from __future__ import annotations

import os
import stat
import tomllib

from pyhash import files
from pyhash.errors import FormatError, KeyFileError

MAX_CREDENTIAL_BYTES = 1 << 16
FIELDS = ("access_key_id", "secret_access_key", "session_token", "endpoint", "region", "ca_file")
REQUIRED = FIELDS[:2]


def load_credential(location: str | os.PathLike[str]) -> dict[str, str]:
    """Read a credential file. Safe to call from any thread.

    Args:
        location: A TOML file with values for names of ``FIELDS``; a relative ``ca_file`` is
            taken from where the file is.

    Returns:
        What it says.

    Raises:
        KeyFileError: Others can read it.
        FormatError: It is not such a file.
        ReadError, LimitError: It cannot be read.
    """
    text = os.fspath(location)
    data = files.read_small(text, MAX_CREDENTIAL_BYTES)
    if stat.S_IMODE(os.stat(text).st_mode) & 0o077:
        raise KeyFileError(f"{text}: others can read this credential; chmod 600 {text}", text)
    try:
        found = tomllib.loads(data.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise FormatError(f"{text}: not TOML: {error}", text) from error
    unknown = sorted(found.keys() - set(FIELDS))
    if unknown:
        raise FormatError(f"{text}: unknown {', '.join(unknown)}", text)
    for name in found:
        if not isinstance(found[name], str):
            raise FormatError(f"{text}: {name} is not a string", text)
    for name in REQUIRED:
        if not found.get(name):
            raise FormatError(f"{text}: has no {name}", text)
    if "ca_file" in found:
        found["ca_file"] = os.path.join(os.path.dirname(os.path.abspath(text)), found["ca_file"])
    return found


def dump_credential(values: dict[str, str]) -> bytes:
    """Write a credential file. Pure, thread-safe. Raises nothing.

    Args:
        values: Names of ``FIELDS`` and their values, without control characters and quotes.
    """
    return "".join(f'{name} = "{value}"\n' for name, value in values.items()).encode("utf-8")


def load_secret(location: str | os.PathLike[str]) -> bytes:
    """Read a file whose whole content, less white space around it, is a secret.

    Raises:
        KeyFileError: Others can read it, or it is empty.
        ReadError, LimitError: It cannot be read.
    """
    text = os.fspath(location)
    data = files.read_small(text, MAX_CREDENTIAL_BYTES).strip()
    if stat.S_IMODE(os.stat(text).st_mode) & 0o077:
        raise KeyFileError(f"{text}: others can read this secret; chmod 600 {text}", text)
    if not data:
        raise KeyFileError(f"{text}: empty", text)
    return data
