# SPDX-License-Identifier: Apache-2.0
"""``pyhash verify --from`` and ``pyhash export``: what is said, refused and written."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

import pyhash
from pyhash import errors
from pyhash.cli import export, group
from pyhash.guarantees import MEANINGS as GUARANTEES
from pyhash.interchange import KINDS, MEANINGS, export_list, verify_list
from tests.support import command_line
from tests.support.answer_schema import check_object
from tests.support.command_line import SHARD, Signed

Run = Callable[..., tuple[int, str, str]]
KEY = ("--key", "publisher.pub")


def sums(model: Path) -> str:
    return "".join(
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(model)}\n"
        for path in sorted(model.rglob("*"))
        if path.is_file() and path.name not in ("model.sig", "model.tree")
    )


@pytest.fixture
def listed(signed: Signed) -> Signed:
    Path("SUMS").write_text(sums(Path("model")))
    return signed


# --- verify --from --------------------------------------------------------------------------------


def test_a_match_is_no_verification(listed: Signed, run: Run) -> None:
    code, out, err = run("verify", "model", "--from", "SUMS")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "matches    model"
    assert "verified" not in out
    assert any(line.startswith("guarantee  unsigned-list: ") for line in lines)
    assert any(line.startswith("not        who made the list") for line in lines)


def test_a_match_as_json(listed: Signed, run: Run) -> None:
    code, out, _ = run("verify", "model", "--from", "sha256sum:SUMS", "--format", "json")
    found = json.loads(out)
    check_object(found)
    assert (code, found["result"], found["guarantee"]) == (0, "matches", "unsigned-list")
    assert (found["key"], found["root"], found["kind"]) == (None, None, "sha256sum")
    assert found["files"] == len(Path("SUMS").read_text().splitlines())


def test_no_guarantee_of_a_list_is_one_of_a_signature() -> None:
    """So that no policy can name it, and no report can be taken for the other."""
    assert not MEANINGS.keys() & GUARANTEES.keys()


def test_damage_and_extra_and_missing_files(listed: Signed, run: Run) -> None:
    command_line.flip_bit(listed.shard, 99)
    code, out, err = run("verify", "model", "--from", "SUMS")
    assert (code, out) == (1, "")
    assert f"{SHARD}: other bytes than listed, by sha256" in err
    Path("model/extra.py").write_text("x")
    assert run("verify", "model", "--from", "SUMS")[0] == 1
    assert run("verify", "model", "--from", "SUMS", "--ignore", "extra.py")[0] == 1
    command_line.flip_bit(listed.shard, 99)
    assert run("verify", "model", "--from", "SUMS", "--ignore", "extra.py")[0] == 0
    listed.shard.unlink()
    code, _, err = run("verify", "model", "--from", "SUMS", "--ignore", "extra.py")
    assert (code, f"{SHARD}: in the list, but not there" in err) == (1, True)
    line = ("verify", "model", "--from", "SUMS", "--ignore", "extra.py", "--ignore-missing")
    code, out, _ = run(*line)
    assert code == 0
    assert "note       1 files of the list are not there" in out


def test_missing_files_are_not_ignored_when_all_are(listed: Signed, run: Run) -> None:
    Path("SUMS").write_text(f"{'0' * 64}  none\n")
    model = Path("empty")
    model.mkdir()
    assert run("verify", "empty", "--from", "SUMS", "--ignore-missing")[0] == 1


def test_links_and_sizes_are_refused_before_hashing(listed: Signed, run: Run) -> None:
    os.symlink("config.json", "model/link")
    code, _, err = run("verify", "model", "--from", "SUMS")
    assert (code, "symbolic link" in err) == (1, True)
    os.unlink("model/link")
    size = listed.shard.stat().st_size
    value = {"files": {SHARD: {"sha256": "0" * 64, "size": size + 1}}}
    Path("sums.json").write_text(json.dumps(value))
    code, _, err = run("verify", str(listed.shard), "--from", "sums.json")
    assert (code, f"{size} bytes instead of the listed {size + 1}" in err) == (1, True)


def test_one_file_counts_its_own_lines_only(listed: Signed, run: Run) -> None:
    assert run("verify", f"model/{SHARD}", "--from", "SUMS")[0] == 0
    Path("other.bin").write_text("x")
    code, _, err = run("verify", "other.bin", "--from", "SUMS")
    assert (code, "not in the list" in err) == (1, True)


WRONG_LINES = {
    "key": (*KEY, "--from", "SUMS"),
    "signature": ("--from", "SUMS", "--signature", "x"),
    "tree": ("--from", "SUMS", "--tree", "x"),
    "root": ("--from", "SUMS", "--root", "pyhash-v1:" + "0" * 64),
    "historical": ("--from", "SUMS", "--accept-historical"),
    "ignore-missing alone": (*KEY, "--ignore-missing"),
    "neither": (),
    "pattern": ("--from", "SUMS", "--ignore", "*.py"),
    "no kind": ("--from", "model/config.json"),
}


@pytest.mark.parametrize("line", WRONG_LINES.values(), ids=WRONG_LINES)
def test_lines_that_make_no_sense(listed: Signed, run: Run, line: tuple[str, ...]) -> None:
    code, out, err = run("verify", "model", *line)
    assert (code, out) == (2, "")
    assert err.startswith("usage: ")


@pytest.mark.parametrize(
    "line", [("--from", "none"), ("--from", "sglang:SUMS"), ("--from", "oci:model")]
)
def test_lists_that_cannot_be_read(listed: Signed, run: Run, line: tuple[str, ...]) -> None:
    code, out, err = run("verify", "model", *line)
    assert (code, out) == (3, "")
    assert err.startswith("error: ")


def test_run_takes_no_list(listed: Signed, run: Run) -> None:
    child = ("touch", "started")
    assert run("run", "--from", "SUMS", "model", "--", *child)[0] == 2
    assert run("run", "model", "--", *child)[0] == 2
    assert not Path("started").exists()


def test_a_match_opens_no_gate(listed: Signed) -> None:
    from pyhash import gate

    matched = verify_list("model", "SUMS")
    with pytest.raises(errors.UsageError, match="takes a Verified, not a Matched"):
        gate.start(matched, ["true"])  # type: ignore[arg-type]


def test_ignored_paths_are_a_list(listed: Signed) -> None:
    with pytest.raises(errors.UsageError, match="as a list"):
        verify_list("model", "SUMS", ignore="model")


def test_a_file_that_shrinks_under_a_root(listed: Signed, monkeypatch: pytest.MonkeyPatch) -> None:
    from pyhash import hashing

    fields = dict.fromkeys(("name", "signed_by", "signature", "training_date"), "x")
    fields |= {"hash": "pyhash-v1:" + "0" * 64, "training_data_hash": "x"}
    Path("flat.json").write_text(json.dumps({"model_manifest": fields}))

    def shrink(*_: object, **__: object) -> None:
        raise errors.TruncatedError("x", "config.json")

    monkeypatch.setattr(hashing, "hash_listing", shrink)
    with pytest.raises(errors.ChangedWhileReadError, match="became shorter"):
        verify_list("model", "flat.json")


# --- export ---------------------------------------------------------------------------------------


def test_the_kinds_of_the_command_are_those_of_the_library() -> None:
    written = tuple(kind.name for kind in KINDS.values() if kind.dump is not None)
    assert written == export.WRITTEN


def test_signed_digests_are_written_without_hashing(
    signed: Signed, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pyhash import hashing

    expected = sums(Path("model"))

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("hashed")

    monkeypatch.setattr(hashing, "hash_listing", refuse)
    code, out, err = run("export", "model", "--to", "sha256sum", *KEY)
    assert (code, out, err) == (0, expected, "")
    made = export_list("model", "sha256sum", keys=["publisher.pub"])
    assert (made.is_signed, made.hashed, made.data.decode()) == (True, 0, expected)


def test_without_a_signature_files_are_hashed(signed: Signed, run: Run) -> None:
    command_line.flip_bit(signed.shard, 99)
    code, out, _ = run("export", "model", "--to", "sha256sum", "--unverified")
    assert (code, out) == (0, sums(Path("model")))


def test_a_bundle_without_file_digests_is_verified_and_hashed(signed: Signed) -> None:
    pyhash.sign("model", "publisher.key", file_digests=False)
    made = export_list("model", "sha256sum", keys=["publisher.pub"])
    assert made.data.decode() == sums(Path("model"))
    assert made.hashed > 0
    command_line.flip_bit(signed.shard, 99)
    with pytest.raises(errors.DigestMismatchError):
        export_list("model", "sha256sum", keys=["publisher.pub"])


def test_nothing_is_written_when_the_answer_is_no(signed: Signed, run: Run) -> None:
    line = ("export", "model", "--to", "sglang", *KEY, "-o", "out.json")
    Path("model/extra").write_text("x")
    assert run(*line)[0] == 1
    Path("model/extra").unlink()
    bundle = Path("model/model.sig")
    bundle.write_bytes(bundle.read_bytes().replace(b'"sig":"M', b'"sig":"N'))
    assert run(*line)[0] in (1, 3)
    bundle.unlink()
    assert run(*line)[0] == 1
    assert not Path("out.json").exists()


def test_a_signed_checkpoint_that_leads_out_is_not_exported(signed: Signed, run: Run) -> None:
    from pyhash import closure

    found = [errors.Finding("closure", "config.json", "leads out")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(closure, "check_closure", lambda *_: found)
        assert run("export", "model", "--to", "oci", *KEY)[0] == 1


def test_written_files_are_whole_and_named_in_json(signed: Signed, run: Run) -> None:
    line = ("export", "model", "--to", "sha256sum", *KEY, "-o", "out", "--format", "json")
    code, out, _ = run(*line)
    found = json.loads(out)
    check_object(found)
    assert (code, found["written"], found["signed"], found["bytes"]) == (0, "out", True, 0)
    assert Path("out").read_text() == sums(Path("model"))
    assert run(*line)[0] == 0  # an earlier list is replaced


@pytest.mark.parametrize("target", ["model/config.json", "model/model.sig", "model/model.tree"])
def test_nothing_of_the_checkpoint_is_written_over(signed: Signed, run: Run, target: str) -> None:
    before = Path(target).read_bytes()
    assert run("export", "model", "--to", "sha256sum", *KEY, "-o", target)[0] == 2
    assert Path(target).read_bytes() == before
    name = f"model/{SHARD}"
    assert run("export", name, "--to", "sha256sum", "--unverified", "-o", name)[0] == 2


EXPORTS_THAT_MAKE_NO_SENSE = {
    "neither": ("--to", "sha256sum"),
    "both": ("--to", "sha256sum", *KEY, "--unverified"),
    "bundle of nobody": ("--to", "sha256sum", "--unverified", "--signature", "x"),
    "json to nowhere": ("--to", "sha256sum", "--unverified", "--format", "json"),
    "kind": ("--to", "huggingface", "--unverified"),
    "pattern": ("--to", "sha256sum", "--unverified", "--ignore", "*"),
}


@pytest.mark.parametrize(
    "line", EXPORTS_THAT_MAKE_NO_SENSE.values(), ids=EXPORTS_THAT_MAKE_NO_SENSE
)
def test_exports_that_make_no_sense(signed: Signed, run: Run, line: tuple[str, ...]) -> None:
    code, out, err = run("export", "model", *line)
    assert (code, err.startswith("usage: ") or '"usage"' in out) == (2, True)


def test_kinds_that_cannot_be_written(signed: Signed) -> None:
    for kind in ("huggingface", "none"):
        with pytest.raises(errors.UsageError, match="can be written; there are sha256sum"):
            export_list("model", kind, unverified=True)


def test_an_empty_directory_has_no_list(tmp_path: Path) -> None:
    with pytest.raises(errors.FormatError, match="no file to list"):
        export_list(tmp_path, "sha256sum", unverified=True)


def test_links_are_not_exported_unasked(signed: Signed, run: Run) -> None:
    os.symlink("config.json", "model/link")
    line = ("export", "model", "--to", "sha256sum", "--unverified")
    assert run(*line)[0] == 1
    assert run(*line, "--links-within", "model")[0] == 0


def test_help_without_the_engine() -> None:
    assert group.run(("export", "--help")) == 0
