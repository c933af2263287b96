# SPDX-License-Identifier: Apache-2.0
"""Bundles cross between pyhash and the reference tool of OpenSSF Model Signing, both ways.

Each side's answer is the real program's: a good checkpoint is accepted, one flipped bit is refused.
What the bundle looks like inside is tested in tests/unit.
"""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
from pathlib import Path

import pytest

import pyhash
from pyhash import errors
from tests.support import checkpoints, mutations, peer

VECTOR = Path(__file__).resolve().parents[1] / "vectors" / "oms"

# Published with the vector.
VECTOR_FILES = {
    "config.json": bytes.fromhex("7b7d0a"),
    "weights.index": bytes.fromhex("6964780a"),
    "weights/a.bin": bytes(range(16)),
}
VECTOR_PAYLOAD_SHA256 = "ab754d7921f5c658b093f6ed091981d1b8f55381c73ba0b886d4c1dca33f8f50"
VECTOR_HINT = "3478c9e99c2c2056c2d5a8b17ee35f495d9986fd150dd651b04f644460bf2464"

SHARD = "model-00002-of-00003.safetensors"
# The reference tool sorts by components, the specification by code points: '!', '-' and '.' sort
# before '/', so each of these neighbours is in another order there.
ODD_FILES = {
    "weights/a.bin": b"a",
    "weights.index": b"b",
    "weights-2/a.bin": b"c",
    "weights!/a.bin": b"d",
    "empty.bin": b"",
    "deep/er/and/deeper/.hidden": b"e",
    "modèle/日本語/été.txt": b"f",
    "\U0001f40d/\uff21": b"g",  # code point order is not the order of UTF-16
    "two words/100% 'quoted' \"twice\".txt": b"h",
    "a:0:5": b"i",
    "-dash": b"j",
    "new\nline": b"k",
    "back\\slash": b"l",
    "model.safetensors/model.sig": b"m",
    "Case": b"n",
    "case": b"o",
}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    directory = checkpoints.make_hf_checkpoint(tmp_path / "model", shard_bytes=(1 << 20) + 70_002)
    for name, data in ODD_FILES.items():
        mutations.add_file(directory / name, data)
    return directory


@pytest.fixture
def keys(tmp_path: Path) -> peer.KeyPair:
    return peer.make_key_pair(tmp_path / "keys")


def peer_accepts(model: Path, public: Path, signature: str | Path, *options: str) -> None:
    done = peer.peer_verify(model, public, Path(signature), *options)
    assert done.returncode == 0, done.stderr
    assert "Verification succeeded" in done.stdout


def peer_refuses(model: Path, public: Path, signature: str | Path) -> str:
    done = peer.peer_verify(model, public, Path(signature))
    assert done.returncode == 1, done.stdout
    assert "succeeded" not in done.stdout
    return done.stderr


def peer_signs(model: Path, keys: peer.KeyPair, signature: Path, *options: str) -> None:
    done = peer.peer_sign(model, keys, signature, *options)
    assert done.returncode == 0, done.stderr


def is_refused(
    model: Path, keys: peer.KeyPair, signature: Path, name: str
) -> pytest.ExceptionInfo[errors.DigestMismatchError]:
    """pyhash says that this one file, and no other, has other bytes."""
    with pytest.raises(errors.DigestMismatchError) as caught:
        pyhash.verify(model, keys=[keys.public], signature=signature)
    assert [(one.code, one.path) for one in caught.value.findings] == [("digest", name)]
    return caught


# --- our bundles, their verifier -----------------------------------------------------------------


@pytest.mark.parametrize("curve", peer.CURVES)
def test_peer_verifies_ours(model: Path, tmp_path: Path, curve: str) -> None:
    keys = peer.make_key_pair(tmp_path / "keys", curve)
    signed = pyhash.sign(model, keys.private)
    # Bundle and tree file lie in the directory and are no unsigned extras for the peer.
    assert {path.name for path in model.iterdir()} >= {"model.sig", "model.tree"}
    peer_accepts(model, keys.public, signed.bundle_path)
    mutations.flip_byte(model / SHARD, -1)
    assert SHARD in peer_refuses(model, keys.public, signed.bundle_path)
    mutations.flip_byte(model / SHARD, -1)
    peer_accepts(model, keys.public, signed.bundle_path)


def test_peer_verifies_ours_kept_elsewhere(model: Path, keys: peer.KeyPair, tmp_path: Path) -> None:
    bundle, tree = tmp_path / "bundle.json", tmp_path / "tree"
    pyhash.sign(model, keys.private, signature=bundle, tree=tree)
    assert bundle.exists()
    assert tree.exists()
    peer_accepts(model, keys.public, bundle)


def test_peer_verifies_ours_under_other_names_inside(model: Path, keys: peer.KeyPair) -> None:
    bundle, tree = model / "signatures" / "ours.sig", model / "signatures" / "ours.tree"
    bundle.parent.mkdir()
    pyhash.sign(model, keys.private, signature=bundle, tree=tree)
    peer_accepts(model, keys.public, bundle)
    pyhash.verify(model, keys=[keys.public], signature=bundle, tree=tree)


def test_peer_verifies_ours_signed_twice(model: Path, keys: peer.KeyPair) -> None:
    pyhash.sign(model, keys.private)
    signed = pyhash.sign(model, keys.private)
    peer_accepts(model, keys.public, signed.bundle_path)


def test_peer_verifies_ours_with_ignored_files(model: Path, keys: peer.KeyPair) -> None:
    mutations.add_file(model / ".cache" / "huggingface" / "download" / "x.metadata")
    signed = pyhash.sign(model, keys.private, ignore=[".cache/huggingface"])
    peer_accepts(model, keys.public, signed.bundle_path)


@pytest.mark.parametrize("extra", ["extra.bin", "weights/extra.bin", "model.tree2"])
def test_peer_refuses_extra_file(model: Path, keys: peer.KeyPair, extra: str) -> None:
    signed = pyhash.sign(model, keys.private)
    mutations.add_file(model / extra)
    assert extra in peer_refuses(model, keys.public, signed.bundle_path)


def test_peer_refuses_missing_empty_file(model: Path, keys: peer.KeyPair) -> None:
    signed = pyhash.sign(model, keys.private)
    (model / "empty.bin").unlink()
    assert "empty.bin" in peer_refuses(model, keys.public, signed.bundle_path)


def test_peer_refuses_other_key(model: Path, keys: peer.KeyPair, tmp_path: Path) -> None:
    signed = pyhash.sign(model, keys.private)
    other = peer.make_key_pair(tmp_path / "keys", name="other")
    assert "Key mismatch" in peer_refuses(model, other.public, signed.bundle_path)


def test_real_checkpoint_both_ways(keys: peer.KeyPair, tmp_path: Path) -> None:
    """As published, with version control files, which both tools leave out by default."""
    model = checkpoints.copy_real_checkpoint(tmp_path / "all-MiniLM-L6-v2")
    assert (model / ".gitattributes").is_file()
    signed = pyhash.sign(model, keys.private)
    peer_accepts(model, keys.public, signed.bundle_path)
    theirs = tmp_path / "theirs.sig"
    # The peer knows nothing of our files and would sign them.
    peer_signs(
        *(model, keys, theirs, "--ignore-paths", str(model / "model.sig")),
        *("--ignore-paths", str(model / "model.tree")),
    )
    verified = pyhash.verify(
        model, keys=[keys.public], signature=theirs, ignore=["model.sig", "model.tree"]
    )
    assert verified.size == sum(
        path.stat().st_size
        for path in model.rglob("*")
        if path.is_file() and path.name not in {".gitattributes", "model.sig", "model.tree"}
    )


# --- their bundles, our verifier -----------------------------------------------------------------


@pytest.mark.parametrize("curve", peer.CURVES)
def test_ours_verifies_peers(model: Path, tmp_path: Path, curve: str) -> None:
    keys = peer.make_key_pair(tmp_path / "keys", curve)
    peer_signs(model, keys, model / "model.sig")
    verified = pyhash.verify(model, keys=[keys.public])
    assert verified.guarantee == "content"
    assert verified.root is None  # the peer signs no tree, only whole-file digests
    assert verified.key_hint == hashlib.sha256(keys.public.read_bytes()).hexdigest()
    assert {shard.path: shard.file_digest for shard in verified.manifest.shards} == {
        str(path.relative_to(model)): hashlib.sha256(path.read_bytes()).digest()
        for path in model.rglob("*")
        if path.is_file() and path != model / "model.sig"
    }
    mutations.flip_byte(model / SHARD, -1)
    (finding,) = is_refused(model, keys, model / "model.sig", SHARD).value.findings
    assert finding.actual == hashlib.sha256((model / SHARD).read_bytes()).hexdigest()


def test_ours_refuses_every_change_of_peers(model: Path, keys: peer.KeyPair) -> None:
    signature = model.parent / "peer.sig"
    peer_signs(model, keys, signature)
    for name, data in ODD_FILES.items():
        path = model / name
        if data:
            mutations.flip_byte(path, 0)
            is_refused(model, keys, signature, name)
        else:
            path.unlink()
            with pytest.raises(errors.MissingShardError):
                pyhash.verify(model, keys=[keys.public], signature=signature)
        path.write_bytes(data)
    pyhash.verify(model, keys=[keys.public], signature=signature)


def test_ours_refuses_file_that_peer_did_not_sign(model: Path, keys: peer.KeyPair) -> None:
    peer_signs(model, keys, model / "model.sig")
    mutations.add_file(model / "extra.bin")
    with pytest.raises(errors.UnexpectedFileError) as caught:
        pyhash.verify(model, keys=[keys.public])
    assert [one.path for one in caught.value.findings] == ["extra.bin"]


def test_ours_does_not_ignore_what_peer_was_told_to(model: Path, keys: peer.KeyPair) -> None:
    """The signer does not decide what a verifier may leave unread; the verifier does."""
    mutations.add_file(model / "hidden" / "evil.bin")
    peer_signs(model, keys, model / "model.sig", "--ignore-paths", str(model / "hidden"))
    peer_accepts(model, keys.public, model / "model.sig")
    with pytest.raises(errors.UnexpectedFileError) as caught:
        pyhash.verify(model, keys=[keys.public])
    assert [one.path for one in caught.value.findings] == ["hidden/evil.bin"]
    pyhash.verify(model, keys=[keys.public], ignore=["hidden"])


def test_ours_verifies_single_file_of_peer(keys: peer.KeyPair, tmp_path: Path) -> None:
    path = tmp_path / "alone.safetensors"
    shutil.copyfile(checkpoints.real_safetensors(), path)
    signature = tmp_path / "alone.safetensors.sig"
    peer_signs(path, keys, signature)
    assert pyhash.verify(path, keys=[keys.public]).size == path.stat().st_size
    mutations.flip_byte(path, -1)
    with pytest.raises(errors.DigestMismatchError):
        pyhash.verify(path, keys=[keys.public])


# --- the published vector ------------------------------------------------------------------------


@pytest.fixture
def vector(tmp_path: Path) -> Path:
    directory = tmp_path / "tiny-model"
    for name, data in VECTOR_FILES.items():
        mutations.add_file(directory / name, data)
    return directory


def test_vector_is_the_published_one() -> None:
    bundle = json.loads((VECTOR / "tiny-model.sig").read_bytes())
    payload = base64.b64decode(bundle["dsseEnvelope"]["payload"])
    assert hashlib.sha256(payload).hexdigest() == VECTOR_PAYLOAD_SHA256
    assert hashlib.sha256((VECTOR / "tiny-model.pub").read_bytes()).hexdigest() == VECTOR_HINT


def test_both_verify_the_vector(vector: Path) -> None:
    public, signature = VECTOR / "tiny-model.pub", VECTOR / "tiny-model.sig"
    peer_accepts(vector, public, signature)
    verified = pyhash.verify(vector, keys=[public], signature=signature)
    assert verified.guarantee == "content"
    assert verified.key_hint == VECTOR_HINT
    assert verified.size == sum(map(len, VECTOR_FILES.values()))


@pytest.mark.parametrize("name", VECTOR_FILES)
def test_both_refuse_the_damaged_vector(vector: Path, name: str) -> None:
    public, signature = VECTOR / "tiny-model.pub", VECTOR / "tiny-model.sig"
    mutations.flip_byte(vector / name, -1)
    assert name in peer_refuses(vector, public, signature)
    with pytest.raises(errors.DigestMismatchError):
        pyhash.verify(vector, keys=[public], signature=signature)
