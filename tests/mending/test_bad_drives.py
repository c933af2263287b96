# SPDX-License-Identifier: Apache-2.0
"""Drives that rot or fail, as scrub and repair see them: bits that change under the file system,
and reads that the kernel answers with EIO.

Rot needs a loop device. For failing reads there are two ways: a truncated loop image, in
test_scrub.py and test_repair.py, and here a file system of our own, which needs only /dev/fuse.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

import pyhash as library
from pyhash import errors
from pyhash.policy import Policy
from pyhash.repair import damaged_runs, repair
from pyhash.scrub import ScrubOptions, ScrubResult, scrub
from tests.attacks import _turning_fs
from tests.mending._damaged import SPAN, flip
from tests.support.command_line import answer, pyhash
from tests.support.loop_image import LoopImage, Unavailable, loop_image
from tests.unit._signed import write_keys

BIG, SMALL = "big.bin", "small.bin"
SIZE = 5 * SPAN + 17
LOST = 3 * SPAN


@dataclass(frozen=True)
class Model:
    """A signed flat checkpoint."""

    place: Path
    public: Path
    content: bytes

    @property
    def policy(self) -> Policy:
        return Policy.from_key_files([self.public])


@pytest.fixture
def model(tmp_path: Path) -> Model:
    key, public = write_keys(tmp_path)
    place = tmp_path / "good"
    place.mkdir()
    content = os.urandom(SIZE)
    (place / SMALL).write_bytes(b"small")
    (place / BIG).write_bytes(content)
    library.sign(place, key)
    return Model(place, public, content)


# --- rot ------------------------------------------------------------------------------------------


@pytest.fixture
def image(tmp_path: Path) -> Iterator[LoopImage]:
    try:
        with loop_image(tmp_path) as made:
            yield made
    except Unavailable as reason:
        pytest.skip(f"no rot under a file system here: {reason}")


def times(path: Path) -> tuple[int, int, int, int]:
    status = path.stat()
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def test_rot_under_the_file_system(model: Model, image: LoopImage, tmp_path: Path) -> None:
    """Found by signed digests and by records, on the drive and not only in memory; and mended, with
    nothing else written.
    """
    place = image.root / "model"
    shutil.copytree(model.place, place)
    records = str(tmp_path / "records")

    def check(**options: object) -> ScrubResult:
        how = ScrubOptions(records=records, from_drive=True, **options)  # type: ignore[arg-type]
        return scrub(place, model.policy, options=how)

    assert check(record=True).recorded
    before = times(place / BIG)
    for at in (SPAN + 7, 5 * SPAN + 16):
        image.rot(place / BIG, at)
    assert times(place / BIG) == before  # whoever looks at these sees nothing
    expected = ((BIG, SPAN, 2 * SPAN), (BIG, 5 * SPAN, SIZE))
    assert check(rot_only=True).damaged == expected
    assert check().damaged == expected
    small = times(place / SMALL)
    result = repair(place, [str(model.place)], model.policy)
    assert [damaged_runs(one) for one in result.damage] == [((SPAN, 2 * SPAN), (5 * SPAN, SIZE))]
    assert (place / BIG).read_bytes() == model.content
    assert times(place / BIG)[0] == before[0]
    assert times(place / SMALL) == small
    assert check().damaged == ()


# --- EIO ------------------------------------------------------------------------------------------


@contextmanager
def failing(source: Path, mountpoint: Path) -> Iterator[Path]:
    """The files of a directory on a drive that has lost the end of the largest one."""
    if os.geteuid() != 0 or not Path("/dev/fuse").exists():
        pytest.skip("no failing reads by FUSE here: needs root and /dev/fuse")
    mountpoint.mkdir()
    command = [
        *(sys.executable, _turning_fs.__file__, str(source), str(mountpoint)),
        *("--evil", BIG, "--lost", str(LOST), "--direct"),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stderr is not None
        if process.stdout.readline() != b"mounted\n":
            pytest.skip(f"no failing reads by FUSE here: {process.stderr.read().decode()[-300:]}")
        try:
            yield mountpoint
        finally:
            _turning_fs.unmount(mountpoint)
            process.wait(20)


def test_what_cannot_be_read_is_not_said_to_be_whole(model: Model, tmp_path: Path) -> None:
    with failing(model.place, tmp_path / "drive") as drive:
        with (drive / BIG).open("rb") as file, pytest.raises(OSError, match="Input/output error"):
            os.pread(file.fileno(), 1, LOST)
        with pytest.raises(errors.ReadError, match=BIG):
            library.verify(drive, keys=[model.public])
        done = pyhash("scrub", drive, "--key", model.public, "--format", "json")
        assert done.returncode == 3
        (one,) = answer(done)["checkpoints"]
        assert [place[:2] for place in one["unreadable"]] == [
            [BIG, start] for start in (LOST, LOST + SPAN, LOST + 2 * SPAN)
        ]
        assert one["damaged"] == []


def test_second_copy_on_a_drive_that_fails(model: Model, tmp_path: Path) -> None:
    """What it gives is taken, what it does not give comes from the next; from it alone, the command
    ends in 3, and the span is as it was.
    """
    broken = tmp_path / "broken"
    shutil.copytree(model.place, broken)
    for span in (1, 4):
        flip(broken / BIG, span * SPAN)
    damaged = (broken / BIG).read_bytes()
    with failing(model.place, tmp_path / "drive") as drive:
        command = ("repair", broken, "--key", model.public, "--from", drive)
        done = pyhash(*command)
        assert done.returncode == 3
        assert b"Input/output error" in done.stderr
        after = (broken / BIG).read_bytes()
        for span in range(6):
            start, end = span * SPAN, min((span + 1) * SPAN, SIZE)
            allowed = {damaged[start:end]} | ({model.content[start:end]} if span == 1 else set())
            assert after[start:end] in allowed
        result = repair(broken, [str(drive), str(model.place)], model.policy)
    assert (broken / BIG).read_bytes() == model.content
    sources = {one.start // SPAN: one.source for one in result.taken}
    assert sources[4] == str(model.place)
