# SPDX-License-Identifier: Apache-2.0
"""``pyhash policy check``: what would be accepted, without a byte of a weight."""

from __future__ import annotations

import json
from pathlib import Path

import pyhash
from tests.integration.conftest import Run, Write
from tests.support.answer_schema import check_object
from tests.support.command_line import Signed, flip_bit

RUN = ("run", "--policy", "policy.toml", "model")
CHILD = ("--", "touch", "marker")
VERIFY = ("verify", "--policy", "policy.toml", "model")
CHECK = ("policy", "check", "--policy", "policy.toml", "model")


def started() -> bool:
    return Path("marker").exists()


def test_check_says_what_would_be_accepted(write: Write, run: Run) -> None:
    write('ignore = ["logs"]', 'mode = "warn"')
    code, out, err = run(*CHECK)
    assert (code, err) == (0, "")
    lines = [line.split(None, 2) for line in out.splitlines()]
    assert [tuple(line[:2]) for line in lines[:-1]] == [
        ("yes", "rule"),
        ("yes", "mode"),
        ("yes", "signer"),
        ("yes", "ignore"),
        ("yes", "guarantee"),
        ("yes", "signature"),
        ("yes", "signatures"),
        ("yes", "files"),
    ]
    assert out.endswith("nothing stands against model; its bytes were not compared\n")


def test_check_compares_no_bytes(write: Write, run: Run, signed: Signed) -> None:
    write()
    flip_bit(signed.shard, 5)
    assert run(*CHECK)[0] == 0
    assert run(*VERIFY)[0] == 1


def test_check_says_everything_that_is_not_met(write: Write, run: Run) -> None:
    write("min-release = 3", 'max-age = "1d"', 'release-name = "x"')
    code, out, err = run(*CHECK)
    assert code == 1
    for name in ("min-release", "max-age", "release-name"):
        assert f"no      {name.ljust(14)}" in out
    assert "files" not in out
    assert err.startswith("refused: model is not what the policy accepts")


def test_check_of_what_is_not_there_or_damaged(write: Write, run: Run, signed: Signed) -> None:
    write()
    Path("model/extra.bin").touch()
    code, out, _err = run(*CHECK, "--format", "json")
    found = json.loads(out)
    check_object(found)
    assert (code, found["result"]) == (1, "refused")
    assert [one["code"] for one in found["findings"]] == ["unexpected"]
    assert found["requirements"][-1]["name"] == "files"
    assert found["requirements"][-1]["answer"] == "no"
    Path("model/model.sig").write_bytes(b"{")
    code, out, _ = run(*CHECK)
    assert (code, "unknown signature" in out) == (3, True)
    Path("model/model.sig").unlink()
    code, out, _ = run(*CHECK)
    assert (code, "no      signature" in out) == (1, True)


def test_no_command_passes_for_loading(write: Write, run: Run, signed: Signed) -> None:
    """What was hashed and can change afterwards is not what a program was handed."""
    write('guarantee = "loaded"')
    for words in (VERIFY, (*VERIFY, "--only", "*"), (*RUN, *CHILD)):
        code, out, err = run(*words)
        assert (code, out) == (1, "")
        assert "accepts nothing weaker than 'loaded'" in err
    assert not started()
    code, out, _ = run(*CHECK)
    assert (code, "loaded at least, which verify and run never give" in out) == (0, True)
    assert pyhash.load("model", policy=pyhash.PolicyFile.read("policy.toml")).guarantee == "loaded"


def test_check_of_keys(run: Run, signed: Signed) -> None:
    code, out, _ = run("policy", "check", "model", "--key", "publisher.pub", "--format", "json")
    found = json.loads(out)
    assert (code, found["result"], found["rule"]) == (0, "accepted", None)
    code, out, _ = run("policy", "check", "model", "--key", "publisher.pub")
    assert "none: the keys of the command line" in out


def test_policy_alone_is_no_command(run: Run, signed: Signed) -> None:
    code, out, err = run("policy")
    assert (code, out) == (2, "")
    assert "Missing command" in err
