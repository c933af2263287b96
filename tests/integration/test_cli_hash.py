# SPDX-License-Identifier: Apache-2.0
"""pyhash hash: roots, digests of files, lists checked; against the real sha256sum, both ways."""

from __future__ import annotations

import hashlib
import json
import os
import pty
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import blake3
import pytest
import xxhash

from pyhash import digest_list, errors
from pyhash.cli import group
from tests import reference
from tests.support import checkpoints, command_line

ODD_NAMES = [
    b"plain",
    b"two words",
    b" leading",
    b"trailing ",
    b"*star",
    b"#number",
    b"back\\slash",
    b"\\n",
    b"new\nline",
    b"carriage\rreturn\r",
    b"\n\\\r",
    b"\xff\xfe not text",
    "m\u00fcller\u2028\u65e5\u672c".encode(),
    b"\x1b[31mred",
    b"a: OK",
]
ORACLES: dict[str, Callable[[bytes], str]] = {
    "sha256": lambda data: hashlib.sha256(data).hexdigest(),
    "blake3": lambda data: blake3.blake3(data).hexdigest(),
    "xxh3-128": lambda data: xxhash.xxh3_128(data).hexdigest(),
}

Run = Callable[..., tuple[int, bytes, str]]


@pytest.fixture
def run_hash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> Run:
    """Run ``hash`` in this process, in an empty directory: exit code, output, error output."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> tuple[int, bytes, str]:
        code = group.run(["hash", *arguments])
        out, err = capsysbinary.readouterr()
        return code, out, err.decode()

    return run


@pytest.fixture
def odd_files(tmp_path: Path) -> list[bytes]:
    for name in ODD_NAMES:
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_bytes(name * 1000)
    return ODD_NAMES


def sha256sum(*arguments: bytes | str, cwd: Path) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["sha256sum", *arguments], cwd=cwd, capture_output=True, check=False)


# --- roots --------------------------------------------------------------------------------------


def test_root_of_a_checkpoint(run_hash: Run, tmp_path: Path) -> None:
    model = checkpoints.make_hf_checkpoint(tmp_path / "model", shards=2)
    (model / "empty").touch()
    (model / ".gitignore").write_text("*")
    root = reference.hash_path(model, reference.LEFT_OUT).hex()
    assert run_hash("model") == (0, f"pyhash-v1:{root}  model\n".encode(), "")
    found = json.loads(run_hash("model", "--format", "json")[1])
    assert (found["root"], found["result"]) == (f"pyhash-v1:{root}", "ok")
    assert (found["checkpoint"], found["guarantee"], found["key"]) == ("model", None, None)
    names = set(os.listdir(model)) - {".gitignore"}
    assert found["files"] == len(names)
    assert found["bytes"] == sum((model / name).stat().st_size for name in names)


def test_root_of_one_file(run_hash: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    root = reference.hash_path(tmp_path / "file", []).hex()
    assert run_hash("file") == (0, f"pyhash-v1:{root}  file\n".encode(), "")


def test_a_checkpoint_with_a_link_is_refused(run_hash: Run, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model/link").symlink_to("elsewhere")
    code, out, err = run_hash("model")
    assert (code, out) == (1, b"")
    assert "symbolic link" in err


def test_a_model_that_is_not_there(run_hash: Run) -> None:
    code, out, err = run_hash("missing")
    assert (code, out) == (3, b"")
    assert err == "error: missing: No such file or directory\n"


# --- digests of files ---------------------------------------------------------------------------


def test_the_same_lines_as_sha256sum(odd_files: list[bytes], tmp_path: Path) -> None:
    ours = command_line.pyhash("hash", "--algorithm", "sha256", "--", *odd_files, cwd=tmp_path)
    theirs = sha256sum("--", *odd_files, cwd=tmp_path)
    assert (ours.returncode, ours.stderr) == (0, b"")
    # Of a carriage return, not every version makes an escape.
    for our_line, their_line, name in zip(
        ours.stdout.splitlines(), theirs.stdout.splitlines(), odd_files, strict=False
    ):
        if b"\r" in name:
            break
        assert our_line == their_line
    digests = [line.removeprefix(b"\\")[:64].decode() for line in ours.stdout.split(b"\n")[:-1]]
    assert digests == [hashlib.sha256(name * 1000).hexdigest() for name in odd_files]


@pytest.mark.parametrize("algorithm", ORACLES)
def test_digests_of_files(algorithm: str, run_hash: Run, tmp_path: Path) -> None:
    contents = {"empty": b"", "small": b"content", "large": bytes(range(256)) * 9000}
    for name, data in contents.items():
        (tmp_path / name).write_bytes(data)
    code, out, err = run_hash("--algorithm", algorithm, *contents)
    expected = [f"{ORACLES[algorithm](data)}  {name}" for name, data in contents.items()]
    assert (code, out.decode().splitlines(), err) == (0, expected, "")


def test_a_file_that_cannot_be_read(run_hash: Run, tmp_path: Path) -> None:
    (tmp_path / "good").write_bytes(b"content")
    (tmp_path / "directory").mkdir()
    arguments = ("--algorithm", "sha256", "missing", "good", "directory")
    code, out, err = run_hash(*arguments)
    assert code == 3
    assert out.decode() == f"{hashlib.sha256(b'content').hexdigest()}  good\n"
    assert err.splitlines() == [
        "error: 2 of 3 files could not be read",
        "  missing: No such file or directory",
        "  directory: a directory",
    ]
    found = json.loads(run_hash(*arguments, "--format", "json")[1])
    assert (found["result"], found["exit_code"], found["algorithm"]) == ("error", 3, "sha256")
    assert [finding["code"] for finding in found["findings"]] == ["unreadable", "unreadable"]
    assert found["digests"] == [
        {"path": "missing", "digest": None},
        {"path": "good", "digest": hashlib.sha256(b"content").hexdigest()},
        {"path": "directory", "digest": None},
    ]


def on_terminal(tmp_path: Path, *arguments: bytes | str) -> bytes:
    """What a command writes to a terminal."""
    ours, theirs = pty.openpty()
    try:
        process = command_line.pyhash(*arguments, cwd=tmp_path, stdout=theirs)
        assert process.returncode == 0, process.stderr
        return os.read(ours, 1 << 16)
    finally:
        os.close(ours)
        os.close(theirs)


def test_a_terminal_gets_names_escaped_and_a_program_gets_them_as_they_are(tmp_path: Path) -> None:
    name = b"\x1b[31mred"
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_bytes(b"content")
    digests = ("hash", "--algorithm", "sha256", name)
    (tmp_path / "list").write_bytes(command_line.pyhash(*digests, cwd=tmp_path).stdout)
    for arguments in (digests, ("hash", name), ("hash", "--check", "list")):
        assert name in command_line.pyhash(*arguments, cwd=tmp_path).stdout
        shown = on_terminal(tmp_path, *arguments)
        assert b"\x1b" not in shown
        assert b"\\x1b[31mred" in shown


# --- lists --------------------------------------------------------------------------------------


def test_sha256sum_checks_our_list(odd_files: list[bytes], tmp_path: Path) -> None:
    names = [name for name in odd_files if b"\r" not in name]
    made = command_line.pyhash("hash", "--algorithm", "sha256", "--", *names, cwd=tmp_path)
    (tmp_path / "list").write_bytes(made.stdout)
    assert sha256sum("--strict", "-c", "list", cwd=tmp_path).returncode == 0
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/new\nline")).write_bytes(b"changed")
    assert sha256sum("--strict", "-c", "list", cwd=tmp_path).returncode == 1


@pytest.mark.parametrize("mode", ["--text", "--binary"])
def test_we_check_the_list_of_sha256sum(mode: str, odd_files: list[bytes], tmp_path: Path) -> None:
    made = sha256sum(mode, "--", *odd_files, cwd=tmp_path)
    (tmp_path / "list").write_bytes(made.stdout)
    process = command_line.pyhash("hash", "-c", "list", cwd=tmp_path)
    assert (process.returncode, process.stderr) == (0, b"")
    lines = process.stdout.split(b"\n")[:-1]
    assert lines[0] == b"plain: OK"
    assert len(lines) == len(odd_files)
    assert all(line.endswith(b": OK") for line in lines)


def test_our_own_list_with_carriage_returns(odd_files: list[bytes], tmp_path: Path) -> None:
    made = command_line.pyhash("hash", "--algorithm", "sha256", "--", *odd_files, cwd=tmp_path)
    assert b"\r" not in made.stdout
    (tmp_path / "list").write_bytes(made.stdout)
    assert command_line.pyhash("hash", "-c", "list", cwd=tmp_path).returncode == 0


@pytest.mark.parametrize("algorithm", ORACLES)
def test_a_list_of_every_algorithm(algorithm: str, run_hash: Run, tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(b"content")
    (tmp_path / "two").write_bytes(b"")
    (tmp_path / "list").write_bytes(run_hash("--algorithm", algorithm, "one", "two")[1])
    check = ("--check", "list", "--algorithm", algorithm)
    assert run_hash(*check) == (0, b"one: OK\ntwo: OK\n", "")
    assert run_hash(*check, "--quiet") == (0, b"", "")
    (tmp_path / "two").write_bytes(b"more")
    code, out, err = run_hash(*check)
    assert (code, out) == (1, b"one: OK\ntwo: FAILED\n")
    assert err.startswith("refused: of 2 files, 1 differ and 0 could not be read\n")
    assert run_hash(*check, "--quiet")[1] == b"two: FAILED\n"


def listed(tmp_path: Path, contents: dict[str, bytes]) -> None:
    """Write a list, and those of its files that have content."""
    lines = []
    for name, data in contents.items():
        lines.append(f"{hashlib.sha256(data).hexdigest()} *{name}\n")
        (tmp_path / name).write_bytes(data)
    (tmp_path / "list").write_text("".join(lines))


@pytest.mark.parametrize(
    ("damaged", "code", "result"),
    [
        ({}, 0, "ok"),
        ({"one": None}, 3, "error"),
        ({"one": b"other"}, 1, "refused"),
        ({"one": b"other", "two": None}, 1, "refused"),
    ],
)
def test_differing_and_unreadable_files_of_a_list(
    damaged: dict[str, Any], code: int, result: str, run_hash: Run, tmp_path: Path
) -> None:
    listed(tmp_path, {"one": b"1", "two": b"2", "three": b"3"})
    for name, data in damaged.items():
        if data is None:
            (tmp_path / name).unlink()
        else:
            (tmp_path / name).write_bytes(data)
    found_code, out, _ = run_hash("--check", "list")
    verdicts = {
        name: "FAILED open or read" if data is None else "FAILED" for name, data in damaged.items()
    }
    lines = [f"{name}: {verdicts.get(name, 'OK')}" for name in ("one", "two", "three")]
    assert (found_code, out.decode().splitlines()) == (code, lines)
    found = json.loads(run_hash("--check", "list", "--format", "json")[1])
    assert (found["exit_code"], found["result"], found["files"]) == (code, result, 3)
    assert {finding["path"] for finding in found["findings"]} == set(damaged)
    for finding in found["findings"]:
        if finding["code"] == "digest":
            assert finding["expected"] == hashlib.sha256(b"1").hexdigest()
            assert finding["actual"] == hashlib.sha256(b"other").hexdigest()


DIGEST = b"0" * 64


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n",
        b"nonsense\n",
        DIGEST + b"\n",
        DIGEST + b"  \n",
        DIGEST + b" name\n",
        DIGEST + b"\tname\n",
        DIGEST[1:] + b"  name\n",
        DIGEST + b"0  name\n",
        b"g" + DIGEST[1:] + b"  name\n",
        DIGEST + b"  na\0me\n",
        DIGEST + b"  name\n\n",
        DIGEST + b"  name\nmore\n",
        b"# comment\n" + DIGEST + b"  name\n",
        b"\\" + DIGEST + b"  na\\me\n",
        b"\\" + DIGEST + b"  name\\\n",
        b"SHA256 (name) = " + DIGEST + b"\n",
    ],
)
def test_a_malformed_list_cannot_be_checked(data: bytes, run_hash: Run, tmp_path: Path) -> None:
    (tmp_path / "list").write_bytes(data)
    (tmp_path / "name").write_bytes(b"")
    code, out, err = run_hash("--check", "list")
    assert (code, out) == (3, b"")
    assert err.startswith("error: list: ")
    assert err.count("\n") == 1


def test_a_list_that_is_not_there_or_too_large(
    run_hash: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run_hash("--check", "list")[0] == 3
    listed(tmp_path, {"one": b"1"})
    monkeypatch.setattr("pyhash.limits.MAX_DIGEST_LIST_BYTES", 70)
    assert len((tmp_path / "list").read_bytes()) == 70
    assert run_hash("--check", "list")[0] == 0
    monkeypatch.setattr("pyhash.limits.MAX_DIGEST_LIST_BYTES", 69)
    assert run_hash("--check", "list")[0] == 3


def test_a_list_as_others_write_it() -> None:
    upper = hashlib.sha256(b"").hexdigest().upper().encode()
    data = upper + b" *one\n" + upper.lower() + b"  old\rversion\n\\" + upper + b"  a\\\\b\\nc\\rd"
    found = digest_list.load_list(data, digest_bytes=32, source="list")
    assert [one.path for one in found] == ["one", "old\rversion", "a\\b\nc\rd"]
    assert {one.digest for one in found} == {hashlib.sha256(b"").digest()}


@pytest.mark.parametrize("name", ODD_NAMES)
def test_a_line_comes_back_as_it_went(name: bytes) -> None:
    line = digest_list.dump_line(os.fsdecode(name), bytes(range(32)))
    assert b"\n" not in line
    (found,) = digest_list.load_list(line + b"\n", digest_bytes=32, source="list")
    assert (found.path, found.digest) == (os.fsdecode(name), bytes(range(32)))


def test_a_digest_of_another_length() -> None:
    with pytest.raises(errors.FormatError, match="digest of 16 bytes"):
        digest_list.load_list(DIGEST + b"  name", digest_bytes=16, source="list")
