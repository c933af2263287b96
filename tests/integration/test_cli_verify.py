# SPDX-License-Identifier: Apache-2.0
"""keygen, sign and verify where all is well; test_cli_refused has the rest."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import reference
from tests.support import command_line
from tests.support.answer_schema import VERIFY, check_object, verify_object
from tests.support.command_line import Signed

MIB = 1 << 20
Run = Callable[..., tuple[int, str, str]]


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
