# SPDX-License-Identifier: Apache-2.0
"""What is said when the answer is no, or not known: where, how much, to whom, with what exit code.

Names are chosen by an attacker here: no byte of them may reach a terminal as it is.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

import pyhash
from pyhash import errors
from pyhash.cli import group
from tests.support import command_line
from tests.support.answer_schema import VERIFY, check_object, verify_object
from tests.support.command_line import SHARD, SHARD_BYTES, Signed

MIB = 1 << 20
Run = Callable[..., tuple[int, str, str]]


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
    error: BaseException,
    code: int,
    message: str,
    signed: Signed,
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
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
