# SPDX-License-Identifier: Apache-2.0
"""The conformance adapter as the public suite runs it: a test for each rule of the specification.

Where the reference tool has the behaviour, both directions are run. Numbers in the comments are
sections of the OMS specification v1.0.
"""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from tests.support import authority, peer
from tests.support.authority import DAY, NOW

ADAPTER = Path(__file__).with_name("adapter")
PAYLOAD_TYPE = "application/vnd.in-toto+json"
FILES = {
    "weights.bin": b"\x00\xff\x80weights",
    "config.json": b"{}\n",
    "sub/dir/adapter.bin": b"a",
    "empty.bin": b"",
    ".config": b"c",
    ".cache/data.bin": b"d",
    "file (copy) #1.bin": b"e",
    "\u6a21\u578b/\u00e9t\u00e9.bin": b"f",
    # Order by code points of the whole name: '!' and '.' stand before '/'.
    "a/b": b"1",
    "a!b": b"2",
    "a.b": b"3",
}
GIT = (".git/HEAD", ".gitignore", ".gitattributes", ".github/ci.yml")


def adapter(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ADAPTER), *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


class Stage:
    """A model, a key pair and a place for the bundle."""

    def __init__(self, home: Path, curve: str = "P-256") -> None:
        self.home, self.model, self.bundle = home, home / "model", home / "bundle.sig"
        self.keys = peer.make_key_pair(home / "keys", curve)
        # As a repository has them: readable by all.
        self.keys.private.chmod(0o664)
        for name, data in FILES.items():
            self.write(name, data)

    def write(self, name: str, data: bytes) -> None:
        path = self.model / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def sign(self, *words: object, model: Path | None = None) -> int:
        done = adapter(
            *("sign-model", "--method", "key", "--model-path", model or self.model),
            *("--output-bundle", self.bundle, "--private-key", self.keys.private, *words),
        )
        assert "Traceback" not in done.stderr
        return done.returncode

    def verify(self, *words: object, model: Path | None = None) -> int:
        done = adapter(
            *("verify-model", "--method", "key", "--model-path", model or self.model),
            *("--bundle", self.bundle, "--public-key", self.keys.public, *words),
        )
        assert "Traceback" not in done.stderr
        return done.returncode

    def statement(self) -> dict[str, Any]:
        envelope = json.loads(self.bundle.read_bytes())["dsseEnvelope"]
        return dict(json.loads(base64.b64decode(envelope["payload"])))

    def names(self) -> list[str]:
        return [one["name"] for one in self.statement()["predicate"]["resources"]]

    def write_bundle(self, payload: bytes, **changes: Any) -> None:
        """Sign any payload with the publisher's key, as a hostile or careless tool would."""
        kind = changes.pop("payload_type", PAYLOAD_TYPE)
        message = b"DSSEv1 %d %s %d %s" % (len(kind), kind.encode(), len(payload), payload)
        key = load_pem_private_key(self.keys.private.read_bytes(), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        signature = key.sign(message, ec.ECDSA(hashes.SHA256()))
        hint = hashlib.sha256(self.keys.public.read_bytes()).hexdigest()
        bundle = {
            "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
            "verificationMaterial": {"publicKey": {"hint": hint}, "tlogEntries": []},
            "dsseEnvelope": {
                "payload": base64.b64encode(payload).decode(),
                "payloadType": kind,
                "signatures": [{"sig": base64.b64encode(signature).decode(), "keyid": ""}],
            },
            **changes,
        }
        self.bundle.write_text(json.dumps(bundle))


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


# --- what is signed -------------------------------------------------------------------------------


def test_statement(stage: Stage) -> None:
    """5.1, 5.2, 6.1, 6.4, 6.5: fields, names, order, digests, root."""
    assert stage.sign() == 0
    statement = stage.statement()
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["predicateType"] == "https://model_signing/signature/v1.0"
    resources = statement["predicate"]["resources"]
    assert stage.names() == sorted(FILES)
    for one in resources:
        assert one["algorithm"] == "sha256"
        assert one["digest"] == hashlib.sha256(FILES[one["name"]]).hexdigest()
    root = hashlib.sha256(b"".join(bytes.fromhex(one["digest"]) for one in resources))
    (subject,) = statement["subject"]
    assert subject["name"] == "model"
    assert subject["digest"]["sha256"] == root.hexdigest()
    serialization = statement["predicate"]["serialization"]
    assert serialization.keys() == {"method", "hash_type", "allow_symlinks", "ignore_paths"}
    assert (serialization["method"], serialization["hash_type"]) == ("files", "sha256")
    assert serialization["allow_symlinks"] is False
    assert set(json.loads(stage.bundle.read_bytes())) == {
        *("mediaType", "verificationMaterial", "dsseEnvelope")
    }
    assert stage.verify() == 0
    assert not list(stage.home.rglob("*.tree"))


@pytest.mark.parametrize("curve", peer.CURVES)
def test_both_tools_on_every_curve(tmp_path: Path, curve: str) -> None:
    """4.2: P-256, P-384 and P-521."""
    stage = Stage(tmp_path, curve)
    assert stage.sign() == 0
    done = peer.peer_verify(stage.model, stage.keys.public, stage.bundle)
    assert done.returncode == 0, done.stderr
    done = peer.peer_sign(stage.model, stage.keys, stage.bundle)
    assert done.returncode == 0, done.stderr
    assert stage.verify() == 0


def test_same_manifest_at_every_signing(stage: Stage) -> None:
    assert stage.sign() == 0
    first = stage.statement()
    assert stage.sign() == 0
    assert stage.statement() == first


def test_version_control_is_left_out(stage: Stage) -> None:
    """6.2: at the top only; other hidden files are signed."""
    for name in GIT:
        stage.write(name, b"x")
    stage.write("sub/.gitignore", b"signed")
    assert stage.sign() == 0
    assert stage.names() == sorted([*FILES, "sub/.gitignore"])
    assert stage.verify() == 0
    stage.write(".gitignore", b"changed")
    assert stage.verify() == 0
    stage.write("sub/.gitignore", b"changed")
    assert stage.verify() == 1


def test_ignored_paths(stage: Stage) -> None:
    """6.2: a file, a directory, and a path that is not there, absolute as the suite gives them."""
    words = []
    for name in ("config.json", "sub", "not-there"):
        words += ["--ignore-paths", stage.model / name]
    assert stage.sign(*words) == 0
    assert stage.names() == sorted(set(FILES) - {"config.json", "sub/dir/adapter.bin"})
    assert stage.verify(*words) == 0
    assert stage.verify() == 1
    assert stage.verify("--ignore-paths", stage.home) == 1


def test_bundle_inside_the_model(stage: Stage) -> None:
    """6.2: the bundle leaves itself out."""
    stage.bundle = stage.model / "bundle.sig"
    assert stage.sign() == 0
    assert stage.names() == sorted(FILES)
    assert stage.verify() == 0


def test_empty_model(stage: Stage) -> None:
    """6.1: refused, also when only ignored files are there."""
    empty = stage.home / "empty"
    empty.mkdir()
    assert stage.sign(model=empty) != 0
    (empty / ".gitignore").touch()
    assert stage.sign(model=empty) != 0
    assert not stage.bundle.exists()


def test_single_file(stage: Stage) -> None:
    """6.1.2: our name is the file's; the reference tool's "." is accepted too."""
    model = stage.home / "model.bin"
    model.write_bytes(b"weights")
    assert stage.sign(model=model) == 0
    assert stage.names() == ["model.bin"]
    assert stage.verify(model=model) == 0
    done = peer.peer_sign(model, stage.keys, stage.bundle)
    assert done.returncode == 0, done.stderr
    assert stage.names() == ["."]
    assert stage.verify(model=model) == 0
    model.write_bytes(b"weightz")
    assert stage.verify(model=model) == 1


LINKS: dict[str, tuple[str, str]] = {
    "to a file": ("link", "weights.bin"),
    "to a directory": ("link", "sub"),
    "cycle": ("link", "."),
    "to itself": ("link", "link"),
    "outside": ("link", "/etc/hostname"),
    "to nothing": ("link", "/nonexistent"),
    "below": ("sub/link", "../weights.bin"),
}


@pytest.mark.parametrize("name", LINKS)
def test_links_are_refused(stage: Stage, name: str) -> None:
    """6.1.1: when signing and, added later, when verifying, also with unsigned files ignored."""
    link, target = LINKS[name]
    assert stage.sign() == 0
    (stage.model / link).symlink_to(target)
    assert stage.verify() == 1
    assert stage.verify("--ignore-unsigned-files") == 1
    stage.bundle.unlink()
    assert stage.sign() == 1
    assert not stage.bundle.exists()


# --- what is refused ------------------------------------------------------------------------------


def test_changed_models(stage: Stage) -> None:
    """8.4: content, missing and extra files."""
    assert stage.sign() == 0
    (stage.model / "weights.bin").write_bytes(b"\x00\xff\x80weightz")
    assert stage.verify() == 1
    assert stage.verify("--ignore-unsigned-files") == 1
    stage.write("weights.bin", FILES["weights.bin"])
    (stage.model / "empty.bin").write_bytes(b"\0")
    assert stage.verify() == 1
    (stage.model / "empty.bin").unlink()
    assert stage.verify() == 1
    stage.write("empty.bin", b"")
    assert stage.verify() == 0


def test_unsigned_files(stage: Stage) -> None:
    """8.5: refused by default; left aside on request, and nothing else with them."""
    assert stage.sign() == 0
    stage.write("extra.bin", b"x")
    assert stage.verify() == 1
    assert stage.verify("--ignore-unsigned-files") == 0
    (stage.model / "config.json").unlink()
    assert stage.verify("--ignore-unsigned-files") == 1


def test_names_are_bound(stage: Stage) -> None:
    """8.4: the root binds no names; the list does."""
    assert stage.sign() == 0
    (stage.model / "a.b").rename(stage.model / "a.c")
    assert stage.verify() == 1


Change = Callable[[dict[str, Any]], object]
STATEMENTS: dict[str, Change] = {
    "other statement type": lambda s: s.update(_type="https://in-toto.io/Statement/v0.1"),
    "other predicate type": lambda s: s.update(
        predicateType="https://model_signing/signature/v1.1"
    ),
    "no predicate": lambda s: s.pop("predicate"),
    "no subject": lambda s: s.pop("subject"),
    "no subjects": lambda s: s.update(subject=[]),
    "two subjects": lambda s: s.update(subject=s["subject"] * 2),
    "no subject name": lambda s: s["subject"][0].pop("name"),
    "no root": lambda s: s["subject"][0]["digest"].pop("sha256"),
    "other root": lambda s: s["subject"][0]["digest"].update(sha256="0" * 64),
    "no resources": lambda s: s["predicate"].update(resources=[]),
    "resources missing": lambda s: s["predicate"].pop("resources"),
    "no serialization": lambda s: s["predicate"].pop("serialization"),
    "no method": lambda s: s["predicate"]["serialization"].pop("method"),
    "unknown method": lambda s: s["predicate"]["serialization"].update(method="magic"),
    "no hash type": lambda s: s["predicate"]["serialization"].pop("hash_type"),
    "weak hash type": lambda s: s["predicate"]["serialization"].update(hash_type="md5"),
    "no allow_symlinks": lambda s: s["predicate"]["serialization"].pop("allow_symlinks"),
    "resource without a name": lambda s: s["predicate"]["resources"][0].pop("name"),
    "resource without a digest": lambda s: s["predicate"]["resources"][0].pop("digest"),
    "resource without an algorithm": lambda s: s["predicate"]["resources"][0].pop("algorithm"),
    "other algorithm": lambda s: s["predicate"]["resources"][0].update(algorithm="SHA-256"),
    "digest is an object": lambda s: s["predicate"]["resources"][0].update(
        digest={"sha256": "0" * 64}
    ),
    "name twice": lambda s: s["predicate"]["resources"].append(s["predicate"]["resources"][0]),
    "name above": lambda s: s["predicate"]["resources"][0].update(name="../a"),
    "absolute name": lambda s: s["predicate"]["resources"][0].update(name="/etc/passwd"),
    "name is a number": lambda s: s["predicate"]["resources"][0].update(name=1),
}


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    stage = Stage(tmp_path_factory.mktemp("signed"))
    assert stage.sign() == 0
    return stage


@pytest.mark.parametrize("name", STATEMENTS)
def test_statements_are_refused(signed: Stage, tmp_path: Path, name: str) -> None:
    """Validly signed, and still no statement about this model."""
    statement = json.loads(json.dumps(signed.statement()))
    STATEMENTS[name](statement)
    other = Stage.__new__(Stage)
    other.__dict__ = {**signed.__dict__, "bundle": tmp_path / "bundle.sig"}
    other.write_bundle(json.dumps(statement).encode())
    assert other.verify() in (1, 3)


BUNDLES: dict[str, Change] = {
    "media type": lambda b: b.update(mediaType="application/json"),
    "no media type": lambda b: b.pop("mediaType"),
    "no envelope": lambda b: b.pop("dsseEnvelope"),
    "no material": lambda b: b.pop("verificationMaterial"),
    "no signature": lambda b: b["dsseEnvelope"].update(signatures=[]),
    "unknown field": lambda b: b.update(extra=1),
    "tampered payload": lambda b: b["dsseEnvelope"].update(
        payload=base64.b64encode(b"{}").decode()
    ),
    "other payload type": lambda b: b["dsseEnvelope"].update(payloadType="text/plain"),
    "signature is a number": lambda b: b["dsseEnvelope"]["signatures"][0].update(sig=1),
    "other hint": lambda b: b["verificationMaterial"]["publicKey"].update(hint="0" * 64),
    "certificate that is none": lambda b: b.update(
        verificationMaterial={"x509CertificateChain": {"certificates": []}}
    ),
}


@pytest.mark.parametrize("name", BUNDLES)
def test_bundles_are_refused(signed: Stage, tmp_path: Path, name: str) -> None:
    bundle = json.loads(signed.bundle.read_bytes())
    BUNDLES[name](bundle)
    other = Stage.__new__(Stage)
    other.__dict__ = {**signed.__dict__, "bundle": tmp_path / "bundle.sig"}
    other.bundle.write_text(json.dumps(bundle))
    assert other.verify() in (1, 3)


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"\xff\xfe", b"null"])
def test_files_that_are_no_bundle(signed: Stage, tmp_path: Path, data: bytes) -> None:
    other = Stage.__new__(Stage)
    other.__dict__ = {**signed.__dict__, "bundle": tmp_path / "bundle.sig"}
    other.bundle.write_bytes(data)
    assert other.verify() == 3


def test_accepted_spellings(signed: Stage, tmp_path: Path) -> None:
    """4.1: keyid absent or null, no tlogEntries, no hint."""
    bundle = json.loads(signed.bundle.read_bytes())
    bundle["dsseEnvelope"]["signatures"][0]["keyid"] = None
    bundle["verificationMaterial"] = {"publicKey": {}}
    other = Stage.__new__(Stage)
    other.__dict__ = {**signed.__dict__, "bundle": tmp_path / "bundle.sig"}
    other.bundle.write_text(json.dumps(bundle))
    assert other.verify() == 0


def test_wrong_keys(stage: Stage) -> None:
    """4.2: another key, a curve that is not taken, a private key in the place of a public one."""
    assert stage.sign() == 0
    stranger = peer.make_key_pair(stage.home / "stranger")
    koblitz = authority.write_key(stage.home / "koblitz", ec.generate_private_key(ec.SECP256K1()))
    for key, code in ((stranger.public, 1), (stranger.private, 3), (koblitz, 3)):
        assert stage.verify("--public-key", key) == code
    stage.bundle.unlink()
    assert stage.sign("--private-key", koblitz) == 3
    assert not stage.bundle.exists()


# --- certificates ---------------------------------------------------------------------------------


def certificate_words(chain: authority.Chain) -> tuple[object, ...]:
    return (
        *("--method", "certificate", "--private-key", chain.key_file),
        *("--signing-cert", chain.leaf_file, "--cert-chain", chain.middle_file),
    )


def test_certificates_in_both_directions(stage: Stage) -> None:
    """4.1: method certificate, with the reference tool as signer and as verifier."""
    chain = authority.make_chain(stage.home / "chain")
    assert stage.sign(*certificate_words(chain)) == 0
    trust = ("--method", "certificate", "--cert-chain", chain.root_file)
    assert stage.verify(*trust) == 0
    done = peer.run_model_signing(
        *("verify", "certificate", stage.model, "--signature", stage.bundle),
        *("--certificate_chain", chain.root_file),
    )
    assert done.returncode == 0, done.stderr
    done = peer.run_model_signing(
        *("sign", "certificate", stage.model, "--signature", stage.bundle),
        *("--private_key", chain.key_file, "--signing_certificate", chain.leaf_file),
        *("--certificate_chain", chain.middle_file),
    )
    assert done.returncode == 0, done.stderr
    assert stage.verify(*trust) == 0
    other = authority.make_chain(stage.home / "other")
    assert stage.verify("--method", "certificate", "--cert-chain", other.root_file) == 1
    assert stage.verify() == 1  # as a key
    assert stage.sign() == 0
    assert stage.verify(*trust) == 1  # and the other way round


def test_expired_certificate(stage: Stage) -> None:
    """4.1: the reference tool accepts it, the specification does not."""
    root = authority.ca("root", begin=NOW - 99 * DAY)
    old = authority.leaf(root, begin=NOW - 9 * DAY, end=NOW - 8 * DAY)
    files = [stage.home / "root.pem", stage.home / "old.pem"]
    for path, holder in zip(files, (root, old), strict=True):
        path.write_bytes(holder.pem())
    key = authority.write_key(stage.home / "old.key", old.key)
    done = peer.run_model_signing(
        *("sign", "certificate", stage.model, "--signature", stage.bundle),
        *("--private_key", key, "--signing_certificate", files[1]),
        *("--certificate_chain", files[0]),
    )
    assert done.returncode == 0, done.stderr
    assert stage.verify("--method", "certificate", "--cert-chain", files[0]) == 1
    words = ("--method", "certificate", "--private-key", key, "--signing-cert", files[1])
    stage.bundle.unlink()
    assert stage.sign(*words) == 3


# --- the protocol itself --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("verify-model",),
        ("verify-model", "--method", "magic", "--model-path", "/x", "--bundle", "/y"),
        ("verify-model", "--method", "key", "--model-path", "/x", "--bundle", "/y"),
        ("verify-model", "--method", "certificate", "--model-path", "/x", "--bundle", "/y"),
        ("verify-model", "--method", "sigstore", "--model-path", "/x", "--bundle", "/y"),
        ("sign-model", "--method", "key", "--model-path", "/x", "--output-bundle", "/y"),
        ("sign-model", "--method", "sigstore", "--model-path", "/x", "--output-bundle", "/y"),
        ("sign-model", "--meth", "key"),
    ],
)
def test_command_lines_that_make_no_sense(words: tuple[str, ...]) -> None:
    done = adapter(*words)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_it_can_be_started_as_a_program() -> None:
    assert shutil.which(str(ADAPTER))


def test_capabilities() -> None:
    done = adapter("capabilities")
    assert done.returncode == 0
    assert json.loads(done.stdout)["benchmark_model"] is False


def test_sigstore_identity_is_checked_offline(stage: Stage) -> None:
    """A key's bundle under the method sigstore: refused, with the public root and no network."""
    assert stage.sign() == 0
    words = ("--method", "sigstore", "--identity", "a@example.org")
    assert stage.verify(*words, "--identity-provider", "https://login.example.org") == 1
