# SPDX-License-Identifier: Apache-2.0
"""Remembers, in a directory of this host, the highest release that was accepted under each name.

One small file for each name. Whatever is wrong with the directory or a file of it, the answer
cannot be found out; only a file that was never there means that nothing was accepted before.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from pyhash import atomic, limits
from pyhash.errors import FormatError, PolicyError, PolicyFileError, ReadError
from pyhash.manifest import Manifest, Release, format_time, parse_time
from pyhash.policy._model import Policy
from pyhash.policy._trusted_files import check_trusted_directory, read_trusted
from pyhash.strict_json import expect_fields, expect_integer, expect_string, load_json

_VERSION = 1


@dataclass(frozen=True, slots=True)
class Remembered:
    """What was accepted before.

    Attributes:
        counter: The highest release counter.
        root: Root of that release, 32 bytes; None where another tool made it.
        checked: This host's clock when a release was last accepted, in seconds since 1970.
    """

    counter: int
    root: bytes | None
    checked: int

    def is_followed_by(self, counter: int | None, root: bytes | None) -> bool:
        """Whether a release may be accepted after this one: a higher one, or this very one.

        Args:
            counter: Its release counter; None: it has none.
            root: Its root; None where another tool made it.

        Returns:
            False also for the same counter with another root. Raises nothing.
        """
        if counter == self.counter:
            return self.root in (None, root)
        return counter is not None and counter > self.counter


def recall_release(policy: Policy, location: str) -> Remembered | None:
    """Return what was accepted before; None: nothing, or the policy wants nothing remembered.

    Args:
        policy: Says where the memory is, and which name it demands of the publisher.
        location: The checkpoint, where the policy does not say which one it is for.

    Raises:
        PolicyFileError: The memory cannot be read.
    """
    if policy.state is None:
        return None
    return recall(policy.state, _name(policy, location))


def remember_release(policy: Policy, location: str, manifest: Manifest, now: int) -> None:
    """Write down that a release was accepted, where the policy wants that.

    Args:
        policy, location: As for ``recall_release``.
        manifest: What was accepted; ``check_requirements`` has seen that it has a counter.
        now: This host's clock, in seconds since 1970.

    Raises:
        PolicyError: Another process accepted a higher release meanwhile, or the same with another
            root.
        PolicyFileError, ReadError, WriteError: It cannot be written down. Then nothing may be
            accepted.
    """
    if policy.state is None or manifest.release is None or manifest.release.counter is None:
        return
    found = Remembered(manifest.release.counter, manifest.root, now)
    remember(policy.state, _name(policy, location), found)


def _name(policy: Policy, location: str) -> str:
    """The name that the policy demands of the publisher, or else the path of the checkpoint."""
    if policy.release_name is not None:
        return f"name:{policy.release_name}"
    return f"path:{policy.location or os.path.abspath(location)}"


def recall(directory: str, name: str) -> Remembered | None:
    """Return what was accepted before; None: nothing. Thread-safe.

    Args:
        directory: Of the memory; it must be there, so that a misspelt one is not an empty one.
        name: What it is remembered under.

    Raises:
        PolicyFileError: The directory or the file cannot be read, others could change it, or it is
            not what ``remember`` writes.
    """
    check_trusted_directory(directory)
    location = _location(directory, name)
    try:
        os.lstat(location)
    except FileNotFoundError:
        return None
    except OSError as error:  # not "nothing there": lexists would say so without permission
        raise PolicyFileError(f"{location}: cannot be read: {error.strerror}", location) from error
    data = read_trusted(location, limits.MAX_STATE_BYTES)
    try:
        return _load(data, name, location)
    except FormatError as error:
        raise PolicyFileError(
            f"{error}; it says which release was accepted here last: restore it, or remove it on"
            " purpose",
            location,
        ) from error


def remember(directory: str, name: str, found: Remembered) -> None:
    """Write down that a release was accepted, and the latest clock that was ever seen doing so.

    Thread-safe; several processes may do it at once.

    Args:
        directory: Of the memory.
        name: What it is remembered under.
        found: What was accepted now.

    Raises:
        PolicyError: A higher one was accepted before, or the same with another root: also while
            this one was being verified.
        PolicyFileError: As ``recall``.
        ReadError, WriteError: The directory cannot be locked, or the file not be written. Then
            nothing was accepted.
    """
    with _locked(directory):
        before = recall(directory, name)
        if before is not None and not before.is_followed_by(found.counter, found.root):
            raise PolicyError(
                f"it is release {found.counter}, and release {before.counter} was accepted here"
                + (", with another root" if before.counter == found.counter else "")
                + " while it was verified"
            )
        # A clock that goes back a little each time would get anywhere in the end.
        checked = max(found.checked, before.checked if before is not None else 0)
        fields = {
            "version": _VERSION,
            "name": name.encode("utf-8", "backslashreplace").decode("utf-8"),
            "counter": found.counter,
            "root": None if found.root is None else found.root.hex(),
            "checked": format_time(checked),
        }
        data = json.dumps(fields, ensure_ascii=True).encode("ascii") + b"\n"
        atomic.write_file(_location(directory, name), data)


@contextmanager
def _locked(directory: str) -> Iterator[None]:
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise ReadError(f"{directory}: cannot be read: {error.strerror}", directory) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except OSError as error:
            message = f"{directory}: cannot be locked: {error.strerror}"
            raise ReadError(message, directory) from error
        yield
    finally:
        os.close(descriptor)


def _location(directory: str, name: str) -> str:
    digest = hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()
    return os.path.join(directory, f"{digest}.json")


def _load(data: bytes, name: str, location: str) -> Remembered:
    where = "the memory"
    fields = expect_fields(
        load_json(data, path=location, max_bytes=limits.MAX_STATE_BYTES),
        where,
        location,
        required=("version", "name", "counter", "root", "checked"),
    )
    expected = name.encode("utf-8", "backslashreplace").decode("utf-8")
    if fields["version"] != _VERSION or fields["name"] != expected:
        raise FormatError(f"{location}: of another version, or of another name", location)
    counter = expect_integer(fields["counter"], f"{where}: counter", location)
    checked = parse_time(expect_string(fields["checked"], f"{where}: checked", location), location)
    root = None
    if fields["root"] is not None:
        text = expect_string(fields["root"], f"{where}: root", location)
        try:
            root = bytes.fromhex(text)
        except ValueError:
            raise FormatError(f"{location}: {where}: root is not hex", location) from None
    Release(checked, counter)  # the same limits as in a statement
    return Remembered(counter, root, checked)
