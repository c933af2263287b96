# SPDX-License-Identifier: Apache-2.0
"""Guarantees that rest on an earlier pass: receipts of it, changed files, resumed passes."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from pathlib import Path

import pytest

import pyhash
from pyhash import closure, errors, guarantees, hashing
from pyhash.files import CheckpointFile, Listing
from pyhash.guarantees import CONTENT, by_receipt, once, receipt, recorded, resume, resumed
from pyhash.receipts import Store, _receipt, open_store
from tests.unit._signed import SHARD, SPAN, flip, write_checkpoint, write_keys

SIZE = 2 * SPAN + SPAN // 2 + 23 + 1  # of the checkpoint


class Publisher:
    """A signed checkpoint and the receipts of this host."""

    def __init__(self, home: Path) -> None:
        self.private, self.public = write_keys(home)
        self.model = home / "model"
        write_checkpoint(self.model)
        pyhash.sign(self.model, self.private)
        self.store: Store = open_store(home / "receipts", create=True)

    def verify(
        self, guarantee: guarantees.Guarantee, options: hashing.Options | None = None
    ) -> pyhash.Verified:
        return pyhash.verify(self.model, keys=[self.public], guarantee=guarantee, options=options)

    def record(self) -> pyhash.Verified:
        return self.verify(recorded(CONTENT, self.store))

    def by_receipt(self) -> pyhash.Verified:
        return self.verify(by_receipt(self.store))

    def changed(self) -> pyhash.Verified:
        return self.verify(by_receipt(self.store, rehash=True))


@pytest.fixture
def publisher(tmp_path: Path) -> Publisher:
    return Publisher(tmp_path)


# --- receipts -------------------------------------------------------------------------------------


def test_a_receipt_stands_for_the_pass(publisher: Publisher) -> None:
    proof = publisher.record()
    assert (proof.guarantee, proof.size) == ("content", SIZE)
    assert dict(proof.details)["not_in_receipt"] == []
    later = publisher.by_receipt()
    assert (later.guarantee, later.size) == ("receipt", 0)
    assert later.detail.startswith("4 of 4 files unchanged since 20")
    assert dict(later.details)["by_receipt"] == 4
    assert dict(later.details)["hashed_now"] == []


def looked_into(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Paths of the files that step 4 looks into from now on."""
    seen: list[str] = []
    real = closure.check_closure

    def watch(listing: Listing, known: Collection[CheckpointFile] = ()) -> list[errors.Finding]:
        seen.extend(file.path for file in listing.files if file not in known)
        return real(listing, known)

    monkeypatch.setattr(closure, "check_closure", watch)
    return seen


def test_a_receipt_speaks_of_closure_too(
    publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = looked_into(monkeypatch)
    publisher.record()
    assert len(seen) == 4
    publisher.by_receipt()
    assert len(seen) == 4
    publisher.verify(CONTENT)
    assert len(seen) == 8


def test_what_a_receipt_does_not_cover_is_looked_into(
    publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    publisher.record()
    config = publisher.model / "config.json"
    config.write_bytes(config.read_bytes())
    seen = looked_into(monkeypatch)
    assert publisher.changed().guarantee == "receipt"
    assert seen == ["config.json"]


def test_of_other_rules_nothing_is_believed(
    publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    publisher.record()
    seen = looked_into(monkeypatch)
    monkeypatch.setattr(_receipt, "rules_name", lambda: "of a later version")
    assert publisher.by_receipt().guarantee == "receipt"
    assert len(seen) == 4
    monkeypatch.setattr(_receipt, "rules_name", lambda: None)  # no sources: nothing is known
    publisher.record()
    seen.clear()
    assert publisher.by_receipt().guarantee == "receipt"
    assert len(seen) == 4


@pytest.mark.parametrize("make", [lambda store: recorded(CONTENT, store), once])
def test_files_are_written_back_before_they_are_looked_into(
    publisher: Publisher,
    monkeypatch: pytest.MonkeyPatch,
    make: Callable[[Store], guarantees.Guarantee],
) -> None:
    order: list[str] = []
    flush, check = receipt.flush_files, closure.check_closure
    monkeypatch.setattr(
        receipt, "flush_files", lambda listing: (order.append("flush"), flush(listing))
    )
    monkeypatch.setattr(
        closure, "check_closure", lambda *named: (order.append("closure"), check(*named))[1]
    )
    publisher.verify(make(publisher.store))
    assert order[:2] == ["flush", "closure"]


def test_nothing_is_believed_unasked(publisher: Publisher) -> None:
    publisher.record()
    assert publisher.verify(CONTENT).size == SIZE


def test_without_a_receipt_there_is_no_answer(publisher: Publisher) -> None:
    with pytest.raises(errors.ReceiptError, match="no receipt for it: there is none"):
        publisher.by_receipt()
    proof = publisher.changed()
    assert (proof.guarantee, proof.size) == ("content", SIZE)
    assert proof.detail == "no receipt was used: there is none"


def test_a_receipt_settles_no_doubt(publisher: Publisher, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when the program that wrote it knew of fewer places that a file could lead to."""
    publisher.record()
    doubt = errors.Finding("closure", "config.json", "leads elsewhere")
    monkeypatch.setattr(closure, "check_closure", lambda *_: [doubt])
    monkeypatch.setattr(_receipt, "rules_name", lambda: "those of another program")
    for guarantee in (by_receipt(publisher.store), once(publisher.store), CONTENT):
        with pytest.raises(errors.ClosureError, match="leads elsewhere"):
            publisher.verify(guarantee)


def test_a_changed_file_is_hashed_and_nothing_else(publisher: Publisher) -> None:
    publisher.record()
    (publisher.model / "config.json").write_bytes((publisher.model / "config.json").read_bytes())
    with pytest.raises(errors.ReceiptError, match=r"1 of 4 files .*: config\.json; verify"):
        publisher.by_receipt()
    proof = publisher.changed()
    assert (proof.guarantee, proof.size) == ("receipt", 23)
    assert dict(proof.details)["hashed_now"] == ["config.json"]
    assert proof.detail.endswith("1 hashed now")


def test_changed_files_that_differ_are_refused(publisher: Publisher) -> None:
    publisher.record()
    flip(publisher.model / SHARD, SPAN + 7)
    with pytest.raises(errors.ReceiptError):
        publisher.by_receipt()
    with pytest.raises(errors.DigestMismatchError) as caught:
        publisher.changed()
    (finding,) = caught.value.findings
    assert [(one.start, one.tensors) for one in finding.ranges] == [(SPAN, ("b",))]


def test_a_refusal_leaves_the_earlier_receipt(publisher: Publisher) -> None:
    publisher.record()
    before = _records(publisher)
    flip(publisher.model / SHARD, SPAN)
    with pytest.raises(errors.DigestMismatchError):
        publisher.record()
    assert _records(publisher) == before


def _records(publisher: Publisher) -> dict[str, bytes]:
    directory = Path(publisher.store.directory)
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def test_a_new_receipt_after_changed_files(publisher: Publisher) -> None:
    publisher.record()
    os.utime(publisher.model / "config.json")
    proof = publisher.verify(recorded(by_receipt(publisher.store, rehash=True), publisher.store))
    assert (proof.guarantee, proof.size) == ("receipt", 23)
    assert publisher.by_receipt().size == 0


def test_many_files_are_not_all_listed(publisher: Publisher) -> None:
    publisher.record()
    for name in (SHARD, "config.json", "sub/caf\u00e9", "sub/empty"):
        os.utime(publisher.model / name)
    with pytest.raises(errors.ReceiptError, match=r"4 of 4 files .* and 1 more"):
        publisher.by_receipt()
    proof = publisher.changed()
    assert (proof.guarantee, proof.detail) == ("content", "every file had changed")


def test_signed_again_with_the_same_content_is_the_same(publisher: Publisher) -> None:
    """The bundle's bytes differ, as ECDSA is random; what it says and who says so does not."""
    publisher.record()
    pyhash.sign(publisher.model, publisher.private)
    assert publisher.by_receipt().size == 0


def test_other_files_unsigned_missing_or_of_other_size(publisher: Publisher) -> None:
    publisher.record()
    (publisher.model / "extra.py").touch()
    with pytest.raises(errors.UnexpectedFileError):
        publisher.by_receipt()
    (publisher.model / "extra.py").unlink()
    (publisher.model / "config.json").unlink()
    with pytest.raises(errors.MissingShardError):
        publisher.changed()


def test_only_what_was_verified_whole_gets_a_receipt(publisher: Publisher) -> None:
    for weaker in (guarantees.sample("50%"), guarantees.only(["config.json"])):
        with pytest.raises(errors.UsageError, match="leaves bytes out"):
            recorded(weaker, publisher.store)


def test_order_of_strength() -> None:
    assert list(guarantees.MEANINGS)[:3] == ["receipt", "sampled", "content"]
    assert guarantees.is_at_least("content", "receipt")
    assert not guarantees.is_at_least("receipt", "sampled")


# --- resumed passes -------------------------------------------------------------------------------


class Interrupted(Exception):
    """Stands for a process that ends."""


def interrupt_after(count: int, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Let ``count`` batches be hashed and put down, then stop; returns what undoes it."""
    real = resumed.hash_runs
    left = [count]

    def hash_runs(*arguments: object) -> object:
        if not left[0]:
            raise Interrupted
        left[0] -= 1
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(resumed, "hash_runs", hash_runs)
    return lambda: monkeypatch.setattr(resumed, "hash_runs", real)


def test_uninterrupted_is_content(publisher: Publisher) -> None:
    proof = publisher.verify(resume(publisher.store))
    assert (proof.guarantee, proof.size) == ("content", SIZE)
    assert list(_records(publisher)) == ["host.key"]


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_goes_on_where_it_was(
    count: int, publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    # In order of path: config.json and two spans... each batch is one span, 4096 below a MiB apart.
    undo = interrupt_after(count, monkeypatch)
    with pytest.raises(Interrupted):
        publisher.verify(resume(publisher.store, batch_bytes=SPAN))
    undo()
    proof = publisher.verify(resume(publisher.store, batch_bytes=SPAN))
    sizes = [23, SPAN, SPAN, SPAN // 2, 1]  # config.json, the shard, sub/café
    first = sorted([SHARD, "config.json"])[0]
    order = sizes if first == "config.json" else [SPAN, SPAN, SPAN // 2, 23, 1]
    assert proof.size == sum(order[count:])
    assert proof.guarantee == ("receipt" if count else "content")
    if count:
        assert f"{sum(order[:count])} of {SIZE} bytes were hashed by an interrupted run" in (
            proof.detail
        )
        assert dict(proof.details)["hashed_earlier_bytes"] == sum(order[:count])
    assert list(_records(publisher)) == ["host.key"]


def test_a_file_that_changed_meanwhile_is_hashed_again(
    publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    undo = interrupt_after(3, monkeypatch)
    with pytest.raises(Interrupted):
        publisher.verify(resume(publisher.store, batch_bytes=SPAN))
    undo()
    flip(publisher.model / SHARD, 5)
    with pytest.raises(errors.DigestMismatchError) as caught:
        publisher.verify(resume(publisher.store))
    (finding,) = caught.value.findings
    assert (finding.ranges[0].start, finding.ranges[0].end) == (0, SPAN)
    assert list(_records(publisher)) == ["host.key"]


def test_damage_before_the_interruption_is_told_afterwards(
    publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    flip(publisher.model / SHARD, SPAN + 5)
    undo = interrupt_after(3, monkeypatch)
    with pytest.raises(Interrupted):
        publisher.verify(resume(publisher.store, batch_bytes=SPAN))
    undo()
    with pytest.raises(errors.DigestMismatchError) as caught:
        publisher.verify(resume(publisher.store))
    assert [one.start for one in caught.value.findings[0].ranges] == [SPAN]


def test_damage_without_a_tree_file(publisher: Publisher) -> None:
    flip(publisher.model / SHARD, SPAN + 5)
    (publisher.model / "model.tree").unlink()
    with pytest.raises(errors.DigestMismatchError, match="no usable tree file"):
        publisher.verify(resume(publisher.store))


def test_resumed_and_recorded(publisher: Publisher) -> None:
    proof = publisher.verify(recorded(resume(publisher.store), publisher.store))
    assert proof.guarantee == "content"
    assert publisher.by_receipt().size == 0


def test_progress_is_told_over_all_batches(publisher: Publisher) -> None:
    told: list[tuple[int, int]] = []
    options = hashing.Options(progress=lambda done, total: told.append((done, total)))
    publisher.verify(resume(publisher.store, batch_bytes=SPAN), options)
    assert told[-1] == (SIZE, SIZE)
    assert told == sorted(told)


def test_bundles_of_other_tools_have_no_trees(publisher: Publisher) -> None:
    from pyhash import manifest, signing

    entries = [
        manifest.ShardEntry(one.path, None, None, one.file_digest)
        for one in pyhash.sign(publisher.model, publisher.private).manifest.shards
    ]
    foreign = manifest.Manifest("model", tuple(entries), None, (), manifest.OMS_PREDICATE_TYPE)
    signer = signing.load_signer(publisher.private)
    bundle = signing.sign_payload(manifest.dump_statement(foreign), signer)
    (publisher.model / "model.sig").write_bytes(signing.dump_bundle(bundle))
    with pytest.raises(errors.FormatError, match="another tool"):
        publisher.verify(resume(publisher.store))
    with pytest.raises(errors.FormatError, match="another tool"):
        publisher.verify(guarantees.sample("50%"))
    assert publisher.record().guarantee == "content"
    assert publisher.by_receipt().guarantee == "receipt"
