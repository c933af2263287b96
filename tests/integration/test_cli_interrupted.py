# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C in the middle of hashing: exit code 130, one line, nothing written, nothing started."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest

from pyhash import signing
from pyhash.cli import group
from pyhash.manifest import ShardEntry, build_manifest, dump_statement
from tests.support import command_line
from tests.support.command_line import COMMAND, Signed


@pytest.mark.parametrize(
    "arguments",
    [
        ("verify", "large", "--key", "publisher.pub"),
        ("hash", "large"),
        ("hash", "--algorithm", "sha256", "large"),
        ("hash", "--algorithm", "blake3", "large"),
        ("hash", "--algorithm", "xxh3-128", "large"),
        ("sign", "large", "--key", "publisher.key", "--signature", "new.sig"),
        ("run", "large", "--key", "publisher.pub", "--", "touch", "marker"),
    ],
)
def test_ctrl_c_exits_with_130(arguments: tuple[str, ...], signed: Signed) -> None:
    """The file is sparse, and far too large to be hashed before the signal comes."""
    sign_sparse(Path("large"), 1 << 40)
    process = subprocess.Popen([*COMMAND, *arguments], stdout=-1, stderr=-1, cwd=signed.directory)
    wait_for_threads(process.pid)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=command_line.LIMIT_SECONDS)
    assert process.returncode == 130, err
    assert out == b""
    assert err.startswith(b"interrupted: ")
    assert err.count(b"\n") == 1
    assert not Path("new.sig").exists()
    assert not Path("marker").exists()


def sign_sparse(path: Path, size: int) -> None:
    """Make a sparse file, and a bundle that says that one of this size was signed."""
    with path.open("wb") as file:
        file.truncate(size)
    shard = ShardEntry(path.name, size, bytes(32), bytes(32))
    statement = dump_statement(build_manifest(path.name, [shard]))
    bundle = signing.sign_payload(statement, signing.load_signer("publisher.key"))
    Path(f"{path}.sig").write_bytes(signing.dump_bundle(bundle))


def wait_for_threads(pid: int) -> None:
    """Wait until a process hashes: it is then that it has more than one thread."""
    deadline = time.monotonic() + command_line.LIMIT_SECONDS
    while len(os.listdir(f"/proc/{pid}/task")) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_ctrl_c_while_the_thread_of_the_engine_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    def interrupt(_: threading.Thread) -> None:
        raise KeyboardInterrupt

    large = tmp_path / "large"
    with large.open("wb") as file:
        file.truncate(64 << 20)
    monkeypatch.setattr(threading.Thread, "start", interrupt)
    assert group.run(["hash", str(large)]) == 130
    assert capsysbinary.readouterr().out == b""
