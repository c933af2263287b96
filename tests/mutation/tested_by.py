# SPDX-License-Identifier: Apache-2.0
"""Which tests belong to which module, that is, are run against its mutants."""

from __future__ import annotations

_SIGNING = (
    "unit/test_envelope.py",
    "unit/test_bundle.py",
    "unit/test_dsse.py",
    "unit/test_sigstore.py",
    "unit/test_cosign.py",
)
_CERTIFICATES = (
    "unit/test_certificate.py",
    "unit/test_certificate_edges.py",
    "unit/test_certificate_files.py",
)
_KEYS = ("unit/test_ecdsa.py", "unit/test_key_files.py", "unit/test_encrypted_keys.py")
_MANIFEST = (
    "unit/test_manifest.py",
    "unit/test_manifest_refused.py",
    "unit/test_release.py",
    "unit/test_manifest_foreign.py",
    "unit/test_vectors.py",
)
_POLICY = ("unit/test_policy_file.py", "unit/test_policy.py", "unit/test_verify_policy.py")
_VERIFY = (
    "unit/test_verify.py",
    "unit/test_verify_findings.py",
    "unit/test_pinned_root.py",
    "unit/test_verify_policy.py",
    "unit/test_only.py",
)
_OTHER_TOOLS = ("integration/test_peer_serializations.py", "integration/test_historical_bundles.py")

TESTS: dict[str, tuple[str, ...]] = {
    "policy/_decision": ("unit/test_policy_decision.py", "unit/test_release_memory.py", *_POLICY),
    "policy/_history": ("unit/test_policy_history.py", "integration/test_cli_policy_history.py"),
    "policy/_memory": ("unit/test_release_memory.py", "unit/test_verify_policy.py"),
    "policy/_model": _POLICY,
    "policy/_patterns": ("unit/test_policy_patterns.py",),
    "policy/_reading": _POLICY,
    "policy/_signers": _POLICY,
    "policy/_trusted_files": ("unit/test_trusted_files.py",),
    "signed_bundle": (
        "unit/test_signed_bundle.py",
        "unit/test_cosign.py",
        "unit/test_verify_policy.py",
    ),
    "opening": ("unit/test_opening.py", "unit/test_verify.py", "unit/test_verify_policy.py"),
    "verify_checkpoint": ("unit/test_verify.py", "unit/test_verify_policy.py", "unit/test_gate.py"),
    "cosign_checkpoint": ("unit/test_cosign.py",),
    "gate": ("unit/test_gate.py", "unit/test_verify_policy.py"),
    "guarantees/__init__": ("unit/test_guarantees.py",),
    "guarantees/content": ("unit/test_foreign_digests.py", *_VERIFY),
    "manifest/_historical": _OTHER_TOOLS,
    "manifest/_release": _MANIFEST,
    "manifest/_reading": _MANIFEST,
    "manifest/_serialization": ("unit/test_serialization.py", *_MANIFEST),
    "manifest/_model": _MANIFEST,
    "manifest/_writing": (*_MANIFEST, "unit/test_sign.py"),
    "locations": ("unit/test_locations.py", "unit/test_pinned_root.py", "unit/test_sign.py"),
    "signing/__init__": (*_SIGNING, *_KEYS, *_CERTIFICATES, "integration/test_pkcs11.py"),
    "signing/_base": (*_SIGNING, "unit/test_certificate.py"),
    "signing/envelope": (*_SIGNING, *_CERTIFICATES, "unit/test_verify_policy.py"),
    "signing/bundle": _SIGNING,
    "signing/material": (*_SIGNING, *_CERTIFICATES),
    "signing/base64_text": _SIGNING,
    "signing/dsse": _SIGNING,
    "signing/ecdsa": (*_KEYS, "integration/test_historical_bundles.py"),
    "signing/pem_files": (*_KEYS, "unit/test_certificate_files.py"),
    "signing/certificate": (*_CERTIFICATES, "integration/test_historical_bundles.py"),
    "signing/certificate_path": _CERTIFICATES,
    "signing/revocation": _CERTIFICATES,
    "signing/references": (
        "unit/test_certificate_edges.py",
        "unit/test_certificate_files.py",
        "unit/test_policy_file.py",
    ),
    "signing/historical": _OTHER_TOOLS,
    "signing/sigstore": ("unit/test_sigstore.py",),
    "signing/pkcs11_uri": ("unit/test_pkcs11_uri.py",),
    "signing/pkcs11": ("integration/test_pkcs11.py", "unit/test_pkcs11_uri.py"),
    "signing/ed25519": ("unit/test_log_note.py",),
}
# Every dataclass is frozen and has slots: one test for all; only for mutants outside functions.
OF_EVERY_MODULE = ("unit/test_public_api.py",)
