# SPDX-License-Identifier: Apache-2.0
"""Before any byte is hashed: what may be there unsigned, what must be there, what is required."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from _signed import write_keys

import pyhash
from pyhash import errors, files, hashing, history, opening
from pyhash.manifest import OMS_PREDICATE_TYPE, Manifest, ShardEntry
from pyhash.policy import Policy
from tests.support import old_bundles, peer

FILES = {"a.bin": b"a", "sub/b.bin": b"bb"}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    for name, data in FILES.items():
        path = tmp_path / "model" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    private, _ = write_keys(tmp_path)
    pyhash.sign(tmp_path / "model", private, release=pyhash.Release(1, 7))
    return tmp_path / "model"


@pytest.fixture
def policy(tmp_path: Path, model: Path) -> Policy:
    return Policy.from_key_files([tmp_path / "publisher.pub"])


def manifest_of(*shards: ShardEntry, **named: Any) -> Manifest:
    return Manifest("model", shards, None, (), OMS_PREDICATE_TYPE, **named)


def entry(name: str, data: bytes, size: int | None = None) -> ShardEntry:
    return ShardEntry(name, size, None, hashlib.sha256(data).digest())


open_checkpoint = partial(opening.open_checkpoint, guarantee="content")


def listed(path: Path) -> files.Listing:
    return files.list_checkpoint(path, hashing.ignorer(()))


def test_opened(model: Path, policy: Policy) -> None:
    opened = open_checkpoint(model, policy)
    assert opened.size == 3
    assert [file.path for file in opened.listing.files] == sorted(FILES)


def test_nothing_there_could_not_be_checked(model: Path, policy: Policy) -> None:
    """Which is another answer than that nobody signed it."""
    with pytest.raises(errors.ReadError, match="nothing"):
        open_checkpoint(model / "nothing", policy)


def test_key_out_of_the_checkpoint(model: Path, tmp_path: Path) -> None:
    inside = model / "publisher.pub"
    inside.write_bytes((tmp_path / "publisher.pub").read_bytes())
    with pytest.raises(errors.UsageError, match=r"publisher\.pub"):
        opening.given_policy(model, None, [inside], (), None)


def test_guarantee_is_compared_first_and_last(model: Path, policy: Policy) -> None:
    """First before anything is looked at; last with the name of what was done."""
    policy = replace(policy, guarantee="content")
    with pytest.raises(errors.PolicyError, match="the guarantee would be 'sampled'"):
        opening.open_checkpoint(model / "nothing", policy, guarantee="sampled")
    opened = opening.open_checkpoint(model, policy, guarantee=None)
    with pytest.raises(errors.PolicyError, match="the guarantee would be 'sampled'"):
        opening.accept(opened, "sampled")
    opening.accept(opened, "content")


def test_accepting_remembers(model: Path, policy: Policy, tmp_path: Path) -> None:
    (tmp_path / "state").mkdir(mode=0o700)
    opened = open_checkpoint(model, replace(policy, state=str(tmp_path / "state")))
    assert list((tmp_path / "state").iterdir()) == []
    opening.accept(opened, "content")
    assert len(list((tmp_path / "state").iterdir())) == 1


def test_old_bundles_are_not_opened_unasked(model: Path, policy: Policy, tmp_path: Path) -> None:
    pair = peer.KeyPair("P-256", tmp_path / "publisher.key", tmp_path / "publisher.pub")
    payload = old_bundles.old_payload(FILES)
    old_bundles.write_with_key(model / "model.sig", pair, payload, old_bundles.old_pae)
    with pytest.raises(errors.FormatError, match="--accept-historical"):
        open_checkpoint(model, policy)
    assert open_checkpoint(model, policy, accept_historical=True).size == 3


def test_access_that_must_be_recorded(model: Path, policy: Policy) -> None:
    with pytest.raises(errors.PolicyError, match="requires that every access is recorded"):
        open_checkpoint(model, replace(policy, require_log=True))


@pytest.mark.parametrize("field", ["log", "provenance"])
def test_history_is_looked_at_where_it_is_required(
    model: Path, policy: Policy, field: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise errors.PolicyError("no such history")

    monkeypatch.setattr(history, "check_history", refuse)
    open_checkpoint(model, policy)
    required: Any = {field: object()}
    with pytest.raises(errors.PolicyError, match="no such history"):
        open_checkpoint(model, replace(policy, **required))


# --- what may be there unsigned -------------------------------------------------------------------


def test_ignored_paths_of_a_caller() -> None:
    opening.check_ignored(["logs", "sub/cache"])
    with pytest.raises(errors.UsageError, match="as a list, not as one string"):
        opening.check_ignored("logs")
    for wrong in ("../x", "/x", "a/../b", ""):
        with pytest.raises(errors.UsageError, match="cannot ignore this path"):
            opening.check_ignored(["logs", wrong])


def test_a_publisher_cannot_have_files_overlooked(policy: Policy) -> None:
    manifest = replace(manifest_of(entry("a", b"")), ignore_paths=(".git", "hidden", "logs"))
    policy = replace(policy, ignore=("logs",))
    assert opening.ignored_paths(manifest, policy) == ("logs", ".git")
    assert opening.ignored_paths(replace(manifest, ignore_paths=()), policy) == ("logs",)


def test_files_without_bytes_where_they_cannot_be_signed(tmp_path: Path) -> None:
    """Only those, only where the method omits them, and never in the place of what is signed."""
    for name, data in {"a": b"a", "empty": b"", "other": b"b", "signed": b""}.items():
        (tmp_path / name).write_bytes(data)
    listing = listed(tmp_path)
    shards = (entry("a", b"a"), entry("signed", b""))
    found = opening._with_empty_files(manifest_of(*shards, omits_empty=True), listing)
    assert found.shards == (shards[0], entry("empty", b"", 0), shards[1])
    assert [one.path for one in opening.compare_listing(found, listing)] == ["other"]
    plain = manifest_of(*shards)
    assert opening._with_empty_files(plain, listing) is plain
    single = manifest_of(entry(".", b""), omits_empty=True, single_file=True)
    assert opening._with_empty_files(single, listed(tmp_path / "empty")) is single


# --- what must be there ---------------------------------------------------------------------------


def test_messages(tmp_path: Path) -> None:
    (tmp_path / ".cache/huggingface").mkdir(parents=True)
    for name in ("more", ".cache/huggingface/note", "a"):
        (tmp_path / name).write_bytes(b"xy")
    (tmp_path / "link").symlink_to("a")
    listing = listed(tmp_path)
    manifest = manifest_of(entry("a", b"xy", 3), entry("gone", b""), entry("link", b"xy"))
    found = {
        one.path: (one.code, one.message)
        for one in opening.compare_listing(manifest, listing)
        if one not in listing.strange
    }
    assert found["a"] == ("size", "2 bytes instead of the signed 3")
    assert found["gone"] == ("missing", "signed, but not there")
    assert found["link"][0] == "missing" and found["link"][1].startswith("signed, but in its place")
    assert found["more"] == ("unexpected", "not signed by anybody; remove it or sign again")
    code, message = found[".cache/huggingface/note"]
    assert code == "unexpected" and "--ignore .cache/huggingface leaves it out" in message


def test_a_single_file_is_no_directory(tmp_path: Path) -> None:
    """Signed as one file, which other tools call ".": a directory with such a file is not it."""
    (tmp_path / "model").mkdir()
    (tmp_path / "model/model").write_bytes(b"a")
    manifest = manifest_of(entry(".", b"a"), single_file=True)
    alone = listed(tmp_path / "model/model")
    assert opening.compare_listing(manifest, alone) == []
    inside = opening.compare_listing(manifest, listed(tmp_path / "model"))
    assert sorted(one.code for one in inside) == ["missing", "unexpected"]
