# SPDX-License-Identifier: Apache-2.0
"""When identity says something: no write can go unseen once the file's time has passed.

The kernel takes a file's times from a clock that ticks. A file that is written, hashed and written
again within one tick has the same times before and after; so only what was hashed later than a
tick behind its last change is put down. And a page that is dirty in somebody's writable mapping can
be stored to without any time changing, until it is written back: so it is written back first.
"""

from __future__ import annotations

import os
import time

from pyhash import files
from pyhash.files import Identity, Listing

# The coarse clock of a kernel at 100 Hz ticks every 10 ms.
TICK_NS = 20_000_000
# A file system whose times are whole milliseconds or coarser: FAT has steps of 2 s.
COARSE_TICK_NS = 2_000_000_000
MILLISECOND_NS = 1_000_000


def margin_ns(identity: Identity) -> int:
    """Return how long after its last change a file's times can still hide one, nanoseconds."""
    fine = identity.ctime_ns % MILLISECOND_NS != 0
    return TICK_NS if fine else COARSE_TICK_NS


def is_settled(identity: Identity, hashed_ns: int) -> bool:
    """Whether a write after the hashing must have changed the identity.

    Args:
        identity: Of the file, as it was when it was hashed.
        hashed_ns: When the hashing began, by the system's clock.

    Returns:
        False also for a file from the future: then the clock cannot be relied on. Raises nothing.
    """
    return identity.ctime_ns + margin_ns(identity) <= hashed_ns


def settle(listing: Listing) -> int:
    """Wait until the youngest file is settled, at most 2 s.

    Args:
        listing: The files.

    Returns:
        The time now, nanoseconds, from when on hashing counts. Raises nothing.
    """
    now = time.time_ns()
    ready = max(
        (one.identity.ctime_ns + margin_ns(one.identity) for one in listing.files), default=now
    )
    if now < ready <= now + COARSE_TICK_NS:
        time.sleep((ready - now) / 1e9)
        return max(ready, time.time_ns())
    return now


def flush_files(listing: Listing) -> None:
    """Have what was stored through mappings written back, so that the next store is seen.

    Args:
        listing: The files.

    Raises:
        ChangedWhileReadError: A file is not the one that was listed.
        ReadError: The system refused.
    """
    for file in listing.files:
        with (
            files.open_files(listing, (file,)) as (descriptor,),
            files.reading(file.path),
        ):
            os.fsync(descriptor)
