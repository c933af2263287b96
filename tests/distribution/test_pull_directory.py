# SPDX-License-Identifier: Apache-2.0
"""Pulling from directories: whole or not at all, only what was asked for, on from where it was."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

import pyhash
from pyhash import errors
from pyhash.pull import PullOptions, pull
from pyhash.pull import main as pull_main
from pyhash.pull.quarantine import Quarantine
from tests.distribution._release import (
    BIG,
    BIG_BYTES,
    SHARD,
    SPAN,
    Release,
    content_of,
    flip,
)
from tests.unit._signed import write_keys


def left(directory: Path) -> list[str]:
    """Names that pulls have left in a directory."""
    return sorted(os.listdir(directory))


def test_whole(release: Release, tmp_path: Path) -> None:
    result = pull(str(release.model), tmp_path / "out", release.policy)
    assert content_of(tmp_path / "out", release) == release.content
    assert (result.root, result.bytes_moved, result.bytes_kept) == (release.root, release.size, 0)
    assert (result.files, result.is_partial, result.bad) == (len(release.content), False, ())
    assert left(tmp_path) == ["out"]
    assert pyhash.verify(tmp_path / "out", keys=[release.public]).root == release.root


def test_progress_is_of_what_is_wanted(release: Release, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    options = PullOptions(hashing=pyhash.Options(progress=lambda *one: told.append(one)))
    pull(str(release.model), tmp_path / "out", release.policy, options=options)
    assert told[-1] == (release.size, release.size)


def test_nothing_is_written_for_a_stranger(release: Release, tmp_path: Path) -> None:
    stranger = write_keys(tmp_path, "stranger")[1]
    home = tmp_path / "home"
    home.mkdir()
    policy = pyhash.Policy.from_key_files([stranger])
    with pytest.raises(errors.SignatureError, match="not trusted"):
        pull(str(release.model), home / "out", policy)
    assert left(home) == []


def test_unsigned(own_release: Release, tmp_path: Path) -> None:
    (own_release.model / "model.sig").unlink()
    with pytest.raises(errors.UnsignedError, match="neither a signed release"):
        pull(str(own_release.model), tmp_path / "out", own_release.policy)
    assert left(tmp_path) == ["model"]


def test_pinned_root(release: Release, tmp_path: Path) -> None:
    policy = replace(release.policy, roots=(bytes(32),))
    with pytest.raises(errors.PolicyError):
        pull(str(release.model), tmp_path / "out", policy)
    assert left(tmp_path) == []


@pytest.mark.parametrize("make", [Path.touch, Path.mkdir, lambda p: p.symlink_to("nowhere")])
def test_destination_is_taken(release: Release, tmp_path: Path, make: object) -> None:
    make(tmp_path / "out")  # type: ignore[operator]
    with pytest.raises(errors.UsageError, match="is there already"):
        pull(str(release.model), tmp_path / "out", release.policy)
    assert left(tmp_path) == ["out"]


def test_bad_span_comes_from_the_mirror(
    own_release: Release, release: Release, tmp_path: Path
) -> None:
    flip(own_release.model / BIG, 20 * SPAN + 5)
    result = pull(
        str(own_release.model), tmp_path / "out", release.policy, mirrors=[str(release.model)]
    )
    (bad,) = result.bad
    assert (bad.source, bad.path) == (str(own_release.model), BIG)
    assert (bad.start, bad.end) == (20 * SPAN, 21 * SPAN)
    assert result.bytes_moved == release.size + SPAN  # that span again, and nothing else
    assert content_of(tmp_path / "out", release) == release.content


def test_bad_everywhere_is_refused_and_named(own_release: Release, tmp_path: Path) -> None:
    mirror = tmp_path / "mirror"
    shutil.copytree(own_release.model, mirror)
    for place in (own_release.model, mirror):
        flip(place / BIG, BIG_BYTES - 1)
    with pytest.raises(errors.DigestMismatchError) as caught:
        pull(str(own_release.model), tmp_path / "out", own_release.policy, mirrors=[str(mirror)])
    (finding,) = caught.value.findings
    assert finding.ranges == (errors.DamagedRange(40 * SPAN, BIG_BYTES),)
    assert str(own_release.model) in finding.message
    assert str(mirror) in finding.message
    assert not (tmp_path / "out").exists()


def test_goes_on_where_it_was(own_release: Release, tmp_path: Path) -> None:
    last = own_release.model / "sub/caf\u00e9"  # one byte; with one connection all else comes first
    flip(last, 0)
    options = PullOptions(connections=1)
    with pytest.raises(errors.DigestMismatchError):
        pull(str(own_release.model), tmp_path / "out", own_release.policy, options=options)
    flip(last, 0)
    (partial,) = (name for name in left(tmp_path) if name.endswith(".partial"))
    # What lies there is not believed: of two good spans, one is damaged meanwhile.
    flip(tmp_path / partial / SHARD, 7)
    result = pull(str(own_release.model), tmp_path / "out", own_release.policy)
    assert result.bytes_moved == SPAN + 1
    assert result.bytes_kept == own_release.size - SPAN - 1
    assert content_of(tmp_path / "out", own_release) == own_release.content
    assert left(tmp_path) == ["model", "out"]


def test_missing_shard_is_taken_from_the_mirror(
    own_release: Release, release: Release, tmp_path: Path
) -> None:
    (own_release.model / BIG).unlink()
    result = pull(
        str(own_release.model), tmp_path / "out", release.policy, mirrors=[str(release.model)]
    )
    assert content_of(tmp_path / "out", release) == release.content
    assert result.bad == ()


def test_missing_everywhere(own_release: Release, tmp_path: Path) -> None:
    (own_release.model / BIG).unlink()
    with pytest.raises(errors.NotThereError, match=BIG):
        pull(str(own_release.model), tmp_path / "out", own_release.policy)
    assert not (tmp_path / "out").exists()


def test_other_size_is_no_file_of_it(own_release: Release, tmp_path: Path) -> None:
    with (own_release.model / BIG).open("ab") as file:
        file.write(b"x")
    with pytest.raises(errors.FetchError, match=f"signed {BIG_BYTES} bytes"):
        pull(str(own_release.model), tmp_path / "out", own_release.policy)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("damage", ["missing", "damaged"])
def test_without_a_tree_file(own_release: Release, tmp_path: Path, damage: str) -> None:
    tree = own_release.model / "model.tree"
    if damage == "missing":
        tree.unlink()
    else:
        flip(tree, 50)
    result = pull(str(own_release.model), tmp_path / "out", own_release.policy)
    assert "compared whole" in result.detail
    assert content_of(tmp_path / "out", own_release) == own_release.content
    flip(own_release.model / BIG, 9)
    with pytest.raises(errors.DigestMismatchError, match=BIG):
        pull(str(own_release.model), tmp_path / "out2", own_release.policy)
    assert not (tmp_path / "out2").exists()
    with pytest.raises(errors.UsageError, match="needs the tree file"):
        pull(str(own_release.model), tmp_path / "out3", own_release.policy, only=[BIG])


def test_tree_file_comes_from_the_mirror(
    own_release: Release, release: Release, tmp_path: Path
) -> None:
    flip(own_release.model / "model.tree", 50)
    result = pull(
        str(own_release.model), tmp_path / "out", release.policy, mirrors=[str(release.model)]
    )
    assert result.detail == ""
    assert (tmp_path / "out/model.tree").read_bytes() == (release.model / "model.tree").read_bytes()


def test_only_a_file(release: Release, tmp_path: Path) -> None:
    result = pull(str(release.model), tmp_path / "out", release.policy, only=["*.json"])
    assert result.is_partial
    assert result.bytes_moved == len(release.content["config.json"])
    assert left(tmp_path / "out") == ["config.json", "model.sig", "model.tree"]
    with pytest.raises(errors.MissingShardError):
        pyhash.verify(tmp_path / "out", keys=[release.public])


def test_only_a_tensor(release: Release, tmp_path: Path) -> None:
    result = pull(str(release.model), tmp_path / "out", release.policy, only=["b"])
    assert left(tmp_path / "out") == ["model.safetensors", "model.sig", "model.tree"]
    data = (tmp_path / "out" / SHARD).read_bytes()
    signed = release.content[SHARD]
    assert data[: 2 * SPAN] == signed[: 2 * SPAN]  # the header, and the tensor
    assert data[2 * SPAN :] == bytes(len(signed) - 2 * SPAN)
    assert result.files == 1


def test_only_what_there_is(release: Release, tmp_path: Path) -> None:
    with pytest.raises(errors.UsageError, match="no file and no tensor is called nothing"):
        pull(str(release.model), tmp_path / "out", release.policy, only=["nothing"])
    assert not (tmp_path / "out").exists()


def test_index_that_leads_outside_is_refused(release: Release, tmp_path: Path) -> None:
    """Closure holds for what is fetched as for what is verified where it lies."""
    model = tmp_path / "model"
    model.mkdir()
    (model / "a.bin").write_bytes(b"x")
    pyhash.sign(model, release.key)
    (model / "model.safetensors.index.json").write_text('{"weight_map": {"a": "../../b"}}')
    with pytest.raises(errors.ClosureError):
        pyhash.sign(model, release.key)
    unchecked = pytest.MonkeyPatch()
    with unchecked.context() as patch:
        patch.setattr("pyhash.closure.check_closure", lambda *_: [])
        pyhash.sign(model, release.key)
    with pytest.raises(errors.ClosureError):
        pull(str(model), tmp_path / "out", release.policy)
    assert not (tmp_path / "out").exists()


def test_bandwidth_is_capped(release: Release, tmp_path: Path) -> None:
    options = PullOptions(bytes_per_second=10 * SPAN, connections=4)
    began = time.monotonic()
    pull(str(release.model), tmp_path / "out", release.policy, only=["*.safetensors", "sub/*"])
    pull(
        str(release.model), tmp_path / "o2", release.policy, only=["*.safetensors"], options=options
    )
    assert time.monotonic() - began >= 2.5 * SPAN / (10 * SPAN) - 0.1 - 0.1


def test_full_disk_is_said_before_anything_is_fetched(
    release: Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.statvfs(tmp_path)
    fields = list(real)
    fields[4] = 8  # f_bavail
    monkeypatch.setattr(os, "statvfs", lambda _: os.statvfs_result(fields))
    with pytest.raises(errors.WriteError, match="still to come"):
        pull(str(release.model), tmp_path / "out", release.policy)
    assert not (tmp_path / "out").exists()


def test_disk_that_somebody_else_fills_meanwhile(
    release: Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There was room when it was asked for; the drive says no in the middle of a write."""
    place = tmp_path / "drive"
    place.mkdir()
    try:
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=20m", "none", place],
            check=True,
            capture_output=True,
        )
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"a drive of 20 MiB cannot be mounted: {error}")
    try:
        with monkeypatch.context() as patch:
            patch.setattr(Quarantine, "check_space", lambda *_: None)
            with pytest.raises(errors.WriteError, match="No space left on device"):
                pull(str(release.model), place / "out", release.policy)
        assert not (place / "out").exists()
        subprocess.run(["mount", "-o", "remount,size=200m", place], check=True)
        result = pull(str(release.model), place / "out", release.policy)
        assert 0 < result.bytes_moved <= release.size
        assert content_of(place / "out", release) == release.content
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)


@pytest.mark.parametrize("when", ["on the way", "at the end"])
def test_what_the_drive_refused_is_fetched_again(
    release: Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    """After EIO the page cache still has the bytes, and the drive has not: not believed."""
    real, turns = os.fsync, iter((when == "on the way", True))

    def refuse(descriptor: int) -> None:
        if os.readlink(f"/proc/self/fd/{descriptor}").endswith(BIG) and next(turns):
            raise OSError(errno.EIO, "Input/output error")
        real(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", refuse)
        with pytest.raises(errors.WriteError, match=f"{BIG}.*Input/output error"):
            pull(str(release.model), tmp_path / "out", release.policy)
    # One full request of it settles on the way, and all of it at the end.
    assert len(list(turns)) == (1 if when == "on the way" else 0)
    assert not (tmp_path / "out").exists()
    result = pull(str(release.model), tmp_path / "out", release.policy)
    assert result.bytes_moved >= BIG_BYTES
    assert content_of(tmp_path / "out", release) == release.content


def test_two_pulls_of_the_same(release: Release, tmp_path: Path) -> None:
    bundle = (release.model / "model.sig").read_bytes()
    with (
        pull_main.quarantine_for(str(tmp_path / "out"), bundle),
        pytest.raises(errors.UsageError, match="under way"),
    ):
        pull(str(release.model), tmp_path / "out", release.policy)


def test_quarantine_of_somebody_else(
    release: Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    with pytest.raises(errors.UsageError, match="somebody else's"):
        pull(str(release.model), tmp_path / "out", release.policy)


def test_link_in_the_quarantine_is_not_followed(release: Release, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    bundle = (release.model / "model.sig").read_bytes()
    with pull_main.quarantine_for(str(tmp_path / "out"), bundle) as quarantine:
        os.symlink(victim, quarantine.place(BIG))
    with pytest.raises(errors.WriteError, match=BIG):
        pull(str(release.model), tmp_path / "out", release.policy)
    assert victim.read_bytes() == b"precious"
    assert not (tmp_path / "out").exists()


def test_killed_and_resumed(release: Release, tmp_path: Path) -> None:
    """What a killed pull leaves is invisible, and the next one moves only what is missing."""
    command = [
        *(sys.executable, "-m", "pyhash", "pull", release.model, tmp_path / "out"),
        *("--key", release.public, "--limit-rate", "20M", "--connections", "2"),
    ]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 60
        partial: list[Path] = []
        while not partial or (partial[0] / BIG).stat().st_blocks * 512 < 10 * SPAN:
            assert time.monotonic() < deadline and process.poll() is None
            partial = [one for one in tmp_path.glob(".out.*.partial") if (one / BIG).exists()]
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    assert not (tmp_path / "out").exists()
    result = pull(str(release.model), tmp_path / "out", release.policy)
    assert result.bytes_kept >= 9 * SPAN
    assert result.bytes_moved + result.bytes_kept == release.size
    assert content_of(tmp_path / "out", release) == release.content


def test_no_such_source(tmp_path: Path, release: Release) -> None:
    for reference, kind in (
        (str(tmp_path / "nowhere"), errors.FetchError),
        ("http://localhost/model", errors.UsageError),
        ("ftp://localhost/model", errors.UsageError),
        ("https:///model", errors.UsageError),
        ("https://me:secret@localhost/model", errors.UsageError),
        ("s3:///prefix", errors.UsageError),
        ("s3://bucket/prefix", errors.UsageError),
        ("hf://host/only-one", errors.UsageError),
    ):
        with pytest.raises(kind):
            pull(reference, tmp_path / "out", release.policy)
    assert left(tmp_path) == []
