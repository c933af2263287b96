# SPDX-License-Identifier: Apache-2.0
"""Co-signatures: made only of what verifies, over the same statement, each signer counted once."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from _signed import flip, statement_of, write_checkpoint, write_keys

import pyhash
from pyhash import cosign_checkpoint, errors, limits, signed_bundle
from pyhash.cosign_checkpoint import cosign
from pyhash.policy import Policy


@dataclasses.dataclass(frozen=True, slots=True)
class Stage:
    """A checkpoint signed by the publisher, and the keys of two auditors."""

    home: Path
    model: Path
    keys: dict[str, tuple[Path, Path]]

    def policy(self, *names: str, signatures: int = 1) -> Policy:
        policy = Policy.from_key_files([self.keys[name][1] for name in names])
        return dataclasses.replace(policy, signatures=signatures)

    def cosign(self, name: str) -> Path:
        output = self.home / f"{name}.sig"
        cosign(self.model, self.keys[name][0], output, policy=self.policy("publisher"))
        return output


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    model = tmp_path / "model"
    write_checkpoint(model)
    names = ("publisher", "auditor", "other")
    keys = {name: write_keys(tmp_path, name) for name in names}
    pyhash.sign(model, keys["publisher"][0])
    return Stage(tmp_path, model, keys)


def test_two_signers(stage: Stage) -> None:
    both = stage.policy("publisher", "auditor", signatures=2)
    with pytest.raises(errors.PolicyError, match="1 independent trusted signers, and 2 needed"):
        pyhash.verify(stage.model, policy=both)
    output = stage.cosign("auditor")
    assert statement_of(output) == statement_of(stage.model / "model.sig")
    verified = pyhash.verify(stage.model, policy=both, cosignatures=[output])
    assert {one.fingerprint for one in verified.signers} == {key.hint for key in both.keys}
    # In any order: the co-signature as the bundle, the bundle beside it.
    other_way = pyhash.verify(
        stage.model, policy=both, signature=output, cosignatures=[stage.model / "model.sig"]
    )
    assert len(other_way.signers) == 2


def test_one_key_counts_once(stage: Stage) -> None:
    both = stage.policy("publisher", "auditor", signatures=2)
    first = stage.model / "model.sig"
    with pytest.raises(errors.PolicyError, match="1 independent"):
        pyhash.verify(stage.model, policy=both, cosignatures=[first, first])


def test_every_cosignature_must_hold(stage: Stage) -> None:
    """Also where the policy would be content without it."""
    output = stage.cosign("auditor")
    with pytest.raises(errors.SignatureError, match=r"auditor\.sig: made by the key"):
        pyhash.verify(stage.model, policy=stage.policy("publisher"), cosignatures=[output])
    both = stage.policy("publisher", "auditor")
    with pytest.raises(errors.UnsignedError, match="missing"):
        pyhash.verify(stage.model, policy=both, cosignatures=[stage.home / "missing"])
    output.write_bytes(b"{}")
    with pytest.raises(errors.FormatError):
        pyhash.verify(stage.model, policy=both, cosignatures=[output])


def test_over_another_statement(stage: Stage) -> None:
    """A signature over another release does not help this one."""
    both = stage.policy("publisher", "auditor", signatures=2)
    other = stage.home / "other-release"
    write_checkpoint(other)
    (other / "config.json").write_text('{"model_type": "bert"}')
    pyhash.sign(other, stage.keys["auditor"][0])
    with pytest.raises(errors.SignatureError, match="over another statement than"):
        pyhash.verify(stage.model, policy=both, cosignatures=[other / "model.sig"])


def test_cosignature_in_the_directory(stage: Stage) -> None:
    output = stage.cosign("auditor")
    inside = stage.model / "auditor.sig"
    output.rename(inside)
    both = stage.policy("publisher", "auditor", signatures=2)
    pyhash.verify(stage.model, policy=both, cosignatures=[inside])
    with pytest.raises(errors.UnexpectedFileError):
        pyhash.verify(stage.model, policy=stage.policy("publisher"))


def test_cap(stage: Stage) -> None:
    many = [stage.model / "model.sig"] * limits.MAX_COSIGNATURES
    policy = stage.policy("publisher")
    pyhash.verify(stage.model, policy=policy, cosignatures=many)
    with pytest.raises(errors.LimitError, match="65 co-signatures, above the cap of 64"):
        pyhash.verify(stage.model, policy=policy, cosignatures=[*many, many[0]])


def test_only_what_verifies_is_cosigned(stage: Stage) -> None:
    flip(stage.model / "config.json", 3)
    with pytest.raises(errors.DigestMismatchError):
        stage.cosign("auditor")
    flip(stage.model / "config.json", 3)
    with pytest.raises(errors.SignatureError):
        cosign(
            *(stage.model, stage.keys["auditor"][0], stage.home / "x.sig"),
            policy=stage.policy("other"),
        )
    assert list(stage.home.glob("*.sig")) == []


def test_what_cannot_be_cosigned(stage: Stage) -> None:
    publisher = stage.policy("publisher")
    with pytest.raises(errors.UsageError, match="this key has signed it already"):
        stage.cosign("publisher")
    stage.cosign("auditor")
    before = (stage.home / "auditor.sig").read_bytes()
    with pytest.raises(errors.UsageError, match="is there already"):
        stage.cosign("auditor")
    assert (stage.home / "auditor.sig").read_bytes() == before
    inside = stage.model / "auditor.key"
    inside.write_bytes(stage.keys["auditor"][0].read_bytes())
    with pytest.raises(errors.UsageError, match="lies inside the checkpoint"):
        cosign(stage.model, inside, stage.home / "y.sig", policy=publisher)


def test_bundle_that_is_swapped_meanwhile(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is co-signed is what was verified, not what lies there afterwards."""
    real = signed_bundle.inspect_signed

    def swapped(*arguments: object, **named: object) -> signed_bundle.Signed:
        found = real(*arguments, **named)  # type: ignore[arg-type]
        manifest = dataclasses.replace(found.manifest, name="another")
        return dataclasses.replace(found, manifest=manifest)

    monkeypatch.setattr(cosign_checkpoint, "inspect_signed", swapped)
    with pytest.raises(errors.ChangedWhileReadError, match="another bundle than was verified"):
        stage.cosign("auditor")
    assert not (stage.home / "auditor.sig").exists()


def test_policy_file(stage: Stage) -> None:
    text = 'version = 1\n[[rule]]\nname = "model"\nkeys = ["publisher.pub"]\n'
    (stage.home / "policy.toml").write_text(text)
    rules = pyhash.PolicyFile.read(stage.home / "policy.toml")
    output = stage.home / "z.sig"
    result = cosign(stage.model, stage.keys["auditor"][0], output, policy=rules)
    assert result.bundle_path == str(output)
    assert result.verified.policy.rule.startswith("rule 1 ")
