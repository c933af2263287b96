# SPDX-License-Identifier: Apache-2.0
"""A writer that is killed at any line of an append never leaves two checkpoints that contradict
each other, and its successor goes on from what was signed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from pyhash.log.checkpoint import verify_checkpoint
from pyhash.log.note_keys import write_note_keys
from pyhash.log.reader import open_log
from tests.support import logs
from tests.support.logs import make_log

ROOT = Path(__file__).resolve().parents[2]


# Over the end of a tile, where tiles become durable and a new journal begins.
def test_killed_at_every_line(tmp_path: Path) -> None:
    before, count = 254, 4
    log = make_log(tmp_path / "log", *(b"old %d" % number for number in range(before)))
    key, _ = write_note_keys(log.signer, str(tmp_path / "log"))
    killer = Path(__file__).with_name("_log_killer.py")
    done = subprocess.run(
        [sys.executable, str(killer), str(log.directory), str(tmp_path / "work"), key, str(count)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    outcomes = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(outcomes) > 100
    assert [one["killed"] for one in outcomes] == [True] * (len(outcomes) - 1) + [False]
    sizes = set()
    for one in outcomes:
        reader = open_log(one["directory"], log.trust)
        entries = [entry.entry for entry in reader.verify_entries()]
        assert reader.tree.root == logs.root(entries)
        assert entries[-1] == b"of its successor"
        assert len(entries) in (before + 1, before + count + 1)
        sizes.add(len(entries))
        assert one["signed"]
        for note in one["signed"]:
            point = verify_checkpoint(note.encode(), log.trust, "note").checkpoint
            # Whatever the dead process signed is the beginning of what there is now.
            assert point.root == logs.root(entries[: point.size])
            assert point.size < len(entries)
    assert len(sizes) == 2
