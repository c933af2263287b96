# SPDX-License-Identifier: Apache-2.0
"""Files that nobody signed, and every way to have them overlooked.

That single files of all sorts are refused is in test_attack_table.py.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import pyhash
from pyhash.errors import DigestMismatchError, MissingShardError, UnexpectedFileError
from tests.attacks._stage import Stage, found_by, payload_of, sign_payload
from tests.support import mutations as do


def test_publisher_cannot_have_files_overlooked(stage: Stage) -> None:
    pyhash.sign(stage.model, stage.key, ignore=["logs"])
    assert "logs" in stage.expect_verified().manifest.ignore_paths
    do.add_file(stage.model / "logs/evil.bin")
    stage.expect_refused(UnexpectedFileError, code="unexpected", path="logs/evil.bin")
    # Only who verifies can allow it.
    stage.expect_verified("--ignore", "logs", ignore=["logs"])


def test_no_ignored_path_reaches_further_than_its_name(stage: Stage) -> None:
    do.add_file(stage.model / "logs/evil.bin")
    for ignored in ("log", "ogs", "LOGS", "logs/evil", "logs/evil.bin/x", "model/logs"):
        stage.expect_refused(
            UnexpectedFileError,
            code="unexpected",
            path="logs/evil.bin",
            options=("--ignore", ignored),
            ignore=[ignored],
        )


def test_signed_files_cannot_be_ignored(stage: Stage) -> None:
    do.flip_byte(stage.model / "config.json", 0)
    stage.expect_refused(
        DigestMismatchError,
        code="digest",
        path="config.json",
        options=("--ignore", "config.json"),
        ignore=["config.json"],
    )


def test_directory_of_signed_files_cannot_be_ignored(stage: Stage) -> None:
    do.flip_byte(stage.model / do.NESTED, 0)
    stage.expect_refused(
        MissingShardError,
        code="missing",
        path=do.NESTED,
        options=("--ignore", "onnx"),
        ignore=["onnx"],
    )


def test_version_control_may_be_there_when_the_publisher_left_it_out(stage: Stage) -> None:
    do.add_file(stage.model / ".git/config")
    do.add_file(stage.model / ".gitattributes")
    stage.expect_verified()


def test_version_control_is_unexpected_when_it_was_not_left_out(stage: Stage) -> None:
    statement = json.loads(payload_of(stage))
    statement["predicate"]["serialization"]["ignore_paths"] = []
    sign_payload(stage, json.dumps(statement).encode())
    stage.expect_verified()
    do.add_file(stage.model / ".git/config")
    stage.expect_refused(UnexpectedFileError, code="unexpected", path=".git/config")


def _directory(path: Path) -> None:
    path.mkdir()
    do.add_file(path / "evil.safetensors")


def _link(path: Path) -> None:
    (path.parent.parent / "elsewhere").mkdir()
    path.symlink_to("../elsewhere")


@pytest.mark.parametrize("make", [_directory, _link, os.mkfifo], ids=["directory", "link", "fifo"])
@pytest.mark.parametrize("name", ["model.tree", "model.sig"])
def test_names_of_our_own_files_hide_nothing(
    name: str, make: Callable[[Path], None], stage: Stage
) -> None:
    elsewhere = stage.home / "bundle.sig"
    shutil.move(stage.bundle, elsewhere)
    stage.tree.unlink()
    stage.expect_verified("--signature", elsewhere, signature=elsewhere)
    make(stage.model / name)
    stage.expect_refused(
        UnexpectedFileError,
        code="unexpected",
        path=name,
        options=("--signature", elsewhere),
        signature=elsewhere,
    )


def test_bundle_may_not_be_a_link(stage: Stage) -> None:
    shutil.move(stage.bundle, stage.home / "bundle.sig")
    stage.bundle.symlink_to("../bundle.sig")
    stage.expect_refused(UnexpectedFileError, code="unexpected", path="model.sig")


def test_all_of_them_are_named(stage: Stage) -> None:
    names = [f"evil-{i}.bin" for i in range(20)]
    for name in names:
        do.add_file(stage.model / name)
    error = stage.expect_refused(UnexpectedFileError, code="unexpected")
    assert found_by(error) == {("unexpected", name) for name in names}
