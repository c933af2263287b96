# SPDX-License-Identifier: Apache-2.0
"""Attacks on the guarantee ``kernel``: each ends in a refusal, and nothing weaker takes its place.

What only a kernel with fs-verity can show (writes, bad blocks under a sealed file) is tried in
``tests/sealed``; here a stand-in answers for the kernel, or this machine's own kernel does.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import pyhash
from pyhash import errors, guarantees
from pyhash.cli import group
from tests.attacks._stage import Stage
from tests.support.verity_kernel import VerityKernel


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> VerityKernel:
    return VerityKernel.in_place(monkeypatch)


@pytest.fixture
def sealed(stage: Stage, kernel: VerityKernel, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """Sealed by its publisher, and it verifies; whatever is started fails the test."""

    def execv(*arguments: object) -> None:
        raise AssertionError(f"started: {arguments}")

    monkeypatch.setattr("os.execv", execv)
    pyhash.sign(stage.model, stage.key, seal=True)
    assert stage.verify(guarantee=guarantees.KERNEL).guarantee == "kernel"
    return stage


def shard_of(stage: Stage) -> Path:
    files = [one for one in stage.model.rglob("*") if one.is_file() and one.suffix != ".tree"]
    return max(files, key=lambda one: one.stat().st_size)


def expect_refused(stage: Stage, error: type[errors.PyhashError], code: int, words: str) -> None:
    """Refused by verify, and by run."""
    with pytest.raises(error, match=words):
        stage.verify(guarantee=guarantees.KERNEL)
    options = ("--key", str(stage.trusted), "--guarantee", "kernel", str(stage.model))
    assert group.run(["run", *options, "--", "touch", str(stage.home / "started")]) == code


def replace(path: Path, data: bytes) -> tuple[int, int]:
    """Put another file in the place of one; its device and inode."""
    other = path.with_name("other")
    other.write_bytes(data)
    os.replace(other, path)
    status = os.stat(path)
    return status.st_dev, status.st_ino


def test_same_content_not_sealed(sealed: Stage) -> None:
    """It could be changed behind every check that the kernel would have made."""
    shard = shard_of(sealed)
    replace(shard, shard.read_bytes())
    expect_refused(sealed, errors.SealError, 3, "files are not sealed")


def test_other_content_sealed(sealed: Stage, kernel: VerityKernel) -> None:
    shard = shard_of(sealed)
    key = replace(shard, bytes(shard.stat().st_size))
    kernel.sealed[key] = (1, b"evil" * 8)
    expect_refused(sealed, errors.DigestMismatchError, 1, "other content")


def test_seal_of_another_algorithm(sealed: Stage, kernel: VerityKernel) -> None:
    """SHA-512 cut to 32 bytes is no SHA-256, whatever it says."""
    shard = shard_of(sealed)
    status = os.stat(shard)
    _, digest = kernel.sealed[status.st_dev, status.st_ino]
    kernel.sealed[status.st_dev, status.st_ino] = (2, digest)
    expect_refused(sealed, errors.SealError, 3, "algorithm 2")


def test_bundle_without_the_digests(sealed: Stage) -> None:
    """An older bundle of the same publisher, from before it was sealed."""
    pyhash.sign(sealed.model, sealed.key)
    expect_refused(sealed, errors.SealError, 3, "no fs-verity digests were signed")


def test_extra_file_beside_sealed_ones(sealed: Stage) -> None:
    (sealed.model / "pytorch_model.bin").write_bytes(b"pickle")
    expect_refused(sealed, errors.UnexpectedFileError, 1, "pytorch_model.bin")


def test_moved_to_a_kernel_without_the_feature(
    sealed: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ioctl(*_: object) -> None:
        raise OSError(25, "Inappropriate ioctl for device")

    monkeypatch.setattr("fcntl.ioctl", ioctl)
    expect_refused(sealed, errors.SealError, 3, "no fs-verity on its file system")
    assert sealed.verify().guarantee == "content"
