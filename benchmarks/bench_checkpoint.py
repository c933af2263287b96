# SPDX-License-Identifier: Apache-2.0
"""Sign and verify a checkpoint in the page cache, whole processes, against the field's tools.

Every command is timed from start to end of its process, with its processor time; its peak resident
memory, mapped pages included, is that of one run before. Peers: the reference tool of OMS, with and
without the processor's SHA extensions, openssl and sha256sum on all cores, and b3sum. Roofs: cat of
the same files on all cores, and one thread of the kernel over memory. Each command's exit code is
checked; a tampered copy is refused before anything is timed.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from _measure import environment, interleave, spread, table, times_faster, write_result

from pyhash import _native

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.support.checkpoints import make_hf_checkpoint  # noqa: E402
from tests.support.make_peer_env import peer_program  # noqa: E402

WITHOUT_SHA = {"OPENSSL_ia32cap": ":~0x20000000"}  # CPUID leaf 7 EBX bit 29: the SHA extensions
# Between two looks at a process's memory.
WATCH_SECONDS = 0.01


class Command:
    """A process to time, and what the system said about each of its runs."""

    def __init__(self, *words: object, environment: dict[str, str] | None = None) -> None:
        self.words = [str(word) for word in words]
        self.environment = {**os.environ, **(environment or {})}
        self.peak_mib = 0.0
        self.cpu_seconds: list[float] = []

    def measure_memory(self) -> None:
        """Run once and watch the resident memory of the process, mapped pages included.

        The system keeps the high-water mark itself (VmHWM), so nothing between two looks is
        missed. What it hands to the parent afterwards (ru_maxrss) would count this script's own
        memory too, from before the new program took its place.
        """
        child = subprocess.Popen(
            self.words,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=self.environment,
        )
        while child.poll() is None:
            status = Path(f"/proc/{child.pid}/status").read_text()
            marks = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")]
            self.peak_mib = max([self.peak_mib, *(int(mark) / 1024 for mark in marks)])
            time.sleep(WATCH_SECONDS)
        if child.returncode != 0:
            sys.exit(f"{self.words}: exit code {child.returncode}")

    def __call__(self) -> float:
        start = time.perf_counter()
        child = subprocess.Popen(
            self.words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=self.environment
        )
        assert child.stderr
        said = child.stderr.read()
        _, status, usage = os.wait4(child.pid, 0)
        seconds = time.perf_counter() - start
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode != 0:
            sys.exit(f"{self.words}: exit code {child.returncode}: {said.decode()[-500:]}")
        self.cpu_seconds.append(usage.ru_utime + usage.ru_stime)
        return seconds


def prepare(directory: Path, gib: float, shards: int) -> Path:
    """Make the checkpoint and keys, sign it by both tools, and see both refuse a tampered copy."""
    model = directory / "model"
    if not model.exists():
        make_hf_checkpoint(model, shards=shards, shard_bytes=int(gib * 2**30 / shards))
    key, public = directory / "key.pem", directory / "key.pub"
    if not key.exists():
        run("keygen", directory / "publisher")
        shutil.copyfile(directory / "publisher.pub", public)
        shutil.copyfile(directory / "publisher.key", key)
        key.chmod(0o600)
    run(
        "sign",
        model,
        "--key",
        key,
        "--signature",
        directory / "ours.sig",
        "--tree",
        directory / "ours.tree",
    )
    theirs = [peer_program(), "sign", "key", model, "--private_key", key, "--signature"]
    subprocess.run([*map(str, theirs), str(directory / "theirs.sig")], check=True)
    refuse_tampered(directory, model)
    return model


def refuse_tampered(directory: Path, model: Path) -> None:
    """Flip one bit; our command must answer 1."""
    shard = sorted(model.glob("*.safetensors"))[-1]
    with shard.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        last = file.read(1)[0]
        for byte, wanted in ((last ^ 1, 1), (last, 0)):
            file.seek(-1, os.SEEK_END)
            file.write(bytes([byte]))
            file.flush()
            code = run("verify", model, *ours(directory), check=False)
            if code != wanted:
                sys.exit(f"verify answered {code} instead of {wanted}")


def ours(directory: Path) -> list[object]:
    """Options that name our key, bundle and tree file."""
    return [
        "--key",
        directory / "key.pub",
        "--signature",
        directory / "ours.sig",
        "--tree",
        directory / "ours.tree",
    ]


def run(*words: object, check: bool = True) -> int:
    """Run pyhash quietly."""
    command = [sys.executable, "-m", "pyhash", *(str(word) for word in words), "--quiet"]
    return subprocess.run(
        command,
        check=check,
        stdout=subprocess.DEVNULL,
        stderr=None if check else subprocess.DEVNULL,
    ).returncode


def commands(directory: Path, model: Path) -> dict[str, Command]:
    """Everything that takes turns."""
    pyhash = [sys.executable, "-m", "pyhash"]
    signing = [peer_program()]
    cores = len(os.sched_getaffinity(0))
    files = " ".join(f"'{path}'" for path in sorted(model.glob("*.safetensors")))
    spread_over = f"printf '%s\\n' {files} | xargs -P{cores} -n1"
    key, public = directory / "key.pem", directory / "key.pub"
    peer_verify = [
        *signing,
        "verify",
        "key",
        model,
        "--public_key",
        public,
        "--signature",
        directory / "theirs.sig",
    ]
    peers = {
        "model_signing verify key, no SHA extensions": Command(
            *peer_verify, environment=WITHOUT_SHA
        ),
        "b3sum": Command("b3sum", *sorted(model.glob("*.safetensors"))),
    }
    return {
        **{name: one for name, one in peers.items() if shutil.which(str(one.words[0]))},
        **{
            f"pyhash verify --threads {count}": Command(
                *pyhash, "verify", model, *ours(directory), "--threads", count
            )
            for count in (cores * 3 // 2, cores * 2)
        },
        "pyhash verify": Command(*pyhash, "verify", model, *ours(directory)),
        "pyhash verify --threads 1": Command(
            *pyhash, "verify", model, *ours(directory), "--threads", 1
        ),
        "pyhash verify, peer's bundle": Command(
            *pyhash, "verify", model, "--key", public, "--signature", directory / "theirs.sig"
        ),
        "pyhash sign": Command(
            *pyhash,
            "sign",
            model,
            "--key",
            key,
            "--signature",
            directory / "scratch.sig",
            "--tree",
            directory / "scratch.tree",
        ),
        "pyhash sign --no-file-digests": Command(
            *pyhash,
            "sign",
            model,
            "--key",
            key,
            "--signature",
            directory / "scratch.sig",
            "--tree",
            directory / "scratch.tree",
            "--no-file-digests",
        ),
        "model_signing verify key": Command(*peer_verify),
        "model_signing sign key": Command(
            *signing,
            "sign",
            "key",
            model,
            "--private_key",
            key,
            "--signature",
            directory / "scratch-theirs.sig",
        ),
        f"openssl dgst, xargs -P{cores}": Command(
            "sh", "-c", f"{spread_over} openssl dgst -sha256"
        ),
        f"sha256sum, xargs -P{cores}": Command("sh", "-c", f"{spread_over} sha256sum"),
        f"cat, xargs -P{cores} (roof)": Command("sh", "-c", f"{spread_over} cat > /dev/null"),
    }


RATIOS = (
    ("pyhash verify", "model_signing verify key"),
    ("pyhash verify, peer's bundle", "model_signing verify key"),
    ("pyhash sign", "model_signing sign key"),
    ("pyhash sign --no-file-digests", "model_signing sign key"),
    ("pyhash verify", "model_signing verify key, no SHA extensions"),
    ("pyhash verify", "b3sum"),
    ("pyhash verify", "pyhash verify --threads 3"),
    ("pyhash verify", "pyhash verify --threads 4"),
)

MEMORY_BYTES = 1 << 30
KERNEL = "kernel, 1 GiB of memory, one thread"


def kernel_variant(data: bytes) -> Callable[[], float]:
    """One thread of the fastest kernel over memory, the roof for each of our threads; seconds."""

    def variant() -> float:
        start = time.perf_counter()
        name = _native.measure_kernels()[0][0].name
        _native.hash_messages(data, _native.CHUNK_BYTES, kernel=name)
        return time.perf_counter() - start

    return variant


def main() -> None:
    """Measure and write the result file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gib", type=float, default=8)
    parser.add_argument("--shards", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--skip", default="", help="leave out what has one of these words, a,b,...")
    parser.add_argument("--directory", type=Path, default=ROOT / "build" / "benchmark")
    options = parser.parse_args()
    directory = options.directory / f"{options.gib:g}gib-{options.shards}"
    directory.mkdir(parents=True, exist_ok=True)
    model = prepare(directory, options.gib, options.shards)
    size = sum(path.stat().st_size for path in model.rglob("*") if path.is_file())
    skipped = [word for word in options.skip.split(",") if word]
    variants = {
        name: one
        for name, one in commands(directory, model).items()
        if not any(word in name for word in skipped)
    }
    print(f"{size} bytes in {options.shards} shards, page cache warm")
    for variant in variants.values():
        variant.measure_memory()  # warms the page cache too
    samples = interleave(
        {**variants, KERNEL: kernel_variant(os.urandom(1 << 20) * (MEMORY_BYTES >> 20))},
        options.rounds,
        warm_up=False,
    )
    table(samples, size)
    ratios = {
        f"{a} / {b}": times_faster(samples, a, b) for a, b in RATIOS if {a, b} <= samples.keys()
    }
    ratios["pyhash verify / kernel from memory times cores"] = spread(
        [
            (size / verify) / (MEMORY_BYTES / kernel * len(os.sched_getaffinity(0)))
            for verify, kernel in zip(samples["pyhash verify"], samples[KERNEL], strict=True)
        ]
    )
    for name, value in ratios.items():
        print(f"  {name}: {value['median']:.2f}x [{value['min']:.2f} {value['max']:.2f}]")
    for name in variants:
        print(f"  {name}: peak {variants[name].peak_mib:.0f} MiB resident")
    write_result(
        f"checkpoint-{options.gib:g}gib-{options.shards}",
        {
            "environment": environment(directory),
            "bytes": size,
            "shards": options.shards,
            "cache": "warm: every variant ran once before the first round",
            "rounds": options.rounds,
            "seconds": {name: spread(values) for name, values in samples.items()},
            "cpu_seconds": {name: spread(one.cpu_seconds) for name, one in variants.items()},
            "peak_mib": {name: round(one.peak_mib, 1) for name, one in variants.items()},
            "times_faster": ratios,
        },
    )


if __name__ == "__main__":
    main()
