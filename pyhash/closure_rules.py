# SPDX-License-Identifier: Apache-2.0
"""Names the rules that ``closure`` goes by, so that what was found under others is found anew.

The name is a digest over the code that decides, and over the version of Python that runs it:
nobody has to remember to raise a number. Checks nothing itself.
"""

from __future__ import annotations

import hashlib
import os
import sys

from pyhash import limits

# The rules, and all that reads files for them; of a directory every module in it.
SOURCES = (
    "closure.py",
    "files.py",
    "formats",
    "limits.py",
    "links.py",
    "paths.py",
    "strict_json.py",
)


def rules_name(directory: str | None = None) -> str | None:
    """Return the name of the rules that this process would check closure by. Raises nothing.

    Args:
        directory: Of the package; None: this one.

    Returns:
        64 hex digits; None where the sources are not there, and nothing can be told.
    """
    base = os.path.dirname(__file__) if directory is None else directory
    digest = hashlib.sha256(sys.version.encode("utf-8"))
    try:
        for name in _names(base):
            with open(os.path.join(base, name), "rb") as file:
                source = file.read(limits.MAX_CONFIG_BYTES)
            digest.update(b"%s\0%d\0" % (name.encode("utf-8"), len(source)) + source)
    except OSError:
        return None
    return digest.hexdigest()


def _names(base: str) -> list[str]:
    """The files of the rules, relative to the package, in one order."""
    found = []
    for name in SOURCES:
        place = os.path.join(base, name)
        if os.path.isdir(place):
            found += [f"{name}/{one}" for one in sorted(os.listdir(place)) if one.endswith(".py")]
        else:
            found.append(name)
    return found
