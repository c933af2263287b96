# SPDX-License-Identifier: Apache-2.0
"""Guarantee ``kernel``: every file is sealed with fs-verity, and what the kernel measures of it is
what was signed. Nothing is hashed here: the kernel checks each page whenever it is read, and gives
an error for one that is not as it was sealed. What that proves, and what not, is in docs/seal.md.
"""

from __future__ import annotations

from pyhash import hashing
from pyhash.errors import Finding, SealError
from pyhash.guarantees._base import Compared, Guarantee
from pyhash.guarantees.content import doubts_about
from pyhash.opening import Opened
from pyhash.sealing import measure_listing

SHOWN_FILES = 3  # of those that are not sealed, in a message


def compare(opened: Opened, options: hashing.Options) -> Compared:
    """Compare what the kernel measures of each file with what is signed. Thread-safe.

    Args:
        opened: The checkpoint after steps 1 to 4.
        options: Plays no part.

    Returns:
        What differs; ``size`` is 0.

    Raises:
        SealError: A file is not sealed, there is no fs-verity there, or none of it was signed.
        ChangedWhileReadError: A file changed since it was listed.
        ReadError: A file cannot be opened.
    """
    signed = [shard.verity for shard in opened.manifest.shards]
    if None in signed:
        raise SealError(
            f"{opened.location}: no fs-verity digests were signed; pyhash seal signs them",
            opened.location,
        )
    listed = opened.listing.files
    measured = measure_listing(opened.listing)
    loose = [file.path for file, one in zip(listed, measured, strict=True) if one is None]
    wrong = [
        Finding(
            "digest",
            file.path,
            "sealed with other content than the signed one",
            (expected or b"").hex(),
            actual.hex(),
        )
        for file, expected, actual in zip(listed, signed, measured, strict=True)
        if actual is not None and actual != expected
    ]
    if loose and not wrong:
        raise _not_sealed(opened.location, loose, len(listed))
    text = f"{len(listed)} sealed files, as the kernel measures them; none hashed now"
    details = (("sealed_files", len(listed)),)
    return Compared((*wrong, *doubts_about(opened, wrong)), 0, text, details)


KERNEL = Guarantee("kernel", compare)


def _not_sealed(location: str, loose: list[str], count: int) -> SealError:
    shown = ", ".join(loose[:SHOWN_FILES])
    more = f" and {len(loose) - SHOWN_FILES} more" if len(loose) > SHOWN_FILES else ""
    return SealError(
        f"{location}: {len(loose)} of {count} files are not sealed, so the kernel vouches for"
        f" nothing in them: {shown}{more}; pyhash seal seals them, and a copy has no seals",
        loose[0],
    )
