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
from pathlib import Path

import pytest

from tests.conformance._stage import ADAPTER, FILES, Stage, adapter
from tests.support import authority, old_bundles, peer
from tests.support.authority import DAY, NOW

GIT = (".git/HEAD", ".gitignore", ".gitattributes", ".github/ci.yml")


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


# --- bundles of the tools' first releases --------------------------------------------------------


def test_bundles_of_first_releases(stage: Stage) -> None:
    """11: version 0.2 with a key and with a certificate, 0.3.1 to 1.0 with the key inside."""
    payload = old_bundles.old_payload(FILES)
    old_bundles.write_with_key(stage.bundle, stage.keys, payload, old_bundles.old_pae)
    assert stage.verify() == 0
    stage.bundle.unlink()
    assert stage.sign() == 0
    today = base64.b64decode(json.loads(stage.bundle.read_bytes())["dsseEnvelope"]["payload"])
    old_bundles.write_with_key(stage.bundle, stage.keys, today, old_bundles.new_pae)
    assert stage.verify() == 0
    chain = authority.make_chain(stage.home / "chain")
    trust = ("--method", "certificate", "--cert-chain", chain.root_file)
    old_bundles.write_with_certificate(stage.bundle, chain, payload)
    assert stage.verify(*trust) == 0
    other = authority.make_chain(stage.home / "other")
    assert stage.verify("--method", "certificate", "--cert-chain", other.root_file) == 1
    stage.write("config.json", b"changed")
    assert stage.verify(*trust) == 1


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
