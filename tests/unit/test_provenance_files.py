# SPDX-License-Identifier: Apache-2.0
"""What a person or another tool writes about a step: descriptions, model cards, files of
statements, flat manifests, materials.
"""

from __future__ import annotations

import builtins
import hashlib
import sys
from pathlib import Path
from typing import Any

import pytest

from pyhash import errors, limits
from pyhash.errors import DependencyError, FormatError, LimitError, ReadError, UsageError
from pyhash.provenance import description, flat_manifest, model_card, recording, store, subject
from pyhash.provenance.description import Description, make_step, merge
from pyhash.provenance.statement import QUESTIONS, Material, dump_step
from tests import reference
from tests.support import lineages as do

DIGEST = "ab" * 32


@pytest.fixture
def model(tmp_path: Path) -> Path:
    directory = tmp_path / "model"
    (directory / "sub").mkdir(parents=True)
    (directory / "b-a").write_bytes(b"one")
    (directory / "sub" / "c").write_bytes(b"two")
    (directory / "model.sig").write_bytes(b"left out")
    return directory


# --- subjects ---------------------------------------------------------------------------------


def test_digests_of_a_checkpoint(model: Path) -> None:
    found = subject.describe_checkpoint(model)
    files = {"b-a": b"one", "sub/c": b"two"}
    whole = b"".join(hashlib.sha256(files[name]).digest() for name in sorted(files))
    assert found.name == "model"
    assert found.root == reference.checkpoint_root(files).hex()
    assert found.oms_digest == hashlib.sha256(whole).hexdigest()
    assert found.size == 6
    material = subject.hash_material("dataset", model, uri="u")
    assert dict(material.digests) == {"pyhash-v1": found.root, "sha256": found.oms_digest}
    assert (material.role, material.uri) == ("dataset", "u")
    (model / "link").symlink_to("b-a")
    with pytest.raises(errors.UnexpectedFileError):
        subject.describe_checkpoint(model)


# --- descriptions -----------------------------------------------------------------------------

TOML = f"""
step = "fine-tune"
builder = "https://example.com/b"
started = 2026-11-25T02:30:00Z
finished = "2026-11-25T02:31:00Z"
parents = ["base=pyhash-v1:{DIGEST}", "other"]
datasets = ["d=sha256:{DIGEST}"]
command = ["python", "x.py"]
[parameters]
epochs = 3
"""
YAML = f"""
step: fine-tune
builder: https://example.com/b
started: 2026-11-25T02:30:00Z
finished: "2026-11-25T02:31:00Z"
parents: ["base=pyhash-v1:{DIGEST}", other]
datasets: ["d=sha256:{DIGEST}"]
command: [python, x.py]
parameters: {{epochs: 3}}
"""


@pytest.mark.parametrize(("name", "text"), [("d.toml", TOML), ("d.yaml", YAML)])
def test_description(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    assert description.load_description(tmp_path / name) == Description(
        "fine-tune",
        (
            Material("parent", "base", (("pyhash-v1", DIGEST),)),
            Material("parent", "other"),
            Material("dataset", "d", (("sha256", DIGEST),)),
        ),
        builder="https://example.com/b",
        started="2026-11-25T02:30:00Z",
        finished="2026-11-25T02:31:00Z",
        command=("python", "x.py"),
        parameters=(("epochs", 3),),
    )


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.toml", "step ="),
        ("a.toml", "weather = 1"),
        ("a.toml", "step = 1"),
        ("a.toml", "parents = 'x'"),
        ("a.toml", "parameters = 1"),
        ("a.toml", "[parameters]\nwhen = 2026-11-25"),
        ("a.yaml", "- a"),
        ("a.yaml", "1: a"),
        ("a.yaml", "step: a\nstep: b"),
        ("a.yaml", "parameters: {x: {y: 1, y: 2}}"),
        ("a.yaml", "parameters: {x: [{y: 1, y: 2}]}"),
        ("a.yaml", "a: &x 1\nb: *x"),
        ("a.yaml", "a: !!python/object/apply:os.system [x]"),
        ("a.yaml", "? [a]\n: b"),
        ("a.yaml", "a: [" * 2000),
        ("a.toml", "step = '\udcff'"),
    ],
)
def test_bad_descriptions(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(FormatError):
        description.load_description(tmp_path / name)


def test_yaml_without_its_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name == "yaml":
            raise ImportError(name)
        return real(name, *rest)

    (tmp_path / "a.yaml").write_text(YAML)
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(DependencyError, match="pip install"):
        description.load_description(tmp_path / "a.yaml")


@pytest.mark.parametrize("text", ["=sha256:" + DIGEST, "x=sha256:12", "x=sha256", "x=md5:XY"])
def test_bad_materials(text: str) -> None:
    with pytest.raises(UsageError):
        description.parse_material("dataset", text)
    with pytest.raises(UsageError):
        description.parse_material("parent", "x=pyhash-v1:12")


def test_what_nobody_says_is_unknown(model: Path) -> None:
    found = subject.describe_checkpoint(model)
    step = make_step(found, Description("train"))
    assert set(step.unknown) == set(QUESTIONS) - {"parents"}
    dump_step(step)
    known = Description("train", none=("datasets", "parameters"))
    assert not {"datasets", "parameters"} & set(make_step(found, known).unknown)
    dump_step(make_step(found, known))
    assert "parents" in make_step(found, Description("prune")).unknown
    for wrong in (
        Description(),
        Description("train", none=("builder",)),
        Description("train", (do.dataset("x"),), none=("datasets",)),
    ):
        with pytest.raises(UsageError):
            make_step(found, wrong)


def test_later_descriptions_count() -> None:
    one = Description("train", (do.dataset("a"),), builder="x", started="s")
    other = Description(None, (do.dataset("a"), do.dataset("b")), builder="y")
    both = merge(one, other)
    assert (both.step, both.builder, both.started) == ("train", "y", "s")
    assert both.materials == (do.dataset("a"), do.dataset("b"))


# --- model cards ------------------------------------------------------------------------------

CARD = """---
license: apache-2.0
base_model: org/base
base_model_relation: quantized
datasets:
- org/one
- org/two
---
# A model
"""


def test_model_card(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text(CARD)
    card = model_card.load_model_card(tmp_path)
    assert card == model_card.load_model_card(tmp_path / "README.md")
    assert (card.step, card.license) == ("quantize", "apache-2.0")
    assert card.materials == (
        Material("parent", "org/base", (), "https://huggingface.co/org/base"),
        Material("dataset", "org/one", (), "https://huggingface.co/datasets/org/one"),
        Material("dataset", "org/two", (), "https://huggingface.co/datasets/org/two"),
    )
    (tmp_path / "README.md").write_text("---\nlanguage: en\n---\n")
    assert model_card.load_model_card(tmp_path) == model_card.ModelCard(None, (), None)


@pytest.mark.parametrize(
    "text",
    ["", "# A model", "---\na: b\n", "---\nbase_model: [1]\n---\n", "---\n[\n---\n", "\udcff"],
)
def test_bad_model_cards(tmp_path: Path, text: str) -> None:
    (tmp_path / "README.md").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(FormatError):
        model_card.load_model_card(tmp_path)


def test_cap_of_model_cards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "README.md").write_text(CARD)
    monkeypatch.setattr(limits, "MAX_MODEL_CARD_BYTES", len(CARD))
    model_card.load_model_card(tmp_path)
    monkeypatch.setattr(limits, "MAX_MODEL_CARD_BYTES", len(CARD) - 1)
    with pytest.raises(LimitError):
        model_card.load_model_card(tmp_path)


# --- the file of statements -------------------------------------------------------------------


def test_lines_are_only_added(tmp_path: Path) -> None:
    place = tmp_path / "model.provenance.jsonl"
    assert store.load_lines(place) == ()
    store.add_lines(place, [b"one"])
    store.add_lines(place, [b"two", b"one"])
    assert store.load_lines(place) == (b"one", b"two")
    assert place.read_bytes() == b"one\ntwo\n"
    for bad in (b"", b"a\nb"):
        with pytest.raises(UsageError):
            store.add_lines(place, [bad])
    with pytest.raises(ReadError):
        store.load_lines(tmp_path)


def test_caps_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "lines"
    monkeypatch.setattr(limits, "MAX_STATEMENTS", 2)
    store.add_lines(place, [b"one", b"two"])
    with pytest.raises(LimitError):
        store.add_lines(place, [b"three"])
    place.write_bytes(b"1\n2\n3\n")
    with pytest.raises(LimitError):
        store.load_lines(place)
    place.write_bytes(b"1\n2\n")
    monkeypatch.setattr(limits, "MAX_PROVENANCE_FILE_BYTES", 4)
    assert store.load_lines(place) == (b"1", b"2")
    monkeypatch.setattr(limits, "MAX_PROVENANCE_FILE_BYTES", 3)
    with pytest.raises(LimitError):
        store.load_lines(place)
    place.unlink()
    with pytest.raises(LimitError):
        store.add_lines(place, [b"abc"])


# --- flat manifests ---------------------------------------------------------------------------

FLAT = flat_manifest.FlatManifest("m", f"pyhash-v1:{DIGEST}", "key", "sig==", "2026", "sha256:x")


def test_flat_manifest() -> None:
    data = flat_manifest.dump_flat_manifest(FLAT)
    assert data.startswith(b'model_manifest:\n  name: "m"\n  hash: "pyhash-v1:')
    assert flat_manifest.load_flat_manifest(data, "f") == FLAT


def test_flat_manifests_of_other_hands() -> None:
    plain = b"# by hand\nmodel_manifest:\n  name: my model # really\n  hash: 'sha256:ab'\n\n"
    assert flat_manifest.load_flat_manifest(plain, "f") == flat_manifest.FlatManifest(
        "my model", "sha256:ab"
    )
    as_json = b'{"model_manifest": {"name": "m", "hash": "h", "signed_by": "k"}}'
    assert flat_manifest.load_flat_manifest(as_json, "f").signed_by == "k"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"manifest:\n  name: x\n",
        b"model_manifest:\n  name: x\n",
        b"model_manifest:\n  name: x\n  hash: y\n  name: z\n",
        b"model_manifest:\n  name: x\n  hash: y\n  more: z\n",
        b"model_manifest:\nname: x\nhash: y\n",
        b"model_manifest:\n  name: 'x\n  hash: y\n",
        b'model_manifest:\n  name: "x\n  hash: y\n',
        b'{"model_manifest": {"name": "m"}}',
        b'{"model_manifest": {"name": "m", "hash": 1}}',
        b"\xff",
        b"model_manifest:\n" + b"#" * limits.MAX_NOTE_BYTES,
    ],
)
def test_bad_flat_manifests(data: bytes) -> None:
    with pytest.raises(FormatError):
        flat_manifest.load_flat_manifest(data, "f")


# --- recording --------------------------------------------------------------------------------


def test_recorded(tmp_path: Path, model: Path) -> None:
    line = [sys.executable, "-c", "import sys; sys.exit(3)"]
    done = recording.record_command(line, [("parent", str(model))])
    assert done.exit_code == 3
    found = done.description
    assert found.materials == (subject.hash_material("parent", model),)
    assert found.command == tuple(line)
    assert found.started is not None
    assert found.finished is not None
    assert found.started <= found.finished
    environment = dict(found.environment or ())
    assert environment["packages"]["cffi"]  # type: ignore[index,call-overload]
    assert environment["python"] == sys.version.split()[0]
    assert {"host", "system", "processor", "processors", "memory_bytes", "accelerators"} <= set(
        environment
    )


def test_an_input_that_changes_is_refused(model: Path) -> None:
    line = ["sh", "-c", f"echo more >> {model}/b-a"]
    with pytest.raises(errors.ChangedWhileReadError, match="changed its own input"):
        recording.record_command(line, [("parent", str(model))])


def test_commands_that_cannot_run(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no command"):
        recording.record_command([], [])
    with pytest.raises(UsageError, match="cannot be run"):
        recording.record_command([str(tmp_path / "missing")], [])
    fake = tmp_path / "python3"
    fake.write_text("#!/bin/sh\necho nothing\n")
    fake.chmod(0o755)
    with pytest.raises(errors.CheckError, match="which packages"):
        recording.record_command([str(fake)], [])


def test_accelerators(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(2):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "information").write_text("Model: \t NVIDIA X\nIRQ: 1\n")
    monkeypatch.setattr(recording, "_NVIDIA", f"{tmp_path}/*/information")
    found = dict(recording.describe_environment("true"))
    assert found["accelerators"] == ["NVIDIA X", "NVIDIA X"]
    assert "python" not in found
