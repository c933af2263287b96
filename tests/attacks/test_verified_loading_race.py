# SPDX-License-Identifier: Apache-2.0
"""Files that are good while they are checked and evil when they are used.

A file system of our own turns at a moment that the test chooses. Verifying and then loading with
the ordinary loader takes the evil bytes, which is the gap; verified loading hands out good bytes
or raises, whenever the file system turns.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from numpy.typing import NDArray

import pyhash
from pyhash import errors, gate
from pyhash.safetensors import load_file, safe_open
from tests.attacks import _turning_fs
from tests.unit._signed import write_keys

SPAN = 1 << 20
SHARD = "model.safetensors"
SIZE = 3 * SPAN

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not os.path.exists("/dev/fuse"),
    reason="RACE TEST NOT RUN: a file system that turns needs root and /dev/fuse",
)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("race")
    private, _ = write_keys(home)
    (home / "model").mkdir()
    safetensors.numpy.save_file({"weights": good()}, home / "model" / SHARD)
    (home / "model/config.json").write_text("{}")
    pyhash.sign(home / "model", private)
    return home


def good() -> NDArray[np.int32]:
    return np.random.default_rng(4).integers(0, 1000, (3 * 256, 1024), dtype=np.int32)


@contextmanager
def turning(
    home: Path, place: Path, *, after: int | None = None, direct: bool = True
) -> Iterator[Path]:
    """The checkpoint on a file system that turns after so many bytes, or when ``flag`` is there."""
    mountpoint = place / "mounted"
    mountpoint.mkdir(exist_ok=True)
    command = [
        sys.executable,
        "-IS",
        _turning_fs.__file__,
        home / "model",
        mountpoint,
        "--evil",
        SHARD,
    ]
    command += ["--flag", place / "flag", *(["--direct"] if direct else [])]
    command += [] if after is None else ["--after", str(after)]
    server = subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE)
    try:
        assert server.stdout is not None and server.stdout.readline() == b"mounted\n"
        yield mountpoint
    finally:
        _turning_fs.unmount(mountpoint)
        server.wait(timeout=20)
        if server.stdout:
            server.stdout.close()


def key(home: Path) -> list[Path]:
    return [home / "publisher.pub"]


def test_the_gap_of_verifying_and_then_loading(home: Path, tmp_path: Path) -> None:
    """The attack works against what everybody does, with our own verify too."""
    with turning(home, tmp_path, direct=False) as model:
        proof = pyhash.verify(model, keys=key(home))
        assert proof.guarantee == "content"
        (tmp_path / "flag").touch()
        taken = safetensors.numpy.load_file(model / SHARD)["weights"]
        assert not np.array_equal(taken, good())
        # Nothing that a file says of itself gives it away.
        gate.check_unchanged(proof)


def test_what_was_loaded_stays_what_was_checked(home: Path, tmp_path: Path) -> None:
    with turning(home, tmp_path, direct=False) as model:
        loaded = pyhash.load(model, keys=key(home))
        whole = loaded.numpy()["weights"]
        part = pyhash.load(model, keys=key(home), only=["weights"]).numpy()["weights"]
        (tmp_path / "flag").touch()
        assert not np.array_equal(safetensors.numpy.load_file(model / SHARD)["weights"], good())
        np.testing.assert_array_equal(whole, good())
        np.testing.assert_array_equal(part, good())
        with pytest.raises(errors.DigestMismatchError):
            pyhash.load(model, keys=key(home))


@pytest.mark.parametrize("reader", ["auto", "direct"])
def test_whenever_it_turns(home: Path, tmp_path: Path, reader: str) -> None:
    """Good bytes or none, for every moment from before the first read to after the last."""
    options = pyhash.Options(reader=reader, threads=2)
    outcomes, named = set(), set()
    for after in (0, 4096, SIZE // 2 + 1, SIZE, 2 * SIZE, 4 * SIZE):
        for only in (None, ["weights"], {"weights": (slice(500, 700),)}):
            with turning(home, tmp_path, after=after) as model:
                try:
                    loaded = pyhash.load(model, keys=key(home), only=only, options=options)
                except errors.VerificationError as error:
                    outcomes.add("refused")
                    named |= {finding.path for finding in error.findings}
                    continue
            found = loaded.numpy()["weights"]
            rows = only["weights"][0] if isinstance(only, dict) else slice(None)
            np.testing.assert_array_equal(found, good()[rows])
            outcomes.add("good")
    assert outcomes == {"refused", "good"}
    assert named == {SHARD}


def test_drop_ins(home: Path, tmp_path: Path) -> None:
    with turning(home, tmp_path) as model:
        with safe_open(model / SHARD, "np", keys=key(home)) as file:
            np.testing.assert_array_equal(file.get_slice("weights")[:10], good()[:10])
            (tmp_path / "flag").touch()
            np.testing.assert_array_equal(file.get_slice("weights")[:10], good()[:10])
            with pytest.raises(errors.DigestMismatchError):
                file.get_tensor("weights")
        with pytest.raises(errors.DigestMismatchError):
            load_file(model / SHARD, keys=key(home))
