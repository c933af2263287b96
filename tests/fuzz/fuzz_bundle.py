# SPDX-License-Identifier: Apache-2.0
"""Fuzz target: signature files. No input may pass as signed but the bytes that were signed."""

from __future__ import annotations

import json

from _harness import VECTORS, files_below, main

from pyhash.errors import SignatureError
from pyhash.signing import dump_bundle, load_bundle, load_verifier, verify_envelope

MUTATIONS = 10_000

DICTIONARY = (
    b'"keyid":null', b'"keyid":"x"', b'"hint":""', b'"tlogEntries":[{}]', b'"publicKey":{}',
    b'"rawBytes":"LS0="', b'"x509CertificateChain":{}', b'"certificate":{}', b"text/plain",
    b'"timestampVerificationData":{}', b'"sig":"MAA="', b'{"sig":"MAA="},', b"=", b"==", b"\\n",
    b"\\u0041", b"bundle+json;version=0.3", b"bundle.v0.2+json", b"{}", b"[]", b"null",
)  # fmt: skip

_OMS = VECTORS / "oms"
_KEYS = (load_verifier(_OMS / "tiny-model.pub"),)
_SIGNED = (_OMS / "tiny-model.statement.json").read_bytes()


def seeds() -> list[bytes]:
    """The OMS vector, spelled in several ways, and what is no bundle at all."""
    vectors = files_below(_OMS)
    bundles = [data for data in vectors if data.startswith(b'{"mediaType"')]
    fields = json.loads(bundles[0])
    del fields["verificationMaterial"]["publicKey"]["hint"]
    del fields["dsseEnvelope"]["signatures"][0]["keyid"]
    return [*vectors, json.dumps(fields, indent=1).encode("utf-8")]


def one_input(data: bytes) -> None:
    """Parse; check the signature; whatever holds must be what was signed."""
    bundle = load_bundle(data, "fuzz.sig")
    if load_bundle(dump_bundle(bundle), "fuzz.sig") != bundle:
        raise AssertionError(f"writing and reading changed {bundle!r}")
    try:
        verified = verify_envelope(bundle, _KEYS)
    except SignatureError:
        return
    if verified.payload != _SIGNED:
        raise AssertionError(f"passed as signed: {verified.payload!r}")


if __name__ == "__main__":
    main(one_input, seeds())
