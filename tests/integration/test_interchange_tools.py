# SPDX-License-Identifier: Apache-2.0
"""Lists cross between pyhash and the real tools: coreutils, SGLang's checker, the gguf package.

Each side's answer is the real program's: good files are accepted, one flipped bit is refused.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import xxhash

import pyhash
from pyhash import errors
from pyhash.cli import group
from pyhash.interchange import KINDS, export_list, verify_list
from tests.support import mutations, sglang_verifier
from tests.unit import _signed

# Names that sha256sum escapes, or that look like something else.
FILES = {
    "config.json": b'{"model_type": "llama"}',
    "weights/a.bin": bytes(range(256)) * 9000,
    "new\nline": b"1",
    "back\\slash": b"2",
    "  two spaces": b"3",
    "*star": b"4",
    "SHA256 (x) = y": b"5",
    "été": b"6",
    "empty": b"",
}
FLAT = {"config.json": b"{}", "model.safetensors": bytes(3_000_000), "tokenizer.json": b"[]"}


def write(directory: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        mutations.add_file(directory / name, data)
    return directory


def differing(model: Path, source: str | Path, **named: Any) -> set[str]:
    with pytest.raises(errors.DigestMismatchError) as caught:
        verify_list(model, source, **named)
    assert {one.code for one in caught.value.findings} == {"digest"}
    return {one.path for one in caught.value.findings}


# --- sha256sum ------------------------------------------------------------------------------------

COREUTILS = {
    "plain": ["sha256sum"],
    "binary": ["sha256sum", "--binary"],
    "tagged": ["sha256sum", "--tag"],
    "b2sum": ["b2sum", "--tag"],
    "sha1sum": ["sha1sum", "--tag"],
}


@pytest.mark.parametrize("line", COREUTILS.values(), ids=COREUTILS)
@pytest.mark.parametrize("prefix", ["", "./"])
def test_lists_of_coreutils(tmp_path: Path, line: list[str], prefix: str) -> None:
    model = write(tmp_path / "model", FILES)
    names = [prefix + name for name in FILES]
    made = subprocess.run([*line, "--", *names], cwd=model, capture_output=True, check=True)
    source = tmp_path / "SUMS"
    source.write_bytes(made.stdout)
    matched = verify_list(model, source)
    assert (matched.kind, matched.files) == ("sha256sum", len(FILES))
    assert matched.size == sum(map(len, FILES.values()))
    assert matched.guarantee == "unsigned-list"
    for name, data in FILES.items():
        if data:
            mutations.flip_byte(model / name, -1)
            assert differing(model, source) == {name}
            (model / name).write_bytes(data)


def test_coreutils_checks_what_we_export(tmp_path: Path) -> None:
    model = write(tmp_path / "model", FILES)
    source = tmp_path / "SUMS"
    source.write_bytes(export_list(model, "sha256sum", unverified=True).data)
    line = ["sha256sum", "--check", "--strict", str(source)]
    assert subprocess.run(line, cwd=model, capture_output=True, check=False).returncode == 0
    mutations.flip_byte(model / "été", 0)
    assert subprocess.run(line, cwd=model, capture_output=True, check=False).returncode == 1


def test_a_list_inside_the_checkpoint_does_not_list_itself(tmp_path: Path) -> None:
    model = write(tmp_path / "model", FLAT)
    lines = "".join(f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in FLAT.items())
    (model / "SHA256SUMS").write_text(lines)
    assert verify_list(model, model / "SHA256SUMS").files == 3


# --- SGLang ---------------------------------------------------------------------------------------


def test_sglang_checks_what_we_export(tmp_path: Path) -> None:
    model = write(tmp_path / "model", FLAT)
    checksums = tmp_path / "checksums.json"
    line = ("export", str(model), "--to", "sglang", "--unverified", "-o", str(checksums))
    assert group.run(line) == 0
    done = sglang_verifier.run_checker("verify", model, checksums)
    assert done.returncode == 0, done.stderr
    assert "All 3 files verified" in done.stdout
    mutations.flip_byte(model / "tokenizer.json", 0)
    done = sglang_verifier.run_checker("verify", model, checksums)
    assert done.returncode != 0
    assert "tokenizer.json: mismatch" in done.stderr


def test_we_check_what_sglang_makes(tmp_path: Path) -> None:
    model = write(tmp_path / "model", FLAT)
    checksums = tmp_path / "checksums.json"
    done = sglang_verifier.run_checker("generate", model, checksums)
    assert done.returncode == 0, done.stderr
    matched = verify_list(model, checksums)
    assert (matched.kind, matched.files) == ("sglang", 3)
    mutations.flip_byte(model / "model.safetensors", 2_999_999)
    assert differing(model, checksums) == {"model.safetensors"}


def test_what_sglang_does_not_list_is_refused_by_us(tmp_path: Path) -> None:
    model = write(tmp_path / "model", {**FLAT, "README.md": b"#"})
    checksums = tmp_path / "checksums.json"
    assert sglang_verifier.run_checker("generate", model, checksums).returncode == 0
    with pytest.raises(errors.UnexpectedFileError, match=r"--ignore README\.md"):
        verify_list(model, checksums)
    assert verify_list(model, checksums, ignore=["README.md"]).files == 3


# --- llama-gguf-hash ------------------------------------------------------------------------------

TENSORS = {
    "token_embd.weight": np.arange(48, dtype=np.float32).reshape(6, 8),
    "blk.0.attn:odd.weight": np.arange(7, dtype=np.float16),  # padded behind
    "output.weight": np.arange(64, dtype=np.int8),
}
NAMESPACE = uuid.UUID("ef001206-dadc-5f6d-a15f-3359e577d4e5")  # as llama.cpp documents it


def write_gguf(path: Path, template: str = "{{ messages }}") -> Path:
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_chat_template(template)
    for name, tensor in TENSORS.items():
        writer.add_tensor(name, tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def gguf_manifest(path: Path, words: tuple[str, ...], name: str, *, layers: bool = True) -> str:
    """What the tool prints, made from what the gguf package reads."""
    new: dict[str, Callable[[bytes], str]] = {
        "xxh64": lambda data: xxhash.xxh64(data).hexdigest(),
        "xxh3": lambda data: xxhash.xxh3_64(data).hexdigest(),
        "sha1": lambda data: hashlib.sha1(data).hexdigest(),
        "sha256": lambda data: hashlib.sha256(data).hexdigest(),
        "uuid": lambda data: str(
            uuid.UUID(bytes=hashlib.sha1(NAMESPACE.bytes + data).digest()[:16], version=5)
        ),
    }
    blobs = {one.name: one.data.tobytes() for one in gguf.GGUFReader(path).tensors}
    lines = []
    for tensor, data in blobs.items() if layers else ():
        lines += [f"{w:<8}  {new[w](data)}  {name}:{tensor}" for w in words if w != "uuid"]
    whole = b"".join(blobs.values())
    lines += [f"{word:<8}  {new[word](whole)}  {name}" for word in words]
    return "\n".join(lines) + "\n"


ALL = ("xxh64", "xxh3", "sha1", "sha256", "uuid")


@pytest.mark.parametrize("layers", [True, False])
@pytest.mark.parametrize("words", [ALL, ("xxh64",), ("sha256",), ("sha1", "uuid")])
def test_manifests_of_llama_gguf_hash(tmp_path: Path, words: tuple[str, ...], layers: bool) -> None:
    model = write_gguf(tmp_path / "tiny.gguf")
    source = tmp_path / "tiny.gguf.manifest"
    source.write_text(
        gguf_manifest(model, words, "/some where/tiny.gguf".replace(" ", "_"), layers=layers)
    )
    matched = verify_list(model, source)
    assert (matched.kind, matched.files, matched.size) == ("gguf-hash", 1, model.stat().st_size)
    weak = words == ("xxh64",)
    assert matched.guarantee == ("unsigned-list-weak" if weak else "unsigned-list")
    last = gguf.GGUFReader(model).tensors[-1]
    mutations.flip_byte(model, last.data_offset)
    with pytest.raises(errors.DigestMismatchError) as caught:
        verify_list(model, source)
    messages = {one.message for one in caught.value.findings}
    assert any("tensors with other data" in one for one in messages)
    assert any(f"tensor {last.name} has other data" in one for one in messages) == (
        layers and words != ("uuid",)
    )


def test_metadata_is_not_covered_and_the_report_says_so(
    tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    model = write_gguf(tmp_path / "tiny.gguf")
    source = tmp_path / "manifest"
    source.write_text(gguf_manifest(model, ("sha256",), "tiny.gguf"))
    model.unlink()
    write_gguf(model, template="{{ evil }}")
    assert group.run(("verify", str(model), "--from", str(source))) == 0
    assert b"all metadata, with the chat template" in capsysbinary.readouterr().out


def test_our_export_of_tensors(tmp_path: Path) -> None:
    model = write_gguf(tmp_path / "tiny.gguf")
    made = export_list(model, "gguf-hash", unverified=True)
    assert made.data.decode() == gguf_manifest(model, ("sha256",), "tiny.gguf")
    private, public = _signed.write_keys(tmp_path)
    pyhash.sign(model, private)
    signed = export_list(model, "gguf-hash", keys=[public])
    assert (signed.data, signed.is_signed) == (made.data, True)
    mutations.flip_byte(model, -1)
    with pytest.raises(errors.DigestMismatchError):
        export_list(model, "gguf-hash", keys=[public])


@pytest.mark.parametrize("change", ["other tensor", "tensor left out"])
def test_the_tensors_are_those_of_the_list(tmp_path: Path, change: str) -> None:
    model = write_gguf(tmp_path / "tiny.gguf")
    lines = gguf_manifest(model, ("sha256",), "tiny.gguf").splitlines()
    if change == "other tensor":
        lines[0] = lines[0].replace("token_embd", "token_none")
    else:
        del lines[0]
    source = tmp_path / "manifest"
    source.write_text("\n".join(lines) + "\n")
    kind = errors.MissingShardError if change == "other tensor" else errors.UnexpectedFileError
    with pytest.raises(kind, match="tensor token_"):
        verify_list(model, source)


def test_only_gguf_files_have_tensors(tmp_path: Path) -> None:
    path = tmp_path / "tiny.gguf.txt"
    path.write_text("text")
    source = tmp_path / "manifest"
    source.write_text(f"sha256    {'0' * 64}  tiny.gguf.txt\n")
    with pytest.raises(errors.FormatError, match="not a GGUF file"):
        verify_list(path, source)
    with pytest.raises(errors.FormatError, match="one GGUF file"):
        export_list(path, "gguf-hash", unverified=True)
    spaced = write_gguf(tmp_path / "with space.gguf")
    with pytest.raises(errors.FormatError, match="white space"):
        export_list(spaced, "gguf-hash", unverified=True)


# --- OCI ------------------------------------------------------------------------------------------


def write_layout(layout: Path, files: dict[str, bytes], kind: str = "raw") -> Path:
    """An image layout as the OCI image specification has it, with ModelPack's layers."""
    blobs = layout / "blobs" / "sha256"
    blobs.mkdir(parents=True)

    def blob(data: bytes, media_type: str, **more: Any) -> dict[str, Any]:
        digest = hashlib.sha256(data).hexdigest()
        (blobs / digest).write_bytes(data)
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data), **more}

    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "artifactType": "application/vnd.cncf.model.manifest.v1+json",
        "config": blob(b'{"config":{}}', "application/vnd.cncf.model.config.v1+json"),
        "layers": [
            blob(
                data,
                f"application/vnd.cncf.model.weight.v1.{kind}",
                annotations={"org.cncf.model.filepath": name},
            )
            for name, data in files.items()
        ],
    }
    named = blob(json.dumps(manifest).encode(), "application/vnd.oci.image.manifest.v1+json")
    (layout / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [named]}))
    (layout / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    return layout


@pytest.mark.parametrize("kind", ["raw", "tar", "tar+gzip"])
def test_blobs_of_a_layout(tmp_path: Path, kind: str) -> None:
    layout = write_layout(tmp_path / "layout", FLAT, kind)
    matched = verify_list(layout, "oci")
    assert (matched.kind, matched.files) == ("oci", len(FLAT) + 2)
    assert verify_list(layout, layout).files == matched.files
    for blob in (layout / "blobs/sha256").iterdir():
        data = blob.read_bytes()
        mutations.flip_byte(blob, -1)
        with pytest.raises((errors.DigestMismatchError, errors.FormatError)):
            verify_list(layout, "oci")
        blob.write_bytes(data)
    mutations.add_file(layout / "blobs/sha256" / ("0" * 64))
    with pytest.raises(errors.UnexpectedFileError):
        verify_list(layout, "oci")


def test_files_taken_out_of_a_layout(tmp_path: Path) -> None:
    layout = write_layout(tmp_path / "layout", FILES)
    model = write(tmp_path / "model", FILES)
    assert verify_list(model, layout).files == len(FILES)
    mutations.flip_byte(model / "été", 0)
    assert differing(model, layout) == {"été"}


def test_archives_say_nothing_about_files(tmp_path: Path) -> None:
    layout = write_layout(tmp_path / "layout", FLAT, "tar+zstd")
    model = write(tmp_path / "model", FLAT)
    with pytest.raises(errors.FormatError, match="is an archive"):
        verify_list(model, layout)


def test_our_export_of_a_manifest(tmp_path: Path) -> None:
    names = {
        "README.md": "doc",
        "run.py": "code",
        "config.json": "weight.config",
        "w.gguf": "weight",
    }
    model = write(tmp_path / "model", {name: name.encode() for name in names})
    source = tmp_path / "manifest.json"
    source.write_bytes(export_list(model, "oci", unverified=True).data)
    value = json.loads(source.read_text())
    assert {
        layer["annotations"]["org.cncf.model.filepath"]: layer["mediaType"]
        for layer in value["layers"]
    } == {name: f"application/vnd.cncf.model.{kind}.v1.raw" for name, kind in names.items()}
    for layer in value["layers"]:
        data = layer["annotations"]["org.opencontainers.image.title"].encode()
        assert layer["digest"] == f"sha256:{hashlib.sha256(data).hexdigest()}"
        assert layer["size"] == len(data)
    assert verify_list(model, source).files == 4


# --- the flat manifest ----------------------------------------------------------------------------


def flat(hash_: str, **more: Any) -> dict[str, Any]:
    fields = dict.fromkeys(("name", "signed_by", "signature", "training_date"), "x")
    return {"model_manifest": {**fields, "hash": hash_, "training_data_hash": "", **more}}


def test_flat_manifest_of_a_root(tmp_path: Path) -> None:
    model = write(tmp_path / "model", FLAT)
    source = tmp_path / "flat.json"
    source.write_text(json.dumps(flat(pyhash.format_root(pyhash.hash_checkpoint(model).root))))
    matched = verify_list(model, source)
    assert (matched.kind, matched.files, matched.absent) == ("flat-manifest", 3, ())
    assert "not checked" in matched.notes[0]
    mutations.flip_byte(model / "config.json", 0)
    assert differing(model, source) == {"model"}


def test_flat_manifest_of_one_file(tmp_path: Path) -> None:
    model = tmp_path / "w.bin"
    model.write_bytes(b"w")
    source = tmp_path / "flat.json"
    source.write_text(json.dumps(flat("sha256:" + hashlib.sha256(b"w").hexdigest())))
    assert verify_list(model, source).files == 1
    model.write_bytes(b"v")
    assert differing(model, source) == {"w.bin"}


def test_every_kind_that_is_written_is_read(tmp_path: Path) -> None:
    model = write(tmp_path / "model", FILES)
    for kind in KINDS.values():
        if kind.dump is not None and not kind.reads_files:
            source = tmp_path / kind.name
            source.write_bytes(export_list(model, kind.name, unverified=True).data)
            assert verify_list(model, source).kind == kind.name
