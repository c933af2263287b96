# SPDX-License-Identifier: Apache-2.0
"""The whole story with real processes: train, sign, record, push, share, pull in another network
namespace, verify, run; and then every attack on the way, each refused and on record.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pyhash.credentials import dump_credential, load_credential
from pyhash.store.embedded import EmbeddedStore, running_store
from tests.distribution._https_server import serve
from tests.distribution._release import flip

WRITER_HOST, READER_HOST = "10.213.7.1", "10.213.7.2"
NAMESPACE = "pyhash-reader"
TRAIN = """
import json, pathlib, random, struct
model = pathlib.Path("model"); model.mkdir(exist_ok=True)
random.seed(SEED)
data = struct.pack("<1024f", *(random.gauss(0, 1) for _ in range(1024)))
header = json.dumps({"w": {"dtype": "F32", "shape": [1024], "data_offsets": [0, 4096]}}).encode()
header += b" " * (-len(header) % 8)
(model / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + data)
(model / "config.json").write_text('{"model_type": "tiny", "seed": SEED}')
"""


def can_make_namespaces() -> str:
    """Why the reader cannot have a network of its own here; empty when it can."""
    if not shutil.which("ip"):
        return "no ip command (package iproute2)"
    if os.geteuid() != 0:
        return "not root"
    made = subprocess.run(["ip", "netns", "add", "pyhash-try"], capture_output=True, check=False)
    if made.returncode != 0:
        return made.stderr.decode().strip()
    subprocess.run(["ip", "netns", "del", "pyhash-try"], check=True)
    return ""


@dataclass(frozen=True)
class World:
    """Two hosts: a writer's, and a reader's, which has a network of its own where that is possible.

    Attributes:
        home: A directory that both see.
        store: The store, on the writer's side.
        prefix: What makes a command run on the reader's host.
        note: Why there is no second network; empty when there is.
    """

    home: Path
    store: EmbeddedStore
    prefix: tuple[str, ...]
    note: str

    def pyhash(self, *arguments: object, reader: bool = False) -> subprocess.CompletedProcess[str]:
        prefix = self.prefix if reader else ()
        command = [*prefix, sys.executable, "-m", "pyhash", *map(str, arguments)]
        return subprocess.run(
            command, cwd=self.home, capture_output=True, text=True, check=False, timeout=120
        )

    def done(self, *arguments: object, reader: bool = False) -> str:
        """Run what must work; returns what it printed."""
        process = self.pyhash(*arguments, reader=reader)
        assert process.returncode == 0, process.stderr
        return process.stdout

    def refused(self, code: int, match: str, *arguments: object, reader: bool = True) -> None:
        """Run what must be refused with an exit code and a message of its own."""
        process = self.pyhash(*arguments, reader=reader)
        assert process.returncode == code, (process.stdout, process.stderr)
        assert match in process.stderr, process.stderr
        assert not (self.home / "started").exists()

    def events(self) -> list[dict[str, Any]]:
        """What the log has about the published root."""
        root = json.loads(self.done("hash", "model", "--format", "json"))["root"]
        text = self.done(
            *("log", "who-had-access", root, "--log", "log", "--log-key", "log.vkey"),
            *("--format", "json"),
        )
        found = json.loads(text)["accesses"]
        assert isinstance(found, list)
        return found


@pytest.fixture(scope="module")
def network() -> Iterator[str]:
    """A second network namespace with a cable to this one; yields why there is none."""
    note = can_make_namespaces()
    if note:
        yield note
        return

    def ip(*words: str) -> None:
        subprocess.run(["ip", *words], check=True, capture_output=True)

    ip("netns", "add", NAMESPACE)
    try:
        ip("link", "add", "pyhash0", "type", "veth", "peer", "name", "pyhash1")
        ip("link", "set", "pyhash1", "netns", NAMESPACE)
        ip("addr", "add", f"{WRITER_HOST}/30", "dev", "pyhash0")
        ip("link", "set", "pyhash0", "up")
        inside = ("netns", "exec", NAMESPACE, "ip")
        ip(*inside, "addr", "add", f"{READER_HOST}/30", "dev", "pyhash1")
        ip(*inside, "link", "set", "pyhash1", "up")
        yield ""
    finally:
        ip("netns", "del", NAMESPACE)


@pytest.fixture(scope="module")
def world(network: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A release that was trained, signed, described, pushed."""
    home = tmp_path_factory.mktemp("story")
    host = "127.0.0.1" if network else WRITER_HOST
    prefix = () if network else ("ip", "netns", "exec", NAMESPACE)
    with running_store(home / "store", host=host) as store:
        world = World(home, store, prefix, network)
        (home / "train.py").write_text(TRAIN.replace("SEED", "1"))
        for name in ("publisher", "stranger"):
            world.done("keygen", name)
        world.done("log", "init", "log", "--origin", "models.example/log")
        world.done(
            *("provenance", "record", "--step", "train", "--dataset", "train.py"),
            *("--output", "model", "--key", "publisher.key"),
            *("--", sys.executable, "train.py"),
        )
        publish(world)
        yield world


def publish(world: World, *, release: int = 1) -> None:
    """Sign and push as the writer."""
    world.done(
        *("sign", "model", "--key", "publisher.key", "--release", str(release)),
        *("--log", "log"),
    )
    world.done("push", "model", "s3://models/tiny", *writer(world), "--log", "log")


def writer(world: World) -> tuple[object, ...]:
    return ("--key", "publisher.pub", "--credentials", world.store.writer)


def reader(world: World) -> tuple[object, ...]:
    return ("--key", "publisher.pub", "--credentials", world.store.reader)


def test_who_reads_has_a_network_of_his_own(world: World, record_property: Any) -> None:
    """Says so where that could not be had: then both sides share one."""
    record_property("reader_network", world.note or "its own namespace")
    if world.note:
        pytest.skip(f"the reader shares the writer's network here: {world.note}")
    probe = [*world.prefix, sys.executable, "-c", "import socket; print(socket.if_nameindex())"]
    assert "pyhash1" in subprocess.run(probe, capture_output=True, text=True, check=True).stdout


def test_from_training_to_the_start(world: World) -> None:
    """Links made by the reader's credential, which the inference host does not have."""
    world.done(
        *("share", "s3://models/tiny", "links.json", "--for", "1h"),
        *(*reader(world), "--log", "log"),
    )
    trust = ("--key", "publisher.pub")
    world.done(
        *("pull", "links://links.json", "pulled", "--ca", world.store.ca_file),
        *(*trust, "--log", "log"),
        reader=True,
    )
    world.done("verify", "pulled", *trust, reader=True)
    started = world.done(
        *("run", *trust, "--log", "log", "pulled", "--", "sh", "-c", "echo serving"), reader=True
    )
    assert "serving" in started
    seen = [(one["operation"], one["outcome"]) for one in world.events()]
    for expected in (
        ("sign", "done"),
        ("push", "done"),
        ("share", "done"),
        ("pull", "done"),
        ("run", "begun"),
    ):
        assert expected in seen
    # Who trained it, when, with what: from the statement that came along.
    shown = world.done("provenance", "show", "pulled", *trust)
    assert "train" in shown


def test_store_and_clients_agree(world: World) -> None:
    """Every access that the store has seen is one that a client has recorded."""
    audit = (
        *("store", "audit", world.store.audit, "--kind", "seaweedfs"),
        *("--log", "log", "--log-key", "log.vkey"),
    )
    world.done(*audit)
    # Somebody reads past the client, with the reader's credential.
    values = load_credential(world.store.reader)
    script = (
        "import obstore, sys\nfrom obstore.store import S3Store\n"
        "import json; v = json.loads(sys.argv[1])\n"
        "s = S3Store('models', config={k: v[k] for k in v if k != 'ca_file'},"
        " client_options={'root_certificate': open(v['ca_file']).read()})\n"
        "obstore.get(s, 'tiny/releases/' + '0' * 64 + '/x') if 0 else None\n"
        "obstore.get(s, 'tiny/notes.txt')\n"
    )
    subprocess.run(
        [*world.prefix, sys.executable, "-c", script, json.dumps(values)],
        capture_output=True,
        check=False,
    )
    found = json.loads(world.done(*audit, "--format", "json"))
    assert "tiny/notes.txt" in {one["key"] for one in found["unexplained"]}


def test_evil_mirror(world: World) -> None:
    mirror = world.home / "mirror"
    shutil.copytree(world.home / "model", mirror)
    flip(mirror / "model.safetensors", 3000)
    match = "other bytes than the signed ones"
    world.refused(
        *(1, match, "pull", mirror, "from-mirror", "--key", "publisher.pub", "--log", "log")
    )
    assert not (world.home / "from-mirror").exists()


def test_swapped_release(world: World) -> None:
    """Another publisher's release under this one's name."""
    swapped = world.home / "swapped"
    shutil.copytree(world.home / "model", swapped)
    world.done("sign", "swapped", "--key", "stranger.key")
    match = "not trusted"
    world.refused(
        *(1, match, "pull", swapped, "from-swapped", "--key", "publisher.pub", "--log", "log")
    )


def test_replayed_old_release(world: World) -> None:
    """The same publisher, validly signed, and older than what this host has seen."""
    shutil.copytree(world.home / "model", world.home / "release-1")
    (world.home / "train.py").write_text(TRAIN.replace("SEED", "2"))
    subprocess.run([sys.executable, "train.py"], cwd=world.home, check=True)
    publish(world, release=2)
    state = ("--state", "state")
    os.makedirs(world.home / "state", mode=0o700)
    served = world.home / "served"
    world.done(
        "pull", "s3://models/tiny", served, *reader(world), *state, "--log", "log", reader=True
    )
    shutil.rmtree(served)
    match = "release 2 was accepted here before"
    old = ("pull", world.home / "release-1", served, "--key", "publisher.pub", *state)
    world.refused(1, match, *old, "--log", "log")
    assert not served.exists()


def test_stolen_reader_credential(world: World) -> None:
    world.refused(
        *(3, "privileges", "push", "model", "s3://models/evil", *reader(world), "--log", "log")
    )


def test_expired_link(world: World) -> None:
    world.done("share", "s3://models/tiny", "brief.json", "--for", "1m", *reader(world))
    text = json.loads((world.home / "brief.json").read_text())
    text["expires"] = "2020-01-01T00:00:00+00:00"
    (world.home / "brief.json").write_text(json.dumps(text))
    trust = ("--key", "publisher.pub", "--ca", world.store.ca_file)
    world.refused(
        *(3, "these links expired", "pull", "links://brief.json", "late", *trust, "--log", "log")
    )


def test_man_in_the_middle(world: World) -> None:
    """Another certificate where the store's should be."""
    with serve(world.home / "model") as middle:
        values = load_credential(world.store.reader)
        values["endpoint"] = middle.url
        fake = world.home / "fake.toml"
        fake.write_bytes(dump_credential(values))
        fake.chmod(0o600)
        world.refused(
            *(3, "certificate", "pull", "s3://models/tiny", "middle", "--key", "publisher.pub"),
            *("--credentials", fake, "--log", "log"),
            reader=False,
        )
        assert middle.asked == []


def test_every_refusal_is_on_record(world: World) -> None:
    """The attacks above, by the log alone."""
    entries = json.loads(
        world.done(*("log", "verify", "log", "--log-key", "log.vkey", "--format", "json"))
    )
    assert entries["result"] == "verified"
    from pyhash.log.accesses import read_events
    from pyhash.log.checkpoint import TrustedLog
    from pyhash.log.note_keys import LOG, load_verifier
    from pyhash.log.reader import open_log

    trust = TrustedLog(load_verifier(world.home / "log.vkey", kind=LOG))
    events = read_events(open_log(world.home / "log", trust))
    refused = [one.operation for one in events if one.outcome == "refused"]
    failed = [one.operation for one in events if one.outcome == "failed"]
    assert refused.count("pull") == 3  # mirror, swapped, replayed
    assert sorted(failed) == ["pull", "pull", "push"]  # link, man in the middle; stolen credential
