# SPDX-License-Identifier: Apache-2.0
"""What a guarantee is: a name, and a function that compares bytes with what is signed."""

from __future__ import annotations

from collections.abc import Callable, Collection

from pyhash.errors import Finding
from pyhash.files import CheckpointFile
from pyhash.frozen import frozen
from pyhash.hashing import Options
from pyhash.opening import Opened, nothing_known


@frozen
class Compared:
    """What comparing bytes came to.

    Attributes:
        findings: Everything that differs; nothing here: what was compared is as signed.
        size: Bytes that were hashed now.
        detail: What exactly was compared, for people, where that is not every byte; else empty.
        details: The same for programs: keys of the JSON object.
        guarantee: A stronger name than that of the guarantee that was asked for, where it came to
            more, as when nothing was left to rely on and every byte was hashed; else empty.
    """

    findings: tuple[Finding, ...]
    size: int
    detail: str = ""
    details: tuple[tuple[str, object], ...] = ()
    guarantee: str = ""


@frozen
class Guarantee:
    """One way to compare, and the name under which every report says that it was this one.

    Attributes:
        name: A key of ``MEANINGS``.
        compare: Steps 5 to 7 for an opened checkpoint. It raises ChangedWhileReadError, or a
            CheckError when it cannot find out; it never does less than its name says.
        closed: Of a checkpoint after step 3, the files that are known to lead to no other file, so
            that step 4 does not look into them again. Nothing is known unless a guarantee says so.
    """

    name: str
    compare: Callable[[Opened, Options], Compared]
    closed: Callable[[Opened], Collection[CheckpointFile]] = nothing_known
