# SPDX-License-Identifier: Apache-2.0
"""``--format sarif``: OASIS SARIF 2.1.0, for dashboards that collect findings of many tools.

One result for each finding. Whatever is not success has at least one result of level ``error``:
a reader that only counts results must not take "could not check" for "nothing found".
"""

from __future__ import annotations

from string import ascii_letters, digits
from typing import Any

from pyhash import __version__
from pyhash.cli.answer import Answer
from pyhash.cli.formats.json_object import dump_line
from pyhash.cli.formats.text import describe_range
from pyhash.cli.terminal_text import printable
from pyhash.errors import DamagedRange, Finding

SCHEMA = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)
BASE = "CHECKPOINT"  # what paths of findings are relative to
UNRESERVED = frozenset(f"{ascii_letters}{digits}-._~/".encode("ascii"))  # RFC 3986, and the slash

# Codes of findings, and results of answers that no finding explains. Others describe themselves.
RULES = {
    "digest": "A file has other bytes than the signed ones.",
    "size": "A file has another size than the signed one.",
    "missing": "A signed file is not there.",
    "unexpected": "Something is there that nobody signed.",
    "changed": "A file changed while it was being read.",
    "closure": "What is signed could lead a loader to something else.",
    "unreadable": "A file could not be read.",
    "refused": "The answer is no: do not load it.",
    "unverified": "A rule lets it start although it does not verify.",
    "error": "It could not be checked: do not load it.",
    "usage": "The command line makes no sense; nothing was checked.",
    "interrupted": "Interrupted before there was an answer.",
}
FAILED = ("error", "usage", "interrupted")
PROPERTIES = ("result", "checkpoint", "root", "guarantee", "key", "files", "bytes", "seconds")


def dump(command: str, answer: Answer) -> bytes:
    """Return the document, on one line. Raises nothing."""
    results = [_result(one) for one in answer.findings]
    if not answer.succeeded and not results:
        text = " ".join(filter(None, (answer.message, answer.advice)))
        results = [{"ruleId": answer.result, "level": "error", "message": _message(text)}]
    used = dict.fromkeys(one["ruleId"] for one in results)
    driver = {
        "name": "pyhash",
        "version": __version__,
        "rules": [
            {"id": one, "shortDescription": {"text": RULES.get(one, f"{one}.")}} for one in used
        ],
    }
    run = {
        "tool": {"driver": driver},
        "invocations": [_invocation(command, answer)],
        "originalUriBaseIds": {BASE: {"description": {"text": "The directory of the checkpoint."}}},
        "results": results,
        "properties": {name: getattr(answer, name) for name in PROPERTIES},
    }
    return dump_line({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]})


def _invocation(command: str, answer: Answer) -> dict[str, Any]:
    failed = answer.result in FAILED
    notification = {"level": "error", "message": _message(answer.message)}
    return {
        "executionSuccessful": not failed,
        "exitCode": answer.exit_code,
        "exitCodeDescription": answer.result,
        "toolExecutionNotifications": [notification] if failed else [],
        "properties": {"command": command},
    }


def _result(finding: Finding) -> dict[str, Any]:
    artifact = {"uri": _uri(finding.path), "uriBaseId": BASE}
    places = [{"artifactLocation": artifact, **_region(one)} for one in finding.ranges]
    return {
        "ruleId": finding.code,
        "level": "error",
        "message": _message(f"{finding.path}: {finding.message}"),
        "locations": [
            {"physicalLocation": one} for one in places or [{"artifactLocation": artifact}]
        ],
        "properties": {"expected": finding.expected, "actual": finding.actual},
    }


def _region(damaged: DamagedRange) -> dict[str, Any]:
    return {
        "region": {
            "byteOffset": damaged.start,
            "byteLength": damaged.end - damaged.start,
            "message": _message(describe_range(damaged)),
            "properties": {"tensors": list(damaged.tensors)},
        }
    }


def _message(text: str) -> dict[str, str]:
    """Text in which no name can be more than text: SARIF reads ``{0}`` as a placeholder and
    ``[text](target)`` as a link (2.1.0, sections 3.11.5 and 3.11.6).
    """
    plain = printable(text).replace("{", "{{").replace("}", "}}").replace("](", "] (")
    return {"text": plain}


def _uri(path: str) -> str:
    """A path as a relative reference: whatever has a meaning in one is percent-encoded."""
    encoded = path.encode("utf-8", "backslashreplace")
    return "".join(chr(one) if one in UNRESERVED else f"%{one:02X}" for one in encoded)
