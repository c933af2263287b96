# SPDX-License-Identifier: Apache-2.0
"""The table of formats that an answer can be shown in. Imports a format when it is used.

Another format is a module here with ``dump(command, answer) -> bytes``, and one line below.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyhash.cli.answer import Answer

TEXT = "text"  # for people, on two streams; the one that is no document

# name -> (module in this package, what it is, for the help)
MACHINE_FORMATS = {
    "json": ("json_object", "one object, also when refused"),
    "jsonl": ("json_lines", "a line for each finding, then the answer"),
    "junit": ("junit", "XML, a test case for each file"),
    "sarif": ("sarif", "SARIF 2.1.0, a result for each finding"),
}
FORMATS = (TEXT, *MACHINE_FORMATS)


def dump(name: str, command: str, answer: Answer) -> bytes:
    """Return an answer as a document for programs.

    Args:
        name: A key of ``MACHINE_FORMATS``.
        command: Which command gave the answer.
        answer: The answer; may hold untrusted names.

    Returns:
        The document, in ASCII, its last line ended. Raises nothing.
    """
    module, _ = MACHINE_FORMATS[name]
    document: bytes = importlib.import_module(f"{__name__}.{module}").dump(command, answer)
    return document
