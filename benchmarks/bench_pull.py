# SPDX-License-Identifier: Apache-2.0
"""``pyhash pull`` from the embedded store over TLS, against clients that verify nothing.

Interleaved rounds in random order; every process alone; every copy is compared. The store is a real
SeaweedFS on loopback and takes its share of the same processors.
"""

from __future__ import annotations

import argparse
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

import pyhash
from benchmarks._measure import environment, interleave, spread, write_result
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
        self.root = pyhash.sign(self.model, self.key, file_digests=False).root
        policy = Policy.from_key_files([self.public])
        push(
            self.model, "s3://models", policy, options=PushOptions(network(store.writer), uploads=4)
        )
        self.size = sum((self.model / name).stat().st_size for name in self.names)
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
            size = (self.model / name).stat().st_size
            step = -(-size // CONNECTIONS)
            for start in range(0, size, step):
                end = min(start + step, size) - 1
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

    def run(self, command: Callable[[], list[str]], *, synced: bool) -> float:
        """Seconds of one client, its copy compared afterwards."""
        shutil.rmtree(self.out, ignore_errors=True)
        words = command()
        began = time.perf_counter()
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
        if synced:
            subprocess.run(["sync", "-f", str(self.place)], check=True)
        seconds = time.perf_counter() - began
        for name in self.names:
            subprocess.run(["cmp", self.model / name, self.out / name], check=True)
        return seconds


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
    return {"moved_share": result.bytes_moved / bench.size}


def one_bad_span(bench: Bench) -> dict[str, float]:
    """Damage one span of a mirror, and count what is fetched twice."""
    mirror = bench.place / "mirror"
    shutil.copytree(bench.model, mirror)
    with (mirror / bench.names[0]).open("r+b") as file:
        file.seek(5 * MIB)
        file.write(b"damage")
    shutil.rmtree(bench.out, ignore_errors=True)
    policy = Policy.from_key_files([bench.public])
    result = pull(str(mirror), bench.out, policy, mirrors=[str(bench.model)])
    shutil.rmtree(mirror)
    return {
        "spans": bench.size // MIB,
        "bad_spans": len(result.bad),
        "fetched_again_bytes": result.bytes_moved - bench.size,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gib", type=float, default=8)
    parser.add_argument("--files", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--directory", default=None)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.directory) as name:
        place = Path(name)
        with running_store(place / "store") as store:
            bench = Bench(place, store, arguments.gib, arguments.files)
            clients = {
                "pyhash pull": (bench.pyhash, False),  # which makes its files durable itself
                "curl ranges": (bench.curl, True),
                "obstore": (bench.obstore, True),
            }
            variants = {
                client: partial(bench.run, command, synced=synced)
                for client, (command, synced) in clients.items()
            }
            seconds = interleave(variants, arguments.rounds)
            peers = zip(seconds["curl ranges"], seconds["obstore"], strict=True)
            best = [min(pair) for pair in peers]
            ratios = [peer / own for peer, own in zip(best, seconds["pyhash pull"], strict=True)]
            write_result(
                "pull",
                {
                    "environment": environment(place),
                    "cache": "the store's data in the page cache; copies end on the drive",
                    "gib": arguments.gib,
                    "files": arguments.files,
                    "connections": CONNECTIONS,
                    "seconds": {client: spread(values) for client, values in seconds.items()},
                    "speed_against_the_faster_peer": spread(ratios),
                    "resumed_after_a_kill_at_half": resumed(bench),
                    "one_damaged_span": one_bad_span(bench),
                },
            )


if __name__ == "__main__":
    main()
