# SPDX-License-Identifier: Apache-2.0
"""Repair: what is damaged, missing, too short or too long becomes what was signed; what nobody
signed stays; nothing that is not signed is ever written.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

import pyhash
from pyhash import errors
from pyhash.hashing import Options
from pyhash.policy import Policy
from pyhash.repair import damaged_runs, repair, target
from tests.mending._damaged import (
    BIG,
    BIG_BYTES,
    SHARD,
    SPAN,
    Pair,
    flip,
    mend,
    verified,
)
from tests.unit._signed import write_keys


def snapshot(directory: Path) -> dict[str, tuple[int, int, int]]:
    """Inode, size and time of every entry."""
    found = {}
    for one in sorted(directory.rglob("*")):
        status = one.lstat()
        found[str(one)] = (status.st_ino, status.st_size, status.st_mtime_ns)
    return found


def test_nothing_to_mend_writes_nothing(pair: Pair) -> None:
    before = snapshot(pair.model)
    result = mend(pair)
    assert (result.damage, result.taken, result.is_whole) == ((), (), True)
    assert snapshot(pair.model) == before


def test_damaged_spans_are_written_where_they_are(pair: Pair) -> None:
    flip(pair.model / BIG, 0)
    flip(pair.model / BIG, 3 * SPAN + 5)
    flip(pair.model / SHARD, 2 * SPAN)
    before = snapshot(pair.model)
    result = mend(pair)
    assert pair.is_whole() and verified(pair) and result.is_whole
    assert {one.path: damaged_runs(one) for one in result.damage} == {
        BIG: ((0, SPAN), (3 * SPAN, 4 * SPAN)),
        SHARD: ((2 * SPAN, len(pair.content[SHARD])),),
    }
    assert [(one.path, one.start, one.source) for one in result.taken] == [
        (SHARD, 2 * SPAN, str(pair.copy)),
        (BIG, 0, str(pair.copy)),
        (BIG, 3 * SPAN, str(pair.copy)),
    ]
    after = snapshot(pair.model)
    changed = {name for name in after if after[name] != before[name]}
    assert changed == {str(pair.model / BIG), str(pair.model / SHARD)}
    assert all(after[name][0] == before[name][0] for name in after)


@pytest.mark.parametrize("size", [0, 1, SPAN, SPAN + 1, BIG_BYTES - 1])
def test_truncated_file(pair: Pair, size: int) -> None:
    os.truncate(pair.model / BIG, size)
    result = mend(pair)
    assert [one.kind for one in result.mended] == ["truncated"]
    assert pair.is_whole() and verified(pair)
    assert sum(one.end - one.start for one in result.taken) == BIG_BYTES - size // SPAN * SPAN


@pytest.mark.parametrize("name", [BIG, "sub/empty", "config.json"])
def test_file_that_is_too_long(pair: Pair, name: str) -> None:
    with (pair.model / name).open("ab") as file:
        file.write(b"more")
    assert [one.kind for one in mend(pair).mended] == ["too long"]
    assert pair.is_whole() and verified(pair)


def test_missing_files_and_directory(pair: Pair) -> None:
    shutil.rmtree(pair.model / "sub")
    (pair.model / "config.json").unlink()
    result = mend(pair)
    assert {one.path for one in result.mended if one.replaced} == {
        "config.json", BIG, "sub/caf\u00e9", "sub/empty",
    }  # fmt: skip
    assert pair.is_whole() and verified(pair)
    assert not list(pair.model.glob(".pyhash*"))


def test_other_names_of_a_file_keep_what_they_have(pair: Pair, tmp_path: Path) -> None:
    flip(pair.model / BIG, SPAN)
    damaged = (pair.model / BIG).read_bytes()
    os.link(pair.model / BIG, tmp_path / "other name")
    (pair.model / BIG).chmod(0o640)
    result = mend(pair)
    assert result.mended[0].replaced and pair.is_whole() and verified(pair)
    assert (tmp_path / "other name").read_bytes() == damaged
    assert (pair.model / BIG).stat().st_mode & 0o777 == 0o640
    assert [one.start for one in result.taken] == [SPAN]  # the rest was copied here


@pytest.mark.parametrize("error", ["EXDEV", "EIO"])
def test_copying_inside_the_system(
    pair: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: str
) -> None:
    import errno

    number = getattr(errno, error)

    def refuse(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "copy_file_range", refuse)
    flip(pair.model / BIG, SPAN)
    os.link(pair.model / BIG, tmp_path / "other name")
    if error == "EIO":
        with pytest.raises(errors.WriteError, match="Input/output error"):
            mend(pair)
        return
    assert mend(pair).is_whole and pair.is_whole()


def test_old_file_becomes_shorter_while_copied(
    pair: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "copy_file_range", lambda *_: 0)
    flip(pair.model / BIG, SPAN)
    os.link(pair.model / BIG, tmp_path / "other name")
    with pytest.raises(errors.DigestMismatchError, match="still is not what was signed"):
        mend(pair)
    assert (pair.model / BIG).samefile(tmp_path / "other name")


def test_unsigned_files_are_reported_and_stay(pair: Pair) -> None:
    flip(pair.model / BIG, 1)
    (pair.model / "extra.py").write_text("import os")
    result = mend(pair)
    assert [(one.code, one.path) for one in result.remaining] == [("unexpected", "extra.py")]
    assert not result.is_whole and pair.is_whole()
    assert (pair.model / "extra.py").read_text() == "import os"


def test_dry_run_writes_nothing(pair: Pair) -> None:
    flip(pair.model / BIG, 1)
    (pair.model / "config.json").unlink()
    (pair.model / "model.tree").write_bytes(b"rot")
    before = snapshot(pair.model)
    result = mend(pair, dry_run=True)
    assert snapshot(pair.model) == before
    assert {one.path: one.kind for one in result.damage} == {
        BIG: "damaged", "config.json": "missing",
    }  # fmt: skip
    assert (result.mended, result.taken, result.is_whole) == ((), (), False)
    assert result.tree_source == str(pair.copy)


@pytest.mark.parametrize("bad", ["missing", "rot", "other"])
def test_tree_file_is_taken_from_the_source(pair: Pair, bad: str) -> None:
    place = pair.model / "model.tree"
    good = place.read_bytes()
    if bad == "missing":
        place.unlink()
    elif bad == "rot":
        flip(place, len(good) - 5)
    else:
        place.write_bytes(b"")
    flip(pair.model / BIG, 1)
    assert mend(pair).tree_source == str(pair.copy)
    assert place.read_bytes() == good and pair.is_whole() and verified(pair)


def test_no_source_has_the_tree_file(pair: Pair) -> None:
    flip(pair.model / "model.tree", 60)
    flip(pair.copy / "model.tree", 60)
    with pytest.raises(errors.FetchError, match="no source has a tree file"):
        mend(pair)


def test_bad_spans_of_one_source_are_had_from_another(pair: Pair, tmp_path: Path) -> None:
    shutil.copytree(pair.copy, tmp_path / "worse")
    flip(tmp_path / "worse" / BIG, SPAN + 9)
    for span in (0, 1, 2):
        flip(pair.model / BIG, span * SPAN)
    result = mend(pair, tmp_path / "worse", pair.copy)
    assert [(one.start, one.source) for one in result.bad] == [(SPAN, str(tmp_path / "worse"))]
    assert [(one.start, one.source) for one in result.taken] == [
        (0, str(tmp_path / "worse")),
        (SPAN, str(pair.copy)),
        (2 * SPAN, str(tmp_path / "worse")),
    ]
    assert pair.is_whole()


def test_span_that_is_bad_everywhere_is_not_written(pair: Pair) -> None:
    flip(pair.model / BIG, SPAN)
    flip(pair.copy / BIG, SPAN + 1)
    before = (pair.model / BIG).read_bytes()
    with pytest.raises(errors.DigestMismatchError, match="other bytes than the signed ones"):
        mend(pair)
    assert (pair.model / BIG).read_bytes() == before


def test_untrusted_publisher_is_refused_before_anything(pair: Pair, tmp_path: Path) -> None:
    _, other = write_keys(tmp_path, "other")
    flip(pair.model / BIG, SPAN)
    before = snapshot(pair.model)
    with pytest.raises(errors.SignatureError):
        repair(pair.model, [str(pair.copy)], Policy.from_key_files([other]))
    assert snapshot(pair.model) == before


def test_resigned_source_cannot_smuggle(pair: Pair, tmp_path: Path) -> None:
    """A source whose files were changed and signed anew by somebody else gives nothing."""
    other, _ = write_keys(tmp_path, "other")
    flip(pair.copy / BIG, 0)
    pyhash.sign(pair.copy, other)
    os.truncate(pair.model / BIG, 10)
    with pytest.raises(errors.DigestMismatchError):
        mend(pair)


def test_link_in_the_place_of_a_file_is_not_written_through(pair: Pair, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    (pair.model / BIG).unlink()
    (pair.model / BIG).symlink_to(victim)
    with pytest.raises(errors.UnexpectedFileError, match="symbolic link"):
        mend(pair)
    assert victim.read_bytes() == b"precious"


def test_link_in_the_place_of_a_directory_is_not_written_through(
    pair: Pair, tmp_path: Path
) -> None:
    shutil.rmtree(pair.model / "sub")
    (tmp_path / "elsewhere").mkdir()
    (pair.model / "sub").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(errors.UnexpectedFileError, match="symbolic link"):
        mend(pair)
    assert not list((tmp_path / "elsewhere").iterdir())


def test_file_that_is_replaced_meanwhile_is_left_alone(
    pair: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flip(pair.model / BIG, SPAN)
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    prepare = target.Target.prepare

    def swap(self: target.Target, *arguments: object) -> object:
        spans = prepare(self, *arguments)  # type: ignore[arg-type]
        (pair.model / BIG).unlink()
        os.link(victim, pair.model / BIG)
        return spans

    monkeypatch.setattr(target.Target, "prepare", swap)
    with pytest.raises(errors.ChangedWhileReadError, match="was replaced"):
        mend(pair)
    assert victim.read_bytes() == b"precious"


def test_somebody_elses_work_directory_is_not_used(pair: Pair, tmp_path: Path) -> None:
    root = pyhash.verify(pair.model, keys=[pair.public]).root
    (pair.model / "config.json").unlink()
    (pair.model / target.work_name(root or b"")).symlink_to(tmp_path)
    with pytest.raises(errors.UsageError, match="not a directory of this user's"):
        mend(pair)


def test_two_repairs_at_once(pair: Pair) -> None:
    import fcntl

    lock = os.open(pair.model, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(errors.UsageError, match="another repair"):
            mend(pair)
    finally:
        os.close(lock)


def test_what_is_left_of_an_earlier_repair_is_not_fetched_again(pair: Pair) -> None:
    root = pyhash.verify(pair.model, keys=[pair.public]).root
    (pair.model / BIG).unlink()
    work = pair.model / target.work_name(root or b"") / "sub"
    work.mkdir(parents=True)
    left = bytearray(pair.content[BIG])
    left[2 * SPAN : 3 * SPAN] = bytes(SPAN)
    (work / "big.bin").write_bytes(left)
    result = mend(pair)
    assert [one.start for one in result.taken] == [2 * SPAN]
    assert pair.is_whole() and verified(pair)


def test_single_file(pair: Pair, tmp_path: Path) -> None:
    alone = tmp_path / "alone"
    other = tmp_path / "other"
    alone.mkdir(), other.mkdir()
    for one in (alone, other):
        shutil.copy(pair.copy / BIG, one / "weights.bin")
    pyhash.sign(alone / "weights.bin", pair.key)
    flip(alone / "weights.bin", 2 * SPAN)
    result = repair(alone / "weights.bin", [str(other)], pair.policy)
    assert result.is_whole and not result.mended[0].replaced
    assert (alone / "weights.bin").read_bytes() == pair.content[BIG]
    flip(alone / "weights.bin", 2 * SPAN)
    os.link(alone / "weights.bin", tmp_path / "other name")
    assert repair(alone / "weights.bin", [str(other)], pair.policy).mended[0].replaced
    assert (alone / "weights.bin").read_bytes() == pair.content[BIG]
    assert sorted(one.name for one in alone.iterdir()) == [
        "weights.bin", "weights.bin.sig", "weights.bin.tree",
    ]  # fmt: skip


def test_no_source_and_foreign_bundle(pair: Pair) -> None:
    with pytest.raises(errors.UsageError, match="--from"):
        repair(pair.model, [], pair.policy)


def test_bundle_of_another_tool(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    from pyhash import signed_bundle

    inspect = signed_bundle.inspect_signed

    def foreign(*arguments: object, **named: object) -> object:
        found = inspect(*arguments, **named)  # type: ignore[arg-type]
        return replace(found, manifest=replace(found.manifest, root=None))

    monkeypatch.setattr(signed_bundle, "inspect_signed", foreign)
    with pytest.raises(errors.FormatError, match="signs no trees"):
        mend(pair)


def test_progress_is_told(pair: Pair) -> None:
    os.truncate(pair.model / BIG, 0)
    told: list[tuple[int, int]] = []
    mend(pair, hashing=Options(progress=lambda done, total: told.append((done, total))))
    assert told[-1] == (BIG_BYTES, BIG_BYTES)
