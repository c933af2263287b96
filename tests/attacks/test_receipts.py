# SPDX-License-Identifier: Apache-2.0
"""Attacks on receipts, as docs/receipts.md lists them: those that are refused, and, each shown to
work, those that a receipt cannot see.
"""

from __future__ import annotations

import json
import mmap
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import pyhash
from pyhash import errors
from pyhash.guarantees import CONTENT, by_receipt, recorded
from pyhash.receipts import Store, open_store
from tests.attacks._stage import Stage

SHARD = "model-00001-of-00002.safetensors"


@pytest.fixture
def store(stage: Stage) -> Store:
    """Receipts of this host, with one of the checkpoint that has just been verified."""
    made = open_store(stage.home / "receipts", create=True)
    pyhash.verify(stage.model, keys=[stage.trusted], guarantee=recorded(CONTENT, made))
    assert verify(stage, made).guarantee == "receipt"
    return made


def verify(stage: Stage, store: Store) -> pyhash.Verified:
    return pyhash.verify(stage.model, keys=[stage.trusted], guarantee=by_receipt(store))


def shard_of(stage: Stage) -> Path:
    return sorted(Path(stage.model).glob("*.safetensors"))[0]


def expect_refused(stage: Stage, store: Store, match: str = "not those of the receipt") -> None:
    """By receipt: no answer. ``run`` starts nothing. Of the changed files: refused."""
    with pytest.raises(errors.ReceiptError, match=match):
        verify(stage, store)
    started = stage.home / "started"
    finished = stage.commands.run(
        *("run", "--key", stage.trusted, stage.model, "--receipts", store.directory),
        *("--receipt", "--guarantee", "receipt", "--", "touch", started),
        directory=stage.home,
    )
    assert finished.code == 3, finished.stderr
    assert not started.exists()


def overwrite(path: Path) -> None:
    """Other bytes of the same size, in place."""
    with path.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        last = file.read(1)[0]
        file.seek(-1, os.SEEK_END)
        file.write(bytes([last ^ 1]))


def expect_mismatch(stage: Stage, store: Store) -> None:
    with pytest.raises(errors.DigestMismatchError):
        pyhash.verify(stage.model, keys=[stage.trusted], guarantee=by_receipt(store, rehash=True))


# --- refused --------------------------------------------------------------------------------------


def test_content_changed_and_mtime_restored(stage: Stage, store: Store) -> None:
    shard = shard_of(stage)
    before = shard.stat()
    overwrite(shard)
    os.utime(shard, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (shard.stat().st_mtime_ns, shard.stat().st_size) == (before.st_mtime_ns, before.st_size)
    expect_refused(stage, store)
    expect_mismatch(stage, store)


def test_inode_replaced_by_a_rename(stage: Stage, store: Store) -> None:
    shard = shard_of(stage)
    before = shard.stat()
    other = shard.with_suffix(".new")
    shutil.copy(shard, other)
    overwrite(other)
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.rename(shard)
    expect_refused(stage, store)
    expect_mismatch(stage, store)


def test_same_inode_number_on_another_device(stage: Stage, store: Store) -> None:
    """tmpfs mounted over the directory, filled until the inode number is the same."""
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    copy = stage.home / "copy"
    shutil.copytree(stage.model, copy)
    with mounted("-t", "tmpfs", "none", stage.model):
        shutil.copytree(copy, stage.model, dirs_exist_ok=True)
        overwrite(shard_of(stage))
        expect_refused(stage, store)
        expect_mismatch(stage, store)


@pytest.mark.parametrize("whole", [True, False], ids=["directory", "file"])
def test_bind_mount_over_it(whole: bool, stage: Stage, store: Store) -> None:
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    copy = stage.home / "copy"
    shutil.copytree(stage.model, copy)  # with the times of the original
    evil = sorted(copy.glob("*.safetensors"))[0]
    overwrite(evil)
    over = (copy, stage.model) if whole else (evil, shard_of(stage))
    with mounted("--bind", *over):
        expect_refused(stage, store)
        expect_mismatch(stage, store)
    assert verify(stage, store).guarantee == "receipt"


class mounted:  # noqa: N801
    """Mount for the length of a block; the test is skipped where that is not allowed."""

    def __init__(self, *arguments: object) -> None:
        self._arguments = [str(one) for one in arguments]

    def __enter__(self) -> None:
        done = subprocess.run(["mount", *self._arguments], capture_output=True, check=False)
        if done.returncode:
            pytest.skip(f"mount is not allowed here: {done.stderr.decode().strip()}")

    def __exit__(self, *_: object) -> None:
        subprocess.run(["umount", "--lazy", self._arguments[-1]], check=True)


def test_store_through_a_mapping_that_was_dirty_before(stage: Stage) -> None:
    """A page that is dirty already can be written to without any time changing, so recording
    writes it back first, and the next store is seen. (Not on tmpfs: see below.)
    """
    shard = shard_of(stage)
    if _file_system(shard) == "tmpfs":
        pytest.skip("tmpfs has no writing back, and the receipt does not hold there")
    store = open_store(stage.home / "receipts", create=True)
    with shard.open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapping:
        last = mapping[-1]
        mapping[-1] = last  # dirty, and as it was
        pyhash.verify(stage.model, keys=[stage.trusted], guarantee=recorded(CONTENT, store))
        time.sleep(0.05)
        mapping[-1] = last ^ 1
        expect_refused(stage, store)
        expect_mismatch(stage, store)


def _file_system(path: Path) -> str:
    done = subprocess.run(["stat", "-f", "-c", "%T", path], capture_output=True, check=True)
    return done.stdout.decode().strip()


def _edit(path: Path) -> None:
    """What an attacker who can write there would want: the identity of the file as it is now."""
    line, mac, _ = path.read_bytes().split(b"\n")
    value = json.loads(line)
    value["files"] = dict.fromkeys(value["files"], "1 2 3 4 5")
    path.write_bytes(json.dumps(value).encode() + b"\n" + mac + b"\n")


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-10])


def _empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("spoil", [_edit, _cut, _empty])
def test_receipt_edited(spoil: Callable[[Path], None], stage: Stage, store: Store) -> None:
    (path,) = Path(store.directory).glob("*.receipt")
    spoil(path)
    expect_refused(stage, store, "not written with this host's key")
    with pytest.raises(errors.ReceiptError):
        pyhash.verify(stage.model, keys=[stage.trusted], guarantee=by_receipt(store, rehash=True))


def test_receipt_of_another_host(stage: Stage, store: Store) -> None:
    """There the same files were good; here they are not, and a copied receipt says they are."""
    theirs = open_store(stage.home / "theirs", create=True)
    (path,) = Path(store.directory).glob("*.receipt")
    shutil.copy(path, theirs.directory)
    expect_refused(stage, theirs, "not written with this host's key")


def test_whole_store_of_another_host(
    stage: Stage, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Key and all: the boot is another one."""
    monkeypatch.setattr("pyhash.receipts._binding.boot_id", lambda: "another boot")
    with pytest.raises(errors.ReceiptError, match="last boot, or from another host"):
        verify(stage, store)
    proof = pyhash.verify(
        stage.model, keys=[stage.trusted], guarantee=by_receipt(store, rehash=True)
    )
    assert proof.guarantee == "content"


def test_receipt_of_another_checkpoint(stage: Stage, store: Store) -> None:
    """Under the name that the receipt of this one would have."""
    other = stage.home / "other"
    shutil.copytree(stage.model, other)
    pyhash.verify(other, keys=[stage.trusted], guarantee=recorded(CONTENT, store))
    other_receipt = store.place(os.path.realpath(other), "receipt")
    shutil.copy(other_receipt, store.place(os.path.realpath(stage.model), "receipt"))
    expect_refused(stage, store, "it is about")


def test_receipt_of_another_release(stage: Stage, store: Store) -> None:
    """The attacker's bytes were verified once, against the attacker's own bundle of them."""
    overwrite(shard_of(stage))
    genuine = Path(stage.model, "model.sig").read_bytes()
    pyhash.sign(stage.model, stage.attacker)
    pyhash.verify(
        stage.model,
        keys=[stage.home / "attacker.pub"],
        guarantee=recorded(CONTENT, store),
    )
    Path(stage.model, "model.sig").write_bytes(genuine)
    expect_refused(stage, store, "another signed manifest")
    expect_mismatch(stage, store)


def test_receipt_of_another_signer(stage: Stage, store: Store) -> None:
    """The same content, signed by two keys: what one vouched for is not the other's word."""
    pyhash.sign(stage.model, stage.attacker)
    with pytest.raises(errors.SignatureError):
        verify(stage, store)
    with pytest.raises(errors.ReceiptError, match="another key had signed"):
        pyhash.verify(stage.model, keys=[stage.home / "attacker.pub"], guarantee=by_receipt(store))


def test_receipt_does_not_stand_for_the_signature(stage: Stage, store: Store) -> None:
    os.unlink(Path(stage.model, "model.sig"))
    with pytest.raises(errors.UnsignedError):
        verify(stage, store)


def test_run_takes_no_receipt_unless_told(stage: Stage, store: Store) -> None:
    started = stage.home / "started"
    base = ("run", "--key", stage.trusted, stage.model, "--receipts", store.directory)
    for options, code in (
        (("--receipt",), 2),
        (("--changed",), 2),
        (("--sample", "50%"), 2),
        (("--sample", "50%", "--seed", "1", "--guarantee", "sampled"), 2),
        (("--receipt", "--guarantee", "sampled"), 2),
        (("--receipt", "--guarantee", "content"), 2),
        (("--receipt", "--guarantee", "receipt"), 0),
    ):
        finished = stage.commands.run(*base, *options, "--", "touch", started, directory=stage.home)
        assert finished.code == code, finished.stderr
        assert started.exists() == (code == 0)


# --- what a receipt cannot see: each is shown, so that the document stays true --------------------


def test_root_can_forge_everything(stage: Stage, store: Store) -> None:
    """Who is root reads the key and signs a receipt for other bytes. Not defended against."""
    overwrite(shard_of(stage))
    from pyhash.receipts import read_receipt, record

    binding_of = read_receipt(store, os.path.realpath(stage.model))
    assert binding_of
    from pyhash import files

    listing = files.list_checkpoint(stage.model, lambda path: path in ("model.sig", "model.tree"))
    record(store, binding_of.binding, listing.files, 2**63 - 1)
    assert verify(stage, store).guarantee == "receipt"
    with pytest.raises(errors.DigestMismatchError):
        pyhash.verify(stage.model, keys=[stage.trusted])


@pytest.fixture
def small_tmpfs(tmp_path: Path) -> Iterator[Path]:
    """A tmpfs of one's own."""
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    place = tmp_path / "tmpfs"
    place.mkdir()
    with mounted("-t", "tmpfs", "none", place):
        yield place


def test_store_through_a_mapping_on_tmpfs(small_tmpfs: Path, stage: Stage) -> None:
    """tmpfs never writes back, so a page that was dirty stays so, and no time changes."""
    model = small_tmpfs / "model"
    shutil.copytree(stage.model, model)
    store = open_store(stage.home / "receipts", create=True)
    shard = sorted(model.glob("*.safetensors"))[0]
    with shard.open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapping:
        last = mapping[-1]
        mapping[-1] = last
        pyhash.verify(model, keys=[stage.trusted], guarantee=recorded(CONTENT, store))
        time.sleep(0.05)
        mapping[-1] = last ^ 1
        proof = pyhash.verify(model, keys=[stage.trusted], guarantee=by_receipt(store))
        assert proof.guarantee == "receipt"
        with pytest.raises(errors.DigestMismatchError):
            pyhash.verify(model, keys=[stage.trusted])
