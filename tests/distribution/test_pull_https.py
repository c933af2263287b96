# SPDX-License-Identifier: Apache-2.0
"""Pulling over real TLS from servers that misbehave: each ends in a clear error, and with nothing
under the destination's name.
"""

from __future__ import annotations

import itertools
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest

from pyhash import errors
from pyhash.fetch import Network
from pyhash.fetch.https import HttpsSource
from pyhash.pull import PullOptions, PullResult, pull
from tests.distribution._https_server import Handler, Server, serve
from tests.distribution._release import BIG, SPAN, Release, content_of, flip


def network(server: Server, **more: object) -> Network:
    """Trusts the server's authority, and does not wait long."""
    return replace(Network(ca_file=server.ca_file, timeout_seconds=10, attempts=1), **more)  # type: ignore[arg-type]


def fetch(server: Server, release: Release, out: Path, **more: object) -> PullResult:
    options = PullOptions(network(server, **more), connections=4)
    return pull(server.url, out, release.policy, options=options)


def refused(server: Server, release: Release, out: Path, match: str, **more: object) -> None:
    with pytest.raises(errors.FetchError, match=match):
        fetch(server, release, out, **more)
    assert not out.exists()


def test_whole(server: Server, release: Release, tmp_path: Path) -> None:
    result = fetch(server, release, tmp_path / "out")
    assert content_of(tmp_path / "out", release) == release.content
    assert (result.source, result.bytes_moved) == (server.url, release.size)
    # The signature first; and no byte of a weight before it.
    assert [path for path, _ in server.asked[:2]] == ["model.sig", "model.tree"]
    assert len(server.ranges(BIG)) == 2  # of at most 32 spans each


def test_lost_connections_are_made_again(server: Server, release: Release, tmp_path: Path) -> None:
    """Every request of many spans is cut after two of them; nothing is fetched twice."""
    cut: set[int] = set()

    def cut_once(handler: Handler, content: bytes, start: int, end: int) -> bool:
        if end - start < 4 * SPAN or start in cut:
            return False
        cut.add(start)
        handler.begin(content, start, end)
        handler.wfile.write(content[start : start + 2 * SPAN])
        handler.close_connection = True
        handler.connection.shutdown(socket.SHUT_RDWR)
        return True

    server.misbehave = cut_once
    result = fetch(server, release, tmp_path / "out", attempts=3)
    assert content_of(tmp_path / "out", release) == release.content
    assert result.bytes_moved == release.size
    assert len(cut) > 10  # what came before each cut was kept


def test_truncated(server: Server, release: Release, tmp_path: Path) -> None:
    def truncate(handler: Handler, content: bytes, start: int, end: int) -> bool:
        if handler.path != f"/{BIG}":
            return False
        handler.begin(content, start, end)
        handler.wfile.write(content[start : start + SPAN])
        handler.close_connection = True
        return True

    server.misbehave = truncate
    refused(server, release, tmp_path / "out", f"{BIG}: ")


def test_ignored_range(server: Server, release: Release, tmp_path: Path) -> None:
    def whole(handler: Handler, content: bytes, start: int, end: int) -> bool:
        handler.give(200, content)
        return True

    server.misbehave = whole
    refused(server, release, tmp_path / "out", "ignores ranges and sent the whole object")


def test_whole_object_is_fine_where_all_of_it_was_wanted(
    server: Server, release: Release, tmp_path: Path
) -> None:
    def whole(handler: Handler, content: bytes, start: int, end: int) -> bool:
        if end - start < len(content):
            return False
        handler.give(200, content)
        return True

    server.misbehave = whole
    fetch(server, release, tmp_path / "out")
    assert content_of(tmp_path / "out", release) == release.content


def test_wrong_range(server: Server, release: Release, tmp_path: Path) -> None:
    def shifted(handler: Handler, content: bytes, start: int, end: int) -> bool:
        if handler.path != f"/{BIG}":
            return False
        handler.give(206, content[:end], Content_Range=f"bytes 0-{end - 1}/{len(content)}")
        return start > 0

    server.misbehave = lambda h, c, s, e: s > 0 and shifted(h, c, s, e)
    refused(server, release, tmp_path / "out", "instead of 'bytes 33554432-")


def test_other_size(server: Server, own_release: Release, tmp_path: Path) -> None:
    with (own_release.model / BIG).open("ab") as file:
        file.write(bytes(SPAN))
    server.directory = own_release.model
    refused(server, own_release, tmp_path / "out", "not of the signed size")


def test_changed_object(server: Server, release: Release, tmp_path: Path) -> None:
    etags = itertools.count()

    def tagged(handler: Handler, content: bytes, start: int, end: int) -> bool:
        if handler.path != f"/{BIG}":
            return False
        handler.give_range(content, start, end, ETag=f'"{next(etags)}"')
        return True

    server.misbehave = tagged
    refused(server, release, tmp_path / "out", "another object than a moment ago")


def test_encoded(server: Server, release: Release, tmp_path: Path) -> None:
    def zipped(handler: Handler, content: bytes, start: int, end: int) -> bool:
        handler.give_range(content, start, end, Content_Encoding="gzip")
        return True

    server.misbehave = zipped
    refused(server, release, tmp_path / "out", "came encoded")


@pytest.mark.parametrize(
    ("status", "match"),
    [(403, "403: not allowed"), (401, "401: no credentials"), (500, "500"), (416, "416: shorter")],
)
def test_status(server: Server, release: Release, tmp_path: Path, status: int, match: str) -> None:
    def refuse(handler: Handler, content: bytes, start: int, end: int) -> bool:
        handler.give(status, b"")
        return True

    server.misbehave = refuse
    refused(server, release, tmp_path / "out", match)


def redirecting(to: str, *, forever: bool = False) -> object:
    def redirect(handler: Handler, content: bytes, start: int, end: int) -> bool:
        if "moved" in handler.path and not forever:
            return False
        handler.give(302, b"", Location=f"{to}{handler.path}{'?moved' if not forever else ''}")
        return True

    return redirect


def test_redirect_is_followed(server: Server, release: Release, tmp_path: Path) -> None:
    server.misbehave = redirecting(server.url)  # type: ignore[assignment]
    fetch(server, release, tmp_path / "out")
    assert content_of(tmp_path / "out", release) == release.content


def test_redirect_to_plain_http(server: Server, release: Release, tmp_path: Path) -> None:
    server.misbehave = redirecting("http" + server.url.removeprefix("https"))  # type: ignore[assignment]
    refused(server, release, tmp_path / "out", "leads to http://, and only https")


def test_redirect_without_end(server: Server, release: Release, tmp_path: Path) -> None:
    server.misbehave = redirecting("", forever=True)  # type: ignore[assignment]
    refused(server, release, tmp_path / "out", "more than 5 redirects")


def test_slow_drip(server: Server, release: Release, tmp_path: Path) -> None:
    """Bytes come steadily, so that no single wait is too long; together they are."""

    def drip(handler: Handler, content: bytes, start: int, end: int) -> bool:
        if handler.path == f"/{BIG}":
            handler.drip(content, start, end, 20)
        return handler.path == f"/{BIG}"

    server.misbehave = drip
    refused(server, release, tmp_path / "out", "too slow", span_seconds=0.05)


def test_other_authority(server: Server, release: Release, tmp_path: Path) -> None:
    """A man in the middle with a certificate of his own."""
    options = PullOptions(network(server))
    with serve(release.model) as middle, pytest.raises(errors.FetchError, match="certificate"):
        pull(middle.url, tmp_path / "out", release.policy, options=options)
    assert middle.asked == []
    assert not (tmp_path / "out").exists()


def test_certificate_of_another_host(release: Release, tmp_path: Path) -> None:
    with serve(release.model, host="models.example") as server:
        refused(server, release, tmp_path / "out", "IP address mismatch")


def test_system_authorities_do_not_know_it(
    server: Server, release: Release, tmp_path: Path
) -> None:
    with pytest.raises(errors.FetchError, match="certificate"):
        pull(server.url, tmp_path / "out", release.policy)


def test_plain_http_server_behind_https(release: Release, tmp_path: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as plain:
        port = plain.getsockname()[1]

        def answer() -> None:
            connection, _ = plain.accept()
            with connection:
                connection.recv(1 << 16)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")

        threading.Thread(target=answer, daemon=True).start()
        with pytest.raises(errors.FetchError):
            pull(f"https://127.0.0.1:{port}", tmp_path / "out", release.policy)
    assert not (tmp_path / "out").exists()


def test_bad_span_is_fetched_again_alone(
    server: Server, own_release: Release, release: Release, tmp_path: Path
) -> None:
    flip(own_release.model / BIG, 5 * SPAN)
    server.directory = own_release.model
    with serve(release.model) as mirror:
        both = tmp_path / "both.pem"
        both.write_text(Path(server.ca_file).read_text() + Path(mirror.ca_file).read_text())
        options = PullOptions(Network(ca_file=str(both)))
        result = pull(
            server.url, tmp_path / "out", release.policy, mirrors=[mirror.url], options=options
        )
        assert mirror.ranges(BIG) == [(5 * SPAN, 6 * SPAN)]
    assert [(one.source, one.start) for one in result.bad] == [(server.url, 5 * SPAN)]
    assert content_of(tmp_path / "out", release) == release.content


def test_small_object_above_its_cap(server: Server, release: Release) -> None:
    source = HttpsSource("x", lambda path: f"{server.url}/{path}", network(server))
    with closing(source):
        assert source.fetch_small("config.json", 23) == release.content["config.json"]
        with pytest.raises(errors.LimitError, match="more than 22 bytes"):
            source.fetch_small("config.json", 22)
        assert source.size_of(BIG) == len(release.content[BIG])
        assert list(source.fetch_spans("sub/empty", 0, 0, 0)) == []
        with pytest.raises(errors.NotThereError):
            source.size_of("nothing")


@pytest.mark.parametrize(
    "line",
    ["Content-Length: \xb2", "Content-Length: " + "9" * 5000, "Content-Length: -1", "X: 1"],
    ids=["superscript", "long", "negative", "none"],
)
@pytest.mark.parametrize("status", ["200 OK", "206 Partial Content"])
def test_size_that_is_none(line: str, status: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a server says of its size is read as a number of at most 19 digits, or not at all."""
    name, value = line.split(": ")
    response = SimpleNamespace(status=int(status[:3]), headers={name: value})
    if status.startswith("206"):
        response.headers = {"Content-Range": f"bytes 0-0/{value}"}
    source = HttpsSource("x", lambda path: f"https://x/{path}", Network())
    monkeypatch.setattr(source, "_request", lambda *_: nullcontext(response))
    with closing(source):
        if line == "X: 1" and status.startswith("206"):
            assert source.size_of("a") == 1
            return
        with pytest.raises(errors.FetchError, match="does not say its size"):
            source.size_of("a")


@pytest.mark.parametrize(
    ("source", "proxy"),
    [("https://[::1", None), ("https://127.0.0.1:1", "socks5://127.0.0.1:1")],
)
def test_addresses_that_are_none(
    release: Release, tmp_path: Path, source: str, proxy: str | None
) -> None:
    options = PullOptions(Network(proxy=proxy))
    with pytest.raises(errors.UsageError, match=r"no address|no proxy that can be used"):
        pull(source, tmp_path / "out", release.policy, options=options)
    assert not (tmp_path / "out").exists()


@contextmanager
def tunnel() -> Iterator[tuple[str, list[str]]]:
    """A proxy that knows CONNECT; its address, and what it was asked to connect to."""
    asked: list[str] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def pump(source: socket.socket, target: socket.socket) -> None:
        try:
            while data := source.recv(1 << 16):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def serve_one(client: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            head += client.recv(1 << 12)
        target = head.split()[1].decode()
        asked.append(target)
        host, _, port = target.rpartition(":")
        with client, socket.create_connection((host, int(port))) as server:
            client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            back = threading.Thread(target=pump, args=(server, client), daemon=True)
            back.start()
            pump(client, server)
            back.join()

    def accept() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve_one, args=(client,), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    with listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", asked
        listener.shutdown(socket.SHUT_RDWR)
    thread.join()


def test_through_a_proxy(server: Server, release: Release, tmp_path: Path) -> None:
    with tunnel() as (proxy, asked):
        fetch(server, release, tmp_path / "out", proxy=proxy)
    assert content_of(tmp_path / "out", release) == release.content
    assert set(asked) == {urlsplit(server.url).netloc}


def test_authorities_that_are_none(release: Release, tmp_path: Path) -> None:
    for name, content in (("missing.pem", None), ("junk.pem", "junk")):
        if content is not None:
            (tmp_path / name).write_text(content)
        options = PullOptions(Network(ca_file=str(tmp_path / name)))
        with pytest.raises(errors.UsageError, match=name):
            pull("https://127.0.0.1:1", tmp_path / "out", release.policy, options=options)


def test_hugging_face_endpoint(server: Server, release: Release, tmp_path: Path) -> None:
    (tmp_path / "acme/tiny/resolve").mkdir(parents=True)
    (tmp_path / "acme/tiny/resolve/main").symlink_to(release.model)
    server.directory = tmp_path
    host = urlsplit(server.url).netloc
    options = PullOptions(network(server))
    pull(f"hf://{host}/acme/tiny", tmp_path / "out", release.policy, options=options)
    assert content_of(tmp_path / "out", release) == release.content
    assert server.asked[0] == ("acme/tiny/resolve/main/model.sig", None)
