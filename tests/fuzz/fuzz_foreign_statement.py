# SPDX-License-Identifier: Apache-2.0
"""Fuzz target: statements and bundles of other OMS tools, old ones among them."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from _harness import VECTORS, files_below, main

from pyhash.manifest import load_statement
from pyhash.signing import load_bundle
from pyhash.signing.historical import modernize_bundle

MUTATIONS = 8_000

DICTIONARY = (
    b'"shards"', b'"files"', b'"blake2b"', b'"blake3"', b"sha256-sharded-1000", b":0:1000",
    b":1000:2000", b":", b'"shard_size":1000.0', b'"shard_size":1e300', b'"shard_size":0',
    b"999999999999999", b'"rawBytes":""', b'"keyDetails":""', b"Digests/v0.1", b'"."', b"../",
)  # fmt: skip


def _statement(names: list[str], hash_type: str, **serialization: Any) -> bytes:
    size = 64 if hash_type == "blake2b" else 32
    digests = [bytes([index]) * size for index, _ in enumerate(names)]
    algorithm = serialization.pop("algorithm", hash_type)
    value = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [
            {"name": "m", "digest": {"sha256": hashlib.sha256(b"".join(digests)).hexdigest()}}
        ],
        "predicateType": "https://model_signing/signature/v1.0",
        "predicate": {
            "resources": [
                {"name": name, "algorithm": algorithm, "digest": digest.hex()}
                for name, digest in zip(names, digests, strict=True)
            ],
            "serialization": {"hash_type": hash_type, "allow_symlinks": False, **serialization},
        },
    }
    return json.dumps(value).encode()


def seeds() -> list[bytes]:
    """Ranges in both spellings, other digests, version 0.2, old and new bundles."""
    ranges = ["a:0:1000", "a:1000:1001", "b:c:0:7"]
    old = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "a", "digest": {"sha256": "0" * 64}}],
        "predicateType": "https://model_signing/Digests/v0.1",
        "predicate": {},
    }
    bundle = json.loads((VECTORS / "oms" / "tiny-model.sig").read_bytes())
    bundle["verificationMaterial"]["publicKey"] = {"rawBytes": "LS0=", "keyDetails": "X"}
    return [
        _statement(ranges, "sha256", method="shards", shard_size=1000),
        _statement(
            *(ranges, "blake2b"),
            method="shards",
            shard_size=1000.0,
            algorithm="blake2b-sharded-1000",
        ),
        _statement(["a", "b/c"], "blake3", method="files"),
        _statement([".:0:9"], "sha256", method="shards"),
        json.dumps(old).encode(),
        json.dumps(bundle).encode(),
        *files_below(VECTORS / "oms"),
    ]


def one_input(data: bytes) -> None:
    """Read as a bundle where it is one, else as a statement; look at what was accepted."""
    if b'"mediaType"' in data[:64]:
        load_bundle(modernize_bundle(data, "fuzz.sig"), "fuzz.sig")
        return
    manifest = load_statement(data, path="fuzz.sig", accept_historical=True)
    for shard in manifest.shards:
        if shard.ranges:
            ends = [0, *(one.end for one in shard.ranges)]
            starts = [one.start for one in shard.ranges]
            if shard.size is not None and (starts != ends[:-1] or ends[-1] != shard.size):
                raise AssertionError(f"a hole in {shard!r}")
        elif shard.file_digest is None and shard.root is None:
            raise AssertionError(f"nothing to compare {shard!r} with")


if __name__ == "__main__":
    main(one_input, seeds())
