# SPDX-License-Identifier: Apache-2.0
"""Repair on drives that lie, are full, or will not give what they have: told, and never whole."""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from pathlib import Path

import pytest

import pyhash
from pyhash import errors
from pyhash.repair import damaged_runs
from tests.mending._damaged import BIG, BIG_BYTES, SPAN, Pair, content_of, flip, mend, verified


def test_drive_that_does_not_keep_what_it_is_given(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    flip(pair.model / BIG, SPAN)
    monkeypatch.setattr(os, "pwrite", lambda _, data, __: len(data))
    with pytest.raises(errors.DigestMismatchError, match="still is not what was signed"):
        mend(pair)


def test_full_disk(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    flip(pair.model / BIG, SPAN)

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(errors.WriteError, match="No space left"):
        mend(pair)


@pytest.mark.parametrize("number", [1, 13, 26, 2, 5])
def test_file_that_must_not_be_written_to(
    pair: Pair, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """EPERM, EACCES, ETXTBSY, ENOENT (no /proc): made anew. Any other error is one."""
    flip(pair.model / BIG, SPAN)
    real = os.open

    def refuse(path: object, flags: int, *more: object, **named: object) -> int:
        if str(path).startswith("/proc/self/fd/"):
            raise OSError(number, os.strerror(number))
        return real(path, flags, *more, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "open", refuse)
    if number == 5:
        with pytest.raises(errors.WriteError):
            mend(pair)
        return
    assert mend(pair).mended[0].replaced and pair.is_whole()


@contextmanager
def losing(pair: Pair, tmp_path: Path, offset: int):  # type: ignore[no-untyped-def]
    """The checkpoint on a disk that has lost the end of its largest file."""
    from dataclasses import replace

    from tests.support.loop_image import Unavailable, loop_image

    try:
        with loop_image(tmp_path) as image:
            model = image.root / "model"
            shutil.copytree(pair.copy, model, ignore=shutil.ignore_patterns("big.bin"))
            shutil.copy(pair.copy / BIG, model / BIG)
            image.lose_from(model / BIG, offset)
            yield replace(pair, model=model)
    except Unavailable as reason:
        pytest.skip(str(reason))


def test_spans_that_the_drive_will_not_give(pair: Pair, tmp_path: Path) -> None:
    with losing(pair, tmp_path, 3 * SPAN) as broken:
        with pytest.raises(errors.ReadError, match="errno 5"):
            pyhash.verify(broken.model, keys=[pair.public])
        result = mend(broken)
        assert [damaged_runs(one) for one in result.damage] == [((3 * SPAN, BIG_BYTES),)]
        assert content_of(broken.model, pair.content) == pair.content
        assert verified(broken)


def test_read_error_without_a_number_is_told(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    from pyhash import hashing

    def refuse(*_: object, **__: object) -> None:
        raise errors.TruncatedError("became shorter")

    monkeypatch.setattr(hashing, "hash_listing", refuse)
    with pytest.raises(errors.TruncatedError):
        mend(pair)
