# SPDX-License-Identifier: Apache-2.0
"""Walks a checkpoint's statements to its first ancestors, and holds each against requirements.

Numbered as in docs/provenance.md: 1 signatures, 2 no statement twice and one origin for each
checkpoint, 3 the walk by digest, 4 data sets, 5 the log, 6 nothing left over.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pyhash import limits, signing
from pyhash.errors import FormatError, LimitError, ProvenanceError, SignatureError
from pyhash.log.proof import Proof
from pyhash.log.proof_file import verify_logged
from pyhash.log.reader import LogReader
from pyhash.provenance.requirements import Requirements
from pyhash.provenance.statement import PREDICATE_TYPE, Step, load_step
from pyhash.strict_json import expect_object, load_json, show


@dataclass(frozen=True, slots=True)
class Statement:
    """A step and the bundle that states it.

    Attributes:
        step: What it says.
        key: Who signed: hint of a key, or name of an identity; None: nobody checked.
        bundle: Exact bytes of the bundle.
    """

    step: Step
    key: str | None
    bundle: bytes


@dataclass(frozen=True, slots=True)
class Lineage:
    """How a checkpoint came about, verified. Only ``verify_lineage`` constructs one.

    Attributes:
        root: The checkpoint, 64 hex digits.
        statements: From the checkpoint back to its first ancestors.
        beginnings: Roots of ancestors without a statement, which the requirements allow.
    """

    root: str
    statements: tuple[Statement, ...]
    beginnings: tuple[str, ...]


def verify_lineage(
    root: bytes,
    lines: Sequence[bytes],
    requirements: Requirements,
    *,
    proofs: Mapping[str, Proof] | None = None,
    path: str = "the statements",
) -> Lineage:
    """Check all statements about a checkpoint and its ancestors. Pure, thread-safe.

    Args:
        root: The checkpoint, 32 bytes, verified before.
        lines: Bundles, exact bytes.
        requirements: What to accept.
        proofs: That they are in a log; needed if the requirements name one.
        path: Where the bundles came from, for messages.

    Raises:
        SignatureError: A statement is not signed by anybody who may.
        ProvenanceError: A statement is missing, stands twice, contradicts another, is about
            something else, or says what the requirements do not accept.
        LogError: A statement is not proven to be in the log.
        FormatError, LimitError: A line is no statement.
    """
    statements = [
        _verify_line(line, requirements, f"{path}, line {number}")
        for number, line in enumerate(lines, 1)
    ]  # 1
    made, measured = _by_subject(statements, path)  # 2
    walked, beginnings = _walk(root.hex(), made, measured, requirements, path)  # 3
    for one in walked:
        _check_datasets(one.step, requirements, path)  # 4
        if requirements.log is not None:
            about = f"{path}: {_what(one.step)}"
            verify_logged(one.bundle, proofs or {}, requirements.log, about)  # 5
    _check_left_over(statements, walked, path)  # 6
    steps = {one.step.step for one in walked}
    missing = [step for step in requirements.required_steps if step not in steps]
    if missing:
        raise ProvenanceError(f"{path}: nobody states the required step {missing[0]!r}")
    return Lineage(root.hex(), tuple(walked), beginnings)


def verify_complete(lineage: Lineage, log: LogReader, requirements: Requirements) -> None:
    """Look whether the log has a statement about these checkpoints that is not among those given.

    The log is read whole. A statement too large for an entry stands there by its digest alone and
    cannot be told from others.

    Args:
        lineage: What was verified.
        log: The log.
        requirements: Statements by others than these keys count for nothing.

    Raises:
        ProvenanceError: There is one: it was left out.
        LogError, ReadError, FormatError: The log does not verify.
    """
    given = {one.bundle for one in lineage.statements}
    roots = {one.step.root for one in lineage.statements} | {lineage.root}
    dropped: list[tuple[int, Step]] = []
    for entry in log.verify_entries():
        where = f"{log.directory}: entry {entry.index}"
        step = _logged_step(entry.entry, requirements, where)
        if step is not None and step.root in roots and entry.entry not in given:
            dropped.append((entry.index, step))
    if dropped:
        index, step = dropped[0]
        raise ProvenanceError(
            f"the log has a statement (entry {index}: {_what(step)}) that is not beside the"
            " checkpoint: it was left out"
        )


def load_unverified(lines: Sequence[bytes], path: str) -> tuple[Statement, ...]:
    """Read statements to show them; no signature is checked.

    Raises:
        FormatError, LimitError: A line is no statement.
    """
    found = []
    for number, line in enumerate(lines, 1):
        where = f"{path}, line {number}"
        bundle = signing.load_bundle(line, where)
        found.append(Statement(load_step(bundle.envelope.payload, path=where), None, line))
    return tuple(found)


def _verify_line(line: bytes, requirements: Requirements, path: str) -> Statement:
    bundle = signing.load_bundle(line, path)
    verified = signing.verify_envelope(bundle, requirements.all_keys(), path=path)
    step = load_step(verified.payload, path=path)
    try:
        verified = signing.verify_envelope(bundle, requirements.keys_of(step.step), path=path)
    except SignatureError as error:
        raise SignatureError(
            f"{path}: {_what(step)} is signed by {verified.signer.name}, who may not sign this step"
        ) from error
    return Statement(step, verified.signer.name, line)


def _by_subject(
    statements: Sequence[Statement], path: str
) -> tuple[dict[str, Statement], dict[str, list[Statement]]]:
    """Statements that made a checkpoint, and those that measured one, by its root."""
    made: dict[str, Statement] = {}
    measured: dict[str, list[Statement]] = {}
    steps: list[Step] = []
    for one in statements:
        if one.step in steps:
            raise ProvenanceError(f"{path}: stated twice: {_what(one.step)}")
        steps.append(one.step)
        if one.step.step == "evaluate":
            measured.setdefault(one.step.root, []).append(one)
        elif one.step.root in made:
            other = made[one.step.root].step
            raise ProvenanceError(
                f"{path}: two origins of one checkpoint: {_what(other)} and {_what(one.step)}"
            )
        else:
            made[one.step.root] = one
    return made, measured


def _walk(
    root: str,
    made: Mapping[str, Statement],
    measured: Mapping[str, Sequence[Statement]],
    requirements: Requirements,
    path: str,
) -> tuple[list[Statement], tuple[str, ...]]:
    """Go from the checkpoint to parents by digest; names count for nothing."""
    walked: list[Statement] = []
    beginnings: dict[str, None] = {}
    done: set[str] = set()

    def visit(here: str, name: str, above: tuple[str, ...]) -> None:
        if here in above:
            raise ProvenanceError(f"{path}: {show(name)} is stated to be its own ancestor")
        if len(above) > limits.MAX_LINEAGE_DEPTH:
            raise LimitError(f"{path}: a lineage of more than {limits.MAX_LINEAGE_DEPTH} steps")
        if here in done:
            return
        done.add(here)
        walked.extend(measured.get(here, ()))
        origin = made.get(here)
        if origin is None:
            allowed = here in requirements.known_parents
            if not allowed and not (requirements.allow_unknown_parents and above):
                raise ProvenanceError(
                    f"{path}: nobody states how {show(name)} (pyhash-v1:{here}) came about"
                )
            beginnings[here] = None
            return
        walked.append(origin)
        _check_parents(origin.step, requirements, path)
        for parent in origin.step.of_role("parent"):
            if parent.root is not None:
                visit(parent.root, parent.name, (*above, here))

    visit(root, "the checkpoint", ())
    return walked, tuple(beginnings)


def _check_parents(step: Step, requirements: Requirements, path: str) -> None:
    nameless = [one.name for one in step.of_role("parent") if one.root is None]
    if requirements.allow_unknown_parents or not (nameless or "parents" in step.unknown):
        return
    which = f"known by name only: {show(nameless[0])}" if nameless else "unknown"
    raise ProvenanceError(f"{path}: {_what(step)}: a parent is {which}")


def _check_datasets(step: Step, requirements: Requirements, path: str) -> None:
    if requirements.datasets is None:
        return
    if "datasets" in step.unknown:
        raise ProvenanceError(f"{path}: {_what(step)}: its data sets are unknown")
    for one in step.of_role("dataset"):
        digests = {f"{name}:{digest}" for name, digest in one.digests}
        if digests.isdisjoint(requirements.datasets):
            raise ProvenanceError(
                f"{path}: {_what(step)}: the data set {show(one.name)} is not on the list"
            )


def _check_left_over(
    statements: Sequence[Statement], walked: Sequence[Statement], path: str
) -> None:
    used = {one.bundle for one in walked}
    for one in statements:
        if one.bundle not in used:
            raise ProvenanceError(
                f"{path}: {_what(one.step)} is about another checkpoint; it does not belong here"
            )


def _logged_step(entry: bytes, requirements: Requirements, path: str) -> Step | None:
    """The step that an entry states, signed by somebody who may; None for any other entry."""
    try:
        payload = signing.load_bundle(entry, path).envelope.payload
        value = load_json(payload, path=path, max_bytes=limits.MAX_STATEMENT_BYTES)
        if expect_object(value, "a statement", path).get("predicateType") != PREDICATE_TYPE:
            return None
        return _verify_line(entry, requirements, path).step
    except (FormatError, SignatureError):
        return None


def _what(step: Step) -> str:
    return f"{step.step} of {show(step.name)}"
