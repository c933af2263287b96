# SPDX-License-Identifier: Apache-2.0
"""Attacks on who is trusted: thresholds, names that choose rules, policies in the wrong hands."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import pytest

import pyhash
from pyhash import errors, signing
from pyhash.policy import Policy
from pyhash.signing.ecdsa import generate_key, write_key_pair
from tests.attacks._stage import Stage, payload_of

RULE = '[[rule]]\nname = "{name}"\nkeys = ["{key}"]\n'


def write(stage: Stage, text: str, name: str = "policy.toml") -> Path:
    path = stage.home / name
    path.write_text(f"version = 1\n{text}")
    return path


def refused(stage: Stage, policy: Path, code: int, message: str, *options: object) -> None:
    """``pyhash run`` ends in this code and starts nothing."""
    finished, started = stage.run_under("--policy", policy, *options)
    assert (finished.code, started) == (code, False), finished
    assert message in finished.stderr
    assert finished.stdout == ""


def add_key(stage: Stage, name: str) -> Path:
    write_key_pair(generate_key(), stage.home / f"{name}.key", stage.home / f"{name}.pub")
    return stage.home / f"{name}.pub"


def cosign_blindly(stage: Stage, name: str) -> Path:
    """A bundle over the same statement by another key, as a hostile co-signer would make it."""
    bundle = signing.sign_payload(
        payload_of(stage), signing.load_signer(stage.home / f"{name}.key")
    )
    path = stage.home / f"{name}.sig"
    path.write_bytes(signing.dump_bundle(bundle))
    return path


def two_signers(stage: Stage) -> Policy:
    keys = [stage.trusted, add_key(stage, "auditor")]
    return dataclasses.replace(Policy.from_key_files(keys), signatures=2)


def test_one_signer_counted_twice(stage: Stage) -> None:
    """The same bundle again; the same key's second signature, which differs; both."""
    policy = two_signers(stage)
    again = cosign_blindly(stage, "publisher")
    assert again.read_bytes() != stage.bundle.read_bytes()
    for extra in ([stage.bundle], [again], [again, stage.bundle, again]):
        with pytest.raises(errors.PolicyError, match="1 independent trusted signers, and 2 needed"):
            pyhash.verify(stage.model, policy=policy, cosignatures=extra)
    auditor = cosign_blindly(stage, "auditor")
    assert len(pyhash.verify(stage.model, policy=policy, cosignatures=[auditor]).signers) == 2


def test_stranger_does_not_count(stage: Stage) -> None:
    policy = two_signers(stage)
    stranger = cosign_blindly(stage, "attacker")
    with pytest.raises(errors.SignatureError, match=r"attacker\.sig"):
        pyhash.verify(stage.model, policy=policy, cosignatures=[stranger])


def test_one_key_under_two_names(stage: Stage) -> None:
    copy = stage.home / "copy.pub"
    copy.write_bytes(stage.trusted.read_bytes())
    text = RULE.format(name="*", key='publisher.pub", "copy.pub') + "signatures = 2\n"
    refused(stage, write(stage, text), 3, "a key is listed twice")
    with pytest.raises(errors.UsageError, match="only 1 signers are trusted"):
        dataclasses.replace(Policy.from_key_files([stage.trusted, copy]), signatures=2)


@pytest.mark.parametrize("value", ["0", "-1", "false", "true", '"1"', "1.0", "2"])
def test_threshold_that_switches_the_check_off(value: str, stage: Stage) -> None:
    text = RULE.format(name="*", key="publisher.pub") + f"signatures = {value}\n"
    refused(stage, write(stage, text), 3, "signatures")


def test_signed_name_does_not_choose_the_rule(stage: Stage) -> None:
    """A checkpoint that calls itself like one of the weaker rule, in the place of the other."""
    add_key(stage, "developer")
    text = RULE.format(name="model", key="publisher.pub") + RULE.format(
        name="dev-*", key="developer.pub"
    )
    policy = write(stage, text)
    finished, started = stage.run_under("--policy", policy)
    assert (finished.code, started) == (0, True)
    toy = stage.home / "dev-toy"
    stage.model.rename(toy)
    pyhash.sign(toy, stage.home / "developer.key")
    pyhash.verify(toy, policy=pyhash.PolicyFile.read(policy))
    toy.rename(stage.model)
    refused(stage, policy, 1, "which is not trusted")
    stage.model.rename(toy)
    stage.model.symlink_to(toy)  # where a link leads does not choose it either
    refused(stage, policy, 1, "which is not trusted")


def test_no_rule_is_no_trust(stage: Stage) -> None:
    text = RULE.format(name="other", key="publisher.pub")
    refused(stage, write(stage, text), 1, "no rule is for")


def test_policy_inside_the_checkpoint(stage: Stage) -> None:
    """Who can change the checkpoint must not say who is trusted for it."""
    attackers = stage.model / "policy.toml"
    attackers.write_text(f"version = 1\n{RULE.format(name='*', key='../attacker.pub')}")
    refused(stage, attackers, 2, "lies inside the checkpoint")
    attackers.unlink()
    inside = stage.model / "attacker.pub"
    inside.write_bytes((stage.home / "attacker.pub").read_bytes())
    text = RULE.format(name="*", key="model/attacker.pub")
    refused(stage, write(stage, text), 2, "lies inside the checkpoint")
    inside.unlink()
    link = stage.home / "link.toml"
    (stage.model / "real.toml").write_text(
        f"version = 1\n{RULE.format(name='*', key='publisher.pub')}"
    )
    link.symlink_to(stage.model / "real.toml")
    refused(stage, link, 2, "lies inside the checkpoint")


@pytest.mark.parametrize("mode", [0o666, 0o664, 0o646])
def test_policy_and_keys_that_others_can_write(mode: int, stage: Stage) -> None:
    policy = write(stage, RULE.format(name="*", key="publisher.pub"))
    for file in (policy, stage.trusted):
        file.chmod(mode)
        refused(stage, policy, 3, "lets others write")
        file.chmod(0o644)
    finished, started = stage.run_under("--policy", policy)
    assert (finished.code, started) == (0, True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_policy_of_another_user(stage: Stage) -> None:
    policy = write(stage, RULE.format(name="*", key="publisher.pub"))
    os.chown(policy, 12345, -1)
    refused(stage, policy, 3, "belongs to user 12345")


def test_policy_in_a_directory_that_others_can_write(stage: Stage) -> None:
    place = stage.home / "open"
    place.mkdir()
    place.chmod(0o777)
    text = f"version = 1\n{RULE.format(name='*', key='../publisher.pub')}"
    (place / "policy.toml").write_text(text)
    refused(stage, place / "policy.toml", 3, "lets others write")


@pytest.mark.parametrize(
    "line",
    [
        "mod = 'warn'",
        "mode = 'Off'",
        "mode = ['off']",
        "signature = 2",
        "minrelease = 3",
        "[rule.x]",
    ],
)
def test_misspelt_rule_is_no_rule(line: str, stage: Stage) -> None:
    text = RULE.format(name="*", key="publisher.pub") + line
    refused(stage, write(stage, text), 3, "policy.toml")


def test_hostile_policies_end_at_once(stage: Stage) -> None:
    """Depth, size, numbers, pipes: an answer, no crash and no waiting."""
    for text in ("a = " + "[" * 100_000, "a = " + "9" * 10_000, "x" * (1 << 20), "a.b" * 20_000):
        refused(stage, write(stage, text), 3, "policy.toml")
    os.mkfifo(stage.home / "pipe.toml")
    refused(stage, stage.home / "pipe.toml", 3, "not a regular file")
    refused(stage, Path("/dev/zero"), 3, "not a regular file")


def test_mode_of_one_rule_reaches_no_other(stage: Stage) -> None:
    text = RULE.format(name="model", key="attacker.pub") + RULE.format(
        name="*", key="publisher.pub"
    )
    refused(stage, write(stage, text + 'mode = "off"\n'), 1, "which is not trusted")


def test_loud_where_nothing_is_enforced(stage: Stage) -> None:
    """It starts, because the policy says so; no word of it reads as verified."""
    stage.bundle.unlink()
    for mode in ("warn", "off"):
        text = RULE.format(name="*", key="publisher.pub") + f'mode = "{mode}"\n'
        policy = write(stage, text)
        for options in ((), ("--quiet",), ("--format", "json"), ("--format", "json", "--quiet")):
            finished, started = stage.run_under("--policy", policy, *options)
            assert (finished.code, started) == (0, True), finished
            assert "UNVERIFIED" in finished.stderr
            assert mode in finished.stderr
            assert '"verified"' not in finished.stderr
            assert "verified: " not in finished.stderr
        with pytest.raises(errors.UnsignedError):
            pyhash.verify(stage.model, policy=pyhash.PolicyFile.read(policy))
