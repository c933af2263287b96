# SPDX-License-Identifier: Apache-2.0
"""The command line of what changed only: weaker guarantees by name, updates, differences."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pyhash.cli import guarantee_options
from tests.support import command_line
from tests.support.answer_schema import VERIFY, check_object
from tests.support.command_line import SHARD, Signed

MIB = 1 << 20
Run = Callable[..., tuple[int, str, str]]
RECEIPTS = ("--receipts", "receipts")


def ask(run: Run, *arguments: str) -> tuple[int, dict[str, Any]]:
    """Run with JSON output."""
    code, out, err = run(*arguments, "--format", "json")
    assert "Traceback" not in err
    found = json.loads(out)
    check_object(found)
    return code, found


# --- verify ---------------------------------------------------------------------------------------


def test_receipt(signed: Signed, run: Run) -> None:
    code, found = ask(run, *VERIFY, "--receipt", *RECEIPTS)
    assert (code, found["result"]) == (3, "error")
    assert "no receipts are kept here" in found["message"]
    code, found = ask(run, *VERIFY, "--write-receipt", *RECEIPTS)
    assert (code, found["guarantee"]) == (0, "content")
    assert Path(found["receipt"]).parent == Path("receipts")
    code, found = ask(run, *VERIFY, "--receipt", *RECEIPTS)
    assert (code, found["guarantee"], found["bytes"]) == (0, "receipt", 0)
    assert found["message"].endswith("verified earlier on this host, and no file changed since")
    os.utime(signed.shard)
    assert ask(run, *VERIFY, "--receipt", *RECEIPTS)[0] == 3
    code, found = ask(run, *VERIFY, "--changed", *RECEIPTS)
    assert (code, found["hashed_now"]) == (0, [SHARD])
    command_line.flip_bit(signed.shard, MIB)
    code, found = ask(run, *VERIFY, "--changed", *RECEIPTS)
    assert (code, [one["path"] for one in found["findings"]]) == (1, [SHARD])


def test_report_names_the_guarantee(signed: Signed, run: Run) -> None:
    code, out, err = run(*VERIFY, "--sample", "50%", "--seed", "7")
    lines = {line.split()[0]: line for line in out.splitlines()}
    assert (code, err) == (0, "")
    assert lines["guarantee"].startswith("guarantee  sampled: a stated part was hashed now")
    assert "drawn with seed 7" in lines["compared"]
    _, found = ask(run, *VERIFY, "--sample", "50%", "--seed", "7")
    assert (found["guarantee"], found["seed"]) == ("sampled", 7)
    assert set(found["catch_probability"]) == {"1", "10"}
    _, found = ask(run, *VERIFY)
    assert (found["guarantee"], found["detail"]) == ("content", "")
    assert found["message"] == "model is what a trusted key signed"


def test_only(signed: Signed, run: Run) -> None:
    command_line.flip_bit(signed.shard, MIB)
    code, found = ask(run, *VERIFY, "--only", "config.json", "--only", "*00001-of*")
    assert (code, found["guarantee"]) == (0, "sampled")
    assert SHARD in found["not_covered"]
    assert ask(run, *VERIFY, "--only", SHARD)[0] == 1
    assert ask(run, *VERIFY, "--only", "nothing")[0] == 2


def test_resume(signed: Signed, run: Run) -> None:
    code, found = ask(run, *VERIFY, "--resume", *RECEIPTS)
    assert (code, found["guarantee"]) == (0, "content")
    assert os.listdir("receipts") == ["host.key"]
    code, found = ask(run, *VERIFY, "--resume", "--write-receipt", *RECEIPTS)
    assert code == 0
    assert len(os.listdir("receipts")) == 2


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--receipt", "--changed"], "--receipt and --changed exclude each other"),
        (["--only", "x", "--sample", "5%", "--resume"], "--only and --sample and --resume"),
        (["--seed", "1"], "--seed has a sense only with --sample"),
        (["--sample", "5%", "--write-receipt"], "--write-receipt needs every byte verified"),
        (["--only", "x", "--write-receipt"], "--write-receipt needs every byte verified"),
        (["--receipt", "--write-receipt"], "--write-receipt needs every byte verified"),
        (["--sample", "everything"], "cannot sample"),
    ],
)
def test_options_that_make_no_sense(
    options: list[str], text: str, signed: Signed, run: Run
) -> None:
    code, out, err = run(*VERIFY, *options, *RECEIPTS)
    assert (code, out) == (2, "")
    assert text in err
    assert not Path("receipts").exists()


def test_where_receipts_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the user's entry in the password file, never by the environment."""
    monkeypatch.setenv("HOME", "/tmp/elsewhere")
    monkeypatch.setenv("XDG_STATE_HOME", "/tmp/elsewhere")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert guarantee_options.default_receipts() == "/var/lib/pyhash/receipts"
    monkeypatch.setattr(os, "geteuid", lambda: 65534)
    place = guarantee_options.default_receipts()
    assert place.endswith("/.local/state/pyhash/receipts")
    assert "elsewhere" not in place
    monkeypatch.setattr(os, "geteuid", lambda: 4_000_000_000)
    with pytest.raises(guarantee_options.UsageError, match="no home directory"):
        guarantee_options.default_receipts()


# --- sign -----------------------------------------------------------------------------------------

SIGN = ("sign", "model", "--key", "publisher.key")


def test_update(signed: Signed, run: Run) -> None:
    Path("model/README.md").write_text("new")
    code, found = ask(run, *SIGN, "--update", "--unchanged", "*.safetensors")
    assert code == 0
    assert {one["reason"] for one in found["carried"]} == {"named unchanged"}
    assert SHARD in {one["path"] for one in found["carried"]}
    assert run(*VERIFY)[0] == 0
    code, out, _ = run(*SIGN, "--update", "--unchanged", SHARD)
    assert code == 0
    assert f"  {SHARD}  named unchanged" in out.splitlines()
    assert "not hashed now" in out


def test_update_by_receipt(signed: Signed, run: Run) -> None:
    assert run(*SIGN, "--write-receipt", *RECEIPTS)[0] == 0
    assert run(*VERIFY, "--receipt", *RECEIPTS)[0] == 0
    _, found = ask(run, *SIGN, "--update", "--receipt", *RECEIPTS)
    assert {one["reason"] for one in found["carried"]} == {"unchanged by the receipt"}
    assert len(found["carried"]) == found["files"]


@pytest.mark.parametrize(
    "options",
    [
        ["--unchanged", "*"],
        ["--receipt"],
        ["--earlier-key", "publisher.pub"],
        ["--update"],
        ["--update", "--earlier-key", "publisher.pub"],
        ["--update", "--unchanged", "nothing"],
    ],
)
def test_update_that_makes_no_sense(options: list[str], signed: Signed, run: Run) -> None:
    before = Path("model/model.sig").read_bytes()
    assert run(*SIGN, *options)[0] == 2
    assert Path("model/model.sig").read_bytes() == before


def test_update_over_another_signer(signed: Signed, run: Run) -> None:
    assert run("keygen", "other")[0] == 0
    update = ("--update", "--unchanged", SHARD)
    assert run("sign", "model", "--key", "other.key", *update)[0] == 1
    earlier = ("--earlier-key", "publisher.pub")
    assert run("sign", "model", "--key", "other.key", *update, *earlier)[0] == 0
    assert run("verify", "model", "--key", "other.pub")[0] == 0


# --- diff -----------------------------------------------------------------------------------------


@pytest.fixture
def changed(signed: Signed, run: Run) -> Signed:
    """Another checkpoint, ``changed``, signed by the same key."""
    shutil.copytree("model", "changed")
    command_line.flip_bit(Path("changed", SHARD), 2 * MIB + 5)
    Path("changed/README.md").write_text("<b>")
    Path("changed/generation_config.json").unlink()
    assert run("sign", "changed", "--key", "publisher.key")[0] == 0
    return signed


def test_diff(changed: Signed, run: Run) -> None:
    code, out, err = run("diff", "model", "changed", "--key", "publisher.pub")
    lines = out.splitlines()
    assert (code, err) == (0, "")
    assert lines[0] == "+ README.md  added, 3 B"
    assert lines[1].startswith("- generation_config.json  removed, ")
    assert lines[2] == f"~ {SHARD}  changed, 4.2 MB"
    assert lines[3] == "    bytes [2097152, 3145728)"
    assert lines[4].startswith("    changed model.")
    assert "3 files differ" in lines[-1]
    code, found = ask(run, "diff", "model", "changed", "--key", "publisher.pub")
    assert (code, found["same"], found["hashed_bytes"]) == (0, False, 0)
    assert [one["kind"] for one in found["differences"]] == ["added", "removed", "changed"]
    assert found["before"]["signature"] == "verified"
    assert found["share"] == pytest.approx(found["changed_bytes"] / found["total_bytes"])


def test_diff_says_what_was_not_checked(changed: Signed, run: Run) -> None:
    _, _, err = run("diff", "model/model.sig", "changed/model.sig")
    assert err.count("unverified: nobody's signature was checked") == 2
    _, found = ask(run, "diff", "model", "changed", "--hash")
    assert found["before"]["signature"] == "none"
    assert found["hashed_bytes"] > 2 * 4 * MIB
    code, out, err = run("diff", "model", "model", "--key", "publisher.pub")
    assert (code, err) == (0, "")
    assert out.startswith("0 files differ, ")
    assert run("keygen", "other")[0] == 0
    assert run("diff", "model", "changed", "--key", "other.pub")[0] == 1
    assert run("diff", "model", "absent")[0] == 3


def test_diff_page(changed: Signed, run: Run) -> None:
    arguments = ("diff", "model", "changed", "--key", "publisher.pub", "--html")
    assert run(*arguments, "page.html")[0] == 0
    page = Path("page.html").read_text()
    assert page.startswith("<!doctype html>")
    assert SHARD in page
    assert page.count("<svg") == 3
    code, _, err = run(*arguments, "absent/page.html")
    assert code == 3
    assert "cannot be written" in err


def test_diff_does_not_list_without_end(signed: Signed, run: Run) -> None:
    shutil.copytree("model", "changed")
    with Path("changed", SHARD).open("r+b") as file:
        file.seek(1 << 16)  # behind the header
        file.write(bytes(4 * MIB - (1 << 17)))
    for name in ("a", "b"):
        (Path(name)).mkdir()
        with Path(name, "x.bin").open("wb") as file:
            file.truncate(12 * MIB)
    for span in range(0, 12, 2):
        command_line.flip_bit(Path("b/x.bin"), span * MIB)
    for name in ("a", "b", "changed"):
        assert run("sign", name, "--key", "publisher.key")[0] == 0
    assert "and 2 more ranges" in run("diff", "a", "b")[1]
    assert "more tensors" in run("diff", "model", "changed")[1]


def test_junit_lists_only_files_that_were_hashed_whole(signed: Signed, run: Run) -> None:
    names = ('"model-0000', '"config.json')

    def cases(*options: str) -> list[str]:
        code, out, _ = run(*VERIFY, *options, "--format", "junit")
        assert code == 0
        return [line for line in out.splitlines() if any(name in line for name in names)]

    assert len(cases()) == 3
    assert cases("--sample", "50%") == []
    assert len(cases("--only", "config.json")) == 1
