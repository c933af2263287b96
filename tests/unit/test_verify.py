# SPDX-License-Identifier: Apache-2.0
"""Verifying: what the proof says, what a finding says, and every argument.

That whatever is wrong is refused is in tests/attacks.
"""

from __future__ import annotations

import copy
import dataclasses
import os
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from _signed import SHARD, SPAN, flip, write_checkpoint, write_keys

import pyhash
from pyhash import errors, hashing, manifest, signing, verify_checkpoint
from pyhash.errors import DamagedRange, Finding
from tests import reference
from tests.support import old_bundles, peer

OWN = ("model.sig", "model.tree", "model.provenance.jsonl", "model.proofs.jsonl")


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


def test_old_bundles_are_refused_by_default(
    model: Path, public: Path, data: dict[str, bytes]
) -> None:
    keys = peer.KeyPair("P-256", public.with_suffix(".key"), public)
    payload = old_bundles.old_payload(data)
    old_bundles.write_with_key(model / "model.sig", keys, payload, old_bundles.old_pae)
    with pytest.raises(errors.FormatError, match="--accept-historical"):
        pyhash.verify(model, keys=[public])
    pyhash.verify(model, keys=[public], accept_historical=True)


# --- the proof ------------------------------------------------------------------------------------


def test_proof(model: Path, public: Path, data: dict[str, bytes]) -> None:
    proof = pyhash.verify(model, keys=[public])
    assert type(proof) is pyhash.Verified
    assert verify_checkpoint.expect_verified(proof) is proof
    assert proof.root == reference.checkpoint_root(data)
    assert proof.root == proof.manifest.root
    assert proof.location == str(model)
    assert proof.guarantee == "content"
    assert proof.key_hint == signing.load_verifier(public).hint
    assert [file.path for file in proof.listing.files] == sorted(data)
    assert proof.size == sum(map(len, data.values()))
    assert 0 < proof.seconds < 60
    assert proof.own == OWN
    assert set(proof.ignored) == set(reference.LEFT_OUT) - set(proof.own)


def test_only_verify_makes_one(model: Path, public: Path) -> None:
    proof = pyhash.verify(model, keys=[public])
    fields = [getattr(proof, one.name) for one in dataclasses.fields(proof)]
    with pytest.raises(errors.UsageError, match=r"only pyhash\.verify makes"):
        pyhash.Verified(*fields, None)
    with pytest.raises(errors.UsageError, match="cannot be copied or stored"):
        copy.copy(proof)
    with pytest.raises(errors.UsageError, match=r"not made by pyhash\.verify"):
        verify_checkpoint.expect_verified(object.__new__(pyhash.Verified))
    with pytest.raises(errors.UsageError, match="takes a Verified, not a Manifest"):
        verify_checkpoint.expect_verified(proof.manifest)


def test_arguments_may_be_of_any_kind(model: Path, public: Path) -> None:
    policy = pyhash.Policy.from_key_files([public])
    for proof in (
        pyhash.verify(str(model), keys=(str(public),)),
        pyhash.verify(model, keys=[f"file:{public}"]),
        pyhash.verify(model, policy=policy),
        pyhash.verify(f"{model}/", policy=policy, signature=f"{model}/model.sig"),
    ):
        assert proof.root == pyhash.verify(model, keys=[public]).root


@pytest.mark.parametrize(
    "options",
    [
        hashing.Options(threads=1, reader="buffered"),
        hashing.Options(threads=5, reader="mmap", kernel="portable"),
    ],
)
def test_options_change_nothing(options: hashing.Options, model: Path, public: Path) -> None:
    proof = pyhash.verify(model, keys=[public], options=options)
    assert proof.root == pyhash.verify(model, keys=[public]).root


def test_progress_is_told(model: Path, public: Path, data: dict[str, bytes]) -> None:
    told: list[tuple[int, int]] = []
    options = hashing.Options(progress=lambda *done: told.append(done))
    pyhash.verify(model, keys=[public], options=options)
    total = sum(map(len, data.values()))
    assert told[-1] == (total, total)


def test_several_threads_at_once(model: Path, public: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        proofs = list(pool.map(lambda _: pyhash.verify(model, keys=[public]), range(12)))
    assert len({proof.root for proof in proofs}) == 1
    assert all(verify_checkpoint.expect_verified(proof) is proof for proof in proofs)


def test_without_file_digests(model: Path, public: Path) -> None:
    pyhash.sign(model, public.with_suffix(".key"), file_digests=False)
    proof = pyhash.verify(model, keys=[public])
    assert proof.manifest.predicate_type == manifest.PYHASH_PREDICATE_TYPE
    flip(model / SHARD, 5)
    assert [one.path for one in findings(model, public)] == [SHARD]


def test_single_file(tmp_path: Path, model: Path, public: Path) -> None:
    file = tmp_path / "one.safetensors"
    shutil.copyfile(model / SHARD, file)
    pyhash.sign(file, public.with_suffix(".key"))
    proof = pyhash.verify(file, keys=[public])
    assert proof.listing.is_single_file
    assert proof.own == OWN
    flip(file, SPAN + 1)
    (finding,) = findings(file, public)
    assert (finding.code, finding.path) == ("digest", "one.safetensors")
    assert finding.ranges == (DamagedRange(SPAN, 2 * SPAN, ("b",)),)


def test_single_file_under_another_name(tmp_path: Path, model: Path, public: Path) -> None:
    file = tmp_path / "one.safetensors"
    shutil.copyfile(model / SHARD, file)
    pyhash.sign(file, public.with_suffix(".key"))
    other = tmp_path / "other.safetensors"
    file.rename(other)
    found = findings(other, public, signature=f"{file}.sig")
    assert [(one.code, one.path) for one in found] == [
        ("missing", "one.safetensors"),
        ("unexpected", "other.safetensors"),
    ]


def test_places_of_the_callers_choice(tmp_path: Path, model: Path, public: Path) -> None:
    for name in ("sig", "tree"):
        (model / f"model.{name}").rename(tmp_path / f"my.{name}")
    with pytest.raises(errors.UnsignedError):
        pyhash.verify(model, keys=[public])
    places = {"signature": tmp_path / "my.sig", "tree": tmp_path / "my.tree"}
    assert pyhash.verify(model, keys=[public], **places).own == OWN
    flip(model / SHARD, SPAN)
    assert findings(model, public, **places)[0].ranges != ()
    assert findings(model, public, signature=places["signature"])[0].ranges == ()


def test_places_inside_the_checkpoint(model: Path, public: Path) -> None:
    places: dict[str, Any] = {"signature": model / "sub/my.sig", "tree": model / "my.tree"}
    pyhash.sign(model, public.with_suffix(".key"), **places)
    (model / "model.sig").unlink()
    proof = pyhash.verify(model, keys=[public], **places)
    assert proof.own == (*OWN, "sub/my.sig", "my.tree")
    # Whoever looks elsewhere for the bundle has a file there that nobody signed.
    (model / "sub/my.sig").rename(model / "model.sig")
    (model / "sub/my.sig").touch()
    assert [(one.code, one.path) for one in findings(model, public, tree=places["tree"])] == [
        ("unexpected", "sub/my.sig")
    ]


def test_relative_paths(model: Path, public: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(model)
    assert pyhash.verify(".", keys=["../publisher.pub"], signature="model.sig").location == "."


# --- arguments that make no sense -----------------------------------------------------------------


def test_policy_or_keys(model: Path, public: Path) -> None:
    policy = pyhash.Policy.from_key_files([public])
    for named in ({"keys": [public]}, {"ignore": ["x"]}):
        with pytest.raises(errors.UsageError, match="not both"):
            pyhash.verify(model, policy=policy, **named)  # type: ignore[arg-type]
    with pytest.raises(errors.UsageError, match="at least one trusted key"):
        pyhash.verify(model)
    with pytest.raises(errors.UsageError, match="as lists"):
        pyhash.verify(model, keys=str(public))
    with pytest.raises(errors.UsageError, match="cannot ignore"):
        pyhash.verify(model, keys=[public], ignore=["../x"])


def test_keys_that_cannot_be_used(model: Path, public: Path, tmp_path: Path) -> None:
    for name in ("absent.pub", "publisher.key", "model"):
        with pytest.raises(errors.KeyFileError):
            pyhash.verify(model, keys=[public, tmp_path / name])


# --- no bundle ------------------------------------------------------------------------------------


def test_unsigned(model: Path, public: Path) -> None:
    (model / "model.sig").unlink()
    with pytest.raises(errors.UnsignedError, match=r"model\.sig: no such file") as caught:
        pyhash.verify(model, keys=[public])
    assert caught.value.findings == ()


def test_bundle_that_cannot_be_read(model: Path, public: Path) -> None:
    (model / "model.sig").unlink()
    (model / "model.sig").symlink_to("model.sig")  # round and round
    with pytest.raises(errors.ReadError):
        pyhash.verify(model, keys=[public])


def test_hopeless_checkpoints(tmp_path: Path, model: Path, public: Path) -> None:
    with pytest.raises(errors.ReadError, match="absent"):
        pyhash.verify(tmp_path / "absent", keys=[public], signature=model / "model.sig")
    (tmp_path / "empty").mkdir()
    found = findings(tmp_path / "empty", public, signature=model / "model.sig")
    assert {one.code for one in found} == {"missing"}


# --- what ends without an answer ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (errors.ReadError("x: EIO", "x", 5), errors.ReadError),
        (errors.EngineError("no memory"), errors.EngineError),
        (errors.CancelledError("stopped"), errors.CancelledError),
        (errors.TruncatedError("x: ends", "x"), errors.ChangedWhileReadError),
        (errors.TruncatedError("ends"), errors.ChangedWhileReadError),
        (KeyboardInterrupt(), KeyboardInterrupt),
    ],
)
def test_hashing_that_fails(
    raised: BaseException,
    expected: type[BaseException],
    model: Path,
    public: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise raised

    monkeypatch.setattr(hashing, "hash_listing", fail)
    with pytest.raises(expected) as caught:
        pyhash.verify(model, keys=[public])
    assert type(caught.value) is expected
    if isinstance(caught.value, errors.ChangedWhileReadError):
        (finding,) = caught.value.findings
        assert finding.code == "changed"
        assert "became shorter" in finding.message


def test_no_descriptor_is_left_open(model: Path, public: Path) -> None:
    pyhash.verify(model, keys=[public])
    before = os.listdir("/proc/self/fd")
    acts: list[Callable[[], object]] = [
        lambda: None,
        lambda: flip(model / SHARD, SPAN),
        lambda: (model / "more").touch(),
        lambda: (model / "model.sig").write_text("{"),
    ]
    for act in acts:
        act()
        try:
            pyhash.verify(model, keys=[public])
        except errors.PyhashError:
            assert act is not acts[0]
        assert os.listdir("/proc/self/fd") == before
