# SPDX-License-Identifier: Apache-2.0
"""``--format jsonl``: a JSON object on a line for each finding, and one for the answer at the end.

A document without its last line was cut off, and says nothing.
"""

from __future__ import annotations

from pyhash.cli.answer import Answer
from pyhash.cli.formats.json_object import as_object, dump_line


def dump(command: str, answer: Answer) -> bytes:
    """Return the document: ``kind`` of each line is ``finding`` or, once and last, ``answer``.

    A finding has the keys that it has in ``--format json``; so has the answer, but for
    ``finding_count`` in the place of ``findings``. Raises nothing.
    """
    found = as_object(command, answer)
    findings = found.pop("findings")
    lines = [{"kind": "finding", "command": command, **one} for one in findings]
    last = {"kind": "answer", **found, "finding_count": len(findings)}
    return b"".join(map(dump_line, [*lines, last]))
