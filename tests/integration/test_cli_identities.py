# SPDX-License-Identifier: Apache-2.0
"""Certificates and keyless identities on the command line; nothing starts on a refusal."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pyhash import signing
from tests.support import authority
from tests.support.authority import IDENTITY, make_chain
from tests.support.sigstore_stand_in import IDENTITY as PERSON
from tests.support.sigstore_stand_in import ISSUER, StandIn

ROOT = Path(__file__).resolve().parents[2]


class Stage:
    """A model and a chain of certificates."""

    def __init__(self, home: Path) -> None:
        self.home, self.model = home, home / "model"
        self.model.mkdir()
        (self.model / "w.bin").write_bytes(b"w" * 1000)
        self.chain = make_chain(home / "chain")

    def pyhash(self, *words: object) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-m", "pyhash", *map(str, words)],
            cwd=ROOT,
            env=dict(os.environ),
            capture_output=True,
            text=True,
            check=False,
        )
        assert "Traceback" not in done.stderr
        return done.returncode, done.stdout + done.stderr

    def sign(self) -> None:
        chain = self.chain
        code, text = self.pyhash(
            *("sign", self.model, "--key", chain.key_file),
            *("--certificate", chain.leaf_file, "--chain", chain.middle_file),
        )
        assert code == 0, text

    def started(self, *words: object) -> tuple[int, bool]:
        proof = self.home / "started"
        code, _ = self.pyhash("run", self.model, *words, "--", "touch", proof)
        return code, proof.exists()


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def test_certificates(stage: Stage) -> None:
    stage.sign()
    root = ("--trusted-root", stage.chain.root_file)
    code, text = stage.pyhash("verify", stage.model, *root, "--identity", IDENTITY)
    assert code == 0, text
    assert stage.pyhash("verify", stage.model, *root, "--any-identity")[0] == 0
    assert stage.started(*root, "--identity", "other@example.org") == (1, False)
    assert stage.started(*root, "--identity", IDENTITY, "--at", "2001-01-01T00:00:00Z") == (
        1,
        False,
    )
    revoked = stage.home / "crl"
    serial = stage.chain.leaf.certificate.serial_number
    revoked.write_bytes(authority.crl(stage.chain.middle, [serial]))
    above = stage.home / "crl2"
    above.write_bytes(authority.crl(stage.chain.root))
    lists = ("--crl", revoked, "--crl", above)
    assert stage.started(*root, "--identity", IDENTITY, *lists) == (1, False)
    revoked.write_bytes(authority.crl(stage.chain.middle))
    assert stage.started(*root, "--identity", IDENTITY, *lists) == (0, True)


def test_root_inside_the_checkpoint(stage: Stage) -> None:
    """It would vouch for itself."""
    stage.sign()
    inside = stage.model / "root.pem"
    inside.write_bytes(stage.chain.root.pem())
    assert stage.started("--trusted-root", inside, "--identity", IDENTITY) == (2, False)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--trusted-root", "R"], "say who may sign"),
        (["--trusted-root", "R", "--identity", "a", "--any-identity"], "say who may sign"),
        (["--key", "K", "--identity", "a"], "--identity belongs to"),
        (["--key", "K", "--crl", "F"], "belong to a --trusted-root"),
        (["--key", "K", "--at", "2026-01-01T00:00:00Z"], "belong to a --trusted-root"),
        (["--key", "K", "--issuer", "F"], "--issuer belongs to"),
        (["--sigstore-root", "R", "--identity", "a"], "issuer is missing"),
        (["--sigstore-root", "R", "--issuer", "a"], "identity is missing"),
    ],
)
def test_options_that_nothing_would_look_at(stage: Stage, words: list[str], message: str) -> None:
    code, text = stage.pyhash("verify", stage.model, *words)
    assert code == 2, text
    assert message in text


def test_chain_without_a_certificate(stage: Stage) -> None:
    key = stage.chain.key_file
    code, text = stage.pyhash("sign", stage.model, "--key", key, "--chain", "c.pem")
    assert (code, "belongs to a --certificate" in text) == (2, True)


def test_keyless(stage: Stage) -> None:
    """The statement of a plain signature, under a keyless one of the stand-in."""
    stage.sign()
    place = stage.model / "model.sig"
    payload = signing.load_bundle(place.read_bytes(), "x").envelope.payload
    instance = StandIn()
    place.write_text(json.dumps(instance.bundle(payload)))
    root = stage.home / "trusted_root.json"
    root.write_text(json.dumps(instance.trusted_root()))
    trust = ("--sigstore-root", root, "--issuer", ISSUER, "--identity")
    code, text = stage.pyhash("verify", stage.model, *trust, PERSON)
    assert code == 0, text
    assert stage.started(*trust, "other@example.org") == (1, False)
    root.write_text(json.dumps(StandIn().trusted_root()))
    assert stage.started(*trust, PERSON) == (1, False)
    root.write_text("{}")
    assert stage.started(*trust, PERSON) == (3, False)
