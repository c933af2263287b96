# SPDX-License-Identifier: Apache-2.0
"""Links into a cache are taken only when asked for, and only as far as the named directory."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Collection
from pathlib import Path

import pytest

import pyhash
from pyhash import closure, errors, files, gate, links
from pyhash.cli import group
from tests.support import peer
from tests.unit import _signed

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Cache:
    """A download cache: a snapshot of links into blobs, one of them into a shared store."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.root = home / "hub"
        self.blobs = self.root / "models--org--name" / "blobs"
        self.snapshot = self.root / "models--org--name" / "snapshots" / COMMIT
        self.blobs.mkdir(parents=True)
        (self.snapshot / "sub").mkdir(parents=True)
        self.blob("b1", '{"model_type": "llama"}')
        _signed.write_shard(self.shared("ab", "xet1"))
        os.symlink("../../blobs/ab/xet1", self.blobs / "b2")
        self.link("config.json", "../../blobs/b1")
        self.link("model.safetensors", "../../blobs/b2")
        self.link("sub/config.json", "../../../blobs/b1")
        self.key, self.trusted = _signed.write_keys(home)

    def blob(self, name: str, text: str) -> Path:
        path = self.blobs / name
        path.write_text(text)
        return path

    def shared(self, prefix: str, name: str) -> Path:
        path = self.root / "blobs" / prefix / name
        path.parent.mkdir(parents=True)
        return path

    def link(self, name: str, target: str | Path) -> None:
        path = self.snapshot / name
        path.unlink(missing_ok=True)
        os.symlink(target, path)

    def sign(self, **named: object) -> pyhash.SignResult:
        return pyhash.sign(self.snapshot, self.key, **{"links_within": self.root, **named})  # type: ignore[arg-type]

    def verify(self, **named: object) -> pyhash.Verified:
        named = {"keys": [self.trusted], "links_within": self.root, **named}
        return pyhash.verify(self.snapshot, **named)  # type: ignore[arg-type]


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path)


def test_a_snapshot_is_signed_and_verified(cache: Cache) -> None:
    signed = cache.sign()
    assert signed.manifest.allow_symlinks
    assert _signed.statement_of(Path(signed.bundle_path))["predicate"]["serialization"][
        "allow_symlinks"
    ]
    verified = cache.verify()
    paths = [shard.path for shard in verified.manifest.shards]
    assert paths == ["config.json", "model.safetensors", "sub/config.json"]
    # The identity is the target's: of the blob at the end of both links.
    (shard,) = [one for one in verified.listing.files if one.path == "model.safetensors"]
    assert shard.identity.inode == os.stat(cache.root / "blobs/ab/xet1").st_ino
    gate.check_unchanged(verified)


def test_the_same_bytes_without_links_have_the_same_root(cache: Cache, tmp_path: Path) -> None:
    signed = cache.sign()
    copy = tmp_path / "copy"
    shutil.copytree(cache.snapshot, copy)
    assert pyhash.verify(copy, keys=[cache.trusted]).root == signed.root


def test_peer_verifies_a_signed_snapshot(cache: Cache) -> None:
    cache.sign()
    done = peer.peer_verify(
        *(cache.snapshot, cache.trusted, cache.snapshot / "model.sig", "--allow_symlinks")
    )
    assert done.returncode == 0, done.stderr


def test_links_are_refused_unless_asked_for(cache: Cache) -> None:
    with pytest.raises(errors.UnexpectedFileError, match="--links-within"):
        cache.sign(links_within=None)
    cache.sign()
    with pytest.raises(errors.MissingShardError, match="symbolic link"):
        cache.verify(links_within=None)


def outside(cache: Cache) -> Path:
    path = cache.home / "outside.json"
    path.write_text('{"model_type": "llama"}')  # the very bytes that are signed
    return path


def _absolute(cache: Cache) -> None:
    cache.link("config.json", outside(cache))


def _dots(cache: Cache) -> None:
    outside(cache)
    cache.link("config.json", "../../../../outside.json")


def _second_level(cache: Cache) -> None:
    (cache.blobs / "b1").unlink()
    os.symlink(outside(cache), cache.blobs / "b1")


def _directory_on_the_way(cache: Cache) -> None:
    outside(cache)
    os.symlink(cache.home, cache.blobs / "door")
    cache.link("config.json", "../../blobs/door/outside.json")


def _prefix_of_the_name(cache: Cache) -> None:
    twin = cache.home / "hub-evil"
    twin.mkdir()
    shutil.copy(outside(cache), twin / "b1")
    cache.link("config.json", twin / "b1")


def _out_and_in_again(cache: Cache) -> None:
    os.symlink(cache.blobs / "b1", cache.home / "turn")
    cache.link("config.json", cache.home / "turn")


def _to_the_root_itself(cache: Cache) -> None:
    cache.link("config.json", "../../..")


ESCAPES = [
    *(_absolute, _dots, _second_level, _directory_on_the_way, _prefix_of_the_name),
    *(_out_and_in_again, _to_the_root_itself),
]


def _three_levels(cache: Cache) -> None:
    os.symlink("b1", cache.blobs / "b0")
    os.symlink("b0", cache.blobs / "b00")
    cache.link("config.json", "../../blobs/b00")


def _loop(cache: Cache) -> None:
    cache.link("config.json", "config.json")


def _dangling(cache: Cache) -> None:
    cache.link("config.json", "../../blobs/none")


def _below_a_file(cache: Cache) -> None:
    cache.link("config.json", "../../blobs/b1/none")


def _directory(cache: Cache) -> None:
    (cache.blobs / "folder").mkdir()
    cache.link("config.json", "../../blobs/folder")


def _pipe(cache: Cache) -> None:
    os.mkfifo(cache.blobs / "pipe")
    cache.link("config.json", "../../blobs/pipe")


def _dot(cache: Cache) -> None:
    cache.link("config.json", "../../blobs/.")


OTHERS = {
    "levels": (_three_levels, f"more than {links.MAX_LEVELS} levels"),
    "loop": (_loop, f"more than {links.MAX_LEVELS} levels"),
    "dangling": (_dangling, "a link to nothing"),
    "below a file": (_below_a_file, "a link to nothing"),
    "directory": (_directory, "no regular file"),
    "pipe": (_pipe, "no regular file"),
    "dot": (_dot, "leads out of"),
}
CASES = {change.__name__: (change, "leads out of") for change in ESCAPES} | OTHERS


@pytest.mark.parametrize(("change", "message"), CASES.values(), ids=CASES)
def test_escapes_are_refused_and_nothing_starts(
    cache: Cache,
    change: Callable[[Cache], None],
    message: str,
    capsysbinary: pytest.CaptureFixture[bytes],
) -> None:
    cache.sign()
    before = (cache.snapshot / "model.sig").read_bytes()
    change(cache)
    with pytest.raises((errors.MissingShardError, errors.UnexpectedFileError)) as caught:
        cache.verify()
    assert any(message in finding.message for finding in caught.value.findings)
    with pytest.raises(errors.UnexpectedFileError, match=message):
        cache.sign()
    assert (cache.snapshot / "model.sig").read_bytes() == before
    started = cache.home / "started"
    options = ("--key", str(cache.trusted), "--links-within", str(cache.root))
    child = (sys.executable, "-c", f"open({str(started)!r}, 'w')")
    code = group.run(("run", *options, str(cache.snapshot), "--", *child))
    assert code == 1
    assert not started.exists()
    assert message.encode() in capsysbinary.readouterr().err


def test_damage_in_a_blob_is_found(cache: Cache) -> None:
    cache.sign()
    _signed.flip(cache.root / "blobs/ab/xet1", 5000)
    with pytest.raises(errors.DigestMismatchError) as caught:
        cache.verify()
    assert [one.path for one in caught.value.findings] == ["model.safetensors"]


def test_a_link_turned_after_verifying_is_seen_before_the_start(cache: Cache) -> None:
    cache.sign()
    verified = cache.verify()
    cache.blob("b3", '{"model_type": "evils"}')
    cache.link("config.json", "../../blobs/b3")
    with pytest.raises(errors.ChangedWhileReadError, match=r"config\.json"):
        gate.check_unchanged(verified)


def test_a_file_put_in_the_place_of_a_blob_after_listing(
    cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is opened must be the file that the link led to when it was listed."""
    cache.sign()
    real = closure.check_closure

    def exchange(
        listing: files.Listing, known: Collection[files.CheckpointFile] = ()
    ) -> list[errors.Finding]:
        found = real(listing, known)
        os.replace(outside(cache), cache.blobs / "b1")  # another file, the same bytes
        return found

    monkeypatch.setattr(closure, "check_closure", exchange)
    with pytest.raises(errors.ChangedWhileReadError, match=r"config\.json"):
        cache.verify()


def test_command_line_both_ways(cache: Cache, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    within = ("--links-within", str(cache.root))
    assert group.run(("sign", str(cache.snapshot), "--key", str(cache.key), *within)) == 0
    verify = ("verify", str(cache.snapshot), "--key", str(cache.trusted), "--format", "json")
    capsysbinary.readouterr()
    assert group.run((*verify, *within)) == 0
    assert json.loads(capsysbinary.readouterr().out)["files"] == 3
    assert group.run(verify) == 1
