# SPDX-License-Identifier: Apache-2.0
"""What a refusal says: everything that is wrong, where in the file it is, and whose tensors.

Also with bundles of other tools, which know whole files only.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from _signed import SHARD, SPAN, flip, write_checkpoint, write_keys

import pyhash
from pyhash import closure, errors, hashing, opening, signed_bundle, signing, tree_file
from pyhash.errors import DamagedRange, Finding
from pyhash.guarantees import content
from tests import reference


@pytest.fixture
def public(tmp_path: Path) -> Path:
    return write_keys(tmp_path)[1]


@pytest.fixture
def data(tmp_path: Path) -> dict[str, bytes]:
    return write_checkpoint(tmp_path / "model")


@pytest.fixture
def model(tmp_path: Path, data: dict[str, bytes], public: Path) -> Path:
    pyhash.sign(tmp_path / "model", public.with_suffix(".key"))
    return tmp_path / "model"


def findings(model: Path, public: Path, **named: Any) -> tuple[Finding, ...]:
    with pytest.raises(errors.VerificationError) as caught:
        pyhash.verify(model, keys=[public], **named)
    return caught.value.findings


# --- findings -------------------------------------------------------------------------------------


def test_everything_is_told_at_once(model: Path, public: Path) -> None:
    (model / "sub/empty").unlink()
    (model / "sub/more").touch()
    (model / "link").symlink_to("x")
    (model / "config.json").write_text("{}")
    flip(model / SHARD, 5)
    found = findings(model, public)
    assert [(one.code, one.path) for one in found] == [
        ("size", "config.json"),
        ("missing", "sub/empty"),
        ("unexpected", "link"),
        ("unexpected", "sub/more"),
    ]
    size = found[0]
    assert (size.expected, size.actual) == ("23", "2")
    assert size.message == "2 bytes instead of the signed 23"


def test_names_and_sizes_before_any_hashing(
    model: Path, public: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hashing, "hash_listing", None)
    monkeypatch.setattr(closure, "check_closure", None)
    (model / "more").touch()
    assert [one.code for one in findings(model, public)] == ["unexpected"]


def test_signature_before_any_listing(
    model: Path, public: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening.files, "list_checkpoint", None)
    monkeypatch.setattr(signed_bundle, "load_statement", None)
    stranger = write_keys(tmp_path, "stranger")[1]
    with pytest.raises(errors.SignatureError):
        pyhash.verify(model, keys=[stranger])


@pytest.mark.parametrize(
    ("offsets", "expected"),
    [
        ([SPAN], [DamagedRange(SPAN, 2 * SPAN, ("b",))]),
        ([2 * SPAN], [DamagedRange(2 * SPAN, 2 * SPAN + SPAN // 2, ("c",))]),
        ([2 * SPAN - 1, 2 * SPAN], [DamagedRange(SPAN, 2 * SPAN + SPAN // 2, ("b", "c"))]),
        # The header lies in a damaged span, so the names that it gives count for nothing.
        ([5000], [DamagedRange(0, SPAN)]),
        (
            [5000, 2 * SPAN],
            [DamagedRange(0, SPAN), DamagedRange(2 * SPAN, 2 * SPAN + SPAN // 2)],
        ),
    ],
)
def test_where_and_whose(
    offsets: list[int],
    expected: list[DamagedRange],
    model: Path,
    public: Path,
    data: dict[str, bytes],
) -> None:
    for offset in offsets:
        flip(model / SHARD, offset)
    (finding,) = findings(model, public)
    assert (finding.code, finding.path) == ("digest", SHARD)
    assert finding.expected == reference.shard_root(data[SHARD]).hex()
    assert finding.actual == reference.shard_root((model / SHARD).read_bytes()).hex()
    assert finding.ranges == tuple(expected)
    where = ", ".join(f"[{one.start}, {one.end})" for one in expected)
    assert finding.message == f"other bytes than the signed ones in {where}"


def test_many_ranges_are_counted(tmp_path: Path, public: Path) -> None:
    model = tmp_path / "raw"
    model.mkdir()
    with (model / "a.bin").open("wb") as file:
        file.truncate(9 * SPAN)
    pyhash.sign(model, public.with_suffix(".key"))
    for index in (0, 2, 4, 6, 8):
        flip(model / "a.bin", index * SPAN)
    (finding,) = findings(model, public)
    assert [one.start // SPAN for one in finding.ranges] == [0, 2, 4, 6, 8]
    assert finding.message.endswith(
        f"[0, {SPAN}), [{2 * SPAN}, {3 * SPAN}), [{4 * SPAN}, {5 * SPAN}) and 2 more ranges"
    )


def test_no_tree_file_no_ranges(model: Path, public: Path) -> None:
    (model / "model.tree").unlink()
    pyhash.verify(model, keys=[public])
    flip(model / SHARD, SPAN)
    (finding,) = findings(model, public)
    assert finding.ranges == ()
    assert "no usable tree file" in finding.message


def test_damaged_header_is_damage_and_nothing_else(model: Path, public: Path) -> None:
    flip(model / SHARD, 8)
    flip(model / "config.json", 0)
    assert [(one.code, one.path) for one in findings(model, public)] == [
        ("digest", "config.json"),
        ("digest", SHARD),
    ]


def test_damaged_file_that_is_gone_by_then_costs_only_the_names(
    model: Path, public: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flip(model / SHARD, SPAN)
    real = content.describe_damage

    def remove_first(*arguments: Any) -> Any:
        (model / SHARD).unlink()
        return real(*arguments)

    monkeypatch.setattr(content, "describe_damage", remove_first)
    (finding,) = findings(model, public)
    assert finding.ranges == (DamagedRange(SPAN, 2 * SPAN),)


def test_no_longer_tree_file_is_read_than_can_be_right(
    model: Path, public: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    real = opening.files.read_small

    def watch(location: str, limit: int) -> bytes:
        asked.append(limit)
        return real(location, limit)

    monkeypatch.setattr(opening.files, "read_small", watch)
    flip(model / SHARD, SPAN)
    assert findings(model, public)[0].ranges != ()
    assert asked[-1] == (model / "model.tree").stat().st_size
    assert asked[-1] == tree_file.tree_bytes([1, 2 * SPAN + 1, SPAN, 0])


# --- bundles of other tools -----------------------------------------------------------------------


def _foreign(model: Path, public: Path, name: str | None = None) -> None:
    """Sign what is there as another tool does: whole-file digests, no part of ours."""
    paths = sorted(
        path.relative_to(model).as_posix()
        for path in model.rglob("*")
        if path.is_file() and path.name not in ("model.sig", "model.tree")
    )
    digests = [hashlib.sha256((model / path).read_bytes()) for path in paths]
    root = hashlib.sha256(b"".join(one.digest() for one in digests)).hexdigest()
    statement = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "model", "digest": {"sha256": root}}],
        "predicateType": "https://model_signing/signature/v1.0",
        "predicate": {
            "resources": [
                {"name": name or path, "algorithm": "sha256", "digest": one.hexdigest()}
                for path, one in zip(paths, digests, strict=True)
            ],
            "serialization": {
                "method": "files",
                "hash_type": "sha256",
                "allow_symlinks": False,
                "ignore_paths": [],
            },
        },
    }
    signer = signing.load_signer(public.with_suffix(".key"))
    bundle = signing.sign_payload(json.dumps(statement).encode(), signer)
    (model / "model.sig").write_bytes(signing.dump_bundle(bundle))


def test_foreign_directory(model: Path, public: Path, data: dict[str, bytes]) -> None:
    _foreign(model, public)
    proof = pyhash.verify(model, keys=[public])
    assert (proof.root, proof.size) == (None, sum(map(len, data.values())))
    flip(model / "sub/caf\u00e9", 0)
    (finding,) = findings(model, public)
    assert (finding.code, finding.path, finding.ranges) == ("digest", "sub/caf\u00e9", ())
    assert finding.expected == hashlib.sha256(b"x").hexdigest()
    assert finding.actual == hashlib.sha256(b"y").hexdigest()


def test_foreign_directory_without_sizes(model: Path, public: Path) -> None:
    _foreign(model, public)
    (model / "sub/empty").write_bytes(b"no longer")
    (finding,) = findings(model, public)
    assert (finding.code, finding.path) == ("digest", "sub/empty")


def test_foreign_single_file(tmp_path: Path, public: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "one/file.bin").write_bytes(b"content")
    _foreign(tmp_path / "one", public, name=".")
    (tmp_path / "one/file.bin").rename(tmp_path / "any-name.bin")
    named: dict[str, Any] = {"signature": tmp_path / "one/model.sig"}
    proof = pyhash.verify(tmp_path / "any-name.bin", keys=[public], **named)
    assert proof.manifest.single_file
    flip(tmp_path / "any-name.bin", 0)
    (finding,) = findings(tmp_path / "any-name.bin", public, **named)
    assert (finding.code, finding.path) == ("digest", "any-name.bin")
