# SPDX-License-Identifier: Apache-2.0
"""The receiver of the store's audit log: every access is a line, whatever is no access is a line
that an audit stops at, and what cannot be written is told.
"""

from __future__ import annotations

import json
import os
import resource
import socket
import stat
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgpack
import pytest

from pyhash import errors
from pyhash.store.access_records import read_records
from pyhash.store.audit_receiver import MAX_MESSAGE_BYTES, receiving

RECORD = {
    "bucket": "models",
    "key": "llama/latest.json",
    "operation": "REST.GET.OBJECT",
    "remote_ip": "192.0.2.3",
    "requester": "reader",
    "status": 200,
    "time": 1795572000,
}
MESSAGE = msgpack.packb(["pyhash.access", 1795572000, RECORD])


class Receiver:
    """One that listens, and what it has been told and has written."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.port = 0
        self.lost: list[OSError] = []

    def send(self, data: bytes, *, reset: bool = False) -> None:
        """Send it over a connection of its own, and wait until the other side has hung up."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as one:
            one.sendall(data)
            if reset:
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, bytes([1, 0, 0, 0, 0, 0, 0, 0]))
                return
            one.shutdown(socket.SHUT_WR)
            while one.recv(1):
                raise AssertionError("it answers")

    @property
    def lines(self) -> list[str]:
        return self.path.read_text().splitlines()


@contextmanager
def running(path: Path) -> Iterator[Receiver]:
    receiver = Receiver(path)
    with receiving(path, "127.0.0.1", receiver.lost.append) as receiver.port:
        yield receiver


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    with running(tmp_path / "audit.jsonl") as one:
        yield one
        assert one.lost == []


def test_records(receiver: Receiver) -> None:
    assert stat.S_IMODE(receiver.path.stat().st_mode) == 0o600
    several = msgpack.packb(["pyhash.access", [[1, RECORD], [2, {**RECORD, "status": 403}]]])
    receiver.send(MESSAGE + several)
    found = [json.loads(line) for line in receiver.lines]
    assert found == [RECORD, RECORD, {**RECORD, "status": 403}]
    records = list(read_records(receiver.lines, "seaweedfs", "x"))
    assert [one.status for one in records] == [200, 200, 403]


def test_message_in_pieces_and_an_empty_one(receiver: Receiver) -> None:
    with socket.create_connection(("127.0.0.1", receiver.port), timeout=10) as one:
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for at in range(0, len(MESSAGE), 7):
            one.sendall(MESSAGE[at : at + 7])
        one.shutdown(socket.SHUT_WR)
        assert one.recv(1) == b""
    receiver.send(msgpack.packb(["pyhash.access", []]))
    receiver.send(b"")
    assert [json.loads(line) for line in receiver.lines] == [RECORD]


def test_odd_values_are_taken_down(receiver: Receiver) -> None:
    odd = {**RECORD, "raw": b"\xff", "at": msgpack.Timestamp(1, 2), "more": {"a": [1, None]}}
    receiver.send(msgpack.packb(["pyhash.access", 1, odd]))
    (line,) = receiver.lines
    assert json.loads(line)["key"] == "llama/latest.json"


JUNK = {
    "another protocol": b"GET / HTTP/1.1\r\n\r\n",
    "never a message": b"\xc1",
    "a number": msgpack.packb(7),
    "an empty list": msgpack.packb([]),
    "only a tag": msgpack.packb(["tag"]),
    "no record": msgpack.packb(["tag", 1]),
    "a text for a record": msgpack.packb(["tag", 1, "record"]),
    "a number for an entry": msgpack.packb(["tag", [7]]),
    "an empty entry": msgpack.packb(["tag", [[]]]),
    "keys that are numbers": msgpack.packb(["tag", 1, {1: 2}]),
    "keys that are bytes": msgpack.packb(["tag", 1, {b"\xff": 2, "a": 1}]),
    "a text that is none": b"\x93\xa3tag\x01\x81\xa1\xff\x01",
    "a message that is cut off": MESSAGE[:-3],
    "deep": b"\x91" * 2000,
    "a message above the cap": b"\xdb" + MAX_MESSAGE_BYTES.to_bytes(4, "big") + b"x" * (1 << 20),
}


@pytest.mark.parametrize("name", JUNK)
def test_what_is_no_access_is_not_overlooked(
    receiver: Receiver, name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    receiver.send(MESSAGE + JUNK[name])
    first, second = receiver.lines
    assert json.loads(first) == RECORD
    assert set(json.loads(second)) == {"unreadable"}
    with pytest.raises(errors.FormatError, match="line 2 is not one of a seaweedfs log"):
        list(read_records(receiver.lines, "seaweedfs", "audit.jsonl"))
    receiver.send(MESSAGE)  # the next connection is as good as any
    assert json.loads(receiver.lines[2]) == RECORD
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(("more", "fits"), [(0, True), (1, False)])
def test_cap_of_a_message(receiver: Receiver, more: int, fits: bool) -> None:
    empty = len(msgpack.packb(["t", 1, {"k": "x" * (1 << 16)}])) - (1 << 16)
    message = msgpack.packb(["t", 1, {"k": "x" * (MAX_MESSAGE_BYTES - empty + more)}])
    assert len(message) == MAX_MESSAGE_BYTES + more
    receiver.send(message)
    (line,) = receiver.lines
    assert ("unreadable" in json.loads(line)) != fits


def test_connection_that_is_reset(receiver: Receiver, capfd: pytest.CaptureFixture[str]) -> None:
    receiver.send(b"", reset=True)
    receiver.send(MESSAGE)
    assert [json.loads(line) for line in receiver.lines] == [RECORD]
    assert capfd.readouterr().err == ""


def test_full_drive_is_told_and_leaves_no_half_line(tmp_path: Path) -> None:
    """The limit of a file's size is what this process can have without a drive of its own."""
    path = tmp_path / "audit.jsonl"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with running(path) as receiver:
        receiver.send(MESSAGE)
        whole = path.read_bytes()
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(whole) + 20, before[1]))
        try:
            receiver.send(MESSAGE)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert [one.strerror for one in receiver.lost] == ["File too large"]
        assert path.read_bytes() == whole
        receiver.send(MESSAGE)
        assert path.read_bytes() == whole * 2


def test_file_that_cannot_be_opened(tmp_path: Path) -> None:
    path = tmp_path / "nothing/audit.jsonl"
    with pytest.raises(errors.WriteError, match=r"audit\.jsonl: No such file"), running(path):
        pass


def test_library_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "msgpack", None)
    with (
        pytest.raises(errors.DependencyError, match=r"pyhash-checkpoint\[store\]"),
        running(tmp_path / "audit.jsonl"),
    ):
        pass
    assert not (tmp_path / "audit.jsonl").exists()


def test_nothing_is_left_running(tmp_path: Path) -> None:
    with running(tmp_path / "audit.jsonl") as receiver:
        port, descriptors = receiver.port, len(os.listdir("/proc/self/fd"))
    deadline = time.monotonic() + 10
    while len(os.listdir("/proc/self/fd")) >= descriptors:
        assert time.monotonic() < deadline
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=1)
