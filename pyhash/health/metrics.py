# SPDX-License-Identifier: Apache-2.0
"""A snapshot as text in the exposition format of Prometheus, version 0.0.4."""

from __future__ import annotations

from pyhash.health.state import Snapshot

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def dump_metrics(snapshot: Snapshot) -> bytes:
    """Return the metrics. Pure, thread-safe, raises nothing.

    Args:
        snapshot: What holds.
    """
    labels = f'{{guarantee="{snapshot.guarantee}"}}'  # a name of MEANINGS: nothing to escape
    rows = (
        ("ready", "gauge", "Whether the verified state holds.", int(snapshot.is_ready)),
        ("verified_bytes", "gauge", "Bytes hashed by the verification.", snapshot.size),
        ("verification_seconds", "gauge", "Time that it took.", snapshot.seconds),
        ("mismatches_total", "counter", "Files found changed since.", snapshot.mismatches),
        (
            "last_success_timestamp_seconds",
            "gauge",
            "When all was last as verified.",
            snapshot.last_success,
        ),
    )
    lines = []
    for name, kind, text, value in rows:
        lines += [
            f"# HELP pyhash_{name} {text}",
            f"# TYPE pyhash_{name} {kind}",
            f"pyhash_{name}{labels} {value}",
        ]
    return ("\n".join(lines) + "\n").encode("ascii")
