# SPDX-License-Identifier: Apache-2.0
"""``pyhash health serve`` where it must not, or cannot, serve: what it answers, says and leaves."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pyhash.cli import health_serve
from tests.integration.conftest import Run
from tests.integration.test_cli_health import get
from tests.support import command_line
from tests.support.command_line import COMMAND, Signed

SERVE = ("health", "serve", "model", "--key", "publisher.pub")
LIMIT_SECONDS = 20


def verdict() -> str:
    found: str = json.loads(Path("vsa").read_bytes())["predicate"]["verificationResult"]
    return found


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextmanager
def serving(*more: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A process that serves, and its port; killed if it does not end by itself."""
    port = free_port()
    line = [*COMMAND, *SERVE, "--port", str(port), "--every", "0.1", *more]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            yield process, port
        finally:
            process.kill()


def wait_until(port: int, path: str, code: int) -> None:
    deadline = time.monotonic() + LIMIT_SECONDS
    while True:
        try:
            if get(port, path)[0] == code:
                return
        except OSError:
            pass
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_quiet_and_without_a_file(number: int, signed: Signed) -> None:
    """Nothing is said, nothing is written beside the model, and it ends when it is told to."""
    before = sorted(Path().iterdir())
    # A child of a shell's background job would take no notice of Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with serving("--quiet") as (process, port):
        wait_until(port, "/readyz", 200)
        process.send_signal(number)
        out, err = process.communicate(timeout=LIMIT_SECONDS)
    assert (process.returncode, out, err) == (0, b"", b"")
    assert sorted(Path().iterdir()) == before


def test_a_loss_is_told_once(signed: Signed) -> None:
    with serving() as (process, port):
        wait_until(port, "/readyz", 200)
        config = Path("model/config.json")
        config.write_bytes(config.read_bytes())
        wait_until(port, "/readyz", 503)
        time.sleep(0.4)  # several more looks
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=LIMIT_SECONDS)
    assert err.count(b"not ready: ") == 1
    assert b"config.json" in err


def test_file_inside_the_checkpoint(signed: Signed, run: Run) -> None:
    """A file that nobody signed would make the next verification fail."""
    for path in ("model/health", "model/deep/health", "./model/../model/health"):
        code, _, err = run(*SERVE, "--file", path)
        assert (code, Path(path).exists()) == (2, False)
        assert "lies inside the checkpoint model" in err


def test_file_that_cannot_be_written(signed: Signed, run: Run) -> None:
    """A probe that finds no file must not be told that all is well: it does not serve."""
    code, _, err = run(*SERVE, "--file", "nothing/health")
    assert code == 3
    assert "nothing/health" in err
    Path("directory").mkdir()
    code, _, err = run(*SERVE, "--file", "directory")
    assert code == 3
    assert "cannot be removed" in err


@pytest.mark.parametrize("vsa", [(), ("--vsa", "vsa")])
def test_changed_between_the_last_byte_and_the_first_look(
    vsa: tuple[str, ...], signed: Signed, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It verified, and is not what was verified any more: never ready, and on record as refused."""
    real = health_serve._verify

    def verify_then_change(*arguments: object) -> object:
        verified = real(*arguments)  # type: ignore[arg-type]
        config = Path("model/config.json")
        config.write_bytes(config.read_bytes())
        return verified

    monkeypatch.setattr(health_serve, "_verify", verify_then_change)
    code, _, err = run(*SERVE, "--file", "health", *vsa)
    assert code == 1
    assert "config.json" in err
    assert "serving" not in err
    assert not Path("health").exists()
    assert not vsa or verdict() == "FAILED"


def test_unreadable_is_no_refusal_and_not_served(signed: Signed, run: Run) -> None:
    Path("model/model.sig").write_text("{")
    code, _, err = run(*SERVE, "--vsa", "vsa")
    assert code == 3
    assert "serving" not in err
    assert verdict() == "FAILED"


def test_stopped_while_it_verifies(
    signed: Signed, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is no answer then; that is neither ready nor a refusal."""
    monkeypatch.setattr(health_serve, "_verify", lambda *_: signal.raise_signal(signal.SIGTERM))
    code, _, err = run(*SERVE, "--file", "health")
    assert code == 130
    assert "interrupted before there was an answer" in err
    assert not Path("health").exists()


def test_places_where_it_cannot_listen(signed: Signed, run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        code, _, err = run(*SERVE, "--port", port, "--vsa", "vsa")
        assert code == 2
        assert "cannot listen: Address already in use" in err
    for host in ("192.0.2.1", "nowhere.invalid", "\u00e9" * 70):
        code, _, err = run(*SERVE, "--host", host)
        assert code == 2, err
        assert "cannot listen" in err
    assert not Path("vsa").exists()


def test_does_not_verify_and_leaves_no_receipt_unasked(signed: Signed) -> None:
    command_line.flip_bit(signed.shard, 2 << 20)
    before = sorted(Path().iterdir())
    process = command_line.pyhash(*SERVE)
    assert process.returncode == 1
    assert sorted(Path().iterdir()) == before
