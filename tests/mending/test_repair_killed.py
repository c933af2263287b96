# SPDX-License-Identifier: Apache-2.0
"""SIGKILL at every change that a repair makes: each byte of each file is then what it was or what
was signed, what was whole still is, and the next repair ends in a whole checkpoint.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import pyhash
from pyhash.policy import Policy
from pyhash.repair import repair
from tests.mending._damaged import SPAN, flip
from tests.unit._signed import write_keys

REPOSITORY = Path(__file__).resolve().parents[2]


def make(tmp_path: Path) -> tuple[Path, Path]:
    key, public = write_keys(tmp_path)
    source = tmp_path / "source"
    source.mkdir()
    for name, size in (("flipped", 2 * SPAN + 5), ("short", 2 * SPAN), ("long", 7), ("gone", 9)):
        (source / f"{name}.bin").write_bytes(os.urandom(size))
    for name in ("linked", "other-name"):
        (source / f"{name}.bin").write_bytes(bytes(SPAN + 1))
    pyhash.sign(source, key)
    return source, public


def damage(source: Path, damaged: Path) -> None:
    shutil.copytree(source, damaged)
    flip(damaged / "flipped.bin", 3)
    flip(damaged / "flipped.bin", 2 * SPAN)
    os.truncate(damaged / "short.bin", SPAN + 9)
    with (damaged / "long.bin").open("ab") as file:
        file.write(b"unsigned")
    (damaged / "gone.bin").unlink()
    # Two signed names of one file: whole under each name, a link to each other when damaged.
    flip(damaged / "other-name.bin", 0)
    (damaged / "model.tree").unlink()


def old_or_signed(now: bytes, old: bytes, signed: bytes) -> bool:
    """Whether every byte is one of the two; zeros where there was no byte before."""
    size = len(now)
    found, was, will = (
        np.frombuffer(one[:size].ljust(size, b"\0"), np.uint8) for one in (now, old, signed)
    )
    return bool(((found == was) | (found == will)).all())


def test_old_or_signed() -> None:
    assert old_or_signed(b"abxy", b"ab", b"__xy")
    assert old_or_signed(b"ab\0\0", b"ab", b"x")
    assert not old_or_signed(b"abc", b"ab_", b"ab")


def temporary(model: Path) -> list[Path]:
    """Files that have their first name still."""
    return [one for one in model.glob(".pyhash-*") if one.is_file()]


def test_killed_at_every_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # What waits for the drive here would make this take a minute, and shows nothing.
    monkeypatch.setattr(os, "fsync", lambda _: None)
    source, public = make(tmp_path)
    damaged = tmp_path / "damaged"
    damage(source, damaged)
    killer = Path(__file__).with_name("_repair_killer.py")
    work = tmp_path / "work"
    done = subprocess.run(
        [sys.executable, killer, damaged, work, source, public],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(lines) > 40 and not lines[-1]["killed"]
    signed = {one.name: one.read_bytes() for one in source.glob("*.bin")}
    old = {one.name: one.read_bytes() for one in damaged.glob("*.bin")}
    old["linked.bin"] = old["other-name.bin"]
    policy = Policy.from_key_files([public])
    tree = (source / "model.tree").read_bytes()
    for line in lines:
        model = Path(line["directory"])
        trees = [one for one in (model / "model.tree", *temporary(model)) if one.exists()]
        assert len(trees) <= 1 and all(one.read_bytes() == tree for one in trees)
        for one in model.glob("*.bin"):
            now = one.read_bytes()
            assert old_or_signed(now, old.get(one.name, signed[one.name]), signed[one.name])
            assert one.name != "gone.bin" or now == signed[one.name]  # whole, or not there
        result = repair(model, [str(source)], policy)
        # Killed in the instant between its first name and the right one, which nobody has signed.
        assert [one.path for one in result.remaining] == [one.name for one in temporary(model)]
        for one in temporary(model):
            one.unlink()
        assert {one.path for one in result.damage} == {one.path for one in result.mended}
        assert {one.name: one.read_bytes() for one in model.glob("*.bin")} == signed
        pyhash.verify(model, keys=[public])
        shutil.rmtree(model)
