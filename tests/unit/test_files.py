# SPDX-License-Identifier: Apache-2.0
"""Listing without following links: what is a file, what is strange, and what is left out."""

from __future__ import annotations

import errno
import os
import socket
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pyhash import files, limits
from pyhash.errors import LimitError, ReadError
from pyhash.files import Identity, Listing, list_checkpoint, open_files


def nothing(path: str) -> bool:
    """Leave nothing out."""
    return False


def write(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())


def paths(listing: Listing) -> list[str]:
    return [file.path for file in listing.files]


def identity_of(path: Path) -> Identity:
    status = path.stat()
    return Identity(
        status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
    )


# --- listing --------------------------------------------------------------------------------------


def test_byte_order_of_whole_paths(tmp_path: Path) -> None:
    # "-" and "." come before "/", capitals before small letters, "é" behind them.
    names = [
        "w/a",
        "w-1",
        "w.index",
        "Z",
        "a",
        "caf\u00e9",
        "cafz",
        "w/b/c",
        "\U0001f600",
        "\uffee",
    ]
    write(tmp_path, *names)
    listing = list_checkpoint(tmp_path, nothing)
    assert paths(listing) == sorted(names, key=lambda name: name.encode())
    assert listing.strange == ()
    assert not listing.is_single_file


def test_identities_are_those_of_the_files(tmp_path: Path) -> None:
    write(tmp_path, "a", "b/c")
    listing = list_checkpoint(tmp_path, nothing)
    assert [file.identity for file in listing.files] == [
        identity_of(tmp_path / "a"),
        identity_of(tmp_path / "b/c"),
    ]


@pytest.mark.parametrize("spelling", ["{}", "{}/", "{}/.", "{}/b/.."])
def test_name_of_the_checkpoint(spelling: str, tmp_path: Path) -> None:
    write(tmp_path / "model", "a", "b/c")
    location = spelling.format(tmp_path / "model")
    listing = list_checkpoint(location, nothing)
    assert (listing.name, listing.location) == ("model", location)


def test_current_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "model", "a")
    monkeypatch.chdir(tmp_path / "model")
    assert list_checkpoint(".", nothing).name == "model"


def test_single_file(tmp_path: Path) -> None:
    write(tmp_path, "a.gguf")
    listing = list_checkpoint(tmp_path / "a.gguf", lambda _: True)
    assert (listing.name, paths(listing), listing.is_single_file) == ("a.gguf", ["a.gguf"], True)
    with open_files(listing, listing.files) as (descriptor,):
        assert os.read(descriptor, 100) == b"a.gguf"


def test_single_file_through_a_link(tmp_path: Path) -> None:
    write(tmp_path, "blob")
    (tmp_path / "model.gguf").symlink_to("blob")
    listing = list_checkpoint(tmp_path / "model.gguf", nothing)
    assert paths(listing) == ["model.gguf"]
    with open_files(listing, listing.files) as (descriptor,):
        assert os.read(descriptor, 100) == b"blob"


def test_empty_directories_are_no_files(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    assert list_checkpoint(tmp_path, nothing).files == ()


def test_what_is_left_out(tmp_path: Path) -> None:
    write(tmp_path, "a", "b/a", "b/c/a", "c")
    asked: list[str] = []

    def ignore(path: str) -> bool:
        asked.append(path)
        return path in ("b/c", "c", "nothing")

    assert paths(list_checkpoint(tmp_path, ignore)) == ["a", "b/a"]
    assert sorted(asked) == ["a", "b", "b/a", "b/c", "c"]


def test_own_files_are_left_out(tmp_path: Path) -> None:
    write(tmp_path, "a", "model.sig", "b/model.sig")
    assert paths(list_checkpoint(tmp_path, nothing, own=["model.sig"])) == ["a", "b/model.sig"]


def _device(path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can make devices")
    os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 3))


def _block_device(path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can make devices")
    os.mknod(path, stat.S_IFBLK | 0o600, os.makedev(7, 255))


def _socket(path: Path) -> None:
    directory = os.open(path.parent, os.O_RDONLY)  # names of sockets are short
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind(f"/proc/self/fd/{directory}/{path.name}")
    os.close(directory)


STRANGE: dict[str, Callable[[Path], None]] = {
    "symbolic link": lambda path: path.symlink_to("a"),
    "named pipe": os.mkfifo,
    "socket": _socket,
    "character device": _device,
    "block device": _block_device,
}


def test_every_kind_has_a_word() -> None:
    assert set(STRANGE) == set(files.KINDS.values())


@pytest.mark.parametrize("what", STRANGE)
def test_strange_things(what: str, tmp_path: Path) -> None:
    write(tmp_path, "a", "b/a")
    STRANGE[what](tmp_path / "b/x")
    listing = list_checkpoint(tmp_path, nothing)
    assert paths(listing) == ["a", "b/a"]
    (finding,) = listing.strange
    assert (finding.code, finding.path) == ("unexpected", "b/x")
    assert finding.message.startswith(f"a {what}: ")
    assert list_checkpoint(tmp_path, lambda path: path == "b/x").strange == ()


@pytest.mark.parametrize("what", [*STRANGE, "directory"])
def test_strange_things_where_our_own_files_belong(what: str, tmp_path: Path) -> None:
    write(tmp_path, "a")
    STRANGE.get(what, Path.mkdir)(tmp_path / "model.tree")
    (finding,) = list_checkpoint(tmp_path, nothing, own=["model.tree"]).strange
    assert (finding.code, finding.path) == ("unexpected", "model.tree")
    assert finding.message.startswith(f"a {what} where a file of ours belongs")


def test_names_that_are_not_utf8(tmp_path: Path) -> None:
    write(tmp_path, "a")
    os.mkdir(os.fsencode(tmp_path) + b"/d\xff")
    with open(os.fsencode(tmp_path) + b"/f\xe9", "wb"):
        pass
    with open(os.fsencode(tmp_path) + b"/d\xff/g", "wb"):
        pass
    listing = list_checkpoint(tmp_path, nothing)
    assert paths(listing) == ["a"]
    assert [one.path for one in listing.strange] == ["d\\udcff", "f\\udce9"]
    assert all("not UTF-8" in one.message for one in listing.strange)


def test_odd_names_are_names(tmp_path: Path) -> None:
    names = ["a\nb", " ", "a ", "\u202e", "a:0:5", "\\", "CON", "...", "-rf", "'\"", "a\x1b[31m"]
    write(tmp_path, *names)
    assert paths(list_checkpoint(tmp_path, nothing)) == sorted(names, key=str.encode)


@pytest.mark.parametrize("locale", [{"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0"}, {}])
def test_names_do_not_depend_on_the_locale(locale: dict[str, str], tmp_path: Path) -> None:
    write(tmp_path / "mod\u00e8le", "caf\u00e9", "\u65e5/\u672c")
    script = (
        "import os, sys\n"
        "from pyhash import files, locations\n"
        "listing = files.list_checkpoint(sys.argv[1], lambda _: False)\n"
        "with files.open_files(listing, listing.files) as descriptors:\n"
        "    data = [os.read(one, 99) for one in descriptors]\n"
        "inside = locations.inside(sys.argv[1], sys.argv[1] + '/' + os.listdir(sys.argv[1])[0])\n"
        "print(ascii((listing.name, [file.path for file in listing.files], data, len(inside))))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, os.fsencode(tmp_path / "mod\u00e8le")],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONUTF8": "0", **locale},
        capture_output=True,
        text=True,
        check=False,
    )
    expected = ["caf\u00e9", "\u65e5/\u672c"]
    lengths = {len(name.split("/")[0]) for name in expected}
    assert done.returncode == 0, done.stderr
    name, found, data, length = eval(done.stdout)
    assert (name, found) == ("mod\u00e8le", expected)
    assert data == [one.encode() for one in expected]
    assert length in lengths


def test_as_many_files_as_the_cap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_CHECKPOINT_FILES", 4)
    write(tmp_path, "a", "b", "c/a")
    (tmp_path / "link").symlink_to("a")
    assert len(list_checkpoint(tmp_path, nothing).files) == 3
    (tmp_path / "c/link").symlink_to("a")
    with pytest.raises(LimitError, match="more than 4 files") as caught:
        list_checkpoint(tmp_path, nothing)
    assert caught.value.path == str(tmp_path)


def test_as_deep_as_the_cap(tmp_path: Path) -> None:
    directories = "/".join("d" * (limits.MAX_PATH_DEPTH - 1))
    write(tmp_path, f"{directories}/file")
    assert paths(list_checkpoint(tmp_path, nothing)) == [f"{directories}/file"]
    (tmp_path / directories / "d").mkdir()
    with pytest.raises(LimitError, match="deeper than 64"):
        list_checkpoint(tmp_path, nothing)


def test_no_such_place(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="No such file") as caught:
        list_checkpoint(tmp_path / "absent", nothing)
    assert caught.value.errno == errno.ENOENT
    assert caught.value.path == str(tmp_path / "absent")


def test_neither_directory_nor_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for location in (tmp_path / "pipe", "/dev/null"):
        with pytest.raises(ReadError, match="neither a directory nor a regular file"):
            list_checkpoint(location, nothing)


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    write(tmp_path, "a/b/c", "d")
    before = os.listdir("/proc/self/fd")
    listing = list_checkpoint(tmp_path, nothing)
    with open_files(listing, listing.files) as descriptors:
        assert len(os.listdir("/proc/self/fd")) == len(before) + 2
        assert not any(os.get_inheritable(one) for one in descriptors)
    (tmp_path / "d").unlink()
    with pytest.raises(ReadError), open_files(listing, listing.files):
        pass
    with pytest.raises(LimitError):
        list_checkpoint(_deep(tmp_path), nothing)
    assert os.listdir("/proc/self/fd") == before


def _deep(root: Path) -> Path:
    (root / "/".join("d" * 65)).mkdir(parents=True)
    return root
