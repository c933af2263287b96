# SPDX-License-Identifier: Apache-2.0
"""Faults under what relies on earlier work: killed at every step, blocks lost, bits rotten.

A process is forked for each step and killed right before that system call, so every state that a
crash can leave behind is looked at.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import pyhash
from pyhash import errors
from pyhash.carrying import Update
from pyhash.files import Identity, list_checkpoint
from pyhash.guarantees import CONTENT, by_receipt, only, recorded, resume, sample
from pyhash.receipts import open_store, read_receipt
from tests.support.loop_image import Unavailable, loop_image
from tests.unit._signed import SHARD, SPAN, write_checkpoint, write_keys

ROOT = Path(__file__).resolve().parents[2]

# Runs ``action`` in forks, each killed before its n-th step, until one comes to its end; after
# each, copies the directory away as it was left, and puts it back as it was before.
SWEEP = """
import os, shutil, signal, sys
from pathlib import Path
import pyhash
from pyhash.carrying import Update
from pyhash.guarantees import CONTENT, recorded, resume
from pyhash.receipts import open_store
home, action = Path(sys.argv[1]), sys.argv[2]
model, store, key = home / "work/model", home / "work/receipts", home / "publisher.key"
import pyhash.sign_checkpoint, pyhash.verify_checkpoint
STEPS = ("open", "write", "fsync", "fchmod", "rename", "link", "unlink", "ftruncate", "mkdir")

def act():
    verify = {"keys": [home / "publisher.pub"]}
    if action == "sign":
        (model / "README.md").write_text("new")
        pyhash.sign(model, key, update=Update(("*.safetensors",)))
    elif action == "record":
        pyhash.verify(model, guarantee=recorded(CONTENT, open_store(store, create=True)), **verify)
    else:
        guarantee = resume(open_store(store, create=True), batch_bytes=1 << 20)
        pyhash.verify(model, guarantee=guarantee, **verify)

def count_down(left):
    def wrap(real):
        def step(*arguments, **named):
            if real is not os_open or arguments[1] & (os.O_CREAT | os.O_WRONLY | os.O_RDWR):
                left[0] -= 1
                if not left[0]:
                    os.kill(os.getpid(), signal.SIGKILL)
            return real(*arguments, **named)
        return step
    os_open = os.open
    for name in STEPS:
        setattr(os, name, wrap(getattr(os, name)))

number, killed = 0, True
while killed:
    number += 1
    shutil.copytree(home / "before", home / "work")
    child = os.fork()
    if not child:
        count_down([number])
        act()
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    killed = os.WIFSIGNALED(status)
    assert killed or status == 0, status
    (home / "work").rename(home / f"left{number}")
print(number)
"""


def sweep(home: Path, action: str) -> list[Path]:
    """Every state that a kill leaves behind, and last the one of an action that was not killed."""
    done = subprocess.run(
        [sys.executable, "-c", SWEEP, str(home), action],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [home / f"left{number + 1}" for number in range(int(done.stdout))]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """``before/model``, signed."""
    private, _ = write_keys(tmp_path)
    write_checkpoint(tmp_path / "before/model")
    pyhash.sign(tmp_path / "before/model", private)
    return tmp_path


def leftovers(directory: Path) -> list[str]:
    return [name for name in os.listdir(directory) if name.startswith(".pyhash-")]


def test_killed_while_signing_an_update(home: Path) -> None:
    states = sweep(home, "sign")
    before = (home / "before/model/model.sig").read_bytes()
    seen = set()
    for state in states:
        model = state / "model"
        is_old = (model / "model.sig").read_bytes() == before
        seen.add(is_old)
        assert len(leftovers(model)) <= 1  # whole, between getting a name and getting the right one
        for name in leftovers(model):
            (model / name).unlink()
        if is_old:
            (model / "README.md").unlink(missing_ok=True)
        proof = pyhash.verify(model, keys=[home / "publisher.pub"])
        assert ("README.md" in {shard.path for shard in proof.manifest.shards}) != is_old
        pyhash.sign(model, home / "publisher.key")  # nothing is in the way of the next
    assert seen == {True, False}
    assert len(states) > 8


@pytest.mark.parametrize("is_first", [True, False])
def test_killed_while_recording(is_first: bool, home: Path) -> None:
    if not is_first:
        open_store(home / "before/receipts", create=True)
        (home / "before").rename(home / "work")
        store = open_store(home / "work/receipts")
        guarantee = recorded(CONTENT, store)
        pyhash.verify(home / "work/model", keys=[home / "publisher.pub"], guarantee=guarantee)
        old = read_receipt(store, str((home / "work/model").resolve()))
        (home / "work").rename(home / "before")
    place = str((home / "work/model").resolve())
    states = sweep(home, "record")
    is_new = []
    for state in states:
        # Also where the key had not been made yet: the next user makes it.
        store = open_store(state / "receipts", create=True)
        found = read_receipt(store, place)
        assert len(leftovers(Path(store.directory))) <= 1
        is_new.append(found is not None and found.identities == identities(state / "model"))
        assert is_new[-1] or found == (None if is_first else old)
    assert (is_new[0], is_new[-1]) == (False, True)
    assert is_new == sorted(is_new)
    assert len(states) > 5


def identities(model: Path) -> dict[str, Identity]:
    listing = list_checkpoint(model, lambda path: path in ("model.sig", "model.tree"))
    return {file.path: file.identity for file in listing.files}


def test_killed_in_a_resumed_pass(home: Path) -> None:
    states = sweep(home, "resume")
    sizes = []
    for state in states:
        (home / "work").mkdir(exist_ok=True)
        shutil.rmtree(home / "work")
        state.rename(home / "work")  # the same place, and the same files
        store = open_store(home / "work/receipts", create=True)
        proof = pyhash.verify(
            home / "work/model", keys=[home / "publisher.pub"], guarantee=resume(store)
        )
        assert proof.guarantee == ("content" if proof.size == proof_size(proof) else "receipt")
        sizes.append(proof.size)
        assert not list(Path(store.directory).glob("*.progress"))
    assert sizes[0] == max(sizes)  # nothing had been put down
    assert min(sizes) == 0  # all had
    assert sizes[:-1] == sorted(sizes[:-1], reverse=True)


def proof_size(proof: pyhash.Verified) -> int:
    return sum(shard.size or 0 for shard in proof.manifest.shards)


# --- a disk that loses blocks, or bits ------------------------------------------------------------


class Disk:
    """A signed checkpoint with a receipt on a file system in an image."""

    def __init__(self, home: Path, root: Path) -> None:
        self.private, self.public = write_keys(home)
        self.model = root / "model"
        write_checkpoint(self.model)
        shard = self.model / SHARD
        whole = shard.read_bytes()
        shard.unlink()
        shard.write_bytes(whole)  # last, so that nothing lies behind it
        self.signature = home / "model.sig"
        self.places = {"signature": self.signature, "tree": home / "model.tree"}
        pyhash.sign(self.model, self.private, **self.places)  # type: ignore[arg-type]
        self.store = open_store(home / "receipts", create=True)
        self.verify(recorded(CONTENT, self.store))

    def verify(self, guarantee: object) -> pyhash.Verified:
        return pyhash.verify(
            self.model,
            keys=[self.public],
            guarantee=guarantee,  # type: ignore[arg-type]
            **self.places,  # type: ignore[arg-type]
        )


@pytest.fixture
def image(tmp_path: Path) -> Iterator[tuple[Disk, object]]:
    try:
        with loop_image(tmp_path) as made:
            (made.root / "lost+found").rmdir()
            yield Disk(tmp_path, made.root), made
    except Unavailable as error:
        pytest.skip(str(error))


def test_lost_blocks(image: tuple[Disk, object]) -> None:
    disk, made = image
    made.lose_from(disk.model / SHARD, 2 * SPAN)  # type: ignore[attr-defined]
    before = disk.signature.read_bytes()
    for guarantee in (sample("100%"), only(["c"]), resume(disk.store), CONTENT):
        with pytest.raises(errors.ReadError, match=SHARD):
            disk.verify(guarantee)
    assert disk.verify(only(["config.json"])).size == 23
    with pytest.raises(errors.ReadError):
        pyhash.sign(  # what is to be hashed cannot be read
            disk.model,
            disk.private,
            update=Update(("config.json",)),
            **disk.places,  # type: ignore[arg-type]
        )
    assert disk.signature.read_bytes() == before
    # A receipt reads nothing, so it does not see this: docs/receipts.md says so.
    assert disk.verify(by_receipt(disk.store)).guarantee == "receipt"
    # Progress that was put down before the error stands.
    assert list(Path(disk.store.directory).glob("*.progress"))


def test_rotten_bits(image: tuple[Disk, object]) -> None:
    """Written under the file system: no time and no size changes."""
    disk, made = image
    made.rot(disk.model / SHARD, SPAN)  # type: ignore[attr-defined]
    for guarantee in (sample("100%"), only(["b"]), resume(disk.store), CONTENT):
        with pytest.raises(errors.DigestMismatchError) as caught:
            disk.verify(guarantee)
        (finding,) = caught.value.findings
        assert [(one.start, one.end) for one in finding.ranges] == [(SPAN, 2 * SPAN)]
    # The receipt does not see it, and says no more than that the file is the same one.
    assert disk.verify(by_receipt(disk.store, rehash=True)).guarantee == "receipt"
    chance = dict(disk.verify(only(["config.json"])).details)
    assert SHARD in json.dumps(chance["not_covered"])
