# SPDX-License-Identifier: Apache-2.0
"""``pyhash store audit``: holds a store's access log against the transparency log."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from pyhash import errors
from pyhash.cli.answer import Answer
from pyhash.cli.command import PATH, answering
from pyhash.cli.log_trust import load_trust, trust_options
from pyhash.cli.settings import Settings
from pyhash.cli.share import parse_time

if TYPE_CHECKING:
    from pyhash.store.reconciling import Unexplained

KINDS = ("s3", "seaweedfs", "nginx")


@answering(
    "store audit",
    example="pyhash store audit store/audit.jsonl --kind seaweedfs --log access-log"
    " --log-key access-log.vkey",
)
@click.argument("access_log", type=PATH)
@click.option("--kind", required=True, type=click.Choice(KINDS), help="Format of ACCESS_LOG.")
@click.option("--log", "directory", required=True, type=PATH, metavar="DIR", help="Our log.")
@trust_options
@click.option(
    "--requester",
    "requesters",
    multiple=True,
    metavar="KEY=NAME",
    help="The store calls the credential KEY by this NAME. Repeatable.",
)
@click.option(
    "--window",
    default="6h",
    show_default=True,
    metavar="TIME",
    help="How long before its record an access may be.",
)
def command(
    settings: Settings,
    *,
    access_log: str,
    kind: str,
    directory: str,
    log_key: str,
    witnesses: tuple[str, ...],
    quorum: int | None,
    requesters: tuple[str, ...],
    window: str,
) -> Answer:
    """Report every access in ACCESS_LOG that no client has recorded in the transparency log.

    Exit code 1: there are some that the store has answered. The log is verified whole first.
    """
    from pyhash.log.accesses import read_events
    from pyhash.log.reader import open_log
    from pyhash.store.access_records import read_records
    from pyhash.store.reconciling import reconcile

    names = dict(_name(one) for one in requesters)
    log = open_log(directory, load_trust(log_key, witnesses, quorum))
    events = read_events(log)
    try:
        with open(access_log, encoding="utf-8", errors="surrogateescape") as lines:
            records = list(read_records(lines, kind, access_log))
    except OSError as error:
        raise errors.ReadError(
            f"{access_log}: {error.strerror}", access_log, error.errno
        ) from error
    found = reconcile(records, events, window=parse_time(window), names=names)
    return _answer(found, len(records), len(events))


def _answer(found: Sequence[Unexplained], accesses: int, events: int) -> Answer:
    had = [one for one in found if not one.was_refused]
    rows = [
        {
            "line": one.record.line,
            "at": one.record.at.isoformat(),
            "method": one.record.method,
            "key": one.record.key,
            "requester": one.record.requester,
            "address": one.record.address,
            "status": one.record.status,
            "reason": one.reason,
        }
        for one in found
    ]
    findings = tuple(
        errors.Finding(
            "unexplained",
            one.record.key,
            f"line {one.record.line}: {one.record.method} by {one.record.requester or 'nobody'}"
            f" from {one.record.address} at {one.record.at.isoformat()}: {one.reason}",
        )
        for one in had
    )
    details = {"accesses": accesses, "unexplained": rows}
    tried = len(found) - len(had)
    if had:
        message = f"{len(had)} of {accesses} accesses are explained by no client"
        return Answer(
            "refused",
            message,
            findings=findings,
            advice="Somebody reads or writes unrecorded: find out who has that credential.",
            details=details,
        )
    return Answer(
        "ok",
        f"every one of {accesses} accesses is explained",
        summary=(
            f"accesses   {accesses}, each explained by one of {events} events",
            f"refused    {tried} attempts that the store refused and no client explains",
        ),
        details=details,
    )


def _name(text: str) -> tuple[str, str]:
    key, mark, name = text.partition("=")
    if not mark or not key or not name:
        raise errors.UsageError(f"{text!r}: expected KEY=NAME")
    return key, name
