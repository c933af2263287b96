# SPDX-License-Identifier: Apache-2.0
"""Statements for tests: three steps of one family, signed with keys of the test."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from pyhash import signing
from pyhash.provenance.statement import Material, Step, dump_step
from pyhash.signing.ecdsa import PrivateKey, generate_key

TRAINER, PUBLISHER, STRANGER = generate_key(), generate_key(), generate_key()


def root(name: str) -> str:
    """A root for a name; any 64 digits would do."""
    return hashlib.sha256(name.encode()).hexdigest()


def parent(name: str) -> Material:
    """A parent by its root."""
    return Material("parent", name, (("pyhash-v1", root(name)),))


def dataset(name: str) -> Material:
    """A data set by its digest."""
    return Material("dataset", name, (("sha256", root(name)),))


def step(kind: str, name: str, *materials: Material, **fields: object) -> Step:
    """A step about which little is known."""
    unknown = ("builder", "startedOn", "finishedOn", "parameters", "command", "environment")
    made = {"unknown": unknown, "oms_digest": "00" * 32, **fields}
    return Step(kind, name, root(name), materials=materials, **made)  # type: ignore[arg-type]


def bundle(stated: Step, key: PrivateKey = TRAINER) -> bytes:
    """A signed statement, as one line."""
    return signing.dump_bundle(signing.sign_payload(dump_step(stated), key))


BASE = step("train", "base", dataset("corpus"))
TUNED = step("fine-tune", "tuned", parent("base"), dataset("feedback"))
SMALL = step("quantize", "small", parent("tuned"))
TESTED = step("evaluate", "small", dataset("exam"))


def family(key: PrivateKey = TRAINER) -> list[bytes]:
    """Three steps and a measurement."""
    return lines((BASE, TUNED, SMALL, TESTED), key)


def lines(steps: Sequence[Step], key: PrivateKey = TRAINER) -> list[bytes]:
    """Signed statements of steps."""
    return [bundle(one, key) for one in steps]
