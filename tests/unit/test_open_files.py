# SPDX-License-Identifier: Apache-2.0
"""Opening listed files once, comparing them again, and reading small files."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from pyhash import files
from pyhash.errors import ChangedWhileReadError, LimitError, ReadError, TruncatedError
from pyhash.files import CheckpointFile, Identity, Listing, list_checkpoint, open_files


def nothing(path: str) -> bool:
    """Leave nothing out."""
    return False


def write(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())


def identity_of(path: Path) -> Identity:
    status = path.stat()
    return Identity(
        status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
    )


# --- opening --------------------------------------------------------------------------------------


def test_open_in_the_order_asked_for(tmp_path: Path) -> None:
    write(tmp_path, "a", "b/c", "d")
    listing = list_checkpoint(tmp_path, nothing)
    with open_files(listing, listing.files[::-1]) as descriptors:
        assert [os.read(one, 9) for one in descriptors] == [b"d", b"b/c", b"a"]


@pytest.mark.parametrize(
    "act",
    [
        lambda path: path.write_bytes(b"other"),
        lambda path: path.write_bytes(b"b"),
        lambda path: os.utime(path),
        lambda path: path.chmod(0o600),
        lambda path: os.link(path, path.with_name("twin")),
        lambda path: os.replace(path.with_name("b"), path),
    ],
)
def test_another_file_than_was_listed(act: Callable[[Path], None], tmp_path: Path) -> None:
    write(tmp_path, "a", "b")
    listing = list_checkpoint(tmp_path, nothing)
    act(tmp_path / "a")
    with pytest.raises(ChangedWhileReadError) as caught, open_files(listing, listing.files):
        pass
    (finding,) = caught.value.findings
    assert (finding.code, finding.path) == ("changed", "a")


def test_changed_while_open(tmp_path: Path) -> None:
    write(tmp_path, "a")
    listing = list_checkpoint(tmp_path, nothing)
    with open_files(listing, listing.files) as (descriptor,):
        files.check_unchanged(listing.files[0], descriptor)
        os.utime(tmp_path / "a", ns=(0, 0))
        with pytest.raises(ChangedWhileReadError, match="a: changed while"):
            files.check_unchanged(listing.files[0], descriptor)


@pytest.mark.parametrize("field", ["device", "inode", "size", "mtime_ns", "ctime_ns"])
def test_every_part_of_the_identity_counts(field: str, tmp_path: Path) -> None:
    write(tmp_path, "a")
    real = identity_of(tmp_path / "a")
    values = {name: getattr(real, name) for name in Identity.__slots__}
    other = Identity(**{**values, field: values[field] + 1})
    listing = Listing(str(tmp_path), "x", False, (CheckpointFile("a", other),), ())
    with pytest.raises(ChangedWhileReadError), open_files(listing, listing.files):
        pass


@pytest.mark.timeout(10)
@pytest.mark.parametrize(
    "act", [lambda path: path.symlink_to("b"), os.mkfifo, Path.mkdir, lambda path: None]
)
def test_something_else_in_the_place_of_a_file(act: Callable[[Path], None], tmp_path: Path) -> None:
    write(tmp_path, "a", "b")
    listing = list_checkpoint(tmp_path, nothing)
    (tmp_path / "a").unlink()
    act(tmp_path / "a")
    with pytest.raises((ReadError, ChangedWhileReadError)), open_files(listing, listing.files):
        pass


def test_checkpoint_that_is_gone(tmp_path: Path) -> None:
    write(tmp_path / "model", "a")
    listing = list_checkpoint(tmp_path / "model", nothing)
    (tmp_path / "model").rename(tmp_path / "other")
    with pytest.raises(ReadError) as caught, open_files(listing, listing.files):
        pass
    assert caught.value.path == str(tmp_path / "model")


# --- reading --------------------------------------------------------------------------------------


def test_read_small(tmp_path: Path) -> None:
    write(tmp_path, "a", "b")
    (tmp_path / "empty").touch()
    (tmp_path / "link").symlink_to("a")
    assert files.read_small(tmp_path / "a", 1) == b"a"
    assert files.read_small(str(tmp_path / "link"), 100) == b"a"
    assert files.read_small(tmp_path / "empty", 0) == b""
    with pytest.raises(LimitError, match="more than 0 bytes"):
        files.read_small(tmp_path / "a", 0)


def test_read_small_of_what_claims_to_be_smaller() -> None:
    # Files of /proc have size 0 and something in them.
    assert os.stat("/proc/self/status").st_size == 0
    assert files.read_small("/proc/self/status", 1 << 20).startswith(b"Name:")
    with pytest.raises(LimitError, match="more than 10 bytes"):
        files.read_small("/proc/self/status", 10)


def test_read_small_does_not_begin_a_huge_file(tmp_path: Path) -> None:
    with (tmp_path / "a").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(LimitError):
        files.read_small(tmp_path / "a", 1 << 39)


@pytest.mark.timeout(10)
def test_read_small_of_something_else(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    before = os.listdir("/proc/self/fd")
    for location in (tmp_path / "pipe", "/dev/zero", tmp_path):
        with pytest.raises(ReadError, match="not a regular file"):
            files.read_small(location, 10)
    assert os.listdir("/proc/self/fd") == before
    with pytest.raises(ReadError, match="No such file") as caught:
        files.read_small(tmp_path / "absent", 10)
    assert isinstance(caught.value.__cause__, FileNotFoundError)


def test_read_at(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"0123456789")
    with (tmp_path / "a").open("rb") as file:
        read = files.read_at("a", file.fileno())
        assert (read(0, 10), read(3, 4), read(10, 0)) == (b"0123456789", b"3456", b"")
        with pytest.raises(TruncatedError, match="a: ends at byte 10") as caught:
            read(8, 3)
        assert (caught.value.path, caught.value.offset) == ("a", 10)


def test_read_at_goes_on_after_a_short_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").write_bytes(b"0123456789")
    real = os.pread
    monkeypatch.setattr(os, "pread", lambda fd, size, at: real(fd, min(size, 3), at))
    with (tmp_path / "a").open("rb") as file:
        assert files.read_at("a", file.fileno())(1, 8) == b"12345678"


def test_read_at_that_the_system_refuses(tmp_path: Path) -> None:
    directory = os.open(tmp_path, os.O_RDONLY)
    with pytest.raises(ReadError) as caught:
        files.read_at("a", directory)(0, 1)
    os.close(directory)
    assert (caught.value.path, caught.value.errno) == ("a", errno.EISDIR)


@pytest.mark.parametrize("name", ["/proc/version", "/proc/self/maps"])
def test_bytes_behind_the_end(name: str) -> None:
    """The system says that these have no bytes."""
    listing = files.list_checkpoint(name, lambda _: False)
    with (
        files.open_files(listing, listing.files) as (descriptor,),
        pytest.raises(ReadError, match="more bytes than its size of 0 says") as caught,
    ):
        files.check_end(listing.files[0], descriptor)
    assert caught.value.offset == 0
