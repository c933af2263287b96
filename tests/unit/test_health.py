# SPDX-License-Identifier: Apache-2.0
"""The verified state and what is shown of it, receipts of starts, and once, without processes."""

from __future__ import annotations

import hashlib
import http.client
import json
import socket
from dataclasses import replace
from pathlib import Path

import pytest

import pyhash
from pyhash import errors, guarantees, limits, locations, signing
from pyhash.cli.receipt_options import leave_failed
from pyhash.health import probe_file, server
from pyhash.health.metrics import dump_metrics
from pyhash.health.state import Health, Snapshot
from pyhash.policy import Policy
from pyhash.receipts import open_store
from pyhash.verification_summary import StartReceipt, begin_receipt
from tests.unit._signed import SHARD, flip, write_checkpoint, write_keys


class Published:
    """A signed checkpoint."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.private, self.public = write_keys(home)
        self.model = home / "model"
        write_checkpoint(self.model)
        pyhash.sign(self.model, self.private)
        self.bundle = locations.default_bundle(self.model)

    def verify(self) -> pyhash.Verified:
        return pyhash.verify(self.model, keys=[self.public])

    def receipt(self, path: str | None = None) -> StartReceipt:
        policy = Policy.from_key_files([self.public])
        place = path or str(self.home / "vsa")
        return begin_receipt(place, str(self.model), self.bundle, policy)

    def result(self) -> str:
        found = json.loads((self.home / "vsa").read_bytes())["predicate"]["verificationResult"]
        assert isinstance(found, str)
        return found


@pytest.fixture
def published(tmp_path: Path) -> Published:
    return Published(tmp_path)


def test_a_look_counts_for_a_while_and_a_loss_for_ever(published: Published) -> None:
    health = Health(1000.0)
    assert health.snapshot() == Snapshot("verifying")
    health.hold(published.verify())
    (published.model / "new").touch()
    assert health.snapshot().is_ready  # not looked at again yet
    eager = Health(1e-9)
    eager.hold(proof_again(published))
    (published.model / "new").touch()
    assert eager.snapshot().reason == "ChangedWhileReadError"
    (published.model / "new").unlink()
    lost = eager.snapshot()
    assert (lost.state, lost.mismatches) == ("lost", 1)
    eager.hold(published.verify())
    assert eager.snapshot().is_ready


def proof_again(published: Published) -> pyhash.Verified:
    """A proof of the checkpoint as it was signed."""
    (published.model / "new").unlink()
    return published.verify()


def test_what_cannot_be_looked_at_is_lost(published: Published) -> None:
    health = Health(1e-9)
    health.hold(published.verify())
    published.model.rename(published.home / "away")
    snapshot = health.snapshot()
    assert (snapshot.state, snapshot.mismatches, snapshot.reason) == ("lost", 0, "ReadError")
    assert isinstance(health.error, errors.ReadError)


@pytest.mark.parametrize("age", [0.0, -1.0, float("inf"), float("nan")])
def test_ages_without_sense(age: float) -> None:
    with pytest.raises(errors.UsageError):
        Health(age)


def test_only_a_proof_is_held() -> None:
    with pytest.raises(errors.UsageError):
        Health(1.0).hold(True)  # type: ignore[arg-type]


def test_metrics_are_one_sample_each() -> None:
    text = dump_metrics(Snapshot("ready", "content", None, 7, 0.5, 0, 12.0)).decode()
    samples = [line for line in text.splitlines() if not line.startswith("#")]
    assert samples == [
        'pyhash_ready{guarantee="content"} 1',
        'pyhash_verified_bytes{guarantee="content"} 7',
        'pyhash_verification_seconds{guarantee="content"} 0.5',
        'pyhash_mismatches_total{guarantee="content"} 0',
        'pyhash_last_success_timestamp_seconds{guarantee="content"} 12.0',
    ]


def test_probe_files(tmp_path: Path) -> None:
    path = str(tmp_path / "health")
    probe_file.remove_probe_file(path)  # none: nothing to do
    probe_file.write_probe_file(path, Snapshot("ready"))
    assert probe_file.check_probe_file(path, 60) < 60
    probe_file.write_probe_file(path, Snapshot("lost"))
    with pytest.raises(errors.PolicyError, match="does not hold"):
        probe_file.check_probe_file(path, 60)
    with pytest.raises(errors.WriteError):
        probe_file.remove_probe_file(str(tmp_path))


def test_a_port_that_is_taken() -> None:
    health = Health(1.0)
    with (
        server.serving(health, "127.0.0.1", 0) as port,
        pytest.raises(errors.UsageError, match="cannot listen"),
        server.serving(health, "127.0.0.1", port),
    ):
        pass


def test_a_receipt_says_what_came_out(published: Published) -> None:
    receipt = published.receipt()
    receipt.write_passed(published.verify())
    assert published.result() == "PASSED"
    leave_failed(receipt)
    assert published.result() == "FAILED"
    published.receipt()
    assert not (published.home / "vsa").exists()


def test_another_bundle_than_before_passes_nothing(published: Published) -> None:
    receipt = published.receipt()
    Path(published.bundle).write_bytes(Path(published.bundle).read_bytes() + b" ")
    with pytest.raises(errors.ChangedWhileReadError, match="changed while"):
        receipt.write_passed(published.verify())
    assert not (published.home / "vsa").exists()


def test_places_where_no_receipt_may_be(published: Published) -> None:
    for path in (str(published.model / "vsa"), published.bundle):
        with pytest.raises(errors.UsageError):
            published.receipt(path)
    with pytest.raises(errors.WriteError):
        published.receipt(str(published.home))
    leave_failed(published.receipt(str(published.home / "none/vsa")))  # must not raise


def test_once_hashes_once(published: Published) -> None:
    store = open_store(published.home / "shared", create=True)

    def verify() -> pyhash.Verified:
        keys = [published.public]
        return pyhash.verify(published.model, keys=keys, guarantee=guarantees.once(store))

    first, second = verify(), verify()
    assert (first.guarantee, second.guarantee, second.size) == ("content", "receipt", 0)
    flip(published.model / SHARD, 5000)
    with pytest.raises(errors.DigestMismatchError):
        verify()
    (lock,) = (published.home / "shared").glob("*.lock")
    lock.unlink()
    lock.symlink_to(published.public)
    with pytest.raises(errors.ReceiptError, match="cannot be locked"):
        verify()


def test_a_forged_record_means_hashing(published: Published) -> None:
    store = open_store(published.home / "shared", create=True)
    keys = [published.public]
    guarantee = guarantees.once(store)
    pyhash.verify(published.model, keys=keys, guarantee=guarantee)
    (record,) = (published.home / "shared").glob("*.receipt")
    record.write_bytes(b"{}\n")
    proof = pyhash.verify(published.model, keys=keys, guarantee=guarantee)
    assert proof.guarantee == "content"


def test_a_receipt_without_a_bundle_and_a_signed_one(published: Published) -> None:
    policy = Policy.from_key_files([published.public])
    place = published.home / "vsa"
    begin_receipt(str(place), str(published.model), "none", policy).write_failed()
    (subject,) = json.loads(place.read_bytes())["subject"]
    path = hashlib.sha256(str(published.model).encode()).hexdigest()
    assert subject["digest"] == {"pyhash-path-sha256": path}
    signer = signing.load_signer(published.private)
    receipt = begin_receipt(str(place), str(published.model), published.bundle, policy, signer)
    receipt.write_failed()
    bundle = signing.load_bundle(place.read_bytes(), "vsa")
    signing.verify_envelope(bundle, policy.keys)


def test_a_policy_file_is_named_with_its_digest(published: Published) -> None:
    file = published.home / "policy.toml"
    file.write_text('[[rule]]\nmodel = "*"\nkeys = ["publisher.pub"]\n')
    policy = replace(
        Policy.from_key_files([published.public]), rule="policy.toml: rule 1", files=(str(file),)
    )
    place = published.home / "vsa"
    begin_receipt(str(place), str(published.model), published.bundle, policy).write_failed()
    said = json.loads(place.read_bytes())["predicate"]["policy"]
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    assert said == {"uri": file.as_uri(), "digest": {"sha256": digest}}


def ask(port: int, method: str, path: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request(method, path)
        found = connection.getresponse()
        return found.status, found.read()
    finally:
        connection.close()


def test_the_answers_of_the_server(published: Published) -> None:
    health = Health(1e-9)
    with server.serving(health, "127.0.0.1", 0) as port:
        assert ask(port, "GET", "/readyz") == (503, b"not ready\n")
        health.hold(published.verify())
        assert ask(port, "GET", "/readyz") == (200, b"ready\n")
        assert ask(port, "HEAD", "/livez") == (200, b"")
        assert ask(port, "GET", "/evil") == (404, b"not found\n")
        assert ask(port, "EVIL", "/livez") == (501, b"refused\n")
        assert json.loads(ask(port, "GET", "/")[1])["ready"] is True
        assert b"pyhash_ready" in ask(port, "GET", "/metrics")[1]


@pytest.mark.parametrize("places", [limits.MAX_PROBE_CONNECTIONS])
def test_the_cap_of_connections_and_of_their_time(
    places: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MAX_PROBE_SECONDS", 1.0)
    with server.serving(Health(1.0), "127.0.0.1", 0) as port:
        held = [socket.create_connection(("127.0.0.1", port), 10) for _ in range(places)]
        with socket.create_connection(("127.0.0.1", port), 10) as one_more:
            assert one_more.recv(1) == b""
        for one in held:
            assert one.recv(1) == b""  # cut, though it never asked
            one.close()


@pytest.mark.parametrize(
    ("version", "written", "kind"),
    [(2, 0, errors.FormatError), (1, 0, errors.ReadError), (1, 1 << 50, errors.ReadError)],
)
def test_files_that_say_nothing(
    version: int, written: int, kind: type[Exception], tmp_path: Path
) -> None:
    path = tmp_path / "health"
    path.write_text(json.dumps({"pyhash_health": version, "ready": True, "written": written}))
    with pytest.raises(kind):
        probe_file.check_probe_file(str(path), 60)
