# SPDX-License-Identifier: Apache-2.0
"""Writing a file whole or not at all: every step fails once, and what was there before stays."""

from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pyhash import atomic
from pyhash.errors import WriteError


def listing(directory: Path) -> list[str]:
    return sorted(os.listdir(directory))


def test_new_file(tmp_path: Path) -> None:
    atomic.write_file(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"new"
    assert listing(tmp_path) == ["a"]


@pytest.mark.parametrize("mode", [0o644, 0o600, 0o444])
def test_mode_is_the_one_asked_for(mode: int, tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        atomic.write_file(tmp_path / "a", b"", mode=mode)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == mode


def test_default_mode(tmp_path: Path) -> None:
    atomic.write_file(tmp_path / "a", b"")
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o644


def test_old_file_is_replaced_not_written_to(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old")
    with (tmp_path / "a").open("rb") as reader:
        atomic.write_file(str(tmp_path / "a"), b"new")
        assert reader.read() == b"old"
    assert (tmp_path / "a").read_bytes() == b"new"


def test_relative_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    atomic.write_file("a", b"new")
    assert listing(tmp_path) == ["a"]


def test_link_is_replaced_not_followed(tmp_path: Path) -> None:
    (tmp_path / "target").write_bytes(b"old")
    (tmp_path / "link").symlink_to("target")
    atomic.write_file(tmp_path / "link", b"new")
    assert (tmp_path / "target").read_bytes() == b"old"
    assert not (tmp_path / "link").is_symlink()
    assert (tmp_path / "link").read_bytes() == b"new"


def _fail(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("step", ["fchmod", "fsync", "rename"])
def test_every_step_fails_once(step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").write_bytes(b"old")
    monkeypatch.setattr(atomic.os, step, _fail)
    with pytest.raises(WriteError, match="cannot be written: No space left") as caught:
        atomic.write_file(tmp_path / "a", b"new")
    assert (caught.value.path, caught.value.errno) == (str(tmp_path / "a"), errno.ENOSPC)
    assert (tmp_path / "a").read_bytes() == b"old"
    assert listing(tmp_path) == ["a"]


def test_interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    (tmp_path / "a").write_bytes(b"old")
    monkeypatch.setattr(atomic.os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        atomic.write_file(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"old"
    assert listing(tmp_path) == ["a"]


def test_failure_to_clean_up_does_not_hide_the_cause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(*_: object) -> None:
        raise OSError(errno.EBUSY, "Device or resource busy")

    monkeypatch.setattr(atomic.os, "rename", _fail)
    monkeypatch.setattr(atomic.os, "unlink", busy)
    with pytest.raises(WriteError, match="No space left"):
        atomic.write_file(tmp_path / "a", b"new")


@pytest.mark.parametrize(
    ("place", "code"),
    [
        (lambda root: root / "absent/a", errno.ENOENT),
        (lambda root: root / "directory", errno.EISDIR),
        (lambda root: root / "file/a", errno.ENOTDIR),
        (lambda root: root / ("x" * 300), errno.ENAMETOOLONG),
    ],
)
def test_impossible_places(place: Callable[[Path], Path], code: int, tmp_path: Path) -> None:
    (tmp_path / "directory").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(WriteError) as caught:
        atomic.write_file(place(tmp_path), b"new")
    assert caught.value.errno == code
    assert listing(tmp_path) == ["directory", "file"]


def test_full_disk(tmp_path: Path) -> None:
    """A process that may write only small files, as a real limit of the system has it."""
    (tmp_path / "a").write_bytes(b"old")
    script = (
        "import resource, signal, sys\n"
        "from pyhash import atomic, errors\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, 1 << 16))\n"
        "try:\n"
        "    atomic.write_file(sys.argv[1], bytes(1 << 20))\n"
        "except errors.WriteError as error:\n"
        "    sys.exit(error.errno)\n"
    )
    done = _python(script, tmp_path / "a")
    assert done.returncode == errno.EFBIG, done.stderr
    assert (tmp_path / "a").read_bytes() == b"old"
    assert listing(tmp_path) == ["a"]


@pytest.mark.parametrize("step", ["os.fchmod", "os.fsync", "os.rename", "sync_directory"])
def test_killed_at_any_step(step: str, tmp_path: Path) -> None:
    """A reader sees the old file or the new one, whole; nothing else stays behind, but for a file
    that is whole and has its temporary name for one instant.
    """
    (tmp_path / "a").write_bytes(b"old")
    script = (
        "import os, signal, sys\n"
        "from pyhash import atomic\n"
        f"atomic.{step} = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)\n"
        "atomic.write_file(sys.argv[1], b'new' * 100_000)\n"
    )
    done = _python(script, tmp_path / "a")
    assert done.returncode == -signal.SIGKILL
    expected = b"new" * 100_000 if step == "sync_directory" else b"old"
    assert (tmp_path / "a").read_bytes() == expected
    left = [name for name in listing(tmp_path) if name != "a"]
    assert len(left) == (step == "os.rename")
    assert all(name.startswith(".pyhash-") for name in left)


def test_directory_is_synced_behind_the_rename(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    rename, fsync = os.rename, os.fsync

    def watch_fsync(descriptor: int) -> None:
        done.append("directory" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        fsync(descriptor)

    def watch_rename(source: str, target: str) -> None:
        done.append("rename")
        rename(source, target)

    monkeypatch.setattr(atomic.os, "fsync", watch_fsync)
    monkeypatch.setattr(atomic.os, "rename", watch_rename)
    atomic.write_file(tmp_path / "a", b"new")
    assert done == ["file", "rename", "directory"]


def test_no_descriptor_is_left_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = os.listdir("/proc/self/fd")
    atomic.write_file(tmp_path / "a", b"new")
    monkeypatch.setattr(atomic.os, "fsync", _fail)
    with pytest.raises(WriteError):
        atomic.write_file(tmp_path / "a", b"new")
    with pytest.raises(OSError, match="No space left"):
        atomic.sync_directory(str(tmp_path))
    assert os.listdir("/proc/self/fd") == before


def _python(script: str, argument: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run(
        [sys.executable, "-c", script, str(argument)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
