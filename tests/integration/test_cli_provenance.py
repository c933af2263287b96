# SPDX-License-Identifier: Apache-2.0
"""``pyhash provenance``: adding, recording, showing, verifying, drawing, exporting."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from pyhash.provenance.flat_manifest import UNKNOWN, load_flat_manifest
from tests.support.answer_schema import check_object
from tests.support.command_line import Signed

Run = Callable[..., tuple[int, str, str]]
KEY, PUBLIC = ("--key", "publisher.key"), ("--key", "publisher.pub")


def ok(run: Run, *line: str) -> str:
    code, out, err = run(*line)
    assert code == 0, (line, err)
    return out


@pytest.fixture
def stated(signed: Signed, run: Run) -> Signed:
    """A signed checkpoint that was trained on a corpus."""
    (signed.directory / "corpus").mkdir()
    (signed.directory / "corpus" / "text").write_text("words")
    ok(run, "provenance", "add", "model", "--step", "train", "--dataset", "corpus", *KEY)
    return signed


def test_add_and_verify(stated: Signed, run: Run) -> None:
    ok(run, "verify", "model", *PUBLIC)
    out = ok(run, "provenance", "verify", "model", *PUBLIC, "--format", "json")
    found = json.loads(out)
    check_object(found)
    assert (found["steps"], found["beginnings"]) == (["train of model"], [])
    shown = json.loads(ok(run, "provenance", "show", "model", *PUBLIC, "--format", "json"))
    (statement,) = shown["statements"]
    assert shown["verified"] is True
    assert "builder" in statement["unknown"]
    assert statement["materials"][0]["name"] == "corpus"


def test_unsigned_or_of_another_key(stated: Signed, run: Run) -> None:
    ok(run, "keygen", "other")
    line = ("provenance", "verify", "model")
    assert run(*line, "--key", "other.pub")[0] == 1
    code, _, err = run(*line, *PUBLIC, "--step-key", "train=other.pub")
    assert (code, "may not sign this step" in err or "not trusted" in err) == (1, True)
    assert run(*line, *PUBLIC, "--step-key", "train")[0] == 2
    assert run(*line, *PUBLIC, "--log", "x")[0] == 2
    assert run(*line, *PUBLIC, "--allow-dataset", f"sha256:{'0' * 64}")[0] == 1
    assert run(*line, *PUBLIC, "--require-step", "evaluate")[0] == 1
    assert run(*line, *PUBLIC, "--known-parent", "x")[0] == 2
    (stated.directory / "model" / "model.provenance.jsonl").unlink()
    code, _, err = run(*line, *PUBLIC)
    assert (code, "nobody states how" in err) == (1, True)


def test_description_card_and_parents(stated: Signed, run: Run) -> None:
    Path("step.toml").write_text('builder = "https://example.com/b"\n[parameters]\nbits = 8\n')
    Path("small").mkdir()
    Path("small/weights").write_bytes(b"small")
    Path("small/README.md").write_text(
        "---\nbase_model: org/base\nbase_model_relation: quantized\n---\n"
    )
    line = ("provenance", "add", "small", *KEY, "--from", "step.toml", "--model-card", "small")
    ok(run, *line, "--parent", "model", "--param", "scheme=int8", "--none", "datasets")
    found = json.loads(ok(run, "provenance", "show", "small", "--format", "json"))
    first, second = found["statements"]  # the parent's statement came along
    assert found["verified"] is False
    assert (first["step"], second["step"]) == ("train", "quantize")
    assert [one["name"] for one in second["materials"]] == ["org/base", "model"]
    assert second["builder"] == "https://example.com/b"
    ok(run, "sign", "small", *KEY)
    code, _, err = run("provenance", "verify", "small", *PUBLIC)
    assert (code, "known by name only" in err) == (1, True)
    ok(run, "provenance", "verify", "small", *PUBLIC, "--allow-unknown-parents")
    text = ok(run, "provenance", "graph", "small", *PUBLIC, "--html", "page.html")
    assert text.splitlines()[0].startswith("small | quantize")
    assert "org/base | parent, nobody states how | known by name only" in text
    assert "<svg" in Path("page.html").read_text()


def test_record(stated: Signed, run: Run) -> None:
    line = ("provenance", "record", "--step", "prune", "--input", "model", "--output", "out")
    Path("out").mkdir()
    script = "cp model/config.json out/config.json"
    ok(run, *line, "--dataset", "corpus", "--dataset", "named", *KEY, "--", "sh", "-c", script)
    ok(run, "sign", "out", *KEY)
    found = json.loads(ok(run, "provenance", "show", "out", *PUBLIC, "--format", "json"))
    step = found["statements"][0]
    assert step["command"] == ["sh", "-c", script]
    assert [one["name"] for one in step["materials"]] == ["named", "model", "corpus"]
    assert step["unknown"] == ["parameters"]
    code, out, err = run(*line, *KEY, "--", "false")
    assert (code, out) == (3, "")
    assert "ended with 1; nothing is stated" in err
    assert run(*line[:2], "--output", "out", *KEY, "--", "true")[0] == 2
    assert run(*line, *KEY)[0] == 2


def test_logged(stated: Signed, run: Run) -> None:
    ok(run, "log", "init", "access", "--origin", "example.com/a")
    Path("tuned").mkdir()
    Path("tuned/w").write_bytes(b"w")
    line = ("provenance", "add", "tuned", "--step", "fine-tune", "--parent", "model", *KEY)
    ok(run, *line, "--log", "access")
    ok(run, "sign", "tuned", *KEY, "--log", "access")
    verify = ("provenance", "verify", "tuned", *PUBLIC, "--log-key", "access.vkey")
    code, _, err = run(*verify)
    assert (code, "no proof" in err) == (1, True)  # the parent's statement was never logged
    bundle = Path("model/model.provenance.jsonl").read_bytes().splitlines()[0]
    Path("line").write_bytes(bundle)
    ok(run, "log", "append", "access", "line")
    assert run(*verify)[0] == 1


def test_exports(stated: Signed, run: Run) -> None:
    line = ("provenance", "export", "model", *PUBLIC, "--out", "out")
    ok(run, *line)
    assert json.loads(Path("out").read_text())["bomFormat"] == "CycloneDX"
    ok(run, *line, "--as", "manifest")
    flat = load_flat_manifest(Path("out").read_bytes(), "out")
    signature = json.loads(Path("model/model.sig").read_text())["dsseEnvelope"]["signatures"]
    assert flat.signature == signature[0]["sig"]
    assert (flat.name, flat.training_date) == ("model", UNKNOWN)
    assert flat.hash.startswith("pyhash-v1:")
    assert flat.training_data_hash.startswith("pyhash-v1:")


@pytest.mark.parametrize(
    "line",
    [
        ("add", "model", *KEY),
        ("add", "model", "--step", "train", *KEY, "--param", "x"),
        ("add", "model", "--step", "train", *KEY, "--dataset", "./missing"),
        ("add", "model", "--step", "quantize", *KEY, "--none", "parents"),
        ("add", "model", "--step", "train", *KEY, "--started", "today"),
        ("add", "model", "--step", "train", "--parent", "model", *KEY),
        ("steal",),
    ],
)
def test_usage(signed: Signed, run: Run, line: tuple[str, ...]) -> None:
    code, out, _ = run("provenance", *line)
    assert (code, out) == (2, "")
    assert not (signed.directory / "model" / "model.provenance.jsonl").exists()


def test_nothing_stated(signed: Signed, run: Run) -> None:
    out = ok(run, "provenance", "show", "model")
    assert out == "nobody states anything about this checkpoint\n"
    out = ok(run, "provenance", "graph", "model")
    assert "nobody states how" in out


def test_keys_inside_the_checkpoint(signed: Signed, run: Run) -> None:
    (signed.directory / "model" / "inside.key").write_bytes(Path("publisher.key").read_bytes())
    line = ("provenance", "add", "model", "--step", "train", "--key", "model/inside.key")
    assert run(*line)[0] == 2
    (signed.directory / "model" / "log.vkey").write_bytes(b"")
    for option in (("--step-key", "train=model/log.vkey"), ("--log-key", "model/log.vkey")):
        assert run("provenance", "verify", "model", *PUBLIC, *option)[0] == 2
