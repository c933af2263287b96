# SPDX-License-Identifier: Apache-2.0
"""Signing again what changed only: what is carried over, on whose word, and when it is not."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

import pyhash
from pyhash import carrying, errors, hashing, manifest, sign_checkpoint, signing
from pyhash.carrying import PROVEN, SAID, Update
from pyhash.guarantees import CONTENT, by_receipt, recorded
from pyhash.receipts import Store, open_store
from tests import reference
from tests.unit._signed import SHARD, SPAN, flip, write_checkpoint, write_keys


class Publisher:
    """A signed checkpoint, and what was hashed while signing it again."""

    def __init__(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.private, self.public = write_keys(home)
        self.model = home / "model"
        write_checkpoint(self.model)
        pyhash.sign(self.model, self.private)
        self.store: Store = open_store(home / "receipts", create=True)
        self.hashed: list[str] = []
        real = hashing.hash_listing

        def watch(listing: object, **named: object) -> object:
            self.hashed = [one.path for one in listing.files]  # type: ignore[attr-defined]
            return real(listing, **named)  # type: ignore[arg-type]

        monkeypatch.setattr(sign_checkpoint.hashing, "hash_listing", watch)

    def update(self, update: Update, **named: object) -> pyhash.SignResult:
        return pyhash.sign(self.model, self.private, update=update, **named)  # type: ignore[arg-type]

    def files(self) -> dict[str, bytes]:
        names = (SHARD, "README.md", "config.json", "sub/caf\u00e9", "sub/empty")
        found = {name: self.model / name for name in names}
        return {name: path.read_bytes() for name, path in found.items() if path.exists()}

    def expect_right(self) -> None:
        """Bundle and tree file are those of a checkpoint that is hashed whole."""
        proof = pyhash.verify(self.model, keys=[self.public])
        assert proof.root == reference.checkpoint_root(self.files())
        bundle, tree = ((self.model / name).read_bytes() for name in ("model.sig", "model.tree"))
        pyhash.sign(self.model, self.private)
        assert (self.model / "model.tree").read_bytes() == tree
        statements = [
            signing.load_bundle(data, "x").envelope.payload
            for data in (bundle, (self.model / "model.sig").read_bytes())
        ]
        assert statements[0] == statements[1]


@pytest.fixture
def publisher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Publisher:
    return Publisher(tmp_path, monkeypatch)


def carried(result: pyhash.SignResult) -> dict[str, str]:
    return {one.path: one.reason for one in result.carried}


def test_a_new_readme(publisher: Publisher) -> None:
    (publisher.model / "README.md").write_text("new")
    result = publisher.update(Update(("*.safetensors", "sub/*")))
    assert publisher.hashed == ["README.md", "config.json"]
    assert carried(result) == {SHARD: SAID, "sub/caf\u00e9": SAID, "sub/empty": SAID}
    publisher.expect_right()


def test_by_receipt(publisher: Publisher) -> None:
    pyhash.verify(
        publisher.model, keys=[publisher.public], guarantee=recorded(CONTENT, publisher.store)
    )
    (publisher.model / "config.json").write_text('{"model_type": "llam2"}')
    result = publisher.update(Update(receipts=publisher.store), receipts=publisher.store)
    assert publisher.hashed == ["config.json"]
    assert carried(result) == dict.fromkeys((SHARD, "sub/caf\u00e9", "sub/empty"), PROVEN)
    later = pyhash.verify(
        publisher.model, keys=[publisher.public], guarantee=by_receipt(publisher.store)
    )
    assert later.size == 0
    publisher.expect_right()


def test_no_receipt_carries_nothing(publisher: Publisher) -> None:
    assert publisher.update(Update(receipts=publisher.store)).carried == ()
    assert len(publisher.hashed) == 4
    pyhash.verify(
        publisher.model, keys=[publisher.public], guarantee=recorded(CONTENT, publisher.store)
    )
    other, _ = write_keys(publisher.model.parent, "other")
    pyhash.sign(publisher.model, other)
    keys = (signing.load_verifier(other.with_suffix(".pub")),)
    # The receipt is about the other key's bundle no more.
    assert publisher.update(Update(receipts=publisher.store, keys=keys)).carried == ()


def test_word_is_no_receipt(publisher: Publisher) -> None:
    """What the caller only said to be unchanged is in no receipt that signing leaves."""
    publisher.update(Update((SHARD,)), receipts=publisher.store)
    with pytest.raises(errors.ReceiptError, match=rf"1 of 4 files .*: {SHARD}"):
        pyhash.verify(
            publisher.model, keys=[publisher.public], guarantee=by_receipt(publisher.store)
        )


def test_a_lie_is_found_by_every_verifier(publisher: Publisher) -> None:
    flip(publisher.model / SHARD, SPAN)
    publisher.update(Update((SHARD,)))
    with pytest.raises(errors.DigestMismatchError):
        pyhash.verify(publisher.model, keys=[publisher.public])


def test_other_size_than_what_is_said_to_be_unchanged(publisher: Publisher) -> None:
    before = (publisher.model / "model.sig").read_bytes()
    (publisher.model / "config.json").write_text("{}")
    with pytest.raises(errors.SizeMismatchError, match="said to be unchanged, but has 2 bytes"):
        publisher.update(Update(("config.json",)))
    assert (publisher.model / "model.sig").read_bytes() == before


def test_without_whole_file_digests(publisher: Publisher) -> None:
    result = publisher.update(Update((SHARD,)), file_digests=False)
    assert carried(result) == {SHARD: SAID}
    assert result.manifest.shards[1].file_digest is None
    # The other way there is no digest to carry: it is hashed.
    result = publisher.update(Update((SHARD,)))
    assert carried(result) == {}
    assert SHARD in publisher.hashed
    publisher.expect_right()


def _remove(path: Path) -> None:
    path.unlink()


def _damage(path: Path) -> None:
    flip(path, path.stat().st_size - 1)


@pytest.mark.parametrize("spoil", [_remove, _damage])
def test_tree_file_must_fold_to_what_was_signed(spoil: object, publisher: Publisher) -> None:
    spoil(publisher.model / "model.tree")  # type: ignore[operator]
    before = (publisher.model / "model.sig").read_bytes()
    with pytest.raises(errors.CheckError, match=r"model\.tree"):
        publisher.update(Update((SHARD,)))
    assert (publisher.model / "model.sig").read_bytes() == before


def test_earlier_bundle_by_somebody_else(publisher: Publisher) -> None:
    other, public = write_keys(publisher.model.parent, "other")
    pyhash.sign(publisher.model, other)
    before = (publisher.model / "model.sig").read_bytes()
    with pytest.raises(errors.SignatureError):
        publisher.update(Update((SHARD,)))
    assert (publisher.model / "model.sig").read_bytes() == before
    result = publisher.update(Update((SHARD,), keys=(signing.load_verifier(public),)))
    assert carried(result) == {SHARD: SAID}
    publisher.expect_right()


def test_no_earlier_bundle(publisher: Publisher) -> None:
    os.unlink(publisher.model / "model.sig")
    with pytest.raises(errors.UnsignedError):
        publisher.update(Update((SHARD,)))


def test_earlier_bundle_of_another_tool(publisher: Publisher) -> None:
    entries = tuple(
        manifest.ShardEntry(one.path, None, None, one.file_digest)
        for one in pyhash.sign(publisher.model, publisher.private).manifest.shards
    )
    foreign = manifest.Manifest("model", entries, None, (), manifest.OMS_PREDICATE_TYPE)
    signer = signing.load_signer(publisher.private)
    bundle = signing.sign_payload(manifest.dump_statement(foreign), signer)
    (publisher.model / "model.sig").write_bytes(signing.dump_bundle(bundle))
    with pytest.raises(errors.FormatError, match="another tool"):
        publisher.update(Update((SHARD,)))


@pytest.mark.parametrize("patterns", [["nothing"], [SHARD, "*.gguf"]])
def test_pattern_of_no_file(patterns: Sequence[str], publisher: Publisher) -> None:
    with pytest.raises(errors.UsageError, match="no file of"):
        publisher.update(Update(tuple(patterns)))


def test_a_new_file_is_hashed_whatever_is_said(publisher: Publisher) -> None:
    (publisher.model / "README.md").write_text("new")
    publisher.update(Update(("*",)))
    assert publisher.hashed == ["README.md"]
    publisher.expect_right()


def test_grounds_are_needed(publisher: Publisher) -> None:
    with pytest.raises(errors.UsageError, match="needs to know what is unchanged"):
        Update()
    with pytest.raises(errors.UsageError, match="as a list"):
        Update("*.safetensors")  # type: ignore[arg-type]


def test_signer_that_hides_its_public_key(publisher: Publisher) -> None:
    class Token:
        hint = "ab" * 32

        def sign(self, message: bytes) -> bytes:
            return message

    with pytest.raises(errors.UsageError, match="does not give its public key"):
        carrying.carry_over(None, Update(("x",)), Token(), ("a", "b"), True)  # type: ignore[arg-type]
