# SPDX-License-Identifier: Apache-2.0
"""Policy files: what every key comes to, and that whatever is not understood is no policy."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from pyhash import limits
from pyhash.errors import KeyFileError, PolicyError, PolicyFileError, UsageError
from pyhash.policy import Policy, PolicyFile, _signers, parse_duration
from pyhash.signing.ecdsa import generate_key, load_public_key, write_key_pair

Write = Callable[[str], Path]

FULL = """\
version = 1
state = "state"

[[rule]]
name = "/srv/prod/*"
keys = ["a.pub", "keys/b.pub"]
signatures = 2
roots = ["pyhash-v1:{root}"]
ignore = ["logs", "a/b"]
guarantee = "loaded"
min-release = 7
max-age = "90d"
release-name = "acme/llama"
remember = true
mode = "warn"

[[rule]]
name = "*"
keys = ["a.pub"]
""".format(root="ab" * 32)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path / "etc"
    (home / "keys").mkdir(parents=True)
    (home / "state").mkdir()
    write_key_pair(generate_key(), home / "a.key", home / "a.pub")
    write_key_pair(generate_key(), home / "b.key", home / "keys/b.pub")
    return home


@pytest.fixture
def write(home: Path) -> Write:
    def write(text: str) -> Path:
        (home / "policy.toml").write_text(text)
        return home / "policy.toml"

    return write


def rule(*lines: str) -> str:
    return "\n".join(["version = 1", "[[rule]]", 'name = "*"', 'keys = ["a.pub"]', *lines])


def read(path: Path, name: str = "/srv/x") -> Policy:
    return PolicyFile.read(path).for_checkpoint(name)


def test_every_key(write: Write, home: Path) -> None:
    policy = read(write(FULL), "/srv/prod/llama")
    assert policy.keys == (
        load_public_key(home / "a.pub"),
        load_public_key(home / "keys/b.pub"),
    )
    assert policy.signatures == 2
    assert policy.roots == (b"\xab" * 32,)
    assert policy.ignore == ("logs", "a/b")
    assert policy.guarantee == "loaded"
    assert policy.min_release == 7
    assert policy.max_age == 90 * 24 * 3600
    assert policy.release_name == "acme/llama"
    assert policy.state == str(home / "state")
    assert policy.mode == "warn"
    assert policy.rule == f"rule 1 ('/srv/prod/*') of {home / 'policy.toml'}"
    assert policy.location == "/srv/prod/llama"
    files = ("policy.toml", "a.pub", "keys/b.pub")
    assert policy.files == tuple(str(home / name) for name in files)


def test_defaults_are_strict(write: Write) -> None:
    policy = read(write(FULL), "/srv/other")
    assert (policy.mode, policy.guarantee, policy.signatures) == ("enforce", "content", 1)
    assert policy.state is None
    assert policy.ignore == policy.roots == ()
    assert policy.min_release is policy.max_age is policy.release_name is None


def test_the_first_rule_decides(write: Write) -> None:
    """Not the longest, not the strictest."""
    text = rule("signatures = 1") + '\n[[rule]]\nname = "x"\nkeys = ["keys/b.pub"]\n'
    assert read(write(text), "/srv/x").rule.startswith("rule 1 ")


def test_no_rule_trusts_nobody(write: Write) -> None:
    path = write(rule().replace('"*"', '"llama"'))
    with pytest.raises(PolicyError, match=r"no rule is for /srv/x, so that nobody is trusted"):
        read(path)


def test_paths_are_relative_to_the_policy(
    write: Write, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = write(FULL)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert len(read(path, "/srv/prod/x").keys) == 2
    monkeypatch.chdir(path.parent)
    assert len(read(Path("policy.toml"), "/srv/prod/x").keys) == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "version is missing"),
        ("version = 2", "version is 2; this program reads version 1"),
        ('version = "1"', "version must be an integer"),
        ("version = true", "version must be an integer"),
        ("version = 1", "rule is missing"),
        ("version = 1\nrule = []", "0 rules"),
        ("version = 1\nrule = 1", "rule must be tables"),
        ("version = 1\nrule = [1]", "rule must be tables"),
        ("version = 1\n[rule]\nname = '*'", "rule must be tables"),
        ("version = 1\nrules = []", "unknown key 'rules'; there are version, state, rule"),
        ("version = 1\nversion = 1", "not TOML"),
        ("version = ", "not TOML"),
        ("\x00", "not TOML"),
        ("version = " + "9" * 5000, "not TOML"),
        ("version = 1\nstate = 1", "state must be a string"),
        ("version = 1\nstate = 'missing'", "missing: cannot be read"),
        ("version = 1\n[[rule]]\nkeys = ['a.pub']", "rule 1: name is missing"),
        ("version = 1\n[[rule]]\nname = 'x'", "at least one trusted key"),
        ("version = 1\n[[rule]]\nname = 'x'\nkeys = []", "at least one trusted key"),
        ("version = 1\n[[rule]]\nname = 'x'\nkeys = [1]", "keys must be an array of strings"),
        ("version = 1\n[[rule]]\nname = 'x'\nkeys = 'a.pub'", "keys must be an array of strings"),
        ("version = 1\n[[rule]]\nname = 1\nkeys = ['a.pub']", "name must be a string"),
        ("version = 1\n[[rule]]\nname = 'a//b'\nkeys = ['a.pub']", "an empty component"),
        (rule('key = "a.pub"'), "unknown key 'key'; there are name, mode"),
        (rule('Mode = "enforce"'), "unknown key 'Mode'"),
        (rule('mode = "Enforce"'), "mode is one of enforce, warn, off"),
        (rule("mode = true"), "mode must be a string"),
        (rule("signatures = 0"), "signatures is a number of at least 1"),
        (rule("signatures = true"), "signatures must be an integer"),
        (rule("signatures = 1.0"), "signatures must be an integer"),
        (rule("signatures = 2"), "2 signatures are needed, but only 1"),
        (rule("roots = []"), "roots must be an array of strings that is not empty"),
        (rule("roots = 'x'"), "roots must be an array of strings"),
        (rule("roots = ['ab']"), "root"),
        (rule("ignore = '*'"), "ignore must be an array of strings"),
        (rule("ignore = ['*']"), "cannot ignore this path"),
        (rule("ignore = ['..']"), "cannot ignore this path"),
        (rule("guarantee = 'some'"), "the guarantee is one of"),
        (rule("min-release = -1"), "min-release is a number from 0"),
        (rule("min-release = '1'"), "min-release must be an integer"),
        (rule("min_release = 1"), "unknown key 'min_release'"),
        (rule("max-age = 90"), 'max-age must be a number and a unit'),
        (rule("max-age = '0d'"), "max-age must be a number and a unit"),
        (rule("max-age = '200y'"), "max-age"),
        (rule("release-name = 5"), "release-name must be a string that is not empty"),
        (rule("roots = [1]"), "roots must be an array of strings"),
        (rule("ignore = [1]"), "ignore must be an array of strings"),
        (rule("release-name = ''"), "release-name must be a string that is not empty"),
        (rule("remember = 'yes'"), "remember must be true or false"),
        (rule("remember = true"), "remember needs a directory: state"),
        (rule("[rule.log]"), "log: key is missing"),
        (rule("[rule.certificate]"), "certificate must be tables"),
        (rule("certificate = [1]"), "certificate must be tables"),
        (rule("[[rule.certificate]]"), "no root is named"),
        (rule("[[rule.certificate]]", "root = 'a.pub'"), "say who may sign"),
        (rule("[[rule.certificate]]", "any-identity = 'yes'"), "any-identity must be true or"),
        (rule("[[rule.certificate]]", "subject = 'x'"), "certificate: unknown key 'subject'"),
        (rule("[[rule.certificate]]", "identity = 1"), "identity must be an array of strings"),
        (rule("[[rule.certificate]]", "root = ''"), "certificate: root is empty"),
        (rule("[[rule.sigstore]]", "root = 'x'"), "sigstore: unknown key 'root'; there are trus"),
        (rule("[[rule.sigstore]]", "identity = 'x'"), "root is missing"),
    ],
)  # fmt: skip
def test_what_is_not_understood(text: str, message: str, write: Write) -> None:
    with pytest.raises(PolicyFileError) as caught:
        PolicyFile.read(write(text))
    assert message in str(caught.value)
    assert "policy.toml" in str(caught.value) or "cannot be read" in message


def test_not_utf_8(write: Write, home: Path) -> None:
    write("")
    (home / "policy.toml").write_bytes(b"version = 1\n# \xff")
    with pytest.raises(PolicyFileError, match="not TOML"):
        PolicyFile.read(home / "policy.toml")


def test_nested_too_deeply(write: Write) -> None:
    with pytest.raises(PolicyFileError, match=r"nested too deeply|not TOML"):
        PolicyFile.read(write("a = " + "[" * 50_000))


def test_caps(write: Write, home: Path) -> None:
    one = '\n[[rule]]\nname = "x"\nmode = "off"'
    path = write("version = 1" + one * limits.MAX_POLICY_RULES)
    assert len(PolicyFile.read(path).rules) == limits.MAX_POLICY_RULES
    with pytest.raises(PolicyFileError, match="1001 rules, and from 1 to 1000 are read"):
        PolicyFile.read(write("version = 1" + one * (limits.MAX_POLICY_RULES + 1)))
    text = rule()
    full = text + "\n#" + "x" * (limits.MAX_POLICY_BYTES - len(text) - 2)
    assert len(PolicyFile.read(write(full)).rules) == 1
    with pytest.raises(PolicyFileError, match="larger than"):
        PolicyFile.read(write(full + "x"))


def test_cap_of_signers(write: Write, home: Path) -> None:
    names = []
    for number in range(limits.MAX_RULE_SIGNERS + 1):
        name = f"{number}.pub"
        write_key_pair(generate_key(), home / f"{number}.key", home / name)
        names.append(name)
    path = write(rule().replace('["a.pub"]', str(names[:-1])))
    assert len(read(path).keys) == limits.MAX_RULE_SIGNERS
    with pytest.raises(PolicyFileError, match="65 signers, above the cap of 64"):
        PolicyFile.read(write(rule().replace('["a.pub"]', str(names))))


def test_somebody_twice(write: Write, home: Path) -> None:
    with pytest.raises(PolicyFileError, match="somebody is listed twice"):
        PolicyFile.read(write(rule().replace('["a.pub"]', '["a.pub", "a.pub"]')))
    (home / "copy.pub").write_bytes((home / "a.pub").read_bytes())
    with pytest.raises(PolicyFileError, match="a key is listed twice"):
        PolicyFile.read(write(rule().replace('["a.pub"]', '["a.pub", "copy.pub"]')))


def test_bad_key_of_any_rule(write: Write, home: Path) -> None:
    """Also of one that is not for this checkpoint: half a policy is none."""
    text = rule() + '\n[[rule]]\nname = "y"\nkeys = ["KEY"]\n'
    with pytest.raises(PolicyFileError, match=r"missing.pub: cannot be read"):
        read(write(text.replace("KEY", "missing.pub")))
    with pytest.raises(KeyFileError, match="private key"):
        read(write(text.replace("KEY", "a.key")))


def test_files_that_others_can_write(write: Write, home: Path) -> None:
    path = write(rule())
    path.chmod(0o666)
    with pytest.raises(PolicyFileError, match=r"policy.toml: mode 0666 lets others write"):
        PolicyFile.read(path)
    path.chmod(0o644)
    (home / "a.pub").chmod(0o664)
    with pytest.raises(PolicyFileError, match=r"a.pub: mode 0664 lets others write"):
        PolicyFile.read(path)
    (home / "a.pub").chmod(0o644)
    (home / "state").chmod(0o777)
    with pytest.raises(PolicyFileError, match="state: mode 0777 lets others write"):
        PolicyFile.read(write(FULL))


def test_off_needs_no_key(write: Write) -> None:
    policy = read(write('version = 1\n[[rule]]\nname = "x"\nmode = "off"'))
    assert (policy.mode, policy.keys) == ("off", ())


def test_state_of_the_command_line(write: Write, home: Path) -> None:
    file = PolicyFile.read(write(FULL))
    assert file.for_checkpoint("/srv/x", "/elsewhere").state == "/elsewhere"
    with pytest.raises(UsageError, match="releases are remembered in"):
        file.for_checkpoint("/srv/prod/x", "/elsewhere")


# --- identities -----------------------------------------------------------------------------------


def make_root(home: Path) -> None:
    """A self-signed certificate; what one is good for is tested with the signing methods."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Root")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    (home / "ca.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))


def test_certificates(write: Write, home: Path) -> None:
    make_root(home)
    text = rule("[[rule.certificate]]", 'root = "ca.pem"', 'identity = "a;b%@example.org"')
    policy = read(write(text))
    assert [key.kind for key in policy.keys] == ["key", "certificate"]
    assert getattr(policy.keys[1], "identity", "") == "a;b%@example.org"
    assert str(home / "ca.pem") in policy.files
    anybody = text.replace('identity = "a;b%@example.org"', "any-identity = true")
    assert getattr(read(write(anybody)).keys[1], "identity", "") is None
    for wrong in ("any-identity = false", "any-identity = true\nidentity = 'x'"):
        with pytest.raises(PolicyFileError, match="say who may sign"):
            read(write(text.replace('identity = "a;b%@example.org"', wrong)))
    (home / "ca.pem").chmod(0o666)
    with pytest.raises(PolicyFileError, match=r"ca.pem: mode 0666 lets others write"):
        read(write(text))


def test_one_certificate_for_several_files(write: Write, home: Path) -> None:
    make_root(home)
    text = rule("[[rule.certificate]]", 'root = ["ca.pem", "ca.pem"]', "any-identity = true")
    assert len(read(write(text)).keys) == 2


def test_two_identities_make_two_signers(write: Write, home: Path) -> None:
    make_root(home)
    one, two = (f'[[rule.certificate]]\nroot = "ca.pem"\nidentity = "{name}"' for name in "ab")
    text = rule("signatures = 3", one, two)
    assert read(write(text)).signatures == 3
    with pytest.raises(PolicyFileError, match="somebody is listed twice"):
        read(write(rule(one, one)))


def test_sigstore(write: Write, home: Path) -> None:
    """What the identity comes to; checking one is tested with the signing methods."""
    (home / "root.json").write_text("{}")
    lines = ('trusted-root = "root.json"', 'identity = "ci@acme"', 'issuer = "https://i"')
    path = write(rule("[[rule.sigstore]]", *lines))
    asked = []
    load = _signers.load_verifier

    def load_verifier(reference: str) -> object:
        asked.append(reference)
        return load(
            f"file:{home / 'keys/b.pub'}" if reference.startswith("sigstore:") else reference
        )

    with patch.object(_signers, "load_verifier", load_verifier):
        policy = read(path)
    assert asked == [
        f"file:{home / 'a.pub'}",
        f"sigstore:root={home / 'root.json'};identity=ci@acme;issuer=https://i",
    ]
    assert str(home / "root.json") in policy.files


# --- durations ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1h", 3600), ("90d", 7_776_000), ("2w", 1_209_600), ("1y", 31_536_000), ("999999h", None)],
)
def test_durations(text: str, seconds: int | None) -> None:
    assert parse_duration(text) == (seconds or 999_999 * 3600)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "d",
        "0d",
        "-1d",
        "1",
        "1m",
        "1D",
        "1.5d",
        " 1d",
        "1d\n",
        "01d",
        "1000000h",
        90,
        None,
        "١d",
    ],
)
def test_what_is_no_duration(value: object) -> None:
    with pytest.raises(ValueError, match="a number and a unit"):
        parse_duration(value)
