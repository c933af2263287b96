# SPDX-License-Identifier: Apache-2.0
"""Private copies: this user's alone, gone afterwards, and never half there."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from pyhash import errors
from pyhash.loading import _private, private_copy

CONTENTS = {"config.json": memoryview(b"{}"), "sub/deep/x": memoryview(b"y")}


def test_files_and_modes() -> None:
    with private_copy(CONTENTS) as name:
        root = Path(name)
        assert stat.S_IMODE(root.stat().st_mode) == 0o700
        for path, data in CONTENTS.items():
            assert (root / path).read_bytes() == data
            assert stat.S_IMODE((root / path).stat().st_mode) == 0o400
    assert not root.exists()


def test_gone_after_an_error() -> None:
    with pytest.raises(RuntimeError), private_copy(CONTENTS) as name:
        raise RuntimeError
    assert not os.path.exists(name)


def test_no_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(_private, "MEMORY_DIRECTORY", str(tmp_path / "none"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with private_copy(CONTENTS) as name:
        assert Path(name).parent == tmp_path
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "nowhere"))
    with pytest.raises(errors.WriteError), private_copy(CONTENTS):
        pass


def test_no_room() -> None:
    contents = {"a": memoryview(b""), "a/b": memoryview(b"")}
    with pytest.raises(errors.WriteError, match="File exists"), private_copy(contents):
        pass
