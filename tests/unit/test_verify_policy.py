# SPDX-License-Identifier: Apache-2.0
"""Verifying, signing and starting under policies: releases, memory, guarantees, modes."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from _signed import flip, statement_of, write_checkpoint, write_keys

import pyhash
from pyhash import errors, gate
from pyhash.guarantees import CONTENT
from pyhash.policy import Policy, Waiver
from pyhash.signing import load_verifier
from tests.support import authority

NOW = int(time.time())
DAY = 86_400
Rules = Callable[..., pyhash.PolicyFile]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    write_checkpoint(tmp_path / "model")
    write_keys(tmp_path)
    write_keys(tmp_path, "other")
    (tmp_path / "state").mkdir(mode=0o700)
    return tmp_path


@pytest.fixture
def rules(home: Path) -> Rules:
    def rules(*lines: str, keys: str = "publisher.pub") -> pyhash.PolicyFile:
        head = [
            "version = 1",
            'state = "state"',
            "[[rule]]",
            'name = "model"',
            f'keys = ["{keys}"]',
        ]
        (home / "policy.toml").write_text("\n".join([*head, *lines]))
        return pyhash.PolicyFile.read(home / "policy.toml")

    return rules


def sign(
    home: Path, counter: int | None = None, *, expires: int | None = None, name: str = ""
) -> None:
    release = pyhash.Release(NOW - DAY, counter, expires, name or None)
    pyhash.sign(home / "model", home / "publisher.key", release=release)


def test_release_is_signed_and_told(home: Path, rules: Rules) -> None:
    sign(home, 7, expires=NOW + DAY, name="acme/x")
    verified = pyhash.verify(home / "model", policy=rules("min-release = 7"))
    assert verified.manifest.release == pyhash.Release(NOW - DAY, 7, NOW + DAY, "acme/x")
    notes = statement_of(home / "model/model.sig")["subject"][0]["annotations"]
    assert notes["pyhash-release"]["counter"] == 7


def test_own_statement_has_releases_too(home: Path, rules: Rules) -> None:
    release = pyhash.Release(NOW - DAY, 7)
    pyhash.sign(home / "model", home / "publisher.key", release=release, file_digests=False)
    assert pyhash.verify(home / "model", policy=rules()).manifest.release == release


def test_certificates_time_and_revocation_of_a_policy(
    home: Path, rules: Rules, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files of a certificate are relative to the policy, not to where the process is."""
    chain = authority.make_chain(home / "chain")
    (home / "lists").mkdir()
    pyhash.sign(home / "model", chain.signer)
    table = (
        "[[rule.certificate]]",
        'root = "chain/root.pem"',
        f'identity = "{authority.IDENTITY}"',
        'crl = ["lists/middle", "lists/root"]',
    )
    (home / "lists/root").write_bytes(authority.crl(chain.root))
    (home / "lists/middle").write_bytes(authority.crl(chain.middle))
    monkeypatch.chdir("/")
    policy = rules(*table)
    assert pyhash.verify(home / "model", policy=policy).manifest.name == "model"
    files = policy.for_checkpoint(home / "model").files
    assert {str(home / "lists/root"), str(home / "lists/middle")} <= set(files)
    with pytest.raises(errors.SignatureError, match="is not valid before"):
        pyhash.verify(home / "model", policy=rules(*table, 'at = "2001-01-01T00:00:00Z"'))
    serial = chain.leaf.certificate.serial_number
    (home / "lists/middle").write_bytes(authority.crl(chain.middle, [serial]))
    with pytest.raises(errors.SignatureError, match="revoked"):
        pyhash.verify(home / "model", policy=rules(*table))


def test_expired_is_refused_without_any_policy(home: Path) -> None:
    sign(home, expires=NOW - 1)
    with pytest.raises(errors.PolicyError, match="it expires at"):
        pyhash.verify(home / "model", keys=[home / "publisher.pub"])


def test_clock_decides(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sign(home, expires=NOW + DAY)
    pyhash.verify(home / "model", keys=[home / "publisher.pub"])
    monkeypatch.setattr(time, "time", lambda: float(NOW + DAY))
    with pytest.raises(errors.PolicyError, match="it expires at"):
        pyhash.verify(home / "model", keys=[home / "publisher.pub"])


def test_nothing_is_hashed_of_what_is_refused(home: Path, rules: Rules) -> None:
    sign(home, 7)
    flip(home / "model/config.json", 1)  # would be another answer
    with pytest.raises(errors.PolicyError, match="at least 8 is accepted"):
        pyhash.verify(home / "model", policy=rules("min-release = 8"))


def test_release_under_another_name(home: Path, rules: Rules) -> None:
    sign(home, 7, name="acme/y")
    with pytest.raises(errors.PolicyError, match="only 'acme/x' is accepted"):
        pyhash.verify(home / "model", policy=rules('release-name = "acme/x"'))


def test_too_old(home: Path, rules: Rules) -> None:
    sign(home)
    pyhash.verify(home / "model", policy=rules('max-age = "25h"'))
    with pytest.raises(errors.PolicyError, match="at most 0 d 23 h are accepted"):
        pyhash.verify(home / "model", policy=rules('max-age = "23h"'))


def test_guarantee_that_is_too_weak(home: Path, rules: Rules) -> None:
    sign(home)
    with pytest.raises(errors.PolicyError, match=r"'content', and rule 1 .* weaker than 'kernel'"):
        pyhash.verify(home / "model", policy=rules('guarantee = "kernel"'))


def test_ignored_paths_of_the_policy(home: Path, rules: Rules) -> None:
    sign(home)
    (home / "model/logs").mkdir()
    (home / "model/logs/x").touch()
    pyhash.verify(home / "model", policy=rules('ignore = ["logs"]'))
    with pytest.raises(errors.UnexpectedFileError):
        pyhash.verify(home / "model", policy=rules())


# --- memory ---------------------------------------------------------------------------------------


def test_lower_release_is_refused_afterwards(home: Path, rules: Rules) -> None:
    policy = rules("remember = true")
    for counter in (7, 7, 9):
        sign(home, counter)
        pyhash.verify(home / "model", policy=policy)
    sign(home, 8)
    with pytest.raises(errors.PolicyError, match="release 9 was accepted here before"):
        pyhash.verify(home / "model", policy=policy)
    sign(home)
    with pytest.raises(errors.PolicyError, match="it has no release counter"):
        pyhash.verify(home / "model", policy=policy)


def test_only_what_verifies_is_remembered(home: Path, rules: Rules) -> None:
    policy = rules("remember = true")
    sign(home, 9)
    flip(home / "model/config.json", 1)
    with pytest.raises(errors.DigestMismatchError):
        pyhash.verify(home / "model", policy=policy)
    assert list((home / "state").iterdir()) == []


def test_memory_that_cannot_be_written_refuses(
    home: Path, rules: Rules, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = rules("remember = true")
    sign(home, 9)

    def refuse(*arguments: object) -> None:
        raise errors.WriteError("no space")

    monkeypatch.setattr("pyhash.atomic.write_file", refuse)
    with pytest.raises(errors.WriteError, match="no space"):
        pyhash.verify(home / "model", policy=policy)


def test_memory_for_keys_alone(home: Path) -> None:
    policy = Policy.from_key_files([home / "publisher.pub"], state=home / "state")
    sign(home, 9)
    pyhash.verify(home / "model", policy=policy)
    sign(home, 8)
    with pytest.raises(errors.PolicyError, match="release 9 was accepted"):
        pyhash.verify(home / "model", policy=policy)


def test_same_release_of_other_bytes(home: Path, rules: Rules) -> None:
    policy = rules("remember = true")
    sign(home, 9)
    pyhash.verify(home / "model", policy=policy)
    (home / "model/config.json").write_text('{"model_type": "bert"}')
    sign(home, 9)
    with pytest.raises(errors.PolicyError, match="with another root"):
        pyhash.verify(home / "model", policy=policy)


# --- where policies may lie -----------------------------------------------------------------------


def test_policy_or_key_inside_the_checkpoint(home: Path, rules: Rules) -> None:
    sign(home)
    policy = rules()
    inside = home / "model/policy.toml"
    inside.write_text(
        (home / "policy.toml").read_text().replace('"publisher', f'"{home}/publisher')
    )
    inside.write_text(inside.read_text().replace('state = "state"', ""))
    with pytest.raises(errors.UsageError, match=r"policy\.toml: lies inside the checkpoint"):
        pyhash.verify(home / "model", policy=pyhash.PolicyFile.read(inside))
    inside.unlink()
    (home / "model/publisher.pub").write_bytes((home / "publisher.pub").read_bytes())
    policy = rules(keys="model/publisher.pub")
    with pytest.raises(errors.UsageError, match=r"publisher\.pub: lies inside the checkpoint"):
        pyhash.verify(home / "model", policy=policy)


def test_a_policy_or_keys_not_both(home: Path, rules: Rules) -> None:
    sign(home)
    for named in ({"keys": [home / "publisher.pub"]}, {"ignore": ["x"]}, {"root": "r"}):
        with pytest.raises(errors.UsageError, match="not both"):
            pyhash.verify(home / "model", policy=rules(), **named)  # type: ignore[arg-type]


# --- signing under a policy -----------------------------------------------------------------------


def test_what_would_be_refused_is_not_signed(home: Path, rules: Rules) -> None:
    release = pyhash.Release(NOW, 6)
    where = home / "model"
    for policy, error, message in (
        (rules("min-release = 7"), errors.PolicyError, "at least 7 is accepted"),
        (rules(keys="other.pub"), errors.SignatureError, "which is not trusted"),
    ):
        with pytest.raises(error, match=message):
            pyhash.sign(where, home / "publisher.key", release=release, policy=policy)
        assert not (where / "model.sig").exists()
        assert not (where / "model.tree").exists()
    policy = rules("min-release = 6")
    pyhash.sign(where, home / "publisher.key", release=release, policy=policy)
    pyhash.verify(where, policy=policy)


def test_the_first_of_two_signers_may_sign(home: Path, rules: Rules) -> None:
    policy = rules().for_checkpoint(home / "model")
    both = (*policy.keys, load_verifier(home / "other.pub"))
    wanted = dataclasses.replace(policy, keys=both, signatures=2)
    pyhash.sign(home / "model", home / "publisher.key", policy=wanted)
    with pytest.raises(errors.PolicyError, match="1 independent trusted signers, and 2 needed"):
        pyhash.verify(home / "model", policy=wanted)


def test_nobody_signs_where_no_rule_is(home: Path, rules: Rules) -> None:
    (home / "model").rename(home / "elsewhere")
    with pytest.raises(errors.PolicyError, match="no rule is for"):
        pyhash.sign(home / "elsewhere", home / "publisher.key", policy=rules())


def test_signer_remembers_too(home: Path, rules: Rules) -> None:
    policy = rules("remember = true")
    sign(home, 9)
    pyhash.verify(home / "model", policy=policy)
    with pytest.raises(errors.PolicyError, match="release 9 was accepted here before"):
        pyhash.sign(
            home / "model",
            home / "publisher.key",
            release=pyhash.Release(NOW, 8),
            policy=policy,
        )


# --- modes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["warn", "off"])
def test_the_library_enforces_whatever_the_mode_is(home: Path, rules: Rules, mode: str) -> None:
    sign(home)
    policy = rules(f'mode = "{mode}"')
    assert pyhash.verify(home / "model", policy=policy).policy.mode == mode
    flip(home / "model/config.json", 1)
    with pytest.raises(errors.DigestMismatchError):
        pyhash.verify(home / "model", policy=policy)


def test_nobody_is_trusted_by_a_rule_that_is_off(home: Path) -> None:
    sign(home)
    (home / "policy.toml").write_text('version = 1\n[[rule]]\nname = "*"\nmode = "off"\n')
    policy = pyhash.PolicyFile.read(home / "policy.toml")
    with pytest.raises(errors.PolicyError, match="trusts nobody"):
        pyhash.verify(home / "model", policy=policy)


def test_the_gate_takes_nothing_in_the_place_of_a_waiver(home: Path, rules: Rules) -> None:
    sign(home)
    verified = pyhash.verify(home / "model", policy=rules('mode = "warn"'))
    for other in (None, verified, "warn", Waiver):
        with pytest.raises(errors.UsageError, match="this takes a Waiver, not"):
            gate.start_unverified(other, ["true"])  # type: ignore[arg-type]
    with pytest.raises(errors.UsageError, match="no such program"):
        gate.start_unverified(verified.policy.waive(), [str(home / "missing")])


def test_what_was_done_must_be_enough_too(home: Path, rules: Rules) -> None:
    """A comparison that came to less than it was asked for is held against the policy again."""
    sign(home)
    weaker = dataclasses.replace(
        CONTENT,
        compare=lambda opened, options: dataclasses.replace(
            CONTENT.compare(opened, options), guarantee="sampled"
        ),
    )
    enough = rules('guarantee = "sampled"')
    assert pyhash.verify(home / "model", policy=enough, guarantee=weaker).guarantee == "sampled"
    with pytest.raises(errors.PolicyError, match="would be 'sampled'"):
        pyhash.verify(home / "model", policy=rules('guarantee = "content"'), guarantee=weaker)


def test_weaker_guarantee_than_accepted_reads_nothing(home: Path, rules: Rules) -> None:
    """It is refused before the checkpoint is looked at, and so says nothing of what is wrong."""
    with pytest.raises(errors.PolicyError, match="the guarantee would be 'sampled'"):
        pyhash.verify(
            home / "nothing here",
            policy=rules('guarantee = "content"').for_checkpoint(home / "model"),
            guarantee=dataclasses.replace(CONTENT, name="sampled"),
        )
