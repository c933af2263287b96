# SPDX-License-Identifier: Apache-2.0
"""Where bundle and tree file lie, and whether a place is inside a checkpoint."""

from __future__ import annotations

from pathlib import Path

import pytest

from pyhash.errors import UsageError
from pyhash.locations import (
    OWN_NAMES,
    check_keys_outside,
    default_bundle,
    default_proofs,
    default_provenance,
    default_tree,
    inside,
)


def test_in_a_directory(tmp_path: Path) -> None:
    assert default_bundle(tmp_path) == f"{tmp_path}/model.sig"
    assert default_tree(str(tmp_path)) == f"{tmp_path}/model.tree"
    assert default_provenance(tmp_path) == f"{tmp_path}/model.provenance.jsonl"
    assert default_proofs(str(tmp_path)) == f"{tmp_path}/model.proofs.jsonl"
    own = ("model.sig", "model.tree", "model.provenance.jsonl", "model.proofs.jsonl")
    assert own == OWN_NAMES


def test_beside_a_file(tmp_path: Path) -> None:
    (tmp_path / "a.gguf").touch()
    assert default_bundle(tmp_path / "a.gguf") == f"{tmp_path}/a.gguf.sig"
    assert default_tree(tmp_path / "a.gguf") == f"{tmp_path}/a.gguf.tree"
    assert default_provenance(tmp_path / "a.gguf") == f"{tmp_path}/a.gguf.provenance.jsonl"
    assert default_proofs(tmp_path / "a.gguf") == f"{tmp_path}/a.gguf.proofs.jsonl"
    assert default_bundle(tmp_path / "absent") == f"{tmp_path}/absent.sig"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("model/model.sig", "model.sig"),
        ("model/a/b.sig", "a/b.sig"),
        ("model/absent/x", "absent/x"),
        ("model/a/../b.sig", "b.sig"),
        ("model/..sig", "..sig"),
        ("model/...", "..."),
        ("model.sig", None),
        ("model/../model.sig", None),
        ("other/model.sig", None),
        ("models/model.sig", None),
        ("model", None),
        ("model/a/..", None),
        ("model/..", None),
        ("/", None),
        ("through/x.sig", "a/x.sig"),
        ("model/link", "link"),
        ("model/out/x", None),
    ],
)
def test_inside(
    name: str, expected: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "model/a").mkdir(parents=True)
    (tmp_path / "models").mkdir()
    (tmp_path / "through").symlink_to("model/a")
    (tmp_path / "model/link").symlink_to("/etc/passwd")
    (tmp_path / "model/out").symlink_to(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert inside("model", name) == expected
    assert inside(tmp_path / "model", str(tmp_path / name)) == expected


def test_inside_the_current_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert inside(".", "model.sig") == "model.sig"
    assert inside(tmp_path, "model.sig") == "model.sig"


def test_nothing_is_inside_a_file(tmp_path: Path) -> None:
    (tmp_path / "a.gguf").touch()
    for name in ("a.gguf", "a.gguf.sig", "b"):
        assert inside(tmp_path / "a.gguf", str(tmp_path / name)) is None


@pytest.mark.parametrize(
    "name",
    ["model/k.pub", "model/a/k.pub", "into", "model/link", "model/out/k.pub", "through/link"],
)
def test_key_that_the_checkpoint_decides(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where a link of the checkpoint leads out again: who writes there chooses where to."""
    (tmp_path / "model/a").mkdir(parents=True)
    (tmp_path / "k.pub").touch()
    (tmp_path / "model/link").symlink_to(tmp_path / "k.pub")
    (tmp_path / "model/a/link").symlink_to(tmp_path / "k.pub")
    (tmp_path / "model/out").symlink_to(tmp_path)
    (tmp_path / "into").symlink_to("model/a/k.pub")
    (tmp_path / "through").symlink_to("model/a")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="lies inside the checkpoint model"):
        check_keys_outside("model", ["k.pub", name])


def test_key_beside_the_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys/k.pub").touch()
    (tmp_path / "model").mkdir()
    (tmp_path / "link.pub").symlink_to("keys/k.pub")
    (tmp_path / "current").symlink_to("keys")
    monkeypatch.chdir(tmp_path)
    names = ["keys/k.pub", "link.pub", "current/k.pub", "model/../keys/k.pub", "/"]
    check_keys_outside("model", names)
    check_keys_outside("current/k.pub", ["current/k.pub"])  # a file: its keys may lie beside it
