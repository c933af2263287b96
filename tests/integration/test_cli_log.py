# SPDX-License-Identifier: Apache-2.0
"""``pyhash log``, and ``--log`` of the commands that touch a checkpoint."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

import pyhash
from pyhash import errors
from pyhash.access import open_access_log
from pyhash.log.tiles import unpack_entries
from pyhash.policy import PolicyFile
from tests.support.answer_schema import check_object
from tests.support.command_line import SHARD, Signed, flip_bit

Run = Callable[..., tuple[int, str, str]]
KEY = ("--key", "publisher.pub")
TRUST = ("--log-key", "access.vkey")


@pytest.fixture
def logged(signed: Signed, run: Run) -> Signed:
    assert run("log", "init", "access", "--origin", "example.com/a")[0] == 0
    return signed


def accesses(run: Run, root: str) -> list[dict[str, object]]:
    line = ("log", "who-had-access", root, "--log", "access", *TRUST, "--format", "json")
    code, out, _ = run(*line)
    assert code == 0
    found = json.loads(out)
    check_object(found)
    listed: list[dict[str, object]] = found["accesses"]
    return listed


def root_of(run: Run) -> str:
    found: str = json.loads(run("verify", "model", *KEY, "--format", "json")[1])["root"]
    return found


def test_who_had_access(logged: Signed, run: Run) -> None:
    root = root_of(run)
    assert run("sign", "model", "--key", "publisher.key", "--log", "access")[0] == 0
    assert run("verify", "model", *KEY, "--log", "access")[0] == 0
    flip_bit(logged.shard, 5000)
    assert run("verify", "model", *KEY, "--log", "access")[0] == 1
    code, _, err = run("run", "model", *KEY, "--log", "access", "--", "true")
    assert (code, "was not started" in err) == (1, True)
    found = accesses(run, root)
    did = [(one["operation"], one["outcome"]) for one in found]
    assert did == [("sign", "done"), ("verify", "done"), ("verify", "refused"), ("run", "refused")]
    assert found[0]["credential"] == found[1]["key"]
    assert all(one["location"] == str(logged.directory / "model") for one in found)
    assert accesses(run, f"pyhash-v1:{'0' * 64}") == []
    line = ("log", "who-had-access", root, "--log", "access", *TRUST, "--proofs", "proofs")
    code, out, _ = run(*line)
    assert (code, len(out.splitlines())) == (0, 4)
    for name in Path("proofs").glob("*.json"):
        assert run("log", "verify", "--entry", str(name), *TRUST)[0] == 0
    # The signature is in the log too, and its proof lies beside the model.
    assert (logged.directory / "model" / "model.proofs.jsonl").exists()
    assert run("log", "prove", "access", *TRUST, "--entry", "model/model.sig", "--out", "e")[0] == 0


def test_refused_by_a_stranger_key(logged: Signed, run: Run) -> None:
    assert run("keygen", "other")[0] == 0
    assert run("verify", "model", "--key", "other.pub", "--log", "access")[0] == 1
    assert run("verify", "missing", *KEY, "--log", "access")[0] == 3
    code, out, _ = run("log", "verify", "access", *TRUST, "--format", "json")
    assert (code, json.loads(out)["size"]) == (0, 2)


@pytest.mark.parametrize("command", ["sign", "verify", "run"])
def test_a_log_that_cannot_be_written_refuses(logged: Signed, run: Run, command: str) -> None:
    Path("access/journal").write_bytes(b"damaged")
    bundle = (logged.directory / "model" / "model.sig").read_bytes()
    key = ("--key", "publisher.key") if command == "sign" else KEY
    more = ("--", "touch", "started") if command == "run" else ()
    code, out, err = run(command, "model", *key, "--log", "access", *more)
    assert (code, out) == (3, "")
    assert "journal" in err
    assert not Path("started").exists()
    assert (logged.directory / "model" / "model.sig").read_bytes() == bundle
    assert run(command, "model", *key, "--log", "nothing", *more)[0] == 3


def test_full_only_after_the_work(
    logged: Signed, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pyhash import access
    from pyhash.errors import WriteError

    def full(*_: object) -> None:
        raise WriteError("no space left")

    monkeypatch.setattr(access, "record_access", full)
    code, out, err = run("verify", "model", *KEY, "--log", "access")
    assert (code, out) == (3, "")
    assert "no space left" in err
    code, _, err = run("run", "model", *KEY, "--log", "access", "--", "touch", "started")
    assert (code, Path("started").exists()) == (3, False)
    # A refusal stays one, whether it can be recorded or not.
    flip_bit(logged.shard, 5000)
    code, _, err = run("verify", "model", *KEY, "--log", "access")
    assert code == 1
    assert SHARD in err


def test_append_and_prove(logged: Signed, run: Run) -> None:
    Path("lines").write_text("one\ntwo\nthree\n")
    assert run("log", "append", "access", "lines", "--lines")[0] == 0
    code, out, _ = run("log", "append", "access", "lines", "--format", "json")
    found = json.loads(out)
    assert (code, found["first"], found["entries"], found["size"]) == (0, 3, 1, 4)
    assert run("log", "prove", "access", *TRUST, "--index", "1", "--out", "entry")[0] == 0
    assert Path("entry").read_bytes() == b"two"
    assert run("log", "verify", "--entry", "entry", *TRUST)[0] == 0
    Path("entry").write_bytes(b"too")
    assert run("log", "verify", "--entry", "entry", *TRUST)[0] == 1
    assert run("log", "prove", "access", *TRUST, "--index", "9", "--out", "entry")[0] == 2


def test_witnesses(logged: Signed, run: Run) -> None:
    assert run("log", "init", "w", "--witness", "--origin", "witness.example")[0] == 0
    assert not Path("w").exists()
    watch = ("log", "watch", "access", *TRUST, "--memory", "seen")
    assert run(*watch, "--cosign", "w.key", "--out", "cosigned")[0] == 0
    witnessed = (*TRUST, "--witness", "w.vkey")
    assert run("log", "verify", "access", *witnessed)[0] == 1
    assert run("log", "verify", "access", *witnessed, "--quorum", "0")[0] == 0
    assert run("log", "checkpoint", "access", *witnessed, "--cosigned", "cosigned")[0] == 0
    code, out, _ = run("log", "verify", "access", *witnessed)
    assert (code, "witnesses  witness.example" in out) == (0, True)
    code, out, _ = run("log", "checkpoint", "access", *witnessed)
    assert out.encode() == Path("access/checkpoint").read_bytes()
    Path("more").write_text("x")
    assert run("log", "append", "access", "more")[0] == 0
    line = ("log", "prove", "access", *witnessed, "--index", "0", "--out", "e")
    assert run(*line)[0] == 1
    assert run(*watch, "--every", "0.1", "--looks", "2")[0] == 0
    code, out, _ = run(*watch)
    assert "1 entries at the last look" in out


@pytest.mark.parametrize(
    "line",
    [
        ("log", "verify", *TRUST),
        ("log", "verify", "access", "--entry", "x", *TRUST),
        ("log", "prove", "access", *TRUST, "--out", "x"),
        ("log", "prove", "access", *TRUST, "--out", "x", "--index", "1", "--entry", "y"),
        ("log", "watch", "access", *TRUST, "--memory", "m", "--out", "x"),
        ("log", "verify", "access", *TRUST, "--quorum", "1"),
        ("log", "verify", "access"),
        ("log", "steal"),
        ("log", "init", "access", "--origin", "x"),
    ],
)
def test_usage(logged: Signed, run: Run, line: tuple[str, ...]) -> None:
    code, out, _ = run(*line)
    expected = 3 if "init" in line else 2  # keys that exist are an error, not a misuse
    assert (code, out) == (expected, "")


@pytest.mark.parametrize(
    ("mode", "expected"), [("warn", ["refused", "unverified"]), ("off", ["unverified"])]
)
def test_what_starts_unverified_is_recorded_without_a_root(
    logged: Signed, run: Run, monkeypatch: pytest.MonkeyPatch, mode: str, expected: list[str]
) -> None:
    from pyhash import gate
    from pyhash.errors import UsageError

    def stop(*_: object) -> None:
        raise UsageError("would have started")

    monkeypatch.setattr(gate, "start_unverified", stop)
    rule = f'version = 1\n[[rule]]\nname = "*"\nkeys = ["publisher.pub"]\nmode = "{mode}"\n'
    if mode == "off":
        rule = rule.replace('keys = ["publisher.pub"]\n', "")
    Path("policy.toml").write_text(rule)
    flip_bit(logged.shard, 5000)
    line = ("run", "model", "--policy", "policy.toml", "--log", "access", "--", "true")
    code, _, err = run(*line)
    assert (code, "would have started" in err) == (2, True), err
    assert run("log", "verify", "access", *TRUST)[0] == 0
    place = Path(f"access/tile/entries/000.p/{len(expected)}")
    events = unpack_entries(place.read_bytes(), len(expected), "entries")
    found = [json.loads(one) for one in events]
    assert [one["outcome"] for one in found] == expected
    assert found[-1]["what"]["root"] is None


@pytest.mark.parametrize("mode", ["enforce", "warn", "off"])
def test_a_policy_that_requires_a_log(logged: Signed, run: Run, mode: str) -> None:
    keys = "" if mode == "off" else 'keys = ["publisher.pub"]\n'
    rule = f'version = 1\n[[rule]]\nname = "*"\n{keys}mode = "{mode}"\nrequire-log = true\n'
    Path("policy.toml").write_text(rule)
    line = ("model", "--policy", "policy.toml")
    code, out, err = run("run", *line, "--", "touch", "started")
    assert (code, out) == (1, "")
    assert "requires that every access is recorded: name a log (--log DIR)" in err
    assert not Path("started").exists()
    assert run("run", *line, "--log", "nothing", "--", "touch", "started")[0] == 3
    assert not Path("started").exists()
    if mode == "off":
        return
    assert run("verify", *line)[0] == 1
    assert run("verify", *line, "--log", "access")[0] == 0
    sign = ("sign", *line, "--key", "publisher.key")
    before = (logged.directory / "model" / "model.sig").read_bytes()
    assert run(*sign)[0] == 1
    assert (logged.directory / "model" / "model.sig").read_bytes() == before
    assert run(*sign, "--log", "access")[0] == 0


def test_the_library_does_not_forget_a_log_that_is_required(logged: Signed, run: Run) -> None:
    rule = 'version = 1\n[[rule]]\nname = "*"\nkeys = ["publisher.pub"]\nrequire-log = true\n'
    Path("policy.toml").write_text(rule)
    policy = PolicyFile.read("policy.toml").for_checkpoint("model")
    with pytest.raises(errors.PolicyError, match="every access is recorded"):
        pyhash.verify("model", policy=policy)
    with pytest.raises(errors.PolicyError, match="every access is recorded"):
        pyhash.sign("model", "publisher.key", policy=policy)
    with pytest.raises(errors.UsageError, match="an AccessLog, not a str"):
        policy.logged("access")  # type: ignore[arg-type]
    assert pyhash.verify("model", policy=policy.logged(open_access_log("access")))
