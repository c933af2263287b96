# SPDX-License-Identifier: Apache-2.0
"""The file that an exec probe reads: written whole, believed only while it is young."""

from __future__ import annotations

import json
import math
import os
import time
from contextlib import suppress

from pyhash import atomic, files, limits
from pyhash.errors import FormatError, PolicyError, ReadError, WriteError
from pyhash.health.state import Snapshot
from pyhash.strict_json import expect_boolean, expect_fields, expect_integer, load_json

FIELDS = ("pyhash_health", "ready", "written")
SKEW_SECONDS = 2.0  # of a file from the future: a clock that was set back a little


def write_probe_file(path: str, snapshot: Snapshot) -> None:
    """Replace the file.

    Args:
        path: Where; not in the checkpoint.
        snapshot: What holds.

    Raises:
        WriteError: The system refused; what is there becomes too old soon.
    """
    value = {"pyhash_health": 1, "ready": snapshot.is_ready, "written": int(time.time())}
    atomic.write_file(path, json.dumps(value).encode("ascii") + b"\n")


def remove_probe_file(path: str) -> None:
    """Take the file away, if there is one.

    Raises:
        WriteError: The system refused.
    """
    try:
        with suppress(FileNotFoundError):
            os.unlink(path)
    except OSError as error:
        raise WriteError(f"{path}: cannot be removed: {error.strerror}", path) from error


def check_probe_file(path: str, max_age: float) -> float:
    """Return the age in seconds of a file that says ready.

    Args:
        path: The file.
        max_age: Seconds after which it says nothing any more.

    Raises:
        PolicyError: It says that the verified state does not hold.
        ReadError: There is none, it is too old, or it is from the future.
        FormatError, LimitError: It is something else.
    """
    data = files.read_small(path, limits.MAX_PROBE_FILE_BYTES)
    value = load_json(data, path=path, max_bytes=limits.MAX_PROBE_FILE_BYTES)
    fields = expect_fields(value, "the health file", path, required=FIELDS)
    if fields["pyhash_health"] != 1:
        raise FormatError(f"{path}: a health file of another version", path)
    ready = expect_boolean(fields["ready"], "ready", path)
    age = time.time() - expect_integer(fields["written"], "written", path)
    if not ready:
        raise PolicyError(f"{path}: the verified state does not hold")
    if not math.isfinite(age) or not -SKEW_SECONDS <= age <= max_age:
        raise ReadError(
            f"{path}: written {age:.0f} s ago, and it counts for {max_age:g} s:"
            " pyhash health serve has stopped or hangs",
            path,
        )
    return age
