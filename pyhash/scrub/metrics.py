# SPDX-License-Identifier: Apache-2.0
"""What a scrub came to, in the text format that Prometheus reads. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyhash.scrub.main import ScrubResult

_HELP = {
    "pyhash_scrub_damaged_spans": "Spans of 1 MiB that differ, in the pass under way or the last.",
    "pyhash_scrub_unreadable_spans": "Spans that could not be read.",
    "pyhash_scrub_checked_bytes": "Bytes checked by this run.",
    "pyhash_scrub_position_ratio": "How far the pass has come; 1: it is finished.",
    "pyhash_scrub_last_run_timestamp_seconds": "When this run ended.",
}


def dump_metrics(results: Sequence[ScrubResult], now: float) -> bytes:
    """Write the text file of metrics. Pure, thread-safe; raises nothing.

    Args:
        results: One for each checkpoint.
        now: Seconds since 1970.
    """
    lines = []
    for name, text in _HELP.items():
        lines += [f"# HELP {name} {text}", f"# TYPE {name} gauge"]
        for one in results:
            labels = f'model="{_escape(one.location)}",digest="{one.digest}"'
            lines.append(f"{name}{{{labels}}} {_value(name, one, now)}")
    return ("\n".join(lines) + "\n").encode("utf-8", "backslashreplace")


def _value(name: str, one: ScrubResult, now: float) -> str:
    values = {
        "pyhash_scrub_damaged_spans": len(one.damaged),
        "pyhash_scrub_unreadable_spans": len(one.unreadable),
        "pyhash_scrub_checked_bytes": one.checked_bytes,
        "pyhash_scrub_position_ratio": one.position / one.total if one.total else 1,
        "pyhash_scrub_last_run_timestamp_seconds": round(now, 3),
    }
    return str(values[name])


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
