# SPDX-License-Identifier: Apache-2.0
"""pyhash ls and doctor: what a checkpoint says of itself, and what the machine can do."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import gguf
import pytest
import safetensors

from pyhash import _native
from pyhash.cli import doctor
from tests.support import checkpoints

Run = Callable[..., tuple[int, str, str]]
NOTE = "From the headers only: nothing was verified.\n"


@pytest.fixture(autouse=True)
def _in_an_empty_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_sharded_checkpoint(run: Run, tmp_path: Path) -> None:
    model = checkpoints.make_hf_checkpoint(tmp_path / "model", shards=2)
    (model / "model.sig").touch()
    code, out, err = run("ls", "model")
    assert (code, err) == (0, NOTE)
    lines = out.splitlines()
    files = [line.split("  ")[0] for line in lines if not line.startswith(" ")]
    assert files == sorted(set(os.listdir(model)) - {"model.sig"})
    for path in model.glob("*.safetensors"):
        with safetensors.safe_open(path, "numpy") as opened:
            names = set(opened.keys())
        start = next(i for i, line in enumerate(lines) if line.startswith(path.name))
        tensors = lines[start + 1 : start + 1 + len(names)]
        assert {line.split()[0] for line in tensors} == names
        assert lines[start].endswith(f"safetensors, {len(names)} tensors")


def test_json_has_every_tensor(run: Run, tmp_path: Path) -> None:
    path = checkpoints.real_safetensors()
    code, out, err = run("ls", str(path), "--format", "json")
    found = json.loads(out)
    assert (code, err, found["result"], found["command"]) == (0, NOTE, "ok", "ls")
    assert found["message"] == NOTE.strip()
    assert (found["root"], found["guarantee"], found["findings"]) == (None, None, [])
    (shard,) = found["shards"]
    assert (shard["path"], shard["format"]) == (path.name, "safetensors")
    assert shard["bytes"] == found["bytes"] == path.stat().st_size
    with safetensors.safe_open(path, "numpy") as opened:
        for tensor in shard["tensors"]:
            part = opened.get_slice(tensor["name"])
            assert (part.get_dtype(), part.get_shape()) == (tensor["dtype"], tensor["shape"])
            assert tensor["bytes"] == tensor["end"] - tensor["start"] > 0
        assert {tensor["name"] for tensor in shard["tensors"]} == set(opened.keys())


def test_gguf(run: Run, tmp_path: Path) -> None:
    path = checkpoints.make_gguf(tmp_path / "model.gguf")
    (shard,) = json.loads(run("ls", "model.gguf", "--format", "json")[1])["shards"]
    theirs = {one.name: one for one in gguf.GGUFReader(path).tensors}
    assert {one["name"] for one in shard["tensors"]} == set(theirs)
    for one in shard["tensors"]:
        assert one["start"] == theirs[one["name"]].data_offset
        assert one["bytes"] == theirs[one["name"]].n_bytes


def test_a_broken_header_does_not_hide_the_other_files(run: Run, tmp_path: Path) -> None:
    model = checkpoints.make_hf_checkpoint(tmp_path / "model", shards=2)
    (model / "model-00001-of-00002.safetensors").write_bytes(b"\xff" * 100)
    (model / "link").symlink_to("config.json")
    code, out, err = run("ls", "model")
    assert code == 3
    assert "model-00001-of-00002.safetensors  100 B, header not readable\n" in out
    assert "lm_head.weight" in out
    lines = err.splitlines()
    assert lines[0] == "error: 2 files could not be read"
    assert lines[1].startswith("  link: a symbolic link")
    assert lines[2].startswith("  model-00001-of-00002.safetensors: ")
    found = json.loads(run("ls", "model", "--format", "json")[1])
    assert found["result"] == "error"
    broken = next(one for one in found["shards"] if one["bytes"] == 100)
    assert (broken["format"], broken["tensors"]) == (None, [])


def test_names_of_tensors_are_escaped(run: Run, tmp_path: Path) -> None:
    name = "\x1b]0;owned\x07\n\u202e"
    entry = {name: {"dtype": "U8", "shape": [2], "data_offsets": [0, 2]}}
    header = json.dumps(entry).encode()
    data = len(header).to_bytes(8, "little") + header + b"ab"
    (tmp_path / "model.safetensors").write_bytes(data)
    code, out, _ = run("ls", "model.safetensors")
    end = len(data)
    assert code == 0
    assert out.splitlines()[1] == (
        f"  \\x1b]0;owned\\x07\\n\\u202e  U8 [2]  2 bytes [{end - 2}, {end})"
    )
    (shard,) = json.loads(run("ls", "model.safetensors", "--format", "json")[1])["shards"]
    assert shard["tensors"][0]["name"] == name


def test_nothing_there(run: Run) -> None:
    code, out, err = run("ls", "missing")
    assert (code, out) == (3, "")
    assert err == "error: missing: No such file or directory\n"


def test_quiet(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    assert run("ls", "file", "--quiet") == (0, "file  7 B, raw\n", "")


def test_doctor(run: Run) -> None:
    code, out, err = run("doctor")
    assert (code, err) == (0, "")
    for kernel in _native.kernels():
        (line,) = [line for line in out.splitlines() if line.split()[0] == kernel.name]
        assert line.endswith("B/s" if kernel.supported else "not on this processor")
    found = json.loads(run("doctor", "--format", "json", "--threads", "3")[1])
    assert found["threads"] == 3
    assert set(found["readers"]) == {"auto", "mmap", "buffered", "direct"}
    assert {one["name"] for one in found["kernels"]} == {one.name for one in _native.kernels()}
    rates = [one["bytes_per_second"] for one in found["kernels"] if one["bytes_per_second"]]
    assert rates == sorted(rates, reverse=True)
    assert len(rates) == sum(kernel.supported for kernel in _native.kernels())
    assert set(found["libraries"]) == set(doctor.LIBRARIES)


def test_doctor_without_a_library(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "LIBRARIES", ("no-such-library",))
    assert "no-such-library  not installed" in run("doctor")[1]
