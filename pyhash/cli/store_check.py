# SPDX-License-Identifier: Apache-2.0
"""``pyhash doctor --store``: what trying a store's access control came to."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from pyhash.cli.answer import Answer

if TYPE_CHECKING:
    from pyhash.fetch import Network


def check(
    store: str, reader: Network, known: str, writer: Network | None, claims: tuple[str, ...]
) -> Answer:
    """Return the answer: refused when a claim does not hold, an error when one could not be tried.

    Raises:
        As ``pyhash.store.checking.check_store``.
    """
    from pyhash.store.checking import check_store, findings_of

    tried = check_store(store, reader, known=known, writer=writer, claims=claims)
    lines = tuple(f"{one.outcome:7}  {one.claim} ({one.answer})" for one in tried)
    details = {"store": store, "tried": [asdict(one) for one in tried]}
    outcomes = {one.outcome for one in tried}
    if "wrong" in outcomes:
        return Answer(
            "refused",
            f"{store}: its access control is not what it should be",
            lines=lines,
            findings=findings_of(tried),
            advice="Give the reader no more than pyhash store policy writes.",
            details=details,
        )
    if "unknown" in outcomes:
        return Answer(
            "error",
            f"{store}: not everything could be tried",
            lines=lines,
            findings=findings_of(tried),
            details=details,
        )
    return Answer("ok", f"{store}: access control holds", lines=lines, details=details)
