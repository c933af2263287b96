# SPDX-License-Identifier: Apache-2.0
"""Statements that are dropped, replayed, taken from another checkpoint, forged or contradictory."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from pyhash import limits
from pyhash.access import AccessLog, record_statement
from pyhash.errors import (
    FormatError,
    LimitError,
    LogError,
    ProvenanceError,
    SignatureError,
    UsageError,
)
from pyhash.log.proof_file import load_proofs
from pyhash.provenance.lineage import load_unverified, verify_complete, verify_lineage
from pyhash.provenance.requirements import Requirements
from pyhash.provenance.statement import Material
from tests.support import lineages as do
from tests.support.lineages import BASE, PUBLISHER, SMALL, STRANGER, TESTED, TRAINER, TUNED
from tests.support.logs import TestLog, make_log

KEYS = (TRAINER.public_key,)
ROOT = bytes.fromhex(do.root("small"))
ANY = Requirements(KEYS)


def refused(
    error: type[Exception], text: str, lines: list[bytes], needs: Requirements = ANY
) -> None:
    with pytest.raises(error, match=text):
        verify_lineage(ROOT, lines, needs)


def test_whole_family() -> None:
    lineage = verify_lineage(ROOT, do.family(), ANY)
    assert [one.step for one in lineage.statements] == [TESTED, SMALL, TUNED, BASE]
    assert {one.key for one in lineage.statements} == {TRAINER.public_key.hint}
    assert (lineage.root, lineage.beginnings) == (do.root("small"), ())
    shuffled = verify_lineage(ROOT, do.family()[::-1], ANY)
    assert shuffled.statements[1:] != lineage.statements[:1]


# --- dropped ----------------------------------------------------------------------------------


@pytest.mark.parametrize("place", [0, 1, 2])
def test_dropped_origin(place: int) -> None:
    lines = do.family()
    del lines[place]
    refused(ProvenanceError, "nobody states how", lines)


def test_everything_dropped() -> None:
    refused(ProvenanceError, "nobody states how", [])
    refused(
        ProvenanceError, "nobody states how", [], Requirements(KEYS, allow_unknown_parents=True)
    )


def test_dropped_measurement() -> None:
    lines = do.family()[:3]
    assert verify_lineage(ROOT, lines, ANY)
    refused(ProvenanceError, "'evaluate'", lines, Requirements(KEYS, required_steps=("evaluate",)))


@pytest.fixture
def logged(tmp_path: Path) -> tuple[TestLog, Path, list[bytes]]:
    """A family whose statements are all in a log; the file of proofs."""
    log = make_log(tmp_path / "log", b"something else")
    place = tmp_path / "proofs"
    lines = do.family()
    for line in lines:
        record_statement(AccessLog(str(log.directory), log.signer), line, place)
    return log, place, lines


def test_all_logged(logged: tuple[TestLog, Path, list[bytes]]) -> None:
    log, place, lines = logged
    needs = Requirements(KEYS, log=log.trust)
    lineage = verify_lineage(ROOT, lines, needs, proofs=load_proofs(place))
    verify_complete(lineage, log.open(), needs)


def test_what_is_left_out_is_seen_in_the_log(logged: tuple[TestLog, Path, list[bytes]]) -> None:
    log, place, lines = logged
    needs = Requirements(KEYS, log=log.trust)
    lineage = verify_lineage(ROOT, lines[:3], needs, proofs=load_proofs(place))
    with pytest.raises(ProvenanceError, match=r"evaluate of 'small'.*left out"):
        verify_complete(lineage, log.open(), needs)


def test_statements_of_strangers_in_the_log_count_for_nothing(
    logged: tuple[TestLog, Path, list[bytes]],
) -> None:
    log, place, lines = logged
    log.append(do.bundle(do.step("evaluate", "small"), STRANGER))
    needs = Requirements(KEYS, log=log.trust)
    lineage = verify_lineage(ROOT, lines, needs, proofs=load_proofs(place))
    verify_complete(lineage, log.open(), needs)


def test_not_logged(logged: tuple[TestLog, Path, list[bytes]]) -> None:
    log, place, lines = logged
    needs = Requirements(KEYS, log=log.trust)
    again = do.family()  # signed again: other bytes, which nobody logged
    with pytest.raises(LogError, match="no proof"):
        verify_lineage(ROOT, again, needs, proofs=load_proofs(place))
    with pytest.raises(LogError, match="no proof"):
        verify_lineage(ROOT, lines, needs)
    witnessed = Requirements(KEYS, log=log.witnessed)
    with pytest.raises(LogError, match="co-signed by 0"):
        verify_lineage(ROOT, lines, witnessed, proofs=load_proofs(place))


def test_proof_of_another_statement(logged: tuple[TestLog, Path, list[bytes]]) -> None:
    log, place, lines = logged
    proofs = load_proofs(place)
    swapped = dict(zip(proofs, reversed(proofs.values()), strict=True))
    with pytest.raises(LogError):
        verify_lineage(ROOT, lines, Requirements(KEYS, log=log.trust), proofs=swapped)


# --- replayed, and from another checkpoint ----------------------------------------------------


def test_replayed() -> None:
    refused(ProvenanceError, "stated twice", [*do.family(), do.family()[3]])
    refused(ProvenanceError, "stated twice", [*do.family(), do.bundle(SMALL)])


def test_two_origins() -> None:
    other = do.step("prune", "small", do.parent("base"))
    refused(ProvenanceError, "two origins", [*do.family(), do.bundle(other)])


def test_of_another_checkpoint() -> None:
    stray = do.step("train", "elsewhere")
    refused(ProvenanceError, "about another checkpoint", [*do.family(), do.bundle(stray)])
    stray = do.step("evaluate", "elsewhere")
    refused(ProvenanceError, "about another checkpoint", [*do.family(), do.bundle(stray)])


def test_family_of_another_checkpoint() -> None:
    with pytest.raises(ProvenanceError, match="nobody states how"):
        verify_lineage(bytes.fromhex(do.root("other")), do.family(), ANY)


def test_names_count_for_nothing() -> None:
    wrong = dataclasses.replace(do.parent("other"), name="tuned")
    lines = do.lines((BASE, TUNED, do.step("quantize", "small", wrong)))
    refused(ProvenanceError, "nobody states how 'tuned'", lines)


# --- forged -----------------------------------------------------------------------------------


def test_signed_by_a_stranger() -> None:
    lines = do.family()
    lines[1] = do.bundle(TUNED, STRANGER)
    refused(SignatureError, "not trusted", lines)


def test_changed_after_signing() -> None:
    lines = do.family()
    first, second = do.bundle(TUNED), do.bundle(SMALL)
    lines[1] = second.replace(_payload(second), _payload(first))
    refused(SignatureError, "does not hold", lines)


def _payload(line: bytes) -> bytes:
    return line.split(b'"payload":"')[1].split(b'"')[0]


def test_identity_of_a_step() -> None:
    needs = Requirements(KEYS, step_keys=(("quantize", (PUBLISHER.public_key,)), ("train", KEYS)))
    refused(SignatureError, "may not sign this step", do.family(), needs)
    lines = do.family()
    lines[2] = do.bundle(SMALL, PUBLISHER)
    assert verify_lineage(ROOT, lines, needs)
    lines[0] = do.bundle(BASE, PUBLISHER)
    refused(SignatureError, "may not sign this step", lines, needs)


def test_no_statement() -> None:
    refused(FormatError, "line 5", [*do.family(), b"{}"])


def test_ancestor_of_itself() -> None:
    lines = do.lines((do.step("prune", "tuned", do.parent("small")), SMALL))
    refused(ProvenanceError, "its own ancestor", lines)


def test_depth(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_LINEAGE_DEPTH", 2)
    assert verify_lineage(ROOT, do.family(), ANY)
    monkeypatch.setattr(limits, "MAX_LINEAGE_DEPTH", 1)
    refused(LimitError, "more than 1 steps", do.family())


# --- what is not accepted ---------------------------------------------------------------------


def test_parent_by_name_only() -> None:
    nameless = do.step("quantize", "small", Material("parent", "some model"))
    refused(ProvenanceError, "known by name only", do.lines((nameless,)))
    lost = do.step("quantize", "small", unknown=(*SMALL.unknown, "parents"))
    refused(ProvenanceError, "a parent is unknown", do.lines((lost,)))
    lenient = Requirements(KEYS, allow_unknown_parents=True)
    for one in (nameless, lost):
        assert verify_lineage(ROOT, do.lines((one,)), lenient)


def test_known_parent() -> None:
    needs = Requirements(KEYS, known_parents=(do.root("tuned"),))
    assert verify_lineage(ROOT, do.lines((SMALL,)), needs).beginnings == (do.root("tuned"),)
    lenient = Requirements(KEYS, allow_unknown_parents=True)
    assert verify_lineage(ROOT, do.lines((SMALL,)), lenient).beginnings == (do.root("tuned"),)
    itself = Requirements(KEYS, known_parents=(do.root("small"),))
    assert verify_lineage(ROOT, [], itself).beginnings == (do.root("small"),)


def test_merge_of_relatives() -> None:
    both = do.step("merge", "small", do.parent("base"), do.parent("tuned"))
    lineage = verify_lineage(ROOT, do.lines((BASE, TUNED, both)), ANY)
    assert [one.step.name for one in lineage.statements] == ["small", "base", "tuned"]


def test_data_sets() -> None:
    known = tuple(f"sha256:{do.root(name)}" for name in ("corpus", "feedback", "exam"))
    assert verify_lineage(ROOT, do.family(), Requirements(KEYS, datasets=known))
    for missing in range(3):
        some = Requirements(KEYS, datasets=known[:missing] + known[missing + 1 :])
        refused(ProvenanceError, "not on the list", do.family(), some)
    secret = do.step("train", "base", unknown=(*BASE.unknown, "datasets"))
    lines = do.lines((secret, TUNED, SMALL))
    refused(ProvenanceError, "data sets are unknown", lines, Requirements(KEYS, datasets=known))
    named = do.step("train", "base", Material("dataset", "corpus"))
    lines = do.lines((named, TUNED, SMALL))
    refused(ProvenanceError, "not on the list", lines, Requirements(KEYS, datasets=known))


def test_requirements_that_make_no_sense() -> None:
    for arguments in (
        {"keys": ()},
        {"keys": KEYS, "step_keys": (("train", ()),)},
        {"keys": KEYS, "step_keys": (("steal", KEYS),)},
        {"keys": KEYS, "step_keys": (("train", KEYS), ("train", KEYS))},
        {"keys": KEYS, "required_steps": ("steal",)},
    ):
        with pytest.raises(UsageError):
            Requirements(**arguments)  # type: ignore[arg-type]


def test_shown_without_verifying() -> None:
    shown = load_unverified(do.family(STRANGER), "s")
    assert [one.step for one in shown] == [BASE, TUNED, SMALL, TESTED]
    assert {one.key for one in shown} == {None}
