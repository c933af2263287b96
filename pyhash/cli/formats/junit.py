# SPDX-License-Identifier: Apache-2.0
"""``--format junit``: the XML that continuous integration shows, a test case for each file.

A verified checkpoint has one passing case for each signed file. A refusal has one failing case for
each file that something is wrong with, and none for the others, of which nothing was concluded.
Whatever is not success has at least one case that failed, so that nobody can take it for one.
"""

from __future__ import annotations

from html import escape
from itertools import groupby

from pyhash.cli.answer import Answer
from pyhash.cli.formats.text import describe, headline
from pyhash.cli.terminal_text import printable
from pyhash.errors import Finding

REFUSALS = ("refused", "unverified")  # results that say no; others could not say
PROPERTIES = ("result", "message", "checkpoint", "root", "guarantee", "key", "files", "bytes")


def dump(command: str, answer: Answer) -> bytes:
    """Return the document. Refusals are ``failure``, everything else ``error``. Raises nothing."""
    cases = _cases(command, answer)
    broken = sum("</testcase>" in case for case in cases)
    failures = broken if answer.result in REFUSALS else 0
    counts = (
        f'tests="{len(cases)}" failures="{failures}" errors="{broken - failures}"'
        f' time="{answer.seconds or 0:.3f}"'
    )
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f'<testsuites name="pyhash" {counts}>',
        f'<testsuite name="pyhash {_quoted(command)}" skipped="0" {counts}>',
        "<properties>",
        *(
            f'<property name="{name}" value="{_quoted(str(getattr(answer, name)))}"/>'
            for name in PROPERTIES
            if getattr(answer, name) is not None
        ),
        "</properties>",
        *cases,
        "</testsuite>",
        "</testsuites>",
    ]
    return "".join(f"{line}\n" for line in lines).encode("ascii", "xmlcharrefreplace")


def _cases(command: str, answer: Answer) -> list[str]:
    """One case for each file; one for the answer as a whole where no file is named."""
    by_path = groupby(sorted(answer.findings, key=lambda one: one.path), lambda one: one.path)
    cases = [_finding_case(command, answer, path, tuple(found)) for path, found in by_path]
    whole = answer.checkpoint or command or "pyhash"
    if not answer.succeeded:
        text = "\n".join(filter(None, (headline(answer), printable(answer.advice))))
        return cases or [_case(command, whole, _broken(answer, answer.result, text))]
    return [*cases, *(_case(command, path) for path in answer.held)] or [_case(command, whole)]


def _finding_case(command: str, answer: Answer, path: str, found: tuple[Finding, ...]) -> str:
    lines = []
    for one in found:
        lines.append(describe(one))
        if one.expected is not None or one.actual is not None:
            lines.append(printable(f"  expected {one.expected}, found {one.actual}"))
    return _case(command, path, _broken(answer, found[0].code, "\n".join(lines)))


def _case(command: str, name: str, inside: str = "") -> str:
    opened = f'<testcase classname="pyhash.{_quoted(command)}" name="{_quoted(name)}"'
    return f"{opened}>{inside}</testcase>" if inside else f"{opened}/>"


def _broken(answer: Answer, kind: str, text: str) -> str:
    """``text``: lines that are escaped for a terminal already."""
    element = "failure" if answer.result in REFUSALS else "error"
    first = escape(text.partition("\n")[0])
    return f'<{element} type="{_quoted(kind)}" message="{first}">{escape(text)}</{element}>'


def _quoted(text: str) -> str:
    """Text that XML 1.0 can hold: control characters and lone surrogates are none, escaped or not,
    so they are written with a backslash, as on a terminal.
    """
    return escape(printable(text))
