# SPDX-License-Identifier: Apache-2.0
"""Pointers that cannot be had, do not say what they must, or cannot be remembered: each ends in an
error of its own, and with nothing pulled.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from pyhash import errors, limits
from pyhash.fetch import Network, TufTrust, open_source
from pyhash.fetch.tuf_pointer import fetch_trusted_pointer
from pyhash.push import tuf_metadata, tuf_pointer
from pyhash.releases import POINTER_NAME
from tests.distribution._release import Release
from tests.distribution.test_tuf import Home


@pytest.fixture
def home(own_release: Release, tmp_path: Path) -> Home:
    found = Home(tmp_path, own_release)
    found.publish('{"n": 1}')
    return found


def sign_again(home: Home, custom: object, pointer: bytes | None = None) -> None:
    """What the keepers of the keys could sign, with whatever they say beside the pointer."""
    target = home.target
    signers = {one: tuf_pointer._load_key(home.keys, one) for one in tuf_pointer.ROLES}
    keys = {role: [one.public_key] for role, one in signers.items()}
    online = tuf_pointer._take_back_all(target, home.keys, keys)  # type: ignore[arg-type]
    targets = online[0]
    entry = targets.signed.targets[POINTER_NAME]
    if pointer is not None:
        entry = tuf_metadata.tuf_types().TargetFile.from_data(POINTER_NAME, pointer, ["sha256"])
        target.put_over(f"tuf/targets/{entry.hashes['sha256']}.{POINTER_NAME}", pointer)
        targets.signed.targets[POINTER_NAME] = entry
    entry.unrecognized_fields.clear()
    if custom is not None:
        entry.unrecognized_fields["custom"] = custom
    tuf_pointer._publish_next(target, home.keys, signers, online)


@pytest.mark.parametrize(
    "custom",
    [
        None,
        {},
        [],
        "text",
        {"bundle_sha256": None},
        {"bundle_sha256": 7},
        {"bundle_sha256": "ab" * 31},
        {"bundle_sha256": "zz" * 32},
        {"bundle_sha256": "AB" * 32},
        {"bundle_sha256": "ab " * 21 + "a"},
        {"bundle_sha256": "\u0661" * 64},
    ],
)
def test_bundle_that_is_not_named(home: Home, custom: object) -> None:
    sign_again(home, custom)
    with pytest.raises(errors.PolicyError, match="does not name the bundle that it leads to"):
        home.pull()


def test_signed_pointer_that_is_none(home: Home) -> None:
    sign_again(home, {"bundle_sha256": "ab" * 32}, b'{"kind": "other"}')
    with pytest.raises(errors.FormatError, match="the TUF pointer"):
        home.pull()
    sign_again(home, {"bundle_sha256": "ab" * 32}, b" " * (limits.MAX_POINTER_BYTES + 1))
    with pytest.raises(errors.LimitError, match="the TUF pointer"):
        home.pull()


def test_pointer_that_was_replaced(home: Home) -> None:
    """Other bytes than the signed ones under its name."""
    (place,) = Path(home.path, "tuf/targets").iterdir()
    place.write_bytes(place.read_bytes().replace(b"0", b"1"))
    with pytest.raises(errors.PolicyError, match="refused"):
        home.pull()
    place.unlink()
    with pytest.raises(errors.FetchError, match="TUF pointer"):
        home.pull()


@pytest.mark.parametrize(
    ("more", "match"), [(0, "Downloaded 8388608 bytes exceeding"), (1, "more than 8388608 bytes")]
)
def test_cap_of_metadata(home: Home, more: int, match: str) -> None:
    """What is at the cap is given to python-tuf, which takes less of a timestamp; what is above it
    is not even read.
    """
    place = Path(home.path, "tuf/timestamp.json")
    signed = place.read_bytes()
    place.write_bytes(signed + b" " * (limits.MAX_TUF_BYTES + more - len(signed)))
    with pytest.raises(errors.FetchError, match=match):
        home.pull()


def test_metadata_that_cannot_be_read(home: Home) -> None:
    place = Path(home.path, "tuf/timestamp.json")
    place.unlink()
    place.mkdir()
    with pytest.raises(errors.FetchError, match=r"the TUF pointer: .*not a regular file"):
        home.pull()


def test_what_was_seen_cannot_be_remembered(home: Home, tmp_path: Path) -> None:
    """Without a memory, an old pointer could come again: nothing is pulled."""
    (tmp_path / "file").touch()
    for state in (tmp_path / "file", tmp_path / "file/state"):
        with pytest.raises(errors.WriteError, match=str(state)):
            home.pull(trust=TufTrust(home.root, str(state)))
    full = tmp_path / "full"
    full.mkdir()
    (full / "timestamp.json").mkdir()
    with pytest.raises(errors.PyhashError):
        home.pull(trust=TufTrust(home.root, str(full)))


@pytest.mark.parametrize("root", [b"", b"{}", b"junk", b"\xff"])
def test_root_that_is_none(home: Home, root: bytes, tmp_path: Path) -> None:
    with pytest.raises((errors.PolicyError, errors.FormatError)):
        home.pull(trust=TufTrust(root, str(tmp_path / "state2")))


def test_library_is_missing(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("tuf.ngclient", "tuf.api.metadata"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(errors.DependencyError, match=r"pyhash-checkpoint\[tuf\]"):
        fetch_trusted_pointer(open_source(home.path, Network()), home.trust)
    with pytest.raises(errors.DependencyError, match=r"pyhash-checkpoint\[tuf\]"):
        tuf_pointer.renew_timestamp(home.target, home.keys)


# --- a key that is replaced, and an accident meanwhile --------------------------------------------


def key(home: Home, role: str) -> bytes:
    return Path(home.keys, f"{role}.pem").read_bytes()


@pytest.mark.parametrize("role", ["root", "timestamp"])
def test_refused_new_key_costs_nothing(
    home: Home, role: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A home that may not be written to: the old key is still there, and still signs."""
    old = key(home, role)

    def refuse(*_: object) -> bool:
        raise errors.PushError("not allowed")

    with monkeypatch.context() as patch:
        patch.setattr(type(home.target), "put_new", refuse)
        with pytest.raises(errors.PushError, match="not allowed"):
            tuf_pointer.rotate_key(home.target, home.keys, role)
        patch.setattr(type(home.target), "put_new", lambda *_: False)
        with pytest.raises(errors.PushError, match="somebody was faster"):
            tuf_pointer.rotate_key(home.target, home.keys, role)
    assert key(home, role) == old
    assert home.publish('{"n": 2}') == home.pull()
    tuf_pointer.rotate_key(home.target, home.keys, role)
    assert key(home, role) != old
    assert home.publish('{"n": 3}') == home.pull()


@pytest.mark.parametrize("role", ["root", "timestamp"])
@pytest.mark.parametrize("renames", [0, 1])
def test_killed_after_a_new_key_was_published(
    home: Home, role: str, renames: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The new key is the only one that counts by then; it is taken up, and not lost."""
    old, real, left = key(home, role), os.rename, [renames]

    def rename(source: str, target: str, **more: int) -> None:
        if ".next." in str(source):
            if not left[0]:
                raise KeyboardInterrupt
            left[0] -= 1
        real(source, target, **more)

    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", rename)
        with pytest.raises(KeyboardInterrupt):
            tuf_pointer.rotate_key(home.target, home.keys, role)
    tuf_pointer.rotate_key(home.target, home.keys, role)
    new = key(home, role)
    assert new != old
    assert not list(Path(home.keys).glob("*.next*"))
    assert home.publish('{"n": 2}') == home.pull()
    tuf_pointer.rotate_key(home.target, home.keys, role)
    assert key(home, role) != new
    assert home.publish('{"n": 3}') == home.pull()
