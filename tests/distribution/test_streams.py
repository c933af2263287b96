# SPDX-License-Identifier: Apache-2.0
"""Answers that are shorter or longer than was asked for: what comes is cut into whole spans, and
nothing beyond the end is taken, from a directory or from a real server.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from pyhash import errors
from pyhash.fetch import Network, open_source
from pyhash.fetch._base import cut_spans
from pyhash.fetch.https import HttpsSource
from tests.distribution._https_server import Handler, Server
from tests.distribution._release import BIG, BIG_BYTES, SPAN, Release


def cut(pieces: list[bytes], start: int, end: int) -> list[bytes]:
    return list(cut_spans(iter(pieces), start, end, "x.bin", "the source"))


def pieces_of(data: bytes, seed: int) -> list[bytes]:
    chance = random.Random(seed)
    found = []
    while data:
        size = chance.choice((1, 1000, SPAN // 2, SPAN, SPAN + 1, 3 * SPAN))
        found.append(data[:size])
        data = data[size:]
    return found


@pytest.mark.parametrize("size", [0, 1, SPAN - 1, SPAN, SPAN + 1, 4 * SPAN + 17])
@pytest.mark.parametrize("seed", range(3))
def test_pieces_of_any_length(size: int, seed: int) -> None:
    data = os.urandom(size)
    spans = cut(pieces_of(data, seed), SPAN, SPAN + size)
    assert b"".join(spans) == data
    assert [len(one) for one in spans[:-1]] == [SPAN] * (len(spans) - 1)
    assert len(spans) == -(-size // SPAN)


def taken(pieces: Iterator[bytes], start: int, end: int) -> tuple[list[int], str]:
    """Sizes of the spans that came before the error, and the error."""
    sizes: list[int] = []
    with pytest.raises(errors.FetchError) as caught:
        sizes.extend(len(one) for one in cut_spans(pieces, start, end, "x.bin", "the source"))
    return sizes, str(caught.value)


def test_fewer_bytes() -> None:
    """A span that is not whole is none: it would be taken for a bad one."""
    sizes, message = taken(iter([bytes(SPAN), bytes(5), bytes(6)]), 2 * SPAN, 5 * SPAN)
    assert sizes == [SPAN]
    assert message == "the source: x.bin: 1048587 bytes instead of 3145728 from byte 2097152"
    assert taken(iter([]), 0, 1) == ([], "the source: x.bin: 0 bytes instead of 1 from byte 0")


@pytest.mark.parametrize("last", [SPAN, 17])
def test_more_bytes(last: int) -> None:
    """Of a stream without end nothing is read but the first byte too many."""
    end = 2 * SPAN + last
    read = 0

    def endless() -> Iterator[bytes]:
        nonlocal read
        while True:
            read += SPAN // 2
            yield bytes(SPAN // 2)

    sizes, message = taken(endless(), 0, end)
    assert message == f"the source: x.bin: more than {end} bytes from byte 0"
    assert sizes in ([SPAN, SPAN], [SPAN, SPAN, SPAN])  # whole spans, and not one beyond the end
    assert read <= end + SPAN // 2


def chunked(handler: Handler, content: bytes, start: int, end: int) -> None:
    """The head of a right answer that does not say how long it is."""
    handler.send_response(206)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.send_header("Content-Range", f"bytes {start}-{end - 1}/{len(content)}")
    handler.end_headers()


def write_chunk(handler: Handler, data: bytes) -> None:
    handler.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))


def fetch_big(server: Server) -> tuple[list[int], str]:
    network = Network(ca_file=server.ca_file, timeout_seconds=10)
    source = HttpsSource("the server", lambda path: f"{server.url}/{path}", network)
    sizes: list[int] = []
    with closing(source), pytest.raises(errors.FetchError) as caught:
        sizes.extend(len(one) for one in source.fetch_spans(BIG, 0, 3 * SPAN, BIG_BYTES))
    return sizes, str(caught.value)


def test_answer_that_ends_early(server: Server, release: Release) -> None:
    def short(handler: Handler, content: bytes, start: int, end: int) -> bool:
        chunked(handler, content, start, end)
        write_chunk(handler, content[start : end - SPAN - 9])
        write_chunk(handler, b"")
        return True

    server.misbehave = short
    sizes, message = fetch_big(server)
    assert sizes == [SPAN]
    assert f"{2 * SPAN - 9} bytes instead of {3 * SPAN}" in message


def test_answer_without_end(server: Server, release: Release) -> None:
    written = 0

    def endless(handler: Handler, content: bytes, start: int, end: int) -> bool:
        nonlocal written
        chunked(handler, content, start, end)
        write_chunk(handler, content[start:end])
        with suppress(OSError):
            while written < 1 << 30:
                write_chunk(handler, bytes(SPAN))
                written += SPAN
        return True

    server.misbehave = endless
    sizes, message = fetch_big(server)
    assert sizes == [SPAN, SPAN, SPAN]
    assert f"more than {3 * SPAN} bytes" in message
    assert written < 64 * SPAN  # what fits into buffers on the way


# --- directories ----------------------------------------------------------------------------------


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "x.bin").write_bytes(bytes(2 * SPAN))
    return tmp_path


def directory_error(place: Path, call: str, *arguments: object) -> errors.FetchError:
    source = open_source(str(place), Network())
    with pytest.raises(errors.FetchError, match=str(place)) as caught:
        list(getattr(source, call)(*arguments))
    source.close()
    return caught.value


def test_sizes_in_a_directory(place: Path) -> None:
    assert open_source(f"file://{place}", Network()).size_of("x.bin") == 2 * SPAN
    (place / "loop").symlink_to("loop")
    assert isinstance(directory_error(place, "size_of", "y.bin"), errors.NotThereError)
    for name, why in (
        ("loop", "symbolic links"),
        ("x.bin/y", "Not a directory"),
        (".", "not a regular"),
    ):
        error = directory_error(place, "size_of", name)
        assert type(error) is errors.FetchError
        assert why in str(error)


def test_files_that_are_none(place: Path) -> None:
    os.mkfifo(place / "pipe")  # which nobody writes to: opening it must not wait
    for name in ("pipe", "."):
        error = directory_error(place, "fetch_spans", name, 0, SPAN, SPAN)
        assert "not a file of the signed 1048576 bytes" in str(error)
        assert "not a regular file" in str(directory_error(place, "fetch_small", name, 9))
    assert isinstance(directory_error(place, "fetch_small", "y", 9), errors.NotThereError)
    assert isinstance(directory_error(place, "fetch_spans", "y", 0, 9, 9), errors.NotThereError)


def test_file_that_becomes_shorter(place: Path) -> None:
    """Cut off between two spans: what came is whole, and the rest is an error."""
    source = open_source(str(place), Network())
    spans = source.fetch_spans("x.bin", 0, 2 * SPAN, 2 * SPAN)
    assert next(spans) == bytes(SPAN)
    os.truncate(place / "x.bin", SPAN + 9)
    with pytest.raises(errors.FetchError, match=r"x\.bin: ends at byte 1048585"):
        next(spans)


def test_nothing_at_the_place(tmp_path: Path) -> None:
    with pytest.raises(errors.FetchError, match="no such directory"):
        open_source(str(tmp_path / "nothing"), Network())
