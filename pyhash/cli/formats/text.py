# SPDX-License-Identifier: Apache-2.0
"""``--format text``: a refusal or an error in lines for a person: what, where, what to do.

Lines are escaped here; who gets them on which stream is ``report``'s business.
"""

from __future__ import annotations

from pyhash.cli.answer import Answer
from pyhash.cli.terminal_text import printable
from pyhash.errors import DamagedRange, Finding

SHOWN_FINDINGS = 20  # lines; the other formats have them all
SHOWN_RANGES = 4  # of one file
SHOWN_TENSORS = 4  # of one range


def refusal_lines(answer: Answer) -> list[str]:
    """Return what an answer that is not success comes to, line by line. Raises nothing."""
    shown = answer.findings[:SHOWN_FINDINGS]
    if len(shown) == 1 and not shown[0].ranges and shown[0].message in answer.message:
        shown = ()  # the headline has said it
    more = max(0, len(answer.findings) - SHOWN_FINDINGS)
    return [
        headline(answer),
        *(f"  {describe(finding)}" for finding in shown),
        *([f"  and {more} more"] if more else []),
        *([printable(answer.advice)] if answer.advice else []),
    ]


def headline(answer: Answer) -> str:
    """Return the one line that says it. Raises nothing."""
    return printable(f"{answer.label or answer.result}: {answer.message}")


def describe(finding: Finding) -> str:
    """Return one finding on one line; known ranges take the place of the message that sums them up.

    Raises nothing.
    """
    if not finding.ranges:
        return printable(f"{finding.path}: {finding.message}")
    shown = [describe_range(one) for one in finding.ranges[:SHOWN_RANGES]]
    more = len(finding.ranges) - len(shown)
    ranges = "; ".join([*shown, *([f"and {more} more ranges"] if more else [])])
    return printable(f"{finding.path}: differs in {ranges}")


def describe_range(damaged: DamagedRange) -> str:
    """Return one range in words, unescaped. Raises nothing."""
    where = f"bytes [{damaged.start}, {damaged.end})"
    names = damaged.tensors
    if not names:
        return where
    more = f" and {len(names) - SHOWN_TENSORS} more" if len(names) > SHOWN_TENSORS else ""
    return (
        f"{where} (tensor{'s' if len(names) > 1 else ''} {', '.join(names[:SHOWN_TENSORS])}{more})"
    )
