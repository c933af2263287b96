# SPDX-License-Identifier: Apache-2.0
"""``[rule.provenance]`` and ``[rule.log]``: what they come to, and what makes a file no policy."""

from __future__ import annotations

from pathlib import Path

import pytest

from pyhash.errors import KeyFileError, PolicyFileError
from pyhash.log.note_keys import LOG, WITNESS, generate_note_key, write_note_keys
from pyhash.policy import Policy, PolicyFile
from pyhash.signing import load_verifier
from pyhash.signing.ecdsa import generate_key, write_key_pair

ROOT = "ab" * 32
HEAD = 'version = 1\n[[rule]]\nname = "*"\nkeys = ["a.pub"]\n'
PROVENANCE = "[rule.provenance]\n"
LOGGED = "[rule.log]\n"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    for name in ("a", "b"):
        write_key_pair(generate_key(), tmp_path / f"{name}.key", tmp_path / f"{name}.pub")
    for name, kind in (("log", LOG), ("w1", WITNESS), ("w2", WITNESS)):
        write_note_keys(generate_note_key(f"example.com/{name}", kind), str(tmp_path / name))
    return tmp_path


def read(home: Path, text: str) -> Policy:
    path = home / "policy.toml"
    path.write_text(HEAD + text)
    return PolicyFile.read(path).for_checkpoint("/srv/x")


def test_nothing_is_required_unless_it_is_said(home: Path) -> None:
    policy = read(home, "")
    assert (policy.log, policy.provenance) == (None, None)


def test_every_key(home: Path) -> None:
    policy = read(
        home,
        f"""{PROVENANCE}keys = ["b.pub"]
known-parents = ["pyhash-v1:{ROOT}"]
datasets = ["sha256:{ROOT}"]
required-steps = ["evaluate"]
[rule.provenance.step-keys]
quantize = ["a.pub"]
{LOGGED}key = "log.vkey"
witnesses = ["w1.vkey", "w2.vkey"]
quorum = 1
""",
    )
    needs, log = policy.provenance, policy.log
    assert needs is not None
    assert log is not None
    a, b = (load_verifier(str(home / f"{name}.pub")).hint for name in "ab")
    assert [key.hint for key in needs.keys] == [b]
    assert [key.hint for key in needs.keys_of("quantize")] == [a]
    assert [key.hint for key in needs.keys_of("train")] == [b]
    assert (needs.known_parents, needs.allow_unknown_parents) == ((ROOT,), False)
    assert (needs.datasets, needs.required_steps) == ((f"sha256:{ROOT}",), ("evaluate",))
    assert needs.log == log
    assert log.key.name == "example.com/log"
    assert ([one.name for one in log.witnesses], log.threshold) == (
        ["example.com/w1", "example.com/w2"],
        1,
    )
    names = ("policy.toml", "a.pub", "log.vkey", "w1.vkey", "w2.vkey", "b.pub", "a.pub")
    assert policy.files == tuple(str(home / name) for name in names)


def test_all_witnesses_unless_a_quorum_is_named(home: Path) -> None:
    policy = read(home, f'{LOGGED}key = "log.vkey"\nwitnesses = ["w1.vkey", "w2.vkey"]\n')
    assert policy.log is not None
    assert policy.log.threshold == 2


def test_no_data_set_is_not_any_data_set(home: Path) -> None:
    text = f'{PROVENANCE}keys = ["b.pub"]\nallow-unknown-parents = true\n'
    needs = read(home, text).provenance
    assert needs is not None
    assert (needs.datasets, needs.allow_unknown_parents, needs.log) == (None, True, None)
    needs = read(home, f"{text}datasets = []\n").provenance
    assert needs is not None
    assert needs.datasets == ()


KEYS = f'{PROVENANCE}keys = ["b.pub"]\n'
LOG_KEY = f'{LOGGED}key = "log.vkey"\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("provenance = 1\n", "provenance must be a table"),
        ("log = []\n", "log must be a table"),
        (PROVENANCE, "at least one trusted key"),
        (f"{PROVENANCE}keys = 1\n", "keys must be an array"),
        (f"{KEYS}key = 1\n", "provenance: unknown key 'key'"),
        (f"{KEYS}allow-unknown-parents = 1\n", "allow-unknown-parents must be true or false"),
        (f'{KEYS}known-parents = ["x"]\n', "root"),
        (f"{KEYS}known-parents = 1\n", "known-parents must be an array"),
        (f"{KEYS}known-parents = [1]\n", "known-parents must be an array of strings"),
        (f"{KEYS}datasets = [1]\n", "datasets must be an array of strings"),
        (f"{KEYS}required-steps = [1]\n", "required-steps must be an array of strings"),
        (f'{KEYS}datasets = ["x"]\n', "ALGORITHM:HEX"),
        (f'{KEYS}datasets = ["sha256:XY"]\n', "ALGORITHM:HEX"),
        (f'{KEYS}required-steps = ["cook"]\n', "no step 'cook'"),
        (f"{KEYS}step-keys = 1\n", "step-keys must be a table"),
        (f'{KEYS}[rule.provenance.step-keys]\ncook = ["a.pub"]\n', "unknown key 'cook'"),
        (f"{KEYS}[rule.provenance.step-keys]\ntrain = []\n", "at least one trusted key"),
        (LOGGED, "log: key is missing"),
        (f'{LOGGED}key = ""\n', "log: key must be"),
        (f"{LOGGED}key = 1\n", "log: key must be"),
        (f'{LOG_KEY}witness = "w1.vkey"\n', "log: unknown key 'witness'"),
        (f'{LOG_KEY}witnesses = "w1.vkey"\n', "witnesses must be an array"),
        (f"{LOG_KEY}witnesses = [1]\n", "witnesses must be an array of strings"),
        (f'{LOG_KEY}quorum = "1"\n', "quorum must be an integer"),
        (f"{LOG_KEY}quorum = true\n", "quorum must be an integer"),
        (f"{LOG_KEY}quorum = 1\n", "1 of 0 witnesses"),
        (f"{LOG_KEY}quorum = -1\n", "-1 of 0 witnesses"),
        (f'{LOG_KEY}witnesses = ["w1.vkey", "w1.vkey"]\n', "named twice"),
        (f'{LOGGED}key = "missing.vkey"\n', "missing.vkey"),
        (f'{PROVENANCE}keys = ["missing.pub"]\n', "missing.pub"),
    ],
)
def test_what_is_not_understood_is_no_policy(home: Path, text: str, message: str) -> None:
    with pytest.raises(PolicyFileError) as caught:
        read(home, text)
    assert message in str(caught.value)


def test_key_of_another_kind(home: Path) -> None:
    with pytest.raises(KeyFileError):
        read(home, f'{LOGGED}key = "w1.vkey"\n')
    with pytest.raises(KeyFileError):
        read(home, f'{LOG_KEY}witnesses = ["log.vkey"]\n')


@pytest.mark.parametrize("name", ["log.vkey", "w1.vkey", "b.pub"])
def test_keys_that_others_can_write(home: Path, name: str) -> None:
    (home / name).chmod(0o666)
    with pytest.raises(PolicyFileError, match="lets others write"):
        read(home, f'{KEYS}{LOG_KEY}witnesses = ["w1.vkey"]\n')
