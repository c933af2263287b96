# SPDX-License-Identifier: Apache-2.0
"""A policy that wants a lineage and a log: met or refused, by every command and by the library."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import pyhash
from pyhash import errors, signing
from pyhash.access import open_access_log, record_statement
from pyhash.history import check_history
from pyhash.policy import PolicyFile
from pyhash.provenance.statement import Step, dump_step
from pyhash.provenance.store import add_lines
from pyhash.signed_bundle import inspect_signed
from tests.integration.conftest import Run
from tests.support import command_line, lineages
from tests.support.command_line import Signed, flip_bit

HEAD = 'version = 1\n[[rule]]\nname = "*"\nkeys = ["publisher.pub"]\n'
LINEAGE = '[rule.provenance]\nkeys = ["trainer.pub"]\n'
LOGGED = '[rule.log]\nkey = "access.vkey"\n'
POLICY = ("--policy", "policy.toml")
STATEMENTS, PROOFS = Path("model/model.provenance.jsonl"), Path("model/model.proofs.jsonl")

OTHER_TOOL = Path(__file__).resolve().parents[1] / "vectors/oms"

State = Callable[..., bytes]


@pytest.fixture
def state(signed: Signed, run: Run) -> State:
    """State a step about the signed checkpoint, under ``trainer.key``; the bundle is logged."""
    for name in ("trainer", "stranger"):
        assert run("keygen", name)[0] == 0
    assert run("log", "init", "access", "--origin", "example.com/a")[0] == 0
    assert run("sign", "model", "--key", "publisher.key", "--log", "access")[0] == 0
    root = pyhash.verify("model", keys=["publisher.pub"]).root
    assert root is not None

    def state(step: Step, key: str = "trainer", *, log: bool = True, about: str = "") -> bytes:
        payload = dump_step(replace(step, root=about or root.hex()))
        signer = signing.load_signer(f"{key}.key")
        bundle = signing.dump_bundle(signing.sign_payload(payload, signer))
        add_lines(STATEMENTS, [bundle])
        if log:
            record_statement(open_access_log("access"), bundle, PROOFS)
        return bundle

    return state


TRAINED = lineages.step("train", "model", lineages.dataset("corpus"))
TUNED = lineages.step("fine-tune", "model", lineages.parent("base"), lineages.dataset("corpus"))
TESTED = lineages.step("evaluate", "model", lineages.dataset("exam"))
CORPUS, EXAM = (f"sha256:{lineages.root(name)}" for name in ("corpus", "exam"))


def answers(run: Run, code: int, message: str = "") -> None:
    """``verify``, ``run``, ``policy check`` end in this code; a refusal starts nothing."""
    Path("started").unlink(missing_ok=True)
    # In a process of its own: what is started takes its place.
    done = command_line.pyhash("run", "model", *POLICY, "--", "touch", "started")
    assert (done.returncode, Path("started").exists()) == (code, code == 0), done.stderr
    assert message in done.stderr.decode()
    found, out, err = run("verify", "model", *POLICY)
    assert (found, bool(out)) == (code, code == 0), err
    assert message in err
    found, out, err = run("policy", "check", "model", *POLICY)
    assert found == code, err
    assert message in out


def write(*lines: str) -> None:
    Path("policy.toml").write_text(HEAD + "\n".join(lines) + "\n")


def test_met(state: State, run: Run) -> None:
    write(LINEAGE, f'datasets = ["{CORPUS}", "{EXAM}"]', 'required-steps = ["evaluate"]', LOGGED)
    state(TRAINED)
    state(TESTED)
    answers(run, 0)
    _, out, _ = run("policy", "check", "model", *POLICY)
    lines = [line.split(None, 2) for line in out.splitlines()]
    assert ["yes", "log", "the bundle must be in example.com/a"] in lines
    assert ["yes", "provenance", "must have taken place: evaluate"] in lines
    assert ["yes", "provenance", "evaluate of model <- train of model"] in lines
    assert ["yes", "log", "entry 1 of example.com/a, co-signed by 0 known witnesses"] in lines


@pytest.mark.parametrize(
    ("rule", "steps", "message"),
    [
        ("", (), "nobody states how"),
        ("", (TUNED,), "nobody states how"),
        ("", (replace(TRAINED, step="evaluate"),), "nobody states how"),
        ('required-steps = ["evaluate"]', (TRAINED,), "required step 'evaluate'"),
        (f'datasets = ["{EXAM}"]', (TRAINED,), "'corpus' is not on the list"),
        ("datasets = []", (TRAINED,), "'corpus' is not on the list"),
        ('[rule.provenance.step-keys]\ntrain = ["publisher.pub"]', (TRAINED,), "may not sign"),
    ],
)
def test_not_met(state: State, run: Run, rule: str, steps: tuple[Step, ...], message: str) -> None:
    write(LINEAGE, rule)
    for one in steps:
        state(one)
    answers(run, 1, message)


def test_parents_that_a_rule_knows(state: State, run: Run) -> None:
    state(TUNED)
    write(LINEAGE, "allow-unknown-parents = true")
    answers(run, 0)
    write(LINEAGE, f'known-parents = ["pyhash-v1:{lineages.root("base")}"]')
    answers(run, 0)
    write(LINEAGE, f'known-parents = ["pyhash-v1:{lineages.root("other")}"]')
    answers(run, 1, "nobody states how")


def test_statement_by_a_stranger_or_about_another(state: State, run: Run) -> None:
    write(LINEAGE)
    state(TRAINED, "stranger")
    answers(run, 1, "not trusted")
    STATEMENTS.unlink()
    state(TRAINED, about=lineages.root("other"))
    answers(run, 1, "nobody states how")


def test_bundle_that_is_not_logged(state: State, run: Run) -> None:
    write(LOGGED)
    answers(run, 0)
    assert run("sign", "model", "--key", "publisher.key")[0] == 0  # other bytes
    answers(run, 1, "no proof that this statement is in example.com/a")
    PROOFS.unlink()
    answers(run, 1, "no proof that this statement is in example.com/a")


def test_statement_that_is_not_logged(state: State, run: Run) -> None:
    state(TRAINED, log=False)
    write(LINEAGE)
    answers(run, 0)
    write(LINEAGE, LOGGED)
    answers(run, 1, "train of 'model': there is no proof")


def test_bundle_that_is_another_one_by_now(state: State, signed: Signed) -> None:
    """Validly signed and logged, and yet not what was looked at a moment ago."""
    write(LOGGED)
    policy = PolicyFile.read("policy.toml").for_checkpoint("model")
    found = inspect_signed("model/model.sig", policy)
    check_history(policy, found.manifest, found.payload, "model", "model/model.sig")
    with pytest.raises(errors.ChangedWhileReadError, match="another bundle than a moment ago"):
        check_history(policy, found.manifest, b"other", "model", "model/model.sig")


def test_bundle_of_another_tool_has_no_lineage(signed: Signed, run: Run) -> None:
    """A real bundle of the reference tool signs no root that a statement could be about."""
    shutil.copy(OTHER_TOOL / "tiny-model.sig", "model/model.sig")
    shutil.copy(OTHER_TOOL / "tiny-model.pub", "publisher.pub")
    assert run("keygen", "trainer")[0] == 0
    write(LINEAGE)
    answers(run, 1, "signed by another tool, without the root that statements are about")


def test_another_log_and_missing_witnesses(state: State, run: Run) -> None:
    assert run("log", "init", "other", "--origin", "example.com/a")[0] == 0
    assert run("log", "init", "w", "--witness", "--origin", "witness.example")[0] == 0
    write('[rule.log]\nkey = "other.vkey"')
    answers(run, 1, "not signed by a known key")
    write(LOGGED, 'witnesses = ["w.vkey"]')
    answers(run, 1, "co-signed by 0 of the known witnesses")
    write(LOGGED, 'witnesses = ["w.vkey"]', "quorum = 0")
    answers(run, 0)


@pytest.mark.parametrize("place", [STATEMENTS, PROOFS])
def test_what_cannot_be_read(state: State, run: Run, place: Path) -> None:
    state(TRAINED)
    write(LINEAGE, LOGGED)
    answers(run, 0)
    place.write_bytes(b"{\n")
    answers(run, 3, place.name)
    place.unlink()
    place.mkdir()
    answers(run, 3, place.name)


def test_before_any_weight_is_looked_at(state: State, run: Run, signed: Signed) -> None:
    write(LINEAGE)
    flip_bit(signed.shard, 5)
    answers(run, 1, "nobody states how")


def test_library(state: State, signed: Signed) -> None:
    state(TRAINED)
    write(LINEAGE, LOGGED)
    policy = PolicyFile.read("policy.toml")
    assert pyhash.verify("model", policy=policy).root is not None
    STATEMENTS.unlink()
    with pytest.raises(errors.ProvenanceError):
        pyhash.verify("model", policy=policy)


def test_one_file(signed: Signed, run: Run) -> None:
    """Statements and proofs of a checkpoint that is one file lie beside it."""
    shutil.copy(signed.shard, "one.safetensors")
    assert run("log", "init", "access", "--origin", "example.com/a")[0] == 0
    sign = ("sign", "one.safetensors", "--key", "publisher.key", "--log", "access")
    assert run(*sign)[0] == 0
    write(LOGGED)
    assert run("verify", "one.safetensors", *POLICY)[0] == 0
    Path("one.safetensors.proofs.jsonl").unlink()
    assert run("verify", "one.safetensors", *POLICY)[0] == 1


def test_key_inside_the_checkpoint(state: State, run: Run) -> None:
    shutil.copy("access.vkey", "model/access.vkey")
    write('[rule.log]\nkey = "model/access.vkey"')
    assert run("verify", "model", *POLICY)[0] == 2


# --- push, pull, share ------------------------------------------------------------------------


def test_travels_with_a_release(state: State, run: Run) -> None:
    state(TRAINED)
    write(LINEAGE, LOGGED)
    assert run("push", "model", "home", *POLICY)[0] == 0
    assert run("pull", "home", "out", *POLICY)[0] == 0
    assert Path("out/model.provenance.jsonl").read_bytes() == STATEMENTS.read_bytes()
    assert run("verify", "out", *POLICY)[0] == 0
    for name in ("model.provenance.jsonl", "model.proofs.jsonl"):
        (place,) = Path("home").rglob(name)
        data = place.read_bytes()
        place.unlink()
        code, _, err = run("pull", "home", "o2", *POLICY)
        assert (code, Path("o2").exists()) == (1, False), err
        code, _, err = run("pull", "home", "o2", *POLICY, "--only", "config.json")
        assert (code, Path("o2").exists()) == (1, False), err
        place.write_bytes(data)
    STATEMENTS.unlink()
    code, _, err = run("push", "model", "home2", *POLICY)
    assert (code, Path("home2").exists()) == (1, False), err


REQUIRED = "require-log = true"


def test_no_access_without_a_log(state: State, run: Run) -> None:
    write(REQUIRED)
    assert run("policy", "check", "model", *POLICY)[0] == 0
    lines = (
        ("sign", "model", "--key", "publisher.key"),
        ("verify", "model"),
        ("run", "model"),
        ("push", "model", "home"),
        ("pull", "home", "out"),
        ("share", "s3://a/b", "links.json"),
    )
    bundle = Path("model/model.sig").read_bytes()
    for line in lines:
        more = ("--", "touch", "started") if line[0] == "run" else ()
        code, _, err = run(*line, *POLICY, *more)
        assert code == 1, line
        assert "requires that every access is recorded" in err, line
    for name in ("started", "home", "out", "links.json"):
        assert not Path(name).exists()
    assert Path("model/model.sig").read_bytes() == bundle
    for line in lines[:5]:
        more = ("--", "touch", "started") if line[0] == "run" else ()
        done = command_line.pyhash(*line, *POLICY, "--log", "access", *more)
        assert done.returncode == 0, done.stderr
    code, _, err = run(*lines[5], *POLICY, "--log", "access")
    assert (code, "access_key_id" in err) == (2, True), err  # past the policy
    root = pyhash.verify("model", keys=["publisher.pub"]).root
    assert root is not None
    asked = ("log", "who-had-access", f"pyhash-v1:{root.hex()}", "--log", "access")
    _, out, _ = run(*asked, "--log-key", "access.vkey", "--format", "json")
    seen = [one["operation"] for one in json.loads(out)["accesses"]]
    assert seen == ["sign", "sign", "verify", "run", "push", "pull"]


def test_library_refuses_until_there_is_a_log(state: State) -> None:
    from datetime import timedelta

    from pyhash.fetch import Network
    from pyhash.pull import pull
    from pyhash.push import push
    from pyhash.share import share_release, share_upload

    write(REQUIRED)
    policy = PolicyFile.read("policy.toml").for_checkpoint("model")
    how = {"lifetime": timedelta(hours=1), "network": Network()}
    for work in (
        lambda: push("model", "home", policy),
        lambda: pull("home", "out", policy),
        lambda: share_release("s3://a/b", policy, **how),
        lambda: share_upload("model/model.sig", "s3://a/b", policy, **how),
    ):
        with pytest.raises(errors.PolicyError, match="requires that every access"):
            work()
    logged = policy.logged(open_access_log("access"))
    push("model", "home", logged)
    pull("home", "out", logged)
    assert Path("out/config.json").exists()
