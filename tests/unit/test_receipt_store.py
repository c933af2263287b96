# SPDX-License-Identifier: Apache-2.0
"""Where records are kept: whose directory, whose key, and that nothing but that key writes one."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import stat
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from pyhash import errors, limits
from pyhash.files import CheckpointFile, Identity
from pyhash.receipts import (
    Binding,
    Receipt,
    Store,
    boot_id,
    is_settled,
    open_store,
    read_receipt,
    record,
    settle,
)

BINDING = Binding("/srv/model", "ab" * 32, "cd" * 32, "0-1-2")
OLD = Identity(1, 2, 3, 1_700_000_000_123_456_789, 1_700_000_000_123_456_789)
FILE = CheckpointFile("a.bin", OLD)
NOW = OLD.ctime_ns + 10**12


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path / "deep/receipts", create=True)


def place(store: Store, suffix: str = "receipt") -> Path:
    return Path(store.place(BINDING.location, suffix))


# --- the directory and the key --------------------------------------------------------------------


def test_made_for_its_owner_alone(store: Store) -> None:
    assert stat.S_IMODE(os.stat(store.directory).st_mode) == 0o700
    key = Path(store.directory, "host.key")
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert len(key.read_bytes()) == 32
    assert os.listdir(store.directory) == ["host.key"]


def test_key_stays(store: Store) -> None:
    key = Path(store.directory, "host.key").read_bytes()
    for create in (True, False):
        again = open_store(store.directory, create=create)
        assert again.authenticate(b"x", b"y") == hmac.digest(key, b"x\0y", hashlib.sha256)
    assert key.hex() not in repr(store)


def test_keys_differ(tmp_path: Path) -> None:
    macs = {
        open_store(tmp_path / name, create=True).authenticate(b"x", b"y") for name in ("a", "b")
    }
    assert len(macs) == 2


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(errors.ReceiptError, match="no receipts are kept here"):
        open_store(tmp_path / "absent")
    (tmp_path / "empty").mkdir(mode=0o700)
    with pytest.raises(errors.ReceiptError, match="there is no key"):
        open_store(tmp_path / "empty")
    assert os.listdir(tmp_path / "empty") == []


@pytest.mark.parametrize("mode", [0o750, 0o701, 0o722, 0o777])
@pytest.mark.parametrize("create", [True, False])
def test_directory_that_others_reach(mode: int, create: bool, store: Store) -> None:
    os.chmod(store.directory, mode)
    with pytest.raises(errors.ReceiptError, match="lets others reach it"):
        open_store(store.directory, create=create)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_key_that_others_reach(mode: int, store: Store) -> None:
    os.chmod(Path(store.directory, "host.key"), mode)
    with pytest.raises(errors.ReceiptError, match=r"host\.key: mode 06.. lets others reach it"):
        open_store(store.directory, create=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
@pytest.mark.parametrize("name", ["", "host.key"])
def test_of_another_user(name: str, store: Store) -> None:
    os.chown(os.path.join(store.directory, name), 12345, -1)
    with pytest.raises(errors.ReceiptError, match="belongs to user 12345"):
        open_store(store.directory, create=True)


def test_directory_that_is_a_link(store: Store, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(store.directory)
    with pytest.raises(errors.ReceiptError):
        open_store(tmp_path / "link")


def _link(path: Path) -> None:
    path.rename(path.with_suffix(".old"))
    path.symlink_to(path.with_suffix(".old"))


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path, 0o600)


def _short(path: Path) -> None:
    path.write_bytes(bytes(31))


def _long(path: Path) -> None:
    path.write_bytes(bytes(33))


def _directory(path: Path) -> None:
    path.unlink()
    path.mkdir(mode=0o700)


@pytest.mark.parametrize("spoil", [_link, _pipe, _short, _long, _directory])
def test_key_that_is_none(spoil: Callable[[Path], None], store: Store) -> None:
    spoil(Path(store.directory, "host.key"))
    with pytest.raises((errors.ReceiptError, errors.LimitError), match=r"host\.key"):
        open_store(store.directory, create=True)


def test_place_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(errors.ReceiptError, match="Not a directory"):
        open_store(tmp_path / "file/receipts", create=True)


# --- receipts -------------------------------------------------------------------------------------


def test_what_is_written_is_read(store: Store) -> None:
    path, left_out = record(store, BINDING, [FILE], NOW)
    assert (Path(path), left_out) == (place(store), ())
    assert stat.S_IMODE(place(store).stat().st_mode) == 0o600
    found = read_receipt(store, BINDING.location)
    assert found is not None and found.has_closure()
    found = replace(found, closure_rules=None)
    assert found == Receipt(BINDING, "2023-11-14T22:30:00Z", {"a.bin": OLD})
    assert found.is_covered(FILE)
    assert read_receipt(store, "/srv/other") is None


def test_format_is_the_documented_one(store: Store) -> None:
    record(store, BINDING, [FILE], NOW)
    line, mac, rest = place(store).read_bytes().split(b"\n")
    key = Path(store.directory, "host.key").read_bytes()
    assert rest == b""
    assert mac == hmac.digest(key, b"pyhash-receipt-v1\0" + line, "sha256").hex().encode()
    value = json.loads(line)
    assert value["files"] == {
        "a.bin": "1 2 3 1700000000123456789 1700000000123456789",
    }
    assert value["binding"] == {
        "location": "/srv/model",
        "manifest": "ab" * 32,
        "signer": "cd" * 32,
        "boot_id": "0-1-2",
    }


@pytest.mark.parametrize("field", ["device", "inode", "size", "mtime_ns", "ctime_ns"])
def test_every_part_of_the_identity_counts(field: str, store: Store) -> None:
    record(store, BINDING, [FILE], NOW)
    found = read_receipt(store, BINDING.location)
    assert found
    values = {name: getattr(OLD, name) for name in Identity.__slots__}
    other = Identity(**(values | {field: values[field] + 1}))
    assert not found.is_covered(CheckpointFile("a.bin", other))
    assert not found.is_covered(CheckpointFile("b.bin", OLD))


def test_every_edited_byte_is_noticed(store: Store) -> None:
    record(store, BINDING, [FILE], NOW)
    data = place(store).read_bytes()
    for offset in range(len(data)):
        edited = data[:offset] + bytes([data[offset] ^ 1]) + data[offset + 1 :]
        place(store).write_bytes(edited)
        with pytest.raises(errors.ReceiptError, match="not written with this host's key"):
            read_receipt(store, BINDING.location)
    for cut in (b"", data[:10], data[:-1], data + b"\n", data + data):
        place(store).write_bytes(cut)
        with pytest.raises(errors.ReceiptError, match="not written with this host's key"):
            read_receipt(store, BINDING.location)


def test_of_another_host(store: Store, tmp_path: Path) -> None:
    other = open_store(tmp_path / "other", create=True)
    record(other, BINDING, [FILE], NOW)
    place(store).write_bytes(place(other).read_bytes())
    place(store).chmod(0o600)
    with pytest.raises(errors.ReceiptError, match="from another host"):
        read_receipt(store, BINDING.location)


def test_receipt_that_others_could_write(store: Store) -> None:
    record(store, BINDING, [FILE], NOW)
    place(store).chmod(0o622)
    with pytest.raises(errors.ReceiptError, match="lets others reach it"):
        read_receipt(store, BINDING.location)


def _write(store: Store, line: bytes) -> None:
    mac = store.authenticate(b"pyhash-receipt-v1", line).hex().encode()
    place(store).write_bytes(line + b"\n" + mac + b"\n")
    place(store).chmod(0o600)


@pytest.mark.parametrize(
    "change",
    [
        {"receipt": "2"},
        {"files": {"a.bin": "1 2 3 4"}},
        {"files": {"a.bin": "1 2 3 4 x"}},
        {"files": {"a.bin": 5}},
        {"binding": {}},
        {"more": "x"},
    ],
)
def test_authentic_and_not_understood(change: dict[str, object], store: Store) -> None:
    record(store, BINDING, [FILE], NOW)
    value = json.loads(place(store).read_bytes().split(b"\n")[0])
    _write(store, json.dumps(value | change).encode())
    with pytest.raises(errors.FormatError):
        read_receipt(store, BINDING.location)


def test_cap_on_receipts(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    record(store, BINDING, [FILE], NOW)
    size = place(store).stat().st_size
    monkeypatch.setattr(limits, "MAX_RECEIPT_BYTES", size)
    assert read_receipt(store, BINDING.location)
    monkeypatch.setattr(limits, "MAX_RECEIPT_BYTES", size - 1)
    with pytest.raises(errors.LimitError):
        read_receipt(store, BINDING.location)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"location": "/srv/b"}, "about '/srv/model'"),
        ({"manifest": "00" * 32}, "another signed manifest"),
        ({"signer": "00" * 32}, "another key had signed"),
        ({"boot_id": "9"}, "before the last boot, or from another host"),
    ],
)
def test_binding_to_something_else(change: dict[str, str], reason: str) -> None:
    values = {name: getattr(BINDING, name) for name in Binding.__slots__}
    assert reason in BINDING.difference(Binding(**(values | change)))
    assert BINDING.difference(Binding(**values)) == ""


def test_boot_id(tmp_path: Path) -> None:
    assert boot_id() == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    (tmp_path / "empty").touch()
    (tmp_path / "bytes").write_bytes(b"\xff")
    for name in ("absent", "bytes", "empty"):
        with pytest.raises(errors.ReceiptError, match=name):
            boot_id(tmp_path / name)


# --- settling -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ctime_ns", "margin"), [(10**18 + 123_456_789, 20_000_000), (10**18, 2_000_000_000)]
)
def test_settled_a_tick_behind_the_last_change(ctime_ns: int, margin: int) -> None:
    identity = Identity(1, 2, 3, 0, ctime_ns)
    assert is_settled(identity, ctime_ns + margin)
    assert not is_settled(identity, ctime_ns + margin - 1)


def test_young_files_are_waited_for_and_future_ones_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store: Store
) -> None:
    from pyhash import files

    (tmp_path / "young").write_bytes(b"x")
    listing = files.list_checkpoint(tmp_path / "young", lambda _: False)
    assert is_settled(listing.files[0].identity, settle(listing))
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    ctime_ns = listing.files[0].identity.ctime_ns
    monkeypatch.setattr(time, "time_ns", lambda: ctime_ns - 3600 * 10**9)
    began = settle(listing)
    assert slept == []
    _, left_out = record(store, BINDING, listing.files, began)
    assert left_out == ("young",)
    found = read_receipt(store, BINDING.location)
    assert found
    assert not found.is_covered(listing.files[0])
