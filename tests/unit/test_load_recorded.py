# SPDX-License-Identifier: Apache-2.0
"""Loads in a log: what is handed out has been recorded, what is refused is recorded too."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import pyhash
import pyhash.safetensors as drop_in
from pyhash import errors
from pyhash.access import AccessLog, open_access_log
from pyhash.log.note_keys import write_note_keys
from pyhash.policy import PolicyFile
from tests.support.logs import TestLog, make_log
from tests.unit._loadable import SPAN, Loadable, make_loadable
from tests.unit._signed import flip


@dataclass(frozen=True)
class Logged:
    """A signed checkpoint and an empty log."""

    model: Loadable
    made: TestLog
    log: AccessLog

    def events(self) -> list[Any]:
        """What the log holds, read as JSON and not by the code under test."""
        return [json.loads(one) for one in self.made.entries()]


@pytest.fixture
def logged(tmp_path: Path) -> Logged:
    made = make_log(tmp_path / "access")
    write_note_keys(made.signer, str(made.directory))
    return Logged(make_loadable(tmp_path), made, open_access_log(made.directory))


def test_everything(logged: Logged) -> None:
    loaded = logged.model.load(log=logged.log)
    (event,) = logged.events()
    assert (event["operation"], event["outcome"]) == ("load", "done")
    assert event["what"] == {
        "root": f"pyhash-v1:{loaded.root.hex()}" if loaded.root else None,
        "location": str(logged.model.root),
        "key": loaded.key_hint,
        "files": [],
        "ranges": [],
    }


def test_files(logged: Logged) -> None:
    logged.model.load(log=logged.log, paths=["sub/b.safetensors", "config.json"])
    assert logged.events()[0]["what"]["files"] == ["config.json", "sub/b.safetensors"]


def test_parts(logged: Logged) -> None:
    """The header's span, and what a slice needs of a tensor of 6 MiB that begins in it."""
    loaded = logged.model.load(log=logged.log, only={"tall": (slice(2048, 2049),)})
    what = logged.events()[0]["what"]
    path = logged.model.root / "sub/b.safetensors"
    header = int.from_bytes(path.read_bytes()[:8], "little")
    entry = json.loads(path.read_bytes()[8 : 8 + header])["tall"]["data_offsets"]
    span = (8 + header + entry[0] + 2048 * 384 * 4) // SPAN
    # Headers of all files are read to find the tensor; each file's is in its first span.
    assert what["files"] == ["a.safetensors", "sub/b.safetensors"]
    others = [one for one in what["ranges"] if one[0] == "a.safetensors"]
    assert others == [["a.safetensors", 0, SPAN]]
    assert ["sub/b.safetensors", span * SPAN, (span + 1) * SPAN] in what["ranges"]
    assert loaded.tensors["tall"].shape == (1, 384)


def test_a_refusal_is_recorded(logged: Logged) -> None:
    root = logged.model.load().root
    flip(logged.model.root / "a.safetensors", 3 * SPAN)
    with pytest.raises(errors.DigestMismatchError):
        logged.model.load(log=logged.log)
    (event,) = logged.events()
    assert event["outcome"] == "refused"
    assert root is not None and event["what"]["root"] == f"pyhash-v1:{root.hex()}"
    (logged.model.root / "model.sig").unlink()
    with pytest.raises(errors.UnsignedError):
        logged.model.load(log=logged.log)
    assert [one["what"]["root"] for one in logged.events()][1:] == [None]


def test_what_could_not_be_checked_is_recorded(logged: Logged) -> None:
    (logged.model.root / "model.tree").write_bytes(b"no tree")
    with pytest.raises(errors.CheckError):
        logged.model.load(log=logged.log, only=["tall"])
    assert [one["outcome"] for one in logged.events()] == ["failed"]


def test_what_cannot_be_recorded_is_not_handed_out(logged: Logged) -> None:
    (logged.made.directory / "checkpoint").write_bytes(b"no log")
    key = [logged.model.key]
    with pytest.raises(errors.PyhashError, match="access"):
        logged.model.load(log=logged.log)
    with pytest.raises(errors.PyhashError, match="access"):
        drop_in.safe_open(logged.model.root / "a.safetensors", "np", keys=key, log=logged.log)
    with pytest.raises(errors.UsageError, match="an AccessLog, not a str"):
        logged.model.load(log="access")


def test_a_policy_that_requires_a_log(logged: Logged) -> None:
    rule = f'version = 1\n[[rule]]\nname = "*"\nkeys = ["{logged.model.key}"]\nrequire-log = true\n'
    path = logged.model.root.parent / "policy.toml"
    path.write_text(rule)
    policy, root = PolicyFile.read(path), logged.model.root
    file = root / "a.safetensors"
    for refused in (
        lambda: pyhash.load(root, policy=policy),
        lambda: pyhash.load(root, policy=policy, only=["one"]),
        lambda: drop_in.load_file(file, policy=policy),
        lambda: drop_in.safe_open(file, "np", policy=policy),
    ):
        with pytest.raises(errors.PolicyError, match="every access is recorded"):
            refused()
    assert logged.events() == []
    assert pyhash.load(root, policy=policy, log=logged.log).tensors
    assert drop_in.load_file(file, policy=policy, log=logged.log)["one"] == 3.5
    assert [one["what"]["files"] for one in logged.events()] == [[], ["a.safetensors"]]


@pytest.mark.parametrize("has_tree", [True, False])
def test_a_file_that_is_read_bit_by_bit(logged: Logged, has_tree: bool) -> None:
    """It is recorded before anything is handed out, and each refusal after that."""
    path = logged.model.root / "a.safetensors"
    if not has_tree:
        (logged.model.root / "model.tree").unlink()
    with drop_in.safe_open(path, "np", keys=[logged.model.key], log=logged.log) as file:
        (event,) = logged.events()
        assert event["outcome"] == "begun"
        assert (event["what"]["files"], event["what"]["ranges"]) == (["a.safetensors"], [])
        assert file.get_tensor("one") == 3.5
        assert len(logged.events()) == 1
        if has_tree:
            flip(path, 3 * SPAN)
            with pytest.raises(errors.VerificationError):
                file.get_tensor("wide")
            assert [one["outcome"] for one in logged.events()] == ["begun", "refused"]
