# SPDX-License-Identifier: Apache-2.0
"""The commands of docs/runtimes.md, with stand-ins for the servers: each says what it was given.

The GGUF file is written by the package gguf; SGLang's checker is the real one, from its wheel.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import gguf
import numpy as np
import pytest

import pyhash
from tests.support import command_line, sglang_verifier
from tests.support.command_line import Signed
from tests.unit._signed import flip, write_keys


def program(folder: Path, name: str, script: str) -> dict[str, str]:
    """Put a program on the path; the environment that has it."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)
    return {"PATH": f"{folder}:{os.environ['PATH']}"}


@pytest.fixture
def llama(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    monkeypatch.chdir(tmp_path)
    writer = gguf.GGUFWriter("model.gguf", "llama")
    writer.add_tensor("blk.0.attn_q.weight", np.arange(4096, dtype=np.float32).reshape(64, 64))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    private, _ = write_keys(tmp_path)
    pyhash.sign(Path("model.gguf"), private)
    script = 'touch started; printf "%s\\n" "$@"; head -c 4 "$2"'
    return program(tmp_path / "bin", "llama-server", script)


LLAMA = ("run", "--key", "publisher.pub", "model.gguf", "--", "llama-server", "-m", "model.gguf")


def test_llama_server_is_started(llama: dict[str, str]) -> None:
    done = command_line.pyhash(*LLAMA, env=llama)
    assert (done.returncode, done.stdout) == (0, b"-m\nmodel.gguf\nGGUF"), done.stderr


@pytest.mark.parametrize("where", ["header", "metadata", "data"])
def test_llama_server_is_not_started_behind_one_other_byte(
    where: str, llama: dict[str, str]
) -> None:
    path = Path("model.gguf")
    flip(path, {"header": 4, "metadata": 40, "data": path.stat().st_size - 1}[where])
    done = command_line.pyhash(*LLAMA, env=llama)
    assert done.returncode in ((1,) if where == "data" else (1, 3))
    assert b"llama-server was not started" in done.stderr
    assert done.stdout == b"" and not Path("started").exists()


# --- SGLang -------------------------------------------------------------------------------------

EXPORT = ("export", "model", "--to", "sglang", "--key", "publisher.pub", "-o", "checksums.json")
LAUNCH = ("-m", "sglang.launch_server", "--model-path", "model")


def launch(signed: Signed, stand_in: Path) -> subprocess.CompletedProcess[bytes]:
    """The recipe's command; the stand-in's module calls SGLang's real checker, as SGLang does."""
    package = stand_in / "sglang"
    package.mkdir(parents=True, exist_ok=True)
    (package / "__init__.py").touch()
    (package / "launch_server.py").write_text(
        "import pathlib, runpy, sys\n"
        "at = dict(zip(sys.argv[1::2], sys.argv[2::2]))\n"
        f"checker = runpy.run_path({str(sglang_verifier.checker())!r})\n"
        "checker['verify'](model_path=at['--model-path'], "
        "checksums_source=at['--model-checksum'])\n"
        "pathlib.Path('started').touch()\n"
    )
    return command_line.pyhash(
        *("run", "--key", "publisher.pub", "model", "--", sys.executable),
        *LAUNCH,
        *("--model-checksum", "checksums.json"),
        cwd=signed.directory,
        env={"PYTHONPATH": str(stand_in)},
    )


def test_sglang(signed: Signed, tmp_path_factory: pytest.TempPathFactory) -> None:
    stand_in = tmp_path_factory.mktemp("sglang")
    assert command_line.pyhash(*EXPORT).returncode == 0
    done = launch(signed, stand_in)
    assert done.returncode == 0 and Path("started").exists(), done.stderr
    Path("started").unlink()
    flip(signed.shard, 2 << 20)
    done = launch(signed, stand_in)
    assert done.returncode == 1 and b"was not started" in done.stderr
    assert not Path("started").exists()


def test_sglang_compares_again(signed: Signed, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The second check works by itself: a list of another content stops the server."""
    stand_in = tmp_path_factory.mktemp("sglang")
    assert command_line.pyhash(*EXPORT).returncode == 0
    text = Path("checksums.json").read_text()
    at = text.index('"sha256": "') + len('"sha256": "')
    Path("checksums.json").write_text(text[:at] + "f" * 64 + text[at + 64 :])
    done = launch(signed, stand_in)
    assert done.returncode not in (0, 3) and not Path("started").exists(), done.stderr
