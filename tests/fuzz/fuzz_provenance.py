# SPDX-License-Identifier: Apache-2.0
"""Fuzz target: statements of steps, and flat manifests."""

from __future__ import annotations

from _harness import main

from pyhash.provenance.flat_manifest import FlatManifest, dump_flat_manifest, load_flat_manifest
from pyhash.provenance.schema import STEPS, build_type
from pyhash.provenance.statement import QUESTIONS, Material, Step, dump_step, load_step

MUTATIONS = 6_000

DICTIONARY = (
    *(build_type(step).encode() for step in STEPS), *(f'"{one}",'.encode() for one in QUESTIONS),
    b'"role":"parent"', b'"digest":{"pyhash-v1":""}', b'"unknown":[]', b'"parameters":{}', b"null",
    b'"subject":[]', b"{}", b"[]", b"-1", b"  hash: x\n", b"model_manifest:\n", b"'", b'"',
)  # fmt: skip

_ROOT = "ab" * 32
_PARENT = Material("parent", "base", (("pyhash-v1", "cd" * 32),), "https://example.com/base")
_FULL = Step(
    "quantize", "m", _ROOT, _ROOT, (_PARENT,), (("bits", 8),), ("cmd",), (("host", "h"),), "b",
    "2026-11-25T02:30:00Z", "2026-11-25T02:31:00Z", "run",
)  # fmt: skip
_BARE = Step("train", "m", _ROOT, unknown=tuple(one for one in QUESTIONS if one != "parents"))


def seeds() -> list[bytes]:
    """A full statement, one in which all is unknown, and a manifest in both forms."""
    flat = FlatManifest("m", f"pyhash-v1:{_ROOT}")
    as_json = b'{"model_manifest":{"name":"m","hash":"h"}}'
    return [dump_step(_FULL), dump_step(_BARE), dump_flat_manifest(flat), as_json]


def one_input(data: bytes) -> None:
    """Read; what is accepted must survive being written and read again."""
    if data.startswith((b"model", b'{"model')):
        flat = load_flat_manifest(data, "fuzz")
        if load_flat_manifest(dump_flat_manifest(flat), "fuzz") != flat:
            raise AssertionError(f"writing and reading changed {flat!r}")
        return
    step = load_step(data, path="fuzz")
    if load_step(dump_step(step), path="fuzz") != step:
        raise AssertionError(f"writing and reading changed {step!r}")


if __name__ == "__main__":
    main(one_input, seeds())
