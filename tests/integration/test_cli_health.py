# SPDX-License-Identifier: Apache-2.0
"""Health, receipts of starts, and one verification for several processes, as real commands."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format
from in_toto_attestation.predicates.vsa.v1 import vsa_pb2
from in_toto_attestation.v1 import statement_pb2
from in_toto_attestation.v1.statement import Statement as PeerStatement

from pyhash import signing
from tests.support import command_line
from tests.support.command_line import COMMAND, Signed

KEY = ("--key", "publisher.pub")
SIZE_OF_SHARDS = 2 * command_line.SHARD_BYTES


def get(port: int, path: str, method: str = "GET") -> tuple[int, bytes, dict[str, str]]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.read(), dict(answer.getheaders())
    finally:
        connection.close()


@pytest.fixture
def server(signed: Signed) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    line = ["health", "serve", "model", *KEY, "--every", "0.2", "--file", "health", "--vsa", "vsa"]
    process = subprocess.Popen([*COMMAND, *line], stderr=subprocess.PIPE)
    try:
        assert process.stderr is not None
        said = process.stderr.readline().decode()
        found = re.fullmatch(r"serving: model: http://127\.0\.0\.1:(\d+)\n", said)
        assert found, said
        yield process, int(found.group(1))
    finally:
        process.kill()
        process.communicate()


def wait_for(condition: Any) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def check(*more: str) -> int:
    return command_line.pyhash("health", "check", "--file", "health", *more).returncode


def test_ready_until_a_file_changes(server: tuple[subprocess.Popen[bytes], int]) -> None:
    process, port = server
    assert get(port, "/livez")[:2] == (200, b"alive\n")
    assert get(port, "/readyz")[:2] == (200, b"ready\n")
    shown = json.loads(get(port, "/")[1])
    assert (shown["ready"], shown["state"], shown["guarantee"]) == (True, "ready", "content")
    assert shown["size"] > SIZE_OF_SHARDS
    assert 'pyhash_ready{guarantee="content"} 1\n' in get(port, "/metrics")[1].decode()
    wait_for(Path("health").exists)
    assert check() == 0
    config = Path("model/config.json")
    before = config.read_bytes()
    config.write_bytes(before)  # the same bytes: nobody has hashed them since
    wait_for(lambda: get(port, "/readyz")[0] == 503)
    metrics = get(port, "/metrics")[1].decode()
    assert 'pyhash_ready{guarantee="content"} 0\n' in metrics
    assert 'pyhash_mismatches_total{guarantee="content"} 1\n' in metrics
    assert json.loads(get(port, "/")[1])["reason"] == "ChangedWhileReadError"
    assert get(port, "/livez")[0] == 200
    wait_for(lambda: check() == 1)
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0
    assert not Path("health").exists()
    assert check() == 3


def test_nothing_of_a_request_comes_back(server: tuple[subprocess.Popen[bytes], int]) -> None:
    _, port = server
    for method, path, code in (("GET", "/<evil>", 404), ("EVIL", "/livez", 501)):
        status, body, headers = get(port, path, method)
        assert (status, b"evil" in body.lower()) == (code, False)
        assert "evil" not in json.dumps(headers).lower()
    assert get(port, "/readyz", "HEAD")[:2] == (200, b"")
    idle = [socket.create_connection(("127.0.0.1", port)) for _ in range(30)]
    idle[-1].settimeout(3)
    with suppress(ConnectionResetError):
        assert idle[-1].recv(1) == b""  # above the cap: closed at once
    began = time.monotonic()
    idle[0].settimeout(20)
    with idle[0]:
        while idle[0].recv(1000):
            pass
    assert time.monotonic() - began < 10
    for one in idle[1:]:
        one.close()
    wait_for(lambda: is_alive(port))


def is_alive(port: int) -> bool:
    """Whether there is a free place."""
    try:
        return get(port, "/livez")[0] == 200
    except (OSError, http.client.HTTPException):
        return False


def test_what_does_not_verify_is_not_served(signed: Signed) -> None:
    Path("health").write_text("{}")
    command_line.flip_bit(signed.shard, 2 << 20)
    line = ("health", "serve", "model", *KEY, "--file", "health", "--vsa", "vsa")
    process = command_line.pyhash(*line)
    assert process.returncode == 1
    assert b"serving" not in process.stderr
    assert not Path("health").exists()
    assert vsa()["predicate"]["verificationResult"] == "FAILED"


@pytest.mark.parametrize("age", [3600, -3600])
def test_a_file_of_another_time_says_nothing(age: int, signed: Signed) -> None:
    value = {"pyhash_health": 1, "ready": True, "written": int(time.time()) - age}
    Path("health").write_text(json.dumps(value))
    assert check() == 3


@pytest.mark.parametrize("text", ["", "{}", '{"pyhash_health":2,"ready":true,"written":1}'])
def test_a_broken_file_says_nothing(text: str, signed: Signed) -> None:
    Path("health").write_text(text)
    assert check() == 3


@pytest.mark.parametrize("size", [1024, 1025])
def test_the_cap_of_the_file(size: int, signed: Signed) -> None:
    value = {"pyhash_health": 1, "ready": True, "written": int(time.time())}
    Path("health").write_text(json.dumps(value).ljust(size))
    assert check() == (0 if size == 1024 else 3)


# --- receipts of starts ---------------------------------------------------------------------------


def vsa(payload: bytes | None = None) -> dict[str, Any]:
    """The receipt, once the other library has found nothing wrong with its shape."""
    payload = Path("vsa").read_bytes() if payload is None else payload
    parsed = json_format.Parse(payload, statement_pb2.Statement())
    PeerStatement.copy_from_pb(parsed).validate()
    found: dict[str, Any] = json.loads(payload)
    # The specification has a list of levels; that library has it as one string, so it gets the one.
    levels = found["predicate"]["verifiedLevels"]
    assert len(levels) == 1
    peer = json_format.ParseDict(
        {**found["predicate"], "verifiedLevels": levels[0]}, vsa_pb2.VerificationSummary()
    )
    assert peer.verifier.id == "https://pyhash-checkpoint.org/verifier/v1"
    assert found["predicateType"] == "https://slsa.dev/verification_summary/v1"
    return found


def run(*more: str) -> subprocess.CompletedProcess[bytes]:
    return command_line.pyhash("run", "model", *KEY, "--vsa", "vsa", *more, "--", "cat", "vsa")


def test_the_receipt_is_there_before_the_child(signed: Signed) -> None:
    process = run()
    assert (process.returncode, process.stdout) == (0, Path("vsa").read_bytes())
    found = vsa()
    predicate = found["predicate"]
    assert (predicate["verificationResult"], predicate["verifiedLevels"]) == (
        "PASSED",
        ["PYHASH_GUARANTEE_CONTENT"],
    )
    digest = hashlib.sha256(Path("model/model.sig").read_bytes()).hexdigest()
    assert [one["digest"] for one in predicate["inputAttestations"]] == [{"sha256": digest}]
    bundle = json.loads(
        signing.load_bundle(Path("model/model.sig").read_bytes(), "x").envelope.payload
    )
    root = bundle["subject"][0]["digest"]["pyhash-v1"]
    assert found["subject"][0]["digest"] == {"pyhash-v1": root}


def test_a_signed_receipt(signed: Signed) -> None:
    assert run("--vsa-key", "publisher.key").returncode == 0
    bundle = signing.load_bundle(Path("vsa").read_bytes(), "vsa")
    held = signing.verify_envelope(bundle, [signing.load_verifier("publisher.pub")])
    assert vsa(held.payload)["predicate"]["verificationResult"] == "PASSED"


@pytest.mark.parametrize("damage", ["flip", "unsign"])
def test_a_refusal_leaves_one_too(damage: str, signed: Signed) -> None:
    assert run().returncode == 0
    if damage == "flip":
        command_line.flip_bit(signed.shard, 2 << 20)
    else:
        Path("model/model.sig").unlink()
    process = run()
    assert (process.returncode, process.stdout) == (1, b"")
    predicate = vsa()["predicate"]
    assert (predicate["verificationResult"], predicate["verifiedLevels"]) == ("FAILED", ["FAILED"])


def test_no_receipt_no_start(signed: Signed) -> None:
    line = ("run", "model", *KEY, "--vsa", "missing/vsa", "--", "touch", "marker")
    process = command_line.pyhash(*line)
    assert (process.returncode, Path("marker").exists()) == (3, False)
    assert b"missing/vsa" in process.stderr


@pytest.mark.parametrize("line", [("--vsa", "model/vsa"), ("--vsa-key", "publisher.key")])
def test_receipts_that_make_no_sense(line: tuple[str, ...], signed: Signed) -> None:
    process = command_line.pyhash("run", "model", *KEY, *line, "--", "touch", "marker")
    assert (process.returncode, Path("marker").exists()) == (2, False)


# --- once -----------------------------------------------------------------------------------------

ONCE = ("verify", "model", *KEY, "--once", "shared", "--format", "json")


def start() -> subprocess.Popen[bytes]:
    return subprocess.Popen([*COMMAND, *ONCE], stdout=subprocess.PIPE)


def ended(process: subprocess.Popen[bytes]) -> dict[str, Any]:
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    found: dict[str, Any] = json.loads(out)
    return found


def signed_bytes() -> int:
    own = ("model.sig", "model.tree")
    return sum(one.stat().st_size for one in Path("model").iterdir() if one.name not in own)


def test_eight_processes_hash_once(signed: Signed) -> None:
    answers = [ended(one) for one in [start() for _ in range(8)]]
    assert sorted(one["guarantee"] for one in answers) == ["content", *["receipt"] * 7]
    assert sum(one["bytes"] for one in answers) == signed_bytes()
    assert os.stat("shared").st_mode & 0o777 == 0o700


# The leader of the next test: it hangs for ever where it would begin to hash, with the lock.
LEADER = """
import importlib, time
from dataclasses import replace
from pyhash.cli import group
once = importlib.import_module("pyhash.guarantees._once")
real = once.recorded
def hang(*_):
    print("leading", flush=True)
    time.sleep(600)
once.recorded = lambda *given: replace(real(*given), compare=hang)
group.run({arguments!r})
"""


def test_after_a_killed_leader_the_next_one_verifies(signed: Signed) -> None:
    script = LEADER.format(arguments=ONCE)
    leader = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    assert leader.stdout is not None
    assert leader.stdout.readline() == b"leading\n"
    followers = [start() for _ in range(2)]
    time.sleep(1.5)
    assert [one.poll() for one in followers] == [None, None]  # they wait for it
    leader.kill()
    leader.communicate()
    answers = [ended(one) for one in followers]
    assert sorted(one["guarantee"] for one in answers) == ["content", "receipt"]
    assert sum(one["bytes"] for one in answers) == signed_bytes()


@pytest.mark.parametrize("how", ["forge", "change"])
def test_any_doubt_means_hashing(how: str, signed: Signed) -> None:
    assert ended(start())["guarantee"] == "content"
    if how == "forge":
        (record,) = Path("shared").glob("*.receipt")
        record.write_bytes(record.read_bytes().replace(b"2", b"3", 1))
    else:
        config = Path("model/config.json")
        config.write_bytes(config.read_bytes())
    again = ended(start())
    assert (again["guarantee"], again["bytes"]) == ("content", signed_bytes())


def test_a_follower_refuses_what_changed(signed: Signed) -> None:
    ended(start())
    command_line.flip_bit(signed.shard, 2 << 20)
    assert command_line.pyhash(*ONCE).returncode == 1


def test_a_directory_of_others_is_not_used(signed: Signed) -> None:
    Path("shared").mkdir(mode=0o755)
    assert command_line.pyhash(*ONCE).returncode == 3


def test_a_start_behind_another_process_must_be_asked_for(signed: Signed) -> None:
    line = ("run", "model", *KEY, "--once", "shared")
    refused = command_line.pyhash(*line, "--", "touch", "marker")
    assert (refused.returncode, Path("marker").exists()) == (2, False)
    for _ in range(2):
        process = command_line.pyhash(*line, "--guarantee", "receipt", "--", "echo", "on")
        assert process.stdout == b"on\n"
    assert b"(receipt)" in process.stderr
