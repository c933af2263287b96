# SPDX-License-Identifier: Apache-2.0
"""A model, its keys and the adapter, run as the public suite runs it."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from tests.support import peer

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
