# SPDX-License-Identifier: Apache-2.0
"""Load a signed checkpoint into owned memory, verified, against loaders that verify nothing.

    python benchmarks/bench_load.py hot --gib 8     page cache warm; all tensors in owned memory
    python benchmarks/bench_load.py cold --gib 8    page cache dropped before each; against cat
    python benchmarks/bench_load.py part --gib 8    one rank's eighth: bytes read, memory

Each measurement is a process of its own; its imports are not timed. Our result is compared with
that of the package before anything is timed, and a flipped byte must be refused. All of them find
memory that the machine has already (_held_memory.py).
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from _held_memory import HeldMemory

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

OURS = ("load_numpy", "load_torch")
HOT_PEERS = ("safetensors_load_file", "safetensors_safe_open", "safetensors_torch_clone")
RANK, RANKS = 3, 8
# A rank's part is measured of files as writers cut them, near 5 GB, with matrices of an 8B model:
# it is read in whole spans, so the smaller the matrices, the more of them is read in vain.
SHARD_GIB = {"hot": 1, "cold": 1, "part": 4}


# --- what is measured, each in a process of its own ----------------------------------------------


def shards(model: Path) -> list[Path]:
    return sorted(model.glob("*.safetensors"))


def load_numpy(model: Path) -> dict[str, Any]:
    import pyhash

    return pyhash.load(model, keys=[model.parent / "publisher.pub"]).numpy()


def load_torch(model: Path) -> dict[str, Any]:
    import pyhash

    return pyhash.load(model, keys=[model.parent / "publisher.pub"]).torch()


def load_rank_slices(model: Path) -> dict[str, Any]:
    """An eighth of each tensor, along its first dimension."""
    import pyhash

    only = {}
    for name, shape in shapes(model).items():
        first, last = shape[0] * RANK // RANKS, shape[0] * (RANK + 1) // RANKS
        only[name] = (slice(first, last),)
    return remember(pyhash.load(model, keys=[model.parent / "publisher.pub"], only=only))


def load_rank_tensors(model: Path) -> dict[str, Any]:
    """An eighth of the bytes, in whole tensors, as a pipeline stage or an expert's rank asks."""
    import pyhash

    sizes = {name: 2 * int(prod(shape)) for name, shape in shapes(model).items()}
    total, before, only = sum(sizes.values()), 0, []
    for name, size in sizes.items():
        if RANK * total <= RANKS * before < (RANK + 1) * total:
            only.append(name)
        before += size
    return remember(pyhash.load(model, keys=[model.parent / "publisher.pub"], only=only))


def safetensors_load_file(model: Path) -> dict[str, Any]:
    from safetensors.numpy import load_file

    return {name: array for path in shards(model) for name, array in load_file(path).items()}


def safetensors_safe_open(model: Path) -> dict[str, Any]:
    from safetensors import safe_open

    found = {}
    for path in shards(model):
        with safe_open(path, "np") as file:
            for name in file.keys():  # noqa: SIM118 - no dictionary
                found[name] = file.get_tensor(name)
    return found


def safetensors_torch_clone(model: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return {
        name: tensor.clone() for path in shards(model) for name, tensor in load_file(path).items()
    }


def cat(model: Path) -> dict[str, Any]:
    with open(os.devnull, "wb") as nowhere:
        subprocess.run(["cat", *map(str, shards(model))], stdout=nowhere, check=True)
    return {}


ACTIONS: dict[str, Callable[[Path], dict[str, Any]]] = {
    action.__name__: action
    for action in (
        load_numpy,
        load_torch,
        load_rank_slices,
        load_rank_tensors,
        safetensors_load_file,
        safetensors_safe_open,
        safetensors_torch_clone,
        cat,
    )
}
read_bytes: list[int] = []


def remember(loaded: Any) -> dict[str, Any]:
    read_bytes.append(loaded.size)
    arrays: dict[str, Any] = loaded.numpy()
    return arrays


def prod(shape: list[int]) -> int:
    result = 1
    for dimension in shape:
        result *= dimension
    return result


def shapes(model: Path) -> dict[str, list[int]]:
    """Shapes by name in order of the files, read without either library."""
    found = {}
    for path in shards(model):
        with path.open("rb") as file:
            header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        header.pop("__metadata__", None)
        for name, entry in sorted(header.items(), key=lambda one: one[1]["data_offsets"]):
            found[name] = entry["shape"]
    return found


def stalls() -> int:
    """How often anybody had to wait for memory to be taken back or moved together."""
    lines = Path("/proc/vmstat").read_text().splitlines()
    names = ("allocstall", "compact_stall")
    return sum(int(line.split()[1]) for line in lines if line.startswith(names))


def high_water() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024
    sys.exit("no VmHWM")


def measure(name: str, model: Path) -> None:
    """The child: load once, print what it took."""
    import ml_dtypes  # noqa: F401
    import numpy  # noqa: F401
    import safetensors.numpy

    import pyhash
    from pyhash import _native

    if "torch" in name:
        import safetensors.torch

        safetensors.torch.torch.set_num_threads(len(os.sched_getaffinity(0)))
    pyhash.load(model, keys=[model.parent / "publisher.pub"], paths=["config.json"])
    _native.measure_kernels()
    Path("/proc/self/clear_refs").write_text("5")  # forget the high-water mark
    before, began = high_water(), time.perf_counter()
    usage = resource.getrusage(resource.RUSAGE_SELF)
    found = ACTIONS[name](model)
    seconds = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_SELF)
    asked = sum(int(array.nbytes) for array in found.values())
    result = {
        "seconds": seconds,
        "user_seconds": after.ru_utime - usage.ru_utime,
        "system_seconds": after.ru_stime - usage.ru_stime,
        "tensors": len(found),
        "bytes_asked": asked,
        "bytes_read": read_bytes[0] if read_bytes else None,
        "memory_above_start": high_water() - before,
    }
    print(json.dumps(result))


# --- the parent ----------------------------------------------------------------------------------


class Child:
    """One loader, measured in a new process each time."""

    def __init__(self, name: str, model: Path, memory: HeldMemory, *, cold: bool) -> None:
        self.name, self.model, self.memory, self.cold = name, model, memory, cold
        self.results: list[dict[str, Any]] = []

    def __call__(self) -> float:
        from bench_reading import drop_pages

        if self.cold:
            drop_pages(shards(self.model))
        else:
            cat(self.model)
        self.memory.take()
        command = [sys.executable, __file__, "measure", "--name", self.name, "--model", self.model]
        before = stalls()
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
        if done.returncode != 0:
            sys.exit(f"{self.name}: {done.stderr}")
        self.results.append({**json.loads(done.stdout), "stalls": stalls() - before})
        return float(self.results[-1]["seconds"])


def make(directory: Path, gib: int, shard_gib: int) -> Path:
    import pyhash
    from pyhash.signing.ecdsa import generate_key, write_key_pair
    from tests.support.checkpoints import make_hf_checkpoint

    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    write_key_pair(generate_key(), directory / "publisher.key", directory / "publisher.pub")
    model = make_hf_checkpoint(
        directory / "model", shards=gib // shard_gib, shard_bytes=shard_gib << 30
    )
    pyhash.sign(model, directory / "publisher.key")
    return model


def check_right(model: Path) -> None:
    """Ours gives what the package gives; and a flipped byte is refused."""
    import numpy as np
    from safetensors import safe_open

    import pyhash
    from pyhash.safetensors import load_file

    key = model.parent / "publisher.pub"
    path = shards(model)[0]
    ours = load_file(path, keys=[key])
    with safe_open(path, "np") as file:
        for name in file.keys():  # noqa: SIM118
            if not np.array_equal(ours[name].view("u1"), file.get_tensor(name).view("u1")):
                sys.exit(f"{name}: other bytes")
    del ours
    with path.open("r+b") as raw:
        raw.seek(path.stat().st_size // 2)
        byte = raw.read(1)
        for value in (bytes([byte[0] ^ 1]), byte):
            raw.seek(-1, os.SEEK_CUR)
            raw.write(value)
            raw.flush()
            try:
                load_file(path, keys=[key])
                refused = False
            except pyhash.VerificationError:
                refused = True
            if refused != (value != byte):
                sys.exit("a flipped byte was not refused, or the true one was")


def run(part: str, model: Path, rounds: int, gib: int) -> None:
    from _measure import environment, interleave, spread, table, times_faster, write_result

    names = {
        "hot": (*OURS, *HOT_PEERS),
        "cold": ("load_numpy", "cat"),
        "part": ("load_rank_slices", "load_rank_tensors"),
    }[part]
    size = sum(path.stat().st_size for path in shards(model))
    with HeldMemory() as memory:
        children = {name: Child(name, model, memory, cold=part == "cold") for name in names}
        samples = interleave(dict(children), rounds, warm_up=False)
    table(samples, size)
    ratios = {}
    for name in (one for one in names if one.startswith("load_")):
        for peer in (one for one in names if not one.startswith("load_")):
            ratios[f"{name} / {peer}, time"] = times_faster(samples, peer, name)
    for text, ratio in ratios.items():
        print(f"  {text}: {ratio['median']:.2f} [{ratio['min']:.2f} {ratio['max']:.2f}]")
    details = {name: children[name].results for name in names}
    for name, results in details.items():
        extra = max(one["memory_above_start"] - one["bytes_asked"] for one in results) / 2**20
        read = results[0]["bytes_read"]
        print(f"  {name}: {extra:.0f} MiB above the tensors", end="")
        print(f", read {read / size:.4f} of the bytes" if read else "")
    write_result(
        f"load-{part}-{gib}gib",
        {
            "environment": environment(model),
            "bytes": size,
            "shards": len(shards(model)),
            "rounds": rounds,
            "seconds": {name: spread(values) for name, values in samples.items()},
            "time_ratios": ratios,
            "details": details,
        },
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parts = ("hot", "part", "cold")
    choices = ("all", *parts, "measure")
    parser.add_argument("part", nargs="?", choices=choices, default="all")
    parser.add_argument("--gib", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--directory", type=Path, default=Path("build/bench-load"))
    parser.add_argument("--name")
    parser.add_argument("--model", type=Path)
    given = parser.parse_args()
    if given.part == "measure":
        measure(given.name, given.model)
        return
    for part in parts:
        if given.part in ("all", part):
            shard_gib = SHARD_GIB[part]
            if given.gib % shard_gib:
                sys.exit(f"{part}: {given.gib} GiB are no whole number of shards of {shard_gib}")
            directory = given.directory / f"shards-of-{shard_gib}-gib"
            model = directory / "model"
            if len(shards(model)) != given.gib // shard_gib:
                model = make(directory, given.gib, shard_gib)
                check_right(model)
            run(part, model, given.rounds, given.gib)


if __name__ == "__main__":
    main()
