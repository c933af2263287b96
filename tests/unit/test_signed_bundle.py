# SPDX-License-Identifier: Apache-2.0
"""From a bundle to its manifest: requirements hold always, and nothing old is read unasked."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from _signed import write_keys

import pyhash
from pyhash import errors
from pyhash.policy import Policy
from pyhash.signed_bundle import check_signed, inspect_signed, load_signed, read_bundle
from tests.support import authority, old_bundles, peer

FILES = {"config.json": b"{}"}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "model").mkdir()
    (tmp_path / "model/config.json").write_bytes(FILES["config.json"])
    write_keys(tmp_path)
    pyhash.sign(tmp_path / "model", tmp_path / "publisher.key", release=pyhash.Release(1, 7))
    return tmp_path


def load(bundle: Path, policy: Policy) -> str:
    return load_signed(str(bundle), policy).manifest.name


def check(bundle: Path, policy: Policy) -> str:
    return check_signed(bundle.read_bytes(), "fetched", policy)[0].name


@pytest.mark.parametrize("way", [load, check])
def test_what_a_policy_requires(home: Path, way: Callable[[Path, Policy], str]) -> None:
    bundle = home / "model/model.sig"
    policy = Policy.from_key_files([home / "publisher.pub"])
    assert way(bundle, replace(policy, min_release=7)) == "model"
    for wrong in (replace(policy, min_release=8), replace(policy, max_age=60)):
        with pytest.raises(errors.PolicyError):
            way(bundle, wrong)


def test_the_key_that_signed_is_told(home: Path) -> None:
    policy = Policy.from_key_files([home / "publisher.pub"])
    data = (home / "model/model.sig").read_bytes()
    assert check_signed(data, "fetched", policy)[1] == policy.keys[0].hint


# --- bundles of the first releases ----------------------------------------------------------------


def test_old_forms_only_on_request(home: Path) -> None:
    bundle, keys = home / "model/model.sig", home / "publisher.pub"
    pair = peer.KeyPair("P-256", keys.with_suffix(".key"), keys)
    policy = Policy.from_key_files([keys])
    today = base64.b64decode(json.loads(bundle.read_bytes())["dsseEnvelope"]["payload"])
    for payload, encode in (
        (today, old_bundles.new_pae),
        (old_bundles.old_payload(FILES), old_bundles.old_pae),
    ):
        old_bundles.write_with_key(bundle, pair, payload, encode)
        for read in (load_signed, inspect_signed):
            with pytest.raises(errors.FormatError, match="--accept-historical"):
                read(str(bundle), policy)
        with pytest.raises(errors.FormatError, match="--accept-historical"):
            read_bundle(str(bundle))
        assert inspect_signed(str(bundle), policy, accept_historical=True).key_hint


def test_old_encoding_under_a_bundle_of_today(home: Path) -> None:
    """Nothing in such a bundle says that it is old; its signature alone does."""
    chain, bundle = authority.make_chain(home / "chain"), home / "model/model.sig"
    today = base64.b64decode(json.loads(bundle.read_bytes())["dsseEnvelope"]["payload"])
    old_bundles.write_with_certificate(bundle, chain, today)
    policy = Policy.from_key_files([chain.trust])
    for read in (load_signed, inspect_signed):
        with pytest.raises(errors.SignatureError, match="does not hold"):
            read(str(bundle), policy)
    with pytest.raises(errors.SignatureError, match="does not hold"):
        check_signed(bundle.read_bytes(), "fetched", policy)
    assert inspect_signed(str(bundle), policy, accept_historical=True).manifest.name == "model"
