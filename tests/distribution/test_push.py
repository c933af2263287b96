# SPDX-License-Identifier: Apache-2.0
"""Publishing to a directory: a reader sees a whole release or none, and always the same one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import pyhash
from pyhash import errors
from pyhash.fetch import Network
from pyhash.policy import Policy
from pyhash.pull import pull
from pyhash.push import PushOptions, push
from pyhash.push.directory import DirectoryTarget
from pyhash.push.targets import open_target
from pyhash.releases import dump_pointer, load_pointer, release_prefix
from tests.distribution._release import BIG, Release, content_of, flip
from tests.unit._signed import write_keys


def names(home: Path) -> list[str]:
    return sorted(str(one.relative_to(home)) for one in home.rglob("*") if one.is_file())


def test_a_release_and_its_pointer(release: Release, tmp_path: Path) -> None:
    result = push(release.model, str(tmp_path / "home"), release.policy)
    prefix = f"releases/{release.root.hex()}/"
    assert result.prefix == prefix
    assert names(tmp_path / "home") == sorted(
        ["latest.json", *(prefix + name for name in (*release.content, "model.sig", "model.tree"))]
    )
    pull(str(tmp_path / "home"), tmp_path / "out", release.policy)
    assert content_of(tmp_path / "out", release) == release.content


def test_dry_run_stores_nothing(release: Release, tmp_path: Path) -> None:
    options = PushOptions(dry_run=True)
    result = push(release.model, str(tmp_path / "home"), release.policy, options=options)
    assert sorted(result.stored) == sorted(release.content)
    assert result.bytes_stored == release.size
    assert not (tmp_path / "home").exists()


def test_pointer_can_be_left_alone(release: Release, tmp_path: Path) -> None:
    home = tmp_path / "home"
    push(release.model, str(home), release.policy, options=PushOptions(latest=False))
    assert not (home / "latest.json").exists()
    with pytest.raises(errors.UnsignedError, match=r"no latest\.json"):
        pull(str(home), tmp_path / "out", release.policy)


def test_what_readers_would_refuse_is_not_published(own_release: Release, tmp_path: Path) -> None:
    flip(own_release.model / BIG, 3)
    with pytest.raises(errors.DigestMismatchError):
        push(own_release.model, str(tmp_path / "home"), own_release.policy)
    assert not (tmp_path / "home").exists()


def test_bundle_is_stored_after_everything_else(
    release: Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    for name in ("put_file", "put_new", "put_over"):
        real = getattr(DirectoryTarget, name)

        def watch(self: DirectoryTarget, path: str, data: object, real: object = real) -> object:
            order.append(path)
            return real(self, path, data)  # type: ignore[operator]

        monkeypatch.setattr(DirectoryTarget, name, watch)
    push(release.model, str(tmp_path / "home"), release.policy)
    prefix = release_prefix(release.root)
    assert order[-3:] == [f"{prefix}model.tree", f"{prefix}model.sig", "latest.json"]
    assert sorted(order[:-3]) == sorted(prefix + name for name in release.content)


def test_changed_while_it_is_stored(
    own_release: Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = DirectoryTarget.put_file

    def change(self: DirectoryTarget, path: str, local: str) -> None:
        real(self, path, local)
        if path.endswith(BIG):
            flip(own_release.model / BIG, 0)

    monkeypatch.setattr(DirectoryTarget, "put_file", change)
    with pytest.raises(errors.ChangedWhileReadError):
        push(own_release.model, str(tmp_path / "home"), own_release.policy)
    assert not any(name.endswith((".sig", "latest.json")) for name in names(tmp_path / "home"))


def test_release_is_never_written_over(own_release: Release, tmp_path: Path) -> None:
    home = tmp_path / "home"
    push(own_release.model, str(home), own_release.policy)
    before = {name: (home / name).read_bytes() for name in names(home)}
    key, public = write_keys(tmp_path, "second")
    pyhash.sign(own_release.model, key)
    with pytest.raises(errors.PushError, match="never written over"):
        push(own_release.model, str(home), Policy.from_key_files([public]))
    assert {name: (home / name).read_bytes() for name in names(home)} == before


def test_somebody_else_is_faster(
    own_release: Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bundle of another publisher appears between looking and storing."""
    home = tmp_path / "home"
    place = home / release_prefix(own_release.root) / "model.sig"
    real = DirectoryTarget.put_new

    def late(self: DirectoryTarget, path: str, data: bytes) -> bool:
        place.write_bytes(b"another bundle")
        return real(self, path, data)

    monkeypatch.setattr(DirectoryTarget, "put_new", late)
    with pytest.raises(errors.PushError, match="never written over"):
        push(own_release.model, str(home), own_release.policy)
    assert place.read_bytes() == b"another bundle"
    assert not (home / "latest.json").exists()


def test_killed_and_resumed(release: Release, tmp_path: Path) -> None:
    """Killed at any time, a reader sees nothing; the next push stores only what is missing."""
    home = tmp_path / "home"
    command = [
        *(sys.executable, "-m", "pyhash", "push", release.model, home, "--key", release.public)
    ]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 60
        while not (home / release_prefix(release.root) / "config.json").exists():
            assert time.monotonic() < deadline and process.poll() is None
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
    if not (home / "latest.json").exists():
        with pytest.raises(errors.UnsignedError):
            pull(str(home), tmp_path / "o1", release.policy)
    result = push(release.model, str(home), release.policy)
    assert "config.json" in result.kept or result.was_there
    pull(str(home), tmp_path / "out", release.policy)
    assert content_of(tmp_path / "out", release) == release.content


def test_single_file(release: Release, tmp_path: Path) -> None:
    model = tmp_path / "one.bin"
    model.write_bytes(b"weights")
    pyhash.sign(model, release.key)
    result = push(model, str(tmp_path / "home"), release.policy)
    assert result.stored == ("one.bin",)
    pull(str(tmp_path / "home"), tmp_path / "out", release.policy)
    assert (tmp_path / "out/one.bin").read_bytes() == b"weights"


def test_no_such_target() -> None:
    with pytest.raises(errors.UsageError, match="nothing is published to ftp://"):
        open_target("ftp://host", Network())


def test_target_that_cannot_be_written(release: Release, tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file")
    with pytest.raises(errors.PushError, match="Not a directory"):
        push(release.model, str(tmp_path / "home"), release.policy)
    target = DirectoryTarget(str(tmp_path / "home"))
    for put in (target.put_new, target.put_over):
        with pytest.raises(errors.PushError):
            put("a/b", b"")
    os.mkdir(tmp_path / "dir")
    (tmp_path / "dir/x").write_bytes(bytes(9))
    with pytest.raises(errors.PushError, match="more than 8 bytes"):
        DirectoryTarget(str(tmp_path / "dir")).read_small("x", 8)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{}",
        b'{"kind":"pyhash-pointer-v1","root":"pyhash-v1:00"}',
        b'{"kind":"pyhash-pointer-v2","root":"pyhash-v1:' + b"0" * 64 + b'"}',
        b'{"kind":"pyhash-pointer-v1","root":"../../etc"}',
        b'{"kind":"pyhash-pointer-v1","root":"pyhash-v1:' + b"0" * 64 + b'","more":1}',
    ],
)
def test_pointers_that_are_none(text: bytes) -> None:
    with pytest.raises(errors.FormatError):
        load_pointer(text, "latest.json")


def test_pointer() -> None:
    assert load_pointer(dump_pointer(bytes(32)), "x") == bytes(32)
