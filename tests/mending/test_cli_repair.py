# SPDX-License-Identifier: Apache-2.0
"""``pyhash repair`` as a person and a program see it."""

from __future__ import annotations

import pytest

from tests.mending._damaged import BIG, SPAN, Pair, flip
from tests.support.command_line import answer, pyhash
from tests.unit._signed import write_keys


def test_damage_is_mended_and_told(pair: Pair) -> None:
    for span in (0, 2, 4):
        flip(pair.model / BIG, span * SPAN + 3)
    command = ("repair", pair.model, "--from", pair.copy, "--key", pair.public)
    rehearsal = pyhash(*command, "--dry-run")
    assert rehearsal.returncode == 1
    assert b"3 spans of 1 files would be fetched" in rehearsal.stderr
    assert b"[2097152, 3145728)" in rehearsal.stderr + rehearsal.stdout
    assert not pair.is_whole()
    done = pyhash(*command, "--format", "json")
    told = answer(done)
    assert done.returncode == 0 and pair.is_whole()
    assert told["result"] == "ok"
    assert told["damaged"][0]["ranges"] == [[span * SPAN, (span + 1) * SPAN] for span in (0, 2, 4)]
    assert [(one["source"], one["start"]) for one in told["spans"]] == [
        (str(pair.copy), span * SPAN) for span in (0, 2, 4)
    ]
    again = pyhash(*command)
    assert again.returncode == 0 and b"nothing was to be mended" in again.stdout + again.stderr


def test_unsigned_file_is_a_refusal(pair: Pair) -> None:
    flip(pair.model / BIG, 3)
    (pair.model / "extra.py").touch()
    done = pyhash("repair", pair.model, "--from", pair.copy, "--key", pair.public)
    assert done.returncode == 1
    assert b"extra.py" in done.stderr and b"removes nothing" in done.stderr
    assert pair.is_whole() and (pair.model / "extra.py").exists()


@pytest.mark.parametrize(
    ("change", "code", "message"),
    [("key", 1, b"key"), ("source", 3, b"no such directory"), ("none", 2, b"--from")],
)
def test_refusals(pair: Pair, change: str, code: int, message: bytes) -> None:
    flip(pair.model / BIG, 3)
    before = (pair.model / BIG).read_bytes()
    _, other = write_keys(pair.model.parent, "other")
    command = {
        "key": ("--from", pair.copy, "--key", other),
        "source": ("--from", "/nowhere", "--key", pair.public),
        "none": ("--key", pair.public),
    }[change]
    done = pyhash("repair", pair.model, *command)
    assert done.returncode == code and message in done.stderr
    assert (pair.model / BIG).read_bytes() == before


def test_many_ranges_and_bad_sources_are_told(pair: Pair, tmp_path) -> None:  # type: ignore[no-untyped-def]
    import os
    import shutil

    import pyhash as library

    model, copy = tmp_path / "wide", tmp_path / "wide copy"
    model.mkdir()
    (model / "wide.bin").write_bytes(bytes(43 * SPAN))
    library.sign(model, pair.key)
    shutil.copytree(model, copy)
    shutil.copytree(model, tmp_path / "worse")
    flip(tmp_path / "worse" / "wide.bin", 0)
    os.unlink(model / "model.tree")
    for span in range(0, 43, 2):
        flip(model / "wide.bin", span * SPAN)
    done = pyhash(
        "repair", model, "--from", tmp_path / "worse", "--from", copy, "--key", pair.public
    )
    text = done.stderr + done.stdout
    assert done.returncode == 0
    assert b"and 2 more ranges" in text and b"had elsewhere" in text and b"tree file" in text
