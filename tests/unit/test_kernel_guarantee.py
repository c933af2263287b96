# SPDX-License-Identifier: Apache-2.0
"""Signing with seals, and the guarantee ``kernel``: what passes, and that nothing weaker does."""

from __future__ import annotations

import base64
import errno
import json
import os
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import pytest
import reference
from _signed import write_checkpoint, write_keys
from _statements import OURS

import pyhash
from pyhash import errors, guarantees
from pyhash.cli import group
from pyhash.manifest import dump_statement, load_statement
from tests.support.verity_kernel import VerityKernel

JSON = ("--format", "json")


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> VerityKernel:
    return VerityKernel.in_place(monkeypatch)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    write_keys(tmp_path)
    write_checkpoint(tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture
def sealed(model: Path, kernel: VerityKernel) -> Path:
    pyhash.sign(model, model.parent / "publisher.key", seal=True)
    return model


def verify(model: Path, **more: Any) -> pyhash.Verified:
    keys = [model.parent / "publisher.pub"]
    return pyhash.verify(model, keys=keys, guarantee=guarantees.KERNEL, **more)


def replace_file(path: Path, data: bytes) -> None:
    other = path.with_name("other")  # another inode, which is not sealed
    other.write_bytes(data)
    other.replace(path)


def signed_notes(model: Path) -> dict[str, dict[str, Any]]:
    bundle = json.loads((model / "model.sig").read_text())
    statement = json.loads(base64.b64decode(bundle["dsseEnvelope"]["payload"]))
    return {one["name"]: one["annotations"] for one in statement["predicate"]["resources"]}


def command(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str]:
    code = group.run([str(word) for word in words])
    captured = capsys.readouterr()
    return code, captured.out + captured.err


def test_what_is_signed(sealed: Path) -> None:
    notes = signed_notes(sealed)
    assert len(notes) > 2
    for name, note in notes.items():
        digest = reference.verity_digest((sealed / name).read_bytes()).hex()
        assert note["pyhash-verity"] == {"digest": digest}


def test_verifies_and_says_so(sealed: Path) -> None:
    proof = verify(sealed)
    count = len(signed_notes(sealed))
    assert (proof.guarantee, proof.size) == ("kernel", 0)
    assert dict(proof.details) == {"sealed_files": count}
    assert guarantees.is_at_least("kernel", "content")
    assert not guarantees.is_at_least("content", "kernel")
    keys = [sealed.parent / "publisher.pub"]
    assert pyhash.verify(sealed, keys=keys).guarantee == "content"


def test_without_file_digests(model: Path, kernel: VerityKernel) -> None:
    done = pyhash.sign(model, model.parent / "publisher.key", seal=True, file_digests=False)
    assert done.sealed == len(done.manifest.shards)
    assert verify(model).guarantee == "kernel"


def test_sealing_again(sealed: Path) -> None:
    assert pyhash.sign(sealed, sealed.parent / "publisher.key", seal=True).sealed == 0
    (sealed / "README.md").write_text("new")
    assert pyhash.sign(sealed, sealed.parent / "publisher.key", seal=True).sealed == 1
    assert verify(sealed).guarantee == "kernel"


def test_file_that_is_not_sealed(sealed: Path) -> None:
    content = (sealed / "config.json").read_bytes()
    replace_file(sealed / "config.json", content)
    with pytest.raises(errors.SealError, match=r"1 of \d+ files are not sealed.*: config.json;"):
        verify(sealed)


def test_many_files_that_are_not_sealed(sealed: Path, kernel: VerityKernel) -> None:
    (sealed / "sub/more").write_bytes(b"1")
    pyhash.sign(sealed, sealed.parent / "publisher.key", seal=True)
    kernel.sealed.clear()
    with pytest.raises(errors.SealError, match=r"\d of \d files are not sealed.* and \d more;"):
        verify(sealed)


def test_other_content_is_the_stronger_answer(sealed: Path, kernel: VerityKernel) -> None:
    """One file sealed with other content, another not sealed: the answer is no."""
    for name, is_sealed in (("config.json", True), (next(iter(signed_notes(sealed))), False)):
        status = os.stat(sealed / name)
        kernel.sealed.pop((status.st_dev, status.st_ino), None)
        if is_sealed:
            kernel.sealed[status.st_dev, status.st_ino] = (1, bytes(32))
    status = os.stat(sealed / "config.json")
    kernel.sealed[status.st_dev, status.st_ino] = (1, bytes(32))
    with pytest.raises(errors.DigestMismatchError) as caught:
        verify(sealed)
    assert [one.path for one in caught.value.findings] == ["config.json"]
    assert caught.value.findings[0].actual == "00" * 32


def test_nothing_was_signed(model: Path, kernel: VerityKernel) -> None:
    pyhash.sign(model, model.parent / "publisher.key")
    with pytest.raises(errors.SealError, match="no fs-verity digests were signed"):
        verify(model)


def test_kernel_without_the_feature(sealed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def ioctl(*_: object) -> None:
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    monkeypatch.setattr("fcntl.ioctl", ioctl)
    with pytest.raises(errors.SealError, match="no fs-verity on its file system"):
        verify(sealed)


def test_everything_else_is_checked_too(sealed: Path, tmp_path: Path) -> None:
    (sealed / "extra.py").write_text("")
    with pytest.raises(errors.UnexpectedFileError):
        verify(sealed)
    (sealed / "extra.py").unlink()
    content = (sealed / "config.json").read_bytes()
    replace_file(sealed / "config.json", content + b" ")
    with pytest.raises(errors.SizeMismatchError):
        verify(sealed)
    (sealed / "config.json").unlink()
    with pytest.raises(errors.MissingShardError):
        verify(sealed)
    write_keys(tmp_path, "other")
    with pytest.raises(errors.SignatureError):
        pyhash.verify(sealed, keys=[tmp_path / "other.pub"], guarantee=guarantees.KERNEL)


@pytest.mark.parametrize("number", [errno.ETXTBSY, errno.EOPNOTSUPP, errno.EACCES])
def test_old_bundle_stays_when_sealing_fails(
    model: Path, kernel: VerityKernel, number: int
) -> None:
    key = model.parent / "publisher.key"
    pyhash.sign(model, key)
    before = {name: (model / name).read_bytes() for name in ("model.sig", "model.tree")}
    kernel.enable_error = number
    with pytest.raises(errors.SealError):
        pyhash.sign(model, key, seal=True, release=pyhash.Release(1))
    assert {name: (model / name).read_bytes() for name in before} == before
    kernel.enable_error = 0
    pyhash.sign(model, key, seal=True)
    assert verify(model).guarantee == "kernel"


def test_nothing_is_hashed_or_written_without_the_feature(tmp_path: Path) -> None:
    """This machine's own answer on tmpfs, which has no fs-verity under any kernel."""
    key, _ = write_keys(tmp_path)
    with TemporaryDirectory(dir="/dev/shm") as memory:
        model = Path(memory, "model")
        write_checkpoint(model)
        listed = sorted(one.name for one in model.rglob("*"))
        with (
            pytest.raises(errors.SealError, match=r"\(tmpfs\)") as caught,
            patch("pyhash.hashing.hash_listing", side_effect=AssertionError("hashed")),
        ):
            pyhash.sign(model, key, seal=True)
        assert caught.value.errno in (errno.EOPNOTSUPP, errno.ENOTTY)
        assert sorted(one.name for one in model.rglob("*")) == listed


def test_commands(sealed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key, public = sealed.parent / "publisher.key", sealed.parent / "publisher.pub"
    count = len(signed_notes(sealed))
    code, text = command(capsys, "seal", sealed, "--key", key)
    assert (code, f"sealed     0 of {count} now; all are" in text) == (0, True)
    code, text = command(capsys, "seal", sealed, "--key", key, *JSON)
    found = json.loads(text)
    assert (code, found["result"], found["sealed_now"]) == (0, "signed", 0)
    asked = ("verify", sealed, "--key", public, "--guarantee")
    code, text = command(capsys, *asked, "kernel")
    assert code == 0 and "guarantee  kernel: every file is sealed" in text
    assert f"compared   {count} sealed files, as the kernel measures them" in text
    assert (
        "is what a trusted key signed" in command(capsys, *asked, "kernel", "--format", "json")[1]
    )
    assert command(capsys, *asked, "content")[0] == 0
    assert command(capsys, *asked, "sampled", "--sample", "50%")[0] == 0


def test_commands_refuse(sealed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    public = sealed.parent / "publisher.pub"
    asked = ("verify", sealed, "--key", public, "--guarantee")
    for options in (("--receipt",), ("--sample", "5%"), ("--only", "*"), ("--write-receipt",)):
        code, text = command(capsys, *asked, "kernel", *options)
        assert code == 2 and f"leave out {options[0]}" in text
    code, text = command(capsys, *asked, "content", "--sample", "5%")
    assert code == 2 and "no more than 'sampled', which is less than 'content'" in text
    replace_file(sealed / "config.json", (sealed / "config.json").read_bytes())
    code, text = command(capsys, *asked, "kernel")
    assert code == 3 and "files are not sealed" in text
    run = ("run", sealed, "--key", public, "--guarantee", "kernel", "--", "/bin/false")
    code, text = command(capsys, *run)
    assert code == 3 and "files are not sealed" in text and "/bin/false was not started" in text


def test_policy_that_wants_it(sealed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    policy = sealed.parent / "policy.toml"
    policy.write_text(
        'version = 1\n[[rule]]\nname = "*"\nkeys = ["publisher.pub"]\nguarantee = "kernel"\n'
    )
    asked = ("verify", sealed, "--policy", policy)
    code, text = command(capsys, *asked)
    assert code == 1 and "accepts nothing weaker than 'kernel'" in text
    assert command(capsys, *asked, "--guarantee", "kernel")[0] == 0
    code, text = command(
        capsys, "seal", sealed, "--key", sealed.parent / "publisher.key", "--policy", policy
    )
    assert code == 0, text


def test_what_no_manifest_can_say() -> None:
    first, *others = OURS.shards
    half = replace(OURS, shards=(replace(first, verity=bytes(32)), *others))
    with pytest.raises(ValueError, match="all files have an fs-verity digest, or none"):
        dump_statement(half)
    short = tuple(replace(one, verity=bytes(31)) for one in OURS.shards)
    with pytest.raises(ValueError, match="not 32 bytes"):
        dump_statement(replace(OURS, shards=short))
    bare = tuple(replace(one, verity=bytes(32), size=None, root=None) for one in OURS.shards)
    with pytest.raises(ValueError, match="without a root"):
        dump_statement(replace(OURS, shards=bare, root=None))
    whole = replace(OURS, shards=tuple(replace(one, verity=bytes(32)) for one in OURS.shards))
    assert load_statement(dump_statement(whole), path="s") == whole
