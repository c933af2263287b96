# SPDX-License-Identifier: Apache-2.0
"""Sampling: which spans are drawn, what is found, and how likely, against exact arithmetic."""

from __future__ import annotations

import os
from fractions import Fraction
from itertools import combinations
from math import comb
from pathlib import Path

import pytest

import pyhash
from pyhash import errors, hashing, span_hashing
from pyhash.guarantees import sample
from pyhash.guarantees.sampled import catch_probability, draw
from tests.unit._signed import SHARD, SPAN, flip, write_checkpoint, write_keys

SPANS = 5  # three of the shard, one each of config.json and sub/café; sub/empty has none


@pytest.fixture
def model(tmp_path: Path) -> Path:
    private, _ = write_keys(tmp_path)
    write_checkpoint(tmp_path / "model")
    pyhash.sign(tmp_path / "model", private)
    return tmp_path / "model"


def verify(model: Path, amount: str, seed: int | None = None, **named: object) -> pyhash.Verified:
    keys = [model.parent / "publisher.pub"]
    guarantee = sample(amount, seed=seed)
    return pyhash.verify(model, keys=keys, guarantee=guarantee, **named)  # type: ignore[arg-type]


# --- arithmetic -----------------------------------------------------------------------------------


@pytest.mark.parametrize("total", [1, 2, 7, 100, 601])
@pytest.mark.parametrize("bad", [1, 2, 10, 100])
def test_probability_is_hypergeometric(total: int, bad: int) -> None:
    if bad > total:
        return
    for hashed in {0, 1, total // 20, total // 2, total - 1, total}:
        missed = Fraction(comb(total - bad, hashed), comb(total, hashed))
        assert catch_probability(total, hashed, bad) == pytest.approx(float(1 - missed), abs=1e-12)


def test_probability_is_the_share_of_all_draws() -> None:
    """By counting: every choice of 3 of 7 spans, of which numbers 0 and 1 are bad."""
    draws = list(combinations(range(7), 3))
    caught = sum(bool({0, 1} & set(one)) for one in draws)
    assert catch_probability(7, 3, 2) == pytest.approx(caught / len(draws))


@pytest.mark.parametrize(("total", "count"), [(1, 1), (10, 0), (10, 3), (10, 10), (5000, 250)])
def test_draw_is_a_set_of_that_size(total: int, count: int) -> None:
    drawn = draw(total, count, 7)
    assert drawn == sorted(set(drawn))
    assert len(drawn) == count
    assert all(0 <= one < total for one in drawn)
    assert drawn == draw(total, count, 7)


def test_every_set_is_about_equally_likely() -> None:
    counts = dict.fromkeys(combinations(range(5), 2), 0)
    for seed in range(5000):
        counts[tuple(draw(5, 2, seed))] += 1  # type: ignore[index]
    # 500 each; five standard deviations are 106
    assert all(394 < count < 606 for count in counts.values())


# --- verifying ------------------------------------------------------------------------------------


def test_what_the_proof_says(model: Path) -> None:
    proof = verify(model, "40%", seed=3)
    details = dict(proof.details)
    assert proof.guarantee == "sampled"
    assert (details["sampled_spans"], details["total_spans"], details["seed"]) == (2, SPANS, 3)
    assert details["catch_probability"] == {"1": pytest.approx(2 / 5)}
    assert "2 of 5 spans of 1 MiB, drawn with seed 3" in proof.detail
    assert "1: 40.00 %" in proof.detail


def test_hashed_bytes_are_those_of_the_drawn_spans(model: Path) -> None:
    names = (SHARD, "config.json", "sub/caf\u00e9")
    whole = sum(os.path.getsize(model / name) for name in names)
    assert verify(model, "100%").size == whole
    assert verify(model, "1TB").size == whole
    assert 0 < verify(model, "1MiB").size <= SPAN


def test_a_new_seed_each_time_and_the_same_again(model: Path) -> None:
    seeds = {dict(verify(model, "20%").details)["seed"] for _ in range(4)}
    assert len(seeds) == 4
    assert all(isinstance(seed, int) and 0 <= seed < 1 << 64 for seed in seeds)
    (one, *_) = seeds
    again = verify(model, "20%", seed=one)  # type: ignore[arg-type]
    assert dict(again.details)["seed"] == one


def test_damage_is_found_exactly_when_it_is_drawn(model: Path) -> None:
    flip(model / SHARD, 2 * SPAN + 5)  # span 4 of 5: config.json's name follows the shard's
    order = [SHARD, "config.json", "sub/caf\u00e9"]
    sizes = [os.path.getsize(model / name) for name in sorted(order)]
    first = 0
    for name, size in zip(sorted(order), sizes, strict=True):
        if name == SHARD:
            break
        first += -(-size // SPAN)
    bad = first + 2
    for seed in range(12):
        if bad in draw(SPANS, 2, seed):
            with pytest.raises(errors.DigestMismatchError) as caught:
                verify(model, "40%", seed=seed)
            (finding,) = caught.value.findings
            assert finding.path == SHARD
            assert [(one.start, one.end) for one in finding.ranges] == [
                (2 * SPAN, os.path.getsize(model / SHARD))
            ]
            assert finding.ranges[0].tensors == ("c",)
        else:
            assert verify(model, "40%", seed=seed).guarantee == "sampled"


def test_neighbouring_damaged_spans_are_one_range(model: Path) -> None:
    flip(model / SHARD, SPAN)
    flip(model / SHARD, 2 * SPAN)
    with pytest.raises(errors.DigestMismatchError) as caught:
        verify(model, "100%")
    (finding,) = caught.value.findings
    assert [(one.start, one.tensors) for one in finding.ranges] == [(SPAN, ("b", "c"))]
    assert f"[{SPAN}, " in finding.message


def test_progress_goes_to_the_end(model: Path) -> None:
    told: list[tuple[int, int]] = []
    options = hashing.Options(progress=lambda done, total: told.append((done, total)))
    proof = verify(model, "100%", options=options)
    assert told[-1] == (proof.size, proof.size)


def test_everything_else_is_still_checked(model: Path) -> None:
    (model / "extra.bin").write_bytes(b"x")
    with pytest.raises(errors.UnexpectedFileError):
        verify(model, "20%")
    os.unlink(model / "extra.bin")
    os.unlink(model / "config.json")
    with pytest.raises(errors.MissingShardError):
        verify(model, "20%")


def test_tree_file_is_needed(model: Path) -> None:
    flip(model / "model.tree", 40)
    with pytest.raises(errors.FormatError, match="do not fold to the signed root"):
        verify(model, "5%")
    os.unlink(model / "model.tree")
    with pytest.raises(errors.ReadError, match=r"model\.tree"):
        verify(model, "5%")


def test_doubts_of_closure_count(tmp_path: Path) -> None:
    private, public = write_keys(tmp_path)
    write_checkpoint(tmp_path / "model")
    pyhash.sign(tmp_path / "model", private)
    config = tmp_path / "model/config.json"
    config.write_text(config.read_text().replace('"llama"', '"../ab"'))
    assert config.stat().st_size == 23
    with pytest.raises(errors.VerificationError):
        pyhash.verify(tmp_path / "model", keys=[public], guarantee=sample("20%", seed=1))


@pytest.mark.parametrize(
    "amount", ["", "5", "0%", "101%", "-5%", "5 %%", "0GiB", "1XB", "GiB", "1e3GiB", "nan%", "5%5%"]
)
def test_no_such_amount(amount: str) -> None:
    with pytest.raises(errors.UsageError, match="cannot sample"):
        sample(amount)


@pytest.mark.parametrize("amount", ["5%", " 0.5 %", "100%", "20GiB", "20 gib", "1.5TB", "1MB"])
def test_amounts(amount: str) -> None:
    assert sample(amount).name == "sampled"


@pytest.mark.parametrize("seed", [-1, 1 << 64])
def test_no_such_seed(seed: int) -> None:
    with pytest.raises(errors.UsageError, match="is no seed"):
        sample("5%", seed=seed)


def test_file_that_becomes_shorter_meanwhile(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between being listed and being hashed: cut off behind the look at its identity."""
    real = span_hashing._native.hash_ranges

    def cut_first(*arguments: object, **named: object) -> object:
        os.truncate(model / SHARD, 5)
        return real(*arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(span_hashing._native, "hash_ranges", cut_first)
    with pytest.raises(errors.ChangedWhileReadError, match="became shorter") as caught:
        verify(model, "100%")
    assert caught.value.findings[0].path == SHARD
