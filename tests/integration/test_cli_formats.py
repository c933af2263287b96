# SPDX-License-Identifier: Apache-2.0
"""The documents for programs, read by programs of others: an XML parser, a reader of JUnit reports,
and the model of SARIF that was generated from the schema of OASIS.

Two things matter more than looks: what is not success never looks like success, and no name that
an attacker chooses is anything but text.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit
from xml.etree import ElementTree

import junitparser
import pytest
from pydantic_sarif.model import StaticAnalysisResultsFormatSarifVersion210JsonSchema as SarifLog

import pyhash
from pyhash import errors
from pyhash.cli import formats, group, settings
from pyhash.cli.answer import EXIT_CODES, Answer
from pyhash.errors import DamagedRange, Finding
from tests.support import command_line
from tests.support.answer_schema import FINDING_KEYS, KEYS, VERIFY
from tests.support.command_line import SHARD, Signed

MIB = 1 << 20
Run = Callable[..., tuple[int, str, str]]
HOSTILE = (
    "a&b<c>'d\"e.bin",
    "]]>-->.bin",
    "\x1b[2J\x07.bin",
    "line\nbreak\r.bin",
    "[click](javascript:alert){0}.bin",
    "\u202e\ufffe\uffff\U0001f600é.bin",
    os.fsdecode(b"\xff\xfe.bin"),
    "a:b?c#d%41.bin",
    "<!DOCTYPE x [<!ENTITY y SYSTEM 'file:&#47;etc&#47;passwd'>]>",
)


def read_junit(text: str) -> tuple[junitparser.TestSuite, list[junitparser.TestCase]]:
    """The one suite of a document, its counts being those of its cases."""
    (suite,) = junitparser.JUnitXml.fromstring(text.encode("ascii"))
    cases = list(suite)
    kinds = [type(result) for case in cases for result in case.result]
    assert suite.tests == len(cases) >= 1
    assert suite.failures == kinds.count(junitparser.Failure)
    assert suite.errors == kinds.count(junitparser.Error)
    assert suite.skipped == 0
    return suite, cases


def read_sarif(text: str) -> dict[str, Any]:
    """The one run of a document that follows the schema."""
    assert text.isascii()
    found = json.loads(text)
    SarifLog.model_validate(found)
    (run,) = found["runs"]
    assert urlsplit(found["$schema"]).netloc == "docs.oasis-open.org"
    rules = {rule["id"] for rule in run["tool"]["driver"]["rules"]}
    assert rules == {result["ruleId"] for result in run["results"]}
    assert isinstance(run, dict)
    return run


def read_lines(text: str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The findings and the answer."""
    assert text.isascii()
    *findings, answer = map(json.loads, text.splitlines())
    assert all(list(one) == ["kind", "command", *FINDING_KEYS] for one in findings)
    assert {one["kind"] for one in findings} <= {"finding"}
    keys = [key for key in KEYS if key != "findings"]
    assert list(answer)[: len(KEYS)] == ["kind", *keys]
    assert (answer["kind"], answer["finding_count"]) == ("answer", len(findings))
    return findings, answer


# --- a checkpoint -------------------------------------------------------------------------------


def test_verified(signed: Signed, run: Run) -> None:
    files = sorted(path.name for path in Path("model").iterdir())
    files = [name for name in files if name not in ("model.sig", "model.tree")]
    code, out, err = run(*VERIFY, "--format", "junit")
    assert (code, err) == (0, "")
    suite, cases = read_junit(out)
    assert sorted(case.name for case in cases) == files
    assert {(case.classname, case.is_passed) for case in cases} == {("pyhash.verify", True)}
    assert {one.name: one.value for one in suite.properties()}["guarantee"] == "content"
    code, out, err = run(*VERIFY, "--format", "sarif")
    assert (code, err) == (0, "")
    found = read_sarif(out)
    assert found["results"] == []
    (invocation,) = found["invocations"]
    assert (invocation["executionSuccessful"], invocation["exitCode"]) == (True, 0)
    assert found["properties"]["files"] == len(files)
    code, out, err = run(*VERIFY, "--format", "jsonl")
    assert (code, err) == (0, "")
    findings, answer = read_lines(out)
    assert (findings, answer["result"], answer["files"]) == ([], "verified", len(files))


def test_damage(signed: Signed, run: Run) -> None:
    for offset in (MIB + 5, 3 * MIB + 5):
        command_line.flip_bit(signed.shard, offset)
    truth = json.loads(run(*VERIFY, "--format", "json")[1])
    (finding,) = truth["findings"]

    code, out, _ = run(*VERIFY, "--format", "jsonl")
    findings, answer = read_lines(out)
    assert (code, answer["exit_code"], answer["message"]) == (1, 1, truth["message"])
    assert findings == [{"kind": "finding", "command": "verify", **finding}]

    code, out, err = run(*VERIFY, "--format", "junit")
    assert (code, err) == (1, "")
    suite, (case,) = read_junit(out)
    assert (suite.failures, suite.errors, case.name) == (1, 0, SHARD)
    (failure,) = case.result
    assert failure.type == "digest"
    assert "bytes [1048576, 2097152) (tensors " in failure.message
    assert f"expected {finding['expected']}, found {finding['actual']}" in failure.text

    code, out, err = run(*VERIFY, "--format", "sarif")
    assert (code, err) == (1, "")
    found = read_sarif(out)
    (result,) = found["results"]
    assert (result["ruleId"], result["level"]) == ("digest", "error")
    assert found["invocations"][0]["executionSuccessful"]  # it did find out
    places = [one["physicalLocation"] for one in result["locations"]]
    assert [one["artifactLocation"] for one in places] == [
        {"uri": SHARD, "uriBaseId": "CHECKPOINT"}
    ] * 2
    regions = [(one["region"]["byteOffset"], one["region"]["byteLength"]) for one in places]
    assert regions == [(MIB, MIB), (3 * MIB, MIB)]
    tensors = places[0]["region"]["properties"]["tensors"]
    assert tensors == finding["ranges"][0]["tensors"]


def test_run_leaves_standard_output_alone(signed: Signed, run: Run) -> None:
    signed.shard.unlink()
    for name, read in (("junit", read_junit), ("sarif", read_sarif), ("jsonl", read_lines)):
        code, out, err = run(
            *("run", "model", "--key", "publisher.pub", "--format", name, "--", "touch", "marker")
        )
        assert (code, out) == (1, "")
        read(err)
    assert not Path("marker").exists()


@pytest.mark.parametrize("command", [("ls", "model"), ("hash", "model"), ("doctor",)])
def test_commands_that_verify_nothing(command: tuple[str, ...], signed: Signed, run: Run) -> None:
    for name, read in (("junit", read_junit), ("sarif", read_sarif), ("jsonl", read_lines)):
        code, out, _ = run(*command, "--format", name, "--quiet")
        assert code == 0
        read(out)
    _, (case,) = read_junit(run(*command, "--format", "junit")[1])
    assert (case.name, case.is_passed) == (command[-1], True)


# --- what is not success ------------------------------------------------------------------------

NOT_SUCCESS = [
    (errors.SignatureError("no trusted key"), 1, "refused"),
    (errors.ReadError("it went away", "f"), 3, "error"),
    (ZeroDivisionError("division by zero"), 3, "error"),
    (KeyboardInterrupt(), 130, "interrupted"),
    (errors.UsageError("nonsense"), 2, "usage"),
]


@pytest.mark.parametrize(("error", "code", "result"), NOT_SUCCESS)
def test_no_document_of_a_failure_can_be_taken_for_success(
    error: BaseException,
    code: int,
    result: str,
    signed: Signed,
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def verify(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(pyhash, "verify", verify)
    found, out, _ = run(*VERIFY, "--format", "junit")
    _, (case,) = read_junit(out)
    assert (found, case.name, case.is_failure) == (code, "model", result == "refused")
    assert case.is_error == (result != "refused")
    found, out, _ = run(*VERIFY, "--format", "sarif")
    sarif = read_sarif(out)
    assert found == code == sarif["invocations"][0]["exitCode"]
    assert sarif["invocations"][0]["executionSuccessful"] == (result == "refused")
    assert [(one["ruleId"], one["level"]) for one in sarif["results"]] == [(result, "error")]
    found, out, _ = run(*VERIFY, "--format", "jsonl")
    assert read_lines(out)[1]["exit_code"] == found == code


@pytest.mark.parametrize("name", formats.MACHINE_FORMATS)
def test_options_that_make_no_sense(name: str, run: Run) -> None:
    read = {"junit": read_junit, "sarif": read_sarif, "jsonl": read_lines, "json": json.loads}
    for option in (["--format", name], [f"--format={name}"]):
        code, out, err = run("verify", "model", *option)
        assert (code, err) == (2, "")
        read[name](out)
        assert "--key" in out


def test_the_table(run: Run) -> None:
    assert formats.FORMATS == ("text", "json", "jsonl", "junit", "sarif")
    assert settings.Settings().format == "text"
    help_text = run("verify", "--help")[1]
    for name, (_, meaning) in formats.MACHINE_FORMATS.items():
        assert f"{name}: {meaning}" in re.sub(r"\s+", " ", help_text)


def test_every_format_of_every_kind_of_answer() -> None:
    """Also those that no command gives today: several findings of one file, a new code."""
    ranges = (DamagedRange(0, MIB, tuple(map(str, range(9)))), DamagedRange(MIB, MIB + 7))
    findings = (
        Finding("digest", "b", "other bytes", "00", "ff", ranges),
        Finding("size", "a", "too long", "1", "2"),
        Finding("changed", "b", "changed"),
        Finding("hologram", "c", "of a kind that nobody knows yet"),
    )
    for result, code in EXIT_CODES.items():
        for found in ((), findings):
            answer = Answer(result, "{0}", findings=found, held=("x", "y"), seconds=1.5, files=2)
            suite, cases = read_junit(formats.dump("junit", "verify", answer).decode())
            if found:
                assert [case.name for case in cases][:3] == ["a", "b", "c"]
                assert len(cases[1].result) == 1
                assert "differs in" in cases[1].result[0].text
                assert "b: changed" in cases[1].result[0].text
            good = code == 0 and result != "unverified"  # that one started, and does not hold
            assert (suite.failures + suite.errors == 0) == (good and not found)
            run = read_sarif(formats.dump("sarif", "verify", answer).decode())
            assert len(run["results"]) == (len(found) or not good)
            read_lines(formats.dump("jsonl", "verify", answer).decode())


# --- names that an attacker chooses --------------------------------------------------------------


def test_names_are_text_and_nothing_else(signed: Signed, run: Run) -> None:
    for name in HOSTILE:
        Path("model", name).touch()
    junit, sarif, lines = (
        run(*VERIFY, "--format", name)[1] for name in ("junit", "sarif", "jsonl")
    )
    root = ElementTree.fromstring(junit)
    assert {element.tag for element in root.iter()} == {
        *("testsuites", "testsuite", "properties", "property", "testcase", "failure")
    }
    cases = root.findall(".//testcase")
    assert len(cases) == len(HOSTILE)
    assert {case.tag for case in root.findall(".//failure/..")} == {"testcase"}
    names = [case.attrib["name"] for case in cases]
    assert "a&b<c>'d\"e.bin" in names
    assert "line\\nbreak\\r.bin" in names
    assert HOSTILE[-1] in names
    assert all(name.isprintable() for name in names)

    results = read_sarif(sarif)["results"]
    assert len(results) == len(HOSTILE)
    uris = [one["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for one in results]
    assert all(re.fullmatch(r"(?:[\w.~/-]|%[0-9A-F]{2})+", uri, re.ASCII) for uri in uris)
    assert all(urlsplit(uri).path == uri for uri in uris)
    decodable = {name for name in HOSTILE if name.isprintable() or "\n" in name or "\x1b" in name}
    assert decodable <= {unquote(uri) for uri in uris}
    texts = [one["message"]["text"] for one in results]
    assert not any("](" in text or re.search(r"(?<!{){(?!{)", text) for text in texts)
    assert any("[click] (javascript:alert){{0}}.bin" in text for text in texts)

    findings, _ = read_lines(lines)
    assert "\x1b[2J\x07.bin" in [one["path"] for one in findings]
    assert all(text.isascii() and "\x1b" not in text for text in (junit, sarif, lines))


def test_a_hostile_model_name_and_message() -> None:
    name = "\x00\ud800\"'<&>\ufffe"
    answer = Answer("error", f"{name}: no", checkpoint=name, advice=name, key=name, held=(name,))
    for result in ("error", "ok", "refused"):
        answer = Answer(result, f"{name}: no", checkpoint=name, advice=name, key=name)
        text = formats.dump("junit", name, answer).decode("ascii")
        assert ElementTree.fromstring(text).find(".//testcase") is not None
        read_sarif(formats.dump("sarif", name, answer).decode("ascii"))
        read_lines(formats.dump("jsonl", name, answer).decode("ascii"))


def test_a_full_disk_is_an_error_in_every_format() -> None:
    for name in formats.MACHINE_FORMATS:
        with open("/dev/full", "wb") as full:
            process = command_line.pyhash("doctor", "--format", name, stdout=full)
        assert process.returncode == 3
        assert b"writing the report" in process.stderr


def test_main_answers_in_the_format_that_was_asked_for(signed: Signed) -> None:
    process = command_line.pyhash(*VERIFY, "--format", "sarif", cwd=signed.directory)
    assert (process.returncode, process.stderr) == (0, b"")
    read_sarif(process.stdout.decode())
    assert group.run(["verify", "--", "--format", "junit"]) == 2
