# SPDX-License-Identifier: Apache-2.0
"""Pipes and devices in every place where a file is read: refused at once, never waited for.

In the place of a shard they are in test_attack_table.py.
"""

from __future__ import annotations

import os
import shutil

import pytest

from pyhash.errors import DigestMismatchError, KeyFileError, ReadError, UnexpectedFileError
from tests.attacks._stage import Stage
from tests.support import mutations as do

pytestmark = pytest.mark.timeout(20)


def test_pipe_as_bundle(stage: Stage) -> None:
    do.replace_by_fifo(stage.bundle)
    stage.expect_refused(ReadError)


def test_device_as_bundle(stage: Stage) -> None:
    stage.expect_refused(ReadError, options=("--signature", "/dev/zero"), signature="/dev/zero")


def test_directory_as_bundle(stage: Stage) -> None:
    stage.bundle.unlink()
    stage.bundle.mkdir()
    stage.expect_refused(ReadError)


def test_pipe_as_tree_file(stage: Stage) -> None:
    do.replace_by_fifo(stage.tree)
    stage.expect_refused(UnexpectedFileError, code="unexpected", path="model.tree")


def test_pipe_as_tree_file_elsewhere(stage: Stage) -> None:
    pipe = stage.home / "pipe"
    os.mkfifo(pipe)
    stage.expect_verified("--tree", pipe, tree=pipe)
    do.flip_byte(stage.model / do.SHARD_1, -1)
    stage.expect_refused(
        DigestMismatchError, code="digest", path=do.SHARD_1, options=("--tree", pipe), tree=pipe
    )


def test_pipe_as_key(stage: Stage) -> None:
    do.replace_by_fifo(stage.trusted)
    stage.expect_refused(KeyFileError)


def test_device_as_key(stage: Stage) -> None:
    stage.trusted.unlink()
    stage.trusted.symlink_to("/dev/zero")
    stage.expect_refused(KeyFileError)


def test_pipe_as_checkpoint(stage: Stage) -> None:
    shutil.move(stage.bundle, stage.home / "model.sig")
    shutil.rmtree(stage.model)
    os.mkfifo(stage.model)
    # As of a file, the bundle of "model" is "model.sig" beside it.
    stage.expect_refused(ReadError)
