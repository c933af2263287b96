# SPDX-License-Identifier: Apache-2.0
"""keygen, sign, verify from the command line: exit codes, what is said where, the JSON object."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import pyhash
from pyhash import errors, signing
from pyhash.cli import group
from pyhash.manifest import ShardEntry, build_manifest, dump_statement
from tests import reference
from tests.support import command_line
from tests.support.command_line import COMMAND, SHARD, SHARD_BYTES, Signed

MIB = 1 << 20
KEYS = {
    "pyhash": str,
    "command": str,
    "result": str,
    "exit_code": int,
    "message": str,
    "checkpoint": (str, type(None)),
    "root": (str, type(None)),
    "guarantee": (str, type(None)),
    "key": (str, type(None)),
    "files": (int, type(None)),
    "bytes": (int, type(None)),
    "seconds": (float, type(None)),
    "findings": list,
}
FINDING_KEYS = {
    "code": str,
    "path": str,
    "message": str,
    "expected": (str, type(None)),
    "actual": (str, type(None)),
    "ranges": list,
}


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Signed:
    return command_line.signed_checkpoint(tmp_path_factory.mktemp("published"))


@pytest.fixture
def signed(published: Signed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Signed:
    """A copy of its own, as the current directory."""
    shutil.copytree(published.directory, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return Signed(tmp_path)


@pytest.fixture
def run(
    capsysbinary: pytest.CaptureFixture[bytes],
) -> Callable[..., tuple[int, str, str]]:
    """Run a command line in this process: exit code, standard output, standard error."""

    def run(*arguments: str) -> tuple[int, str, str]:
        code = group.run(arguments)
        out, err = capsysbinary.readouterr()
        return code, out.decode(), err.decode()

    return run


Run = Callable[..., tuple[int, str, str]]
VERIFY = ("verify", "model", "--key", "publisher.pub")


def check_object(found: dict[str, Any]) -> None:
    """The documented keys are there, in order, with values of the documented types."""
    assert list(found)[: len(KEYS)] == list(KEYS)
    for key, kind in KEYS.items():
        assert isinstance(found[key], kind), key
    assert found["pyhash"] == pyhash.__version__
    for finding in found["findings"]:
        assert list(finding) == list(FINDING_KEYS)
        for key, kind in FINDING_KEYS.items():
            assert isinstance(finding[key], kind), key
        for one in finding["ranges"]:
            assert list(one) == ["start", "end", "tensors"]
            assert 0 <= one["start"] < one["end"]
            assert all(isinstance(name, str) for name in one["tensors"])


def verify_object(signed: Signed, *more: str) -> tuple[int, dict[str, Any]]:
    process = command_line.pyhash(*VERIFY, "--format", "json", *more, cwd=signed.directory)
    assert process.stderr == b""
    found = command_line.answer(process)
    check_object(found)
    assert found["command"] == "verify"
    assert found["exit_code"] == process.returncode
    return process.returncode, found


# --- yes ----------------------------------------------------------------------------------------


def test_verified(signed: Signed) -> None:
    process = command_line.pyhash(*VERIFY, cwd=signed.directory)
    assert (process.returncode, process.stderr) == (0, b"")
    words = {line.split()[0]: line for line in process.stdout.decode().splitlines()}
    assert words["verified"].endswith("model")
    assert "content" in words["guarantee"]
    assert words["root"].split()[1] == reference.ROOT_PREFIX + root_of(signed).hex()


def root_of(signed: Signed) -> bytes:
    """The checkpoint root by the reference implementation."""
    return reference.hash_path(signed.directory / signed.model, reference.LEFT_OUT)


def test_verified_as_json(signed: Signed) -> None:
    code, found = verify_object(signed)
    names = [name for name in os.listdir("model") if name not in ("model.sig", "model.tree")]
    assert (code, found["result"], found["findings"]) == (0, "verified", [])
    assert (found["checkpoint"], found["guarantee"]) == ("model", "content")
    assert found["root"] == reference.ROOT_PREFIX + root_of(signed).hex()
    assert found["files"] == len(names)
    assert found["bytes"] == sum(os.path.getsize(f"model/{name}") for name in names)
    assert found["seconds"] > 0
    assert len(found["key"]) == 64


@pytest.mark.parametrize(
    "options",
    [
        ["--threads", "1"],
        ["--threads", "3", "--reader", "buffered"],
        ["--reader", "mmap", "--kernel", "portable"],
        ["--key", "publisher.pub"],
    ],
)
def test_verified_with_every_option(options: list[str], signed: Signed, run: Run) -> None:
    code, out, err = run(*VERIFY, *options)
    assert (code, err) == (0, "")
    assert out.startswith("verified")


def test_quiet_says_nothing_about_success(signed: Signed, run: Run) -> None:
    assert run(*VERIFY, "--quiet") == (0, "", "")


def test_sign_says_what_it_signed(signed: Signed, run: Run) -> None:
    code, out, err = run("sign", "model", "--key", "publisher.key", "--format", "json")
    found = json.loads(out)
    check_object(found)
    assert (code, err, found["result"]) == (0, "", "signed")
    assert found["root"] == reference.ROOT_PREFIX + root_of(signed).hex()
    assert (found["signature"], found["tree"]) == ("model/model.sig", "model/model.tree")
    assert found["key"] == json.loads(run(*VERIFY, "--format", "json")[1])["key"]
    assert found["files"] == len(os.listdir("model")) - 2


def test_bundle_and_tree_file_elsewhere(signed: Signed, run: Run) -> None:
    elsewhere = ("--signature", "a.sig", "--tree", "a.tree")
    os.unlink("model/model.sig")
    os.unlink("model/model.tree")
    assert run("sign", "model", "--key", "publisher.key", *elsewhere)[0] == 0
    assert run(*VERIFY)[0] == 1
    assert run(*VERIFY, *elsewhere)[0] == 0
    command_line.flip_bit(signed.shard, 2 * MIB)
    assert "[2097152, 3145728)" in run(*VERIFY, *elsewhere)[2]


def test_ignored_paths(signed: Signed, run: Run) -> None:
    Path("model/notes").mkdir()
    Path("model/notes/today.txt").write_text("nothing yet")
    assert run(*VERIFY)[0] == 1
    assert run(*VERIFY, "--ignore", "notes")[0] == 0
    assert run(*VERIFY, "--ignore", "other")[0] == 1
    sign = ("sign", "model", "--key", "publisher.key", "--ignore", "notes")
    assert run(*sign)[0] == 0
    assert run(*VERIFY, "--ignore", "notes")[0] == 0
    root = json.loads(run("hash", "model", "--ignore", "notes", "--format", "json")[1])["root"]
    assert root == json.loads(run(*VERIFY, "--ignore", "notes", "--format", "json")[1])["root"]


def test_without_file_digests(signed: Signed, run: Run) -> None:
    with_digests = os.path.getsize("model/model.sig")
    assert run("sign", "model", "--key", "publisher.key", "--no-file-digests")[0] == 0
    assert os.path.getsize("model/model.sig") < with_digests
    assert run(*VERIFY)[0] == 0


def test_a_single_file(signed: Signed, run: Run) -> None:
    shutil.copy(signed.shard, "one.safetensors")
    assert run("sign", "one.safetensors", "--key", "publisher.key")[0] == 0
    assert run("verify", "one.safetensors", "--key", "publisher.pub")[0] == 0
    assert Path("one.safetensors.sig").exists()
    assert Path("one.safetensors.tree").exists()


@pytest.mark.parametrize("curve", ["P-256", "P-384", "P-521"])
def test_keys_of_every_curve(curve: str, signed: Signed, run: Run) -> None:
    code, out, err = run("keygen", "other", "--curve", curve)
    assert (code, err) == (0, "")
    assert "other.key" in out
    assert "other.pub" in out
    assert os.stat("other.key").st_mode & 0o777 == 0o600
    assert run("sign", "model", "--key", "other.key")[0] == 0
    assert run(*VERIFY)[0] == 1
    assert run("verify", "model", "--key", "other.pub")[0] == 0
    assert run(*VERIFY, "--key", "other.pub")[0] == 0


@pytest.mark.parametrize("there", ["publisher.key", "publisher.pub"])
def test_keys_are_never_overwritten(there: str, signed: Signed, run: Run) -> None:
    gone = ({"publisher.key", "publisher.pub"} - {there}).pop()
    os.unlink(gone)
    before = Path(there).read_bytes()
    code, out, err = run("keygen", "publisher")
    assert (code, out) == (3, "")
    assert err == f"error: {there}: exists already; keys are never overwritten\n"
    assert Path(there).read_bytes() == before
    assert not os.path.exists(gone)


# --- no -----------------------------------------------------------------------------------------


def test_damage_is_located(signed: Signed) -> None:
    command_line.flip_bit(signed.shard, MIB + 5)
    process = command_line.pyhash(*VERIFY, cwd=signed.directory)
    assert (process.returncode, process.stdout) == (1, b"")
    headline, finding, advice = process.stderr.decode().splitlines()
    assert headline.startswith(f"refused: {SHARD}: ")
    assert finding.startswith(f"  {SHARD}: differs in bytes [1048576, 2097152) (tensors ")
    assert advice.startswith("Do not load it. Fetch these files again")


def test_damage_as_json(signed: Signed) -> None:
    for offset in (MIB + 5, 3 * MIB + 5):
        command_line.flip_bit(signed.shard, offset)
    code, found = verify_object(signed)
    assert (code, found["result"], found["root"], found["guarantee"]) == (1, "refused", None, None)
    (finding,) = found["findings"]
    assert (finding["code"], finding["path"]) == ("digest", SHARD)
    assert len(finding["expected"]) == len(finding["actual"]) == 64
    assert finding["expected"] != finding["actual"]
    first, second = finding["ranges"]
    assert (first["start"], first["end"]) == (MIB, 2 * MIB)
    assert (second["start"], second["end"]) == (3 * MIB, 4 * MIB)
    assert owner_of(signed.shard, MIB + 5) in first["tensors"]
    assert owner_of(signed.shard, 3 * MIB + 5) in second["tensors"]
    assert not {*first["tensors"]} & {*second["tensors"]}


def owner_of(shard: Path, offset: int) -> str:
    """The tensor that owns a byte, from the header itself."""
    data = shard.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    (name,) = [
        name
        for name, entry in header.items()
        if name != "__metadata__"
        and entry["data_offsets"][0] <= offset - 8 - length < entry["data_offsets"][1]
    ]
    return str(name)


def test_one_finding_is_not_told_twice(signed: Signed, run: Run) -> None:
    signed.shard.unlink()
    code, out, err = run(*VERIFY)
    assert (code, out) == (1, "")
    assert err.splitlines() == [
        f"refused: {SHARD}: signed, but not there",
        "Fetch the missing files again from the publisher.",
    ]


def test_several_findings_each_on_its_line(signed: Signed, run: Run) -> None:
    signed.shard.unlink()
    for number in range(30):
        Path(f"model/extra-{number:02}").touch()
    code, _, err = run(*VERIFY)
    lines = err.splitlines()
    assert code == 1
    assert len(lines) == 1 + 20 + 1 + 1
    assert lines[0].endswith("(and 30 more)")
    assert lines[1] == f"  {SHARD}: signed, but not there"
    assert lines[2].startswith("  extra-00: not signed")
    assert lines[21] == "  and 11 more"
    assert len(json.loads(run(*VERIFY, "--format", "json")[1])["findings"]) == 31


def test_many_ranges_are_cut_short(signed: Signed, run: Run) -> None:
    path = Path("model/raw.bin")
    path.write_bytes(bytes(11 * MIB))
    assert run("sign", "model", "--key", "publisher.key")[0] == 0
    for span in range(0, 11, 2):
        command_line.flip_bit(path, span * MIB)
    _, _, err = run(*VERIFY)
    line = err.splitlines()[1]
    assert line.count("bytes [") == 4
    assert line.endswith("; and 2 more ranges")
    assert "tensor" not in line


def unsign(signed: Signed) -> None:
    (signed.directory / "model/model.sig").unlink()


def sign_with_another_key(signed: Signed) -> None:
    assert group.run(["keygen", "other", "-q"]) == 0
    assert group.run(["sign", "model", "--key", "other.key", "-q"]) == 0


def link(signed: Signed) -> None:
    signed.shard.rename(signed.directory / "moved")
    signed.shard.symlink_to(signed.directory / "moved")


def shorten(signed: Signed) -> None:
    os.truncate(signed.shard, SHARD_BYTES - 1)


@pytest.mark.parametrize(
    ("damage", "advice"),
    [
        (unsign, "Get the bundle from the publisher"),
        (sign_with_another_key, "Ask the publisher"),
        (link, "Remove what nobody signed"),
        (shorten, "Fetch these files again"),
    ],
)
def test_refusals_end_with_what_to_do(
    damage: Callable[[Signed], None], advice: str, signed: Signed, run: Run
) -> None:
    damage(signed)
    code, out, err = run(*VERIFY)
    assert (code, out) == (1, "")
    assert err.startswith("refused: ")
    assert advice in err.splitlines()[-1] or "missing files" in err.splitlines()[-1]


# --- not known ----------------------------------------------------------------------------------


def break_bundle(signed: Signed) -> None:
    (signed.directory / "model/model.sig").write_text("{")


def break_key(signed: Signed) -> None:
    (signed.directory / "publisher.pub").write_text("no key")


def take_key_away(signed: Signed) -> None:
    (signed.directory / "publisher.pub").unlink()


@pytest.mark.parametrize("damage", [break_bundle, break_key, take_key_away])
def test_what_cannot_be_checked_exits_with_3(
    damage: Callable[[Signed], None], signed: Signed, run: Run
) -> None:
    damage(signed)
    code, out, err = run(*VERIFY)
    assert (code, out, err.count("\n")) == (3, "", 1)
    assert err.startswith("error: ")
    assert verify_object(signed)[1]["result"] == "error"


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (ZeroDivisionError("division by zero"), 3, "a fault in pyhash itself: ZeroDivisionError"),
        (RecursionError(), 3, "a fault in pyhash itself: RecursionError"),
        (MemoryError(), 3, "out of memory"),
        (OSError(28, "No space left on device", "name\x1b"), 3, "No space left on device"),
        (ModuleNotFoundError("No module named 'cryptography'"), 3, "cryptography"),
        (errors.EngineError("out of memory"), 3, "out of memory"),
        (errors.CancelledError("cancelled"), 130, "interrupted"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (errors.PolicyError("not by this key"), 1, "not by this key"),
        (errors.VerificationError("no"), 1, "Do not load it."),
        (errors.UsageError("nonsense"), 2, "nonsense"),
    ],
)
def test_whatever_is_raised_has_an_exit_code_and_one_line(
    error: BaseException, code: int, message: str, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def verify(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(pyhash, "verify", verify)
    found, out, err = run(*VERIFY)
    assert (found, out) == (code, "")
    assert message in err
    assert "Traceback" not in err
    assert "\x1b" not in err
    answer = json.loads(run(*VERIFY, "--format", "json")[1])
    check_object(answer)
    assert answer["exit_code"] == code


def test_names_cannot_steer_the_terminal(signed: Signed, run: Run) -> None:
    for name in (
        b"\x1b[2J\x1b]0;owned\x07",
        b"a\nrefused: nothing",
        b"\xff",
        "\u202e.txt".encode(),
    ):
        Path(os.fsdecode(b"model/" + name)).touch()
    code, _, err = run(*VERIFY)
    assert code == 1
    assert err.isascii()
    assert set(err) <= {chr(number) for number in range(32, 127)} | {"\n"}
    assert "  \\x1b[2J\\x1b]0;owned\\x07: not signed" in err
    assert "  a\\nrefused: nothing: not signed" in err
    assert "\\u202e.txt" in err
    assert "udcff" in err
    out = run(*VERIFY, "--format", "json")[1]
    assert set(out) <= {chr(number) for number in range(32, 127)} | {"\n"}
    paths = [finding["path"] for finding in json.loads(out)["findings"]]
    assert "\x1b[2J\x1b]0;owned\x07" in paths


def test_a_model_whose_own_name_is_odd(signed: Signed) -> None:
    name = b"m\xff\x1b[31m"
    os.rename(b"model", name)
    process = command_line.pyhash("verify", name, "--key", "publisher.pub", cwd=signed.directory)
    assert process.returncode == 0, process.stderr
    assert b"m\\udcff\\x1b[31m" in process.stdout
    process = command_line.pyhash(
        "verify", name, "--key", "publisher.pub", "--format", "json", cwd=signed.directory
    )
    assert command_line.answer(process)["checkpoint"] == "m\\udcff\x1b[31m"


# --- interrupted --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        ("verify", "large", "--key", "publisher.pub"),
        ("hash", "large"),
        ("hash", "--algorithm", "sha256", "large"),
        ("hash", "--algorithm", "blake3", "large"),
        ("hash", "--algorithm", "xxh3-128", "large"),
        ("sign", "large", "--key", "publisher.key", "--signature", "new.sig"),
        ("run", "large", "--key", "publisher.pub", "--", "touch", "marker"),
    ],
)
def test_ctrl_c_exits_with_130(
    arguments: tuple[str, ...], signed: Signed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is sparse, and far too large to be hashed before the signal comes."""
    sign_sparse(Path("large"), 1 << 40)
    process = subprocess.Popen([*COMMAND, *arguments], stdout=-1, stderr=-1, cwd=signed.directory)
    wait_for_threads(process.pid)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=command_line.LIMIT_SECONDS)
    assert process.returncode == 130, err
    assert out == b""
    assert err.startswith(b"interrupted: ")
    assert err.count(b"\n") == 1
    assert not Path("new.sig").exists()
    assert not Path("marker").exists()


def sign_sparse(path: Path, size: int) -> None:
    """Make a sparse file, and a bundle that says that one of this size was signed."""
    with path.open("wb") as file:
        file.truncate(size)
    shard = ShardEntry(path.name, size, bytes(32), bytes(32))
    statement = dump_statement(build_manifest(path.name, [shard]))
    bundle = signing.sign_payload(statement, signing.load_signer("publisher.key"))
    Path(f"{path}.sig").write_bytes(signing.dump_bundle(bundle))


def wait_for_threads(pid: int) -> None:
    """Wait until a process hashes: it is then that it has more than one thread."""
    deadline = time.monotonic() + command_line.LIMIT_SECONDS
    while len(os.listdir(f"/proc/{pid}/task")) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.01)
