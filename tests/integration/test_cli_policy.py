# SPDX-License-Identifier: Apache-2.0
"""Policies on the command line: what is answered, what is started, and what is always said."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from tests.integration.conftest import Run, Write
from tests.support import command_line
from tests.support.answer_schema import check_object
from tests.support.command_line import Signed, flip_bit

RUN = ("run", "--policy", "policy.toml", "model")
CHILD = ("--", "touch", "marker")
VERIFY = ("verify", "--policy", "policy.toml", "model")
CHECK = ("policy", "check", "--policy", "policy.toml", "model")


def started() -> bool:
    return Path("marker").exists()


# --- verify ---------------------------------------------------------------------------------------


def test_verified_under_a_rule(write: Write, run: Run) -> None:
    write()
    code, out, err = run(*VERIFY)
    assert (code, err) == (0, "")
    assert "policy     rule 1 ('model') of policy.toml\n" in out
    assert "mode  " not in out
    code, out, err = run(*VERIFY, "--format", "json")
    found = json.loads(out)
    check_object(found)
    assert (found["result"], found["mode"]) == ("verified", "enforce")
    assert found["rule"] == "rule 1 ('model') of policy.toml"


@pytest.mark.parametrize("mode", ["warn", "off"])
def test_verify_tells_the_truth_in_every_mode(
    mode: str, write: Write, run: Run, signed: Signed
) -> None:
    write(f'mode = "{mode}"')
    code, out, _ = run(*VERIFY)
    assert code == 0
    assert f"mode       {mode}: run starts this even if it does not verify\n" in out
    flip_bit(signed.shard, 5)
    code, out, err = run(*VERIFY)
    assert (code, out) == (1, "")
    assert err.startswith("refused: ")


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        (None, 3, "policy.toml: cannot be read"),
        ("", 3, "version is missing"),
        ("version = 1\nrule = 1", 3, "rule must be tables"),
        ('version = 1\n[[rule]]\nname = "x"\nkeys = ["publisher.pub"]', 1, "no rule is for"),
        ('version = 1\n[[rule]]\nname = "*"\nkeys = ["missing.pub"]', 3, "missing.pub"),
        ('version = 1\n[[rule]]\nname = "*"\nkeys = ["publisher.key"]', 3, "private key"),
    ],
)
def test_policy_that_is_none(
    text: str | None, code: int, message: str, signed: Signed, run: Run
) -> None:
    if text is not None:
        Path("policy.toml").write_text(text)
    for arguments in (VERIFY, CHECK, (*RUN, *CHILD)):
        found, out, err = run(*arguments)
        assert (found, out) == (code, "")
        assert message in err
        assert not started()


def test_policy_instead_of_keys(write: Write, run: Run) -> None:
    write()
    for more in (("--key", "publisher.pub"), ("--ignore", "x"), ("--root", "x")):
        for arguments in ((*VERIFY, *more), (*RUN, *more, *CHILD), (*CHECK, *more)):
            code, _, err = run(*arguments)
            assert code == 2
            assert "--policy says whom to trust" in err
    assert not started()
    code, _, err = run("verify", "model", "--signature", "model/model.sig")
    assert (code, "Missing option '--key', '--trusted-root' or '--policy'" in err) == (2, True)


# --- releases -------------------------------------------------------------------------------------


def test_releases(write: Write, run: Run) -> None:
    sign = ("sign", "model", "--key", "publisher.key")
    code, out, _ = run(*sign, "--release", "7", "--release-name", "acme/x", "--expires", "90d")
    assert code == 0
    assert "release    7 of acme/x\n" in out
    write("min-release = 8")
    code, _, err = run(*VERIFY)
    assert code == 1
    assert "it is release 7, and at least 8 is accepted" in err
    assert "Do not load it, or change the policy on purpose." in err
    code, _, err = run(*RUN, *CHILD)
    assert (code, started()) == (1, False)
    code, out, _ = run(*sign, "--release", "8", "--expires", "2099-12-31", "--format", "json")
    release = json.loads(out)["release"]
    assert (release["counter"], release["expires"]) == (8, "2099-12-31T00:00:00Z")
    assert run(*VERIFY)[0] == 0
    code, out, _ = run(*sign, "--format", "json")
    assert json.loads(out)["release"] is None


def test_expired(run: Run, signed: Signed) -> None:
    sign = ("sign", "model", "--key", "publisher.key")
    soon = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 2))
    code, out, _ = run(*sign, "--expires", soon)
    assert (code, f"expires    {soon}\n" in out) == (0, True)
    assert "release    not counted\n" in out
    time.sleep(2.1)
    code, out, err = run("verify", "model", "--key", "publisher.pub")
    assert (code, out) == (1, "")
    assert f"it expires at {soon}" in err
    code, _, _ = run("run", "model", "--key", "publisher.pub", *CHILD)
    assert (code, started()) == (1, False)


@pytest.mark.parametrize(
    ("when", "message"),
    [
        ("tomorrow", "not a number and a unit"),
        ("90x", "no time like"),
        ("0d", "not a number and a unit"),
        ("2020-01-01", "expires is not later than created"),
        ("9999999d", "not a number and a unit"),
        ("9999y", "beyond the years"),
        ("2026-02-30", "no time like"),
    ],
)
def test_expiry_that_is_none(when: str, message: str, run: Run, signed: Signed) -> None:
    before = Path("model/model.sig").read_bytes()
    code, out, err = run("sign", "model", "--key", "publisher.key", "--expires", when)
    assert (code, out) == (2, "")
    assert message in err
    assert Path("model/model.sig").read_bytes() == before


def test_sign_under_a_policy(write: Write, run: Run) -> None:
    before = Path("model/model.sig").read_bytes()
    write("min-release = 8")
    sign = ("sign", "model", "--key", "publisher.key", "--policy", "policy.toml")
    code, out, err = run(*sign, "--release", "7")
    assert (code, out) == (1, "")
    assert "at least 8 is accepted" in err
    assert Path("model/model.sig").read_bytes() == before
    assert run(*sign, "--release", "8")[0] == 0
    code, _, err = run(*sign, "--release", "-1")
    assert code == 2


def test_state_on_the_command_line(run: Run, signed: Signed) -> None:
    Path("state").mkdir(mode=0o700)
    sign = ("sign", "model", "--key", "publisher.key", "--release")
    verify = ("verify", "model", "--key", "publisher.pub", "--state", "state")
    code, _, err = run(*verify)
    assert (code, "it has no release counter" in err) == (1, True)
    assert (run(*sign, "9")[0], run(*verify)[0]) == (0, 0)
    assert run(*sign, "8")[0] == 0
    code, _, err = run(*verify)
    assert (code, "release 9 was accepted here before" in err) == (1, True)
    code, _, err = run(*verify[:-1], "misspelt")
    assert (code, "misspelt: cannot be read" in err) == (3, True)


# --- co-signatures --------------------------------------------------------------------------------


def test_two_signers(write: Write, run: Run) -> None:
    assert run("keygen", "auditor")[0] == 0
    write()
    text = Path("policy.toml").read_text()
    Path("policy.toml").write_text(
        text.replace('"publisher.pub"', '"publisher.pub", "auditor.pub"') + "signatures = 2\n"
    )
    code, _, err = run(*VERIFY)
    assert (code, "1 independent trusted signers, and 2 needed" in err) == (1, True)
    cosign = ("cosign", "model", "--key", "auditor.key", "--signer", "publisher.pub")
    code, out, _ = run(*cosign, "--output", "auditor.sig")
    assert code == 0
    assert "signature  auditor.sig\n" in out
    more = ("--cosignature", "auditor.sig")
    assert run(*VERIFY, *more)[0] == 0
    assert run(*CHECK, *more)[0] == 0
    code, out, _ = run(*CHECK)
    assert (code, "no      signatures    1 independent" in out) == (1, True)
    code, _, err = run(*cosign, "--output", "auditor.sig")
    assert (code, "is there already" in err) == (2, True)
    code, out, _ = run(*cosign, "--output", "again.sig", "--format", "json")
    assert json.loads(out)["signature"] == "again.sig"


# --- run ------------------------------------------------------------------------------------------


def test_run_under_a_policy(write: Write, signed: Signed) -> None:
    write()
    process = command_line.pyhash(*RUN, *CHILD)
    assert (process.returncode, started()) == (0, True)
    assert process.stderr.startswith(b"verified: model: ")
    Path("marker").unlink()
    flip_bit(signed.shard, 5)
    process = command_line.pyhash(*RUN, *CHILD)
    assert (process.returncode, started()) == (1, False)
    assert b"touch was not started" in process.stderr


@pytest.mark.parametrize("quiet", [(), ("--quiet",)])
def test_warn_starts_and_says_so(quiet: tuple[str, ...], write: Write, signed: Signed) -> None:
    write('mode = "warn"')
    process = command_line.pyhash(*RUN, *quiet, "--", "echo", "hello")
    assert (process.returncode, process.stdout) == (0, b"hello\n")
    assert b"UNVERIFIED" not in process.stderr  # it verifies
    flip_bit(signed.shard, 5)
    process = command_line.pyhash(*RUN, *quiet, "--", "sh", "-c", "echo hello; exit 7")
    assert (process.returncode, process.stdout) == (7, b"hello\n")
    lines = process.stderr.decode().splitlines()
    assert lines[0].startswith("refused: model-00002-of-00002.safetensors: other bytes")
    assert lines[-1] == (
        "WARNING (mode warn): model is UNVERIFIED; sh is started all the same,"
        " as rule 1 ('model') of policy.toml says"
    )
    assert "verified: " not in process.stderr.decode()


def test_warn_in_json(write: Write, signed: Signed) -> None:
    write('mode = "warn"')
    flip_bit(signed.shard, 5)
    process = command_line.pyhash(*RUN, "--format", "json", "--", "echo", "hello")
    assert (process.returncode, process.stdout) == (0, b"hello\n")
    found = json.loads(process.stderr)
    check_object(found)
    assert (found["result"], found["mode"]) == ("unverified", "warn")
    assert found["guarantee"] is found["root"] is found["key"] is None
    assert found["reason"].startswith("model-00002")
    assert [one["code"] for one in found["findings"]] == ["digest"]


def test_warn_starts_also_what_could_not_be_checked(write: Write, signed: Signed) -> None:
    write('mode = "warn"')
    Path("model/model.sig").write_bytes(b"{")
    process = command_line.pyhash(*RUN, *CHILD)
    assert (process.returncode, started()) == (0, True)
    assert process.stderr.startswith(b"error: model/model.sig: ")
    assert b"WARNING (mode warn): model is UNVERIFIED" in process.stderr


def test_off_checks_nothing_and_says_so(write: Write, signed: Signed) -> None:
    write('mode = "off"')
    for format_ in ("text", "json"):
        process = command_line.pyhash(*RUN, "--format", format_, "--quiet", "--", "echo", "hello")
        assert (process.returncode, process.stdout) == (0, b"hello\n")
        assert b"UNVERIFIED" in process.stderr
        assert b"nothing was checked, because the rule's mode is off" in process.stderr
        assert b"verified: " not in process.stderr
    assert json.loads(process.stderr)["result"] == "unverified"


@pytest.mark.parametrize("mode", ["warn", "off"])
def test_what_no_mode_lets_pass(mode: str, write: Write, run: Run, signed: Signed) -> None:
    """A policy that cannot be read has no mode; neither has a command line without sense."""
    write(f'mode = "{mode}"', name="other")
    code, _, err = run(*RUN, *CHILD)
    assert (code, "no rule is for" in err) == (1, True)
    write(f'mode = "{mode}"', "typo = 1")
    code, _, err = run(*RUN, *CHILD)
    assert (code, "unknown key 'typo'" in err) == (3, True)
    write(f'mode = "{mode}"')
    Path("policy.toml").chmod(0o666)
    code, _, err = run(*RUN, *CHILD)
    assert (code, "lets others write" in err) == (3, True)
    Path("policy.toml").chmod(0o644)
    code, _, err = run(*RUN, "--", "no-such-program")
    assert (code, "no such program" in err) == (2, True)
    assert not started()


def test_fault_of_ours_is_not_waived(
    write: Write, run: Run, signed: Signed, monkeypatch: pytest.MonkeyPatch
) -> None:
    write('mode = "warn"')
    for error, code in ((KeyError("x"), 3), (KeyboardInterrupt(), 130), (MemoryError(), 3)):

        def broken(*arguments: object, error: BaseException = error, **named: object) -> None:
            raise error

        monkeypatch.setattr("pyhash.cli.starting._verify", broken)
        found, _, err = run(*RUN, *CHILD)
        assert (found, started()) == (code, False), err


def test_cancelled_is_not_waived(
    write: Write, run: Run, signed: Signed, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pyhash import errors

    def cancelled(*arguments: object, **named: object) -> None:
        raise errors.CancelledError("stopped")

    write('mode = "warn"')
    monkeypatch.setattr("pyhash.cli.starting._verify", cancelled)
    assert (run(*RUN, *CHILD)[0], started()) == (130, False)
