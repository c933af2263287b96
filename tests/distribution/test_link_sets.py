# SPDX-License-Identifier: Apache-2.0
"""Link sets that are none, and servers behind signed URLs that refuse or misbehave; a signed URL is
a secret that no message repeats.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pyhash import errors
from pyhash.cli.group import run
from pyhash.fetch import Network, open_source
from pyhash.fetch.https import HttpsSource
from pyhash.fetch.links import LinkSet, dump_links, load_links
from pyhash.locations import OWN_NAMES
from pyhash.pull import PullOptions, pull
from pyhash.push import PushOptions, push
from pyhash.push.signed_urls import SignedUrlTarget
from pyhash.push.targets import open_target
from pyhash.releases import POINTER_NAME, release_prefix
from tests.distribution._https_server import Handler, Server, serve
from tests.distribution._release import BIG, Release, content_of
from tests.support.tls_nginx import TlsNginx, running_tls_nginx
from tests.unit._signed import write_keys

ROOT = "pyhash-v1:" + "ab" * 32
FIELDS = {
    "kind": "pyhash-links-v1",
    "method": "GET",
    "root": ROOT,
    "expires": "2999-01-01T00:00:00+00:00",
    "urls": {"config.json": "https://127.0.0.1:1/config.json?X-Amz-Signature=SECRET"},
}
SECRET = "X-Amz-Signature=SECRET"


def links(urls: dict[str, str], method: str = "PUT", root: bytes = bytes(32)) -> LinkSet:
    return LinkSet(method, root, datetime.now(UTC) + timedelta(hours=1), urls)


# --- the file -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "match"),
    [
        ({"kind": "pyhash-links-v2"}, "not a link set of the kind pyhash-links-v1"),
        ({"kind": 1}, "kind"),
        ({"method": "DELETE"}, "links to DELETE; there are GET, PUT"),
        ({"root": "ab" * 32}, "not a checkpoint root"),
        ({"root": "pyhash-v1:" + "AB" * 32}, "not a checkpoint root"),
        ({"expires": "tomorrow"}, "tomorrow"),
        ({"expires": "2999-13-01"}, "month"),
        ({"expires": 1}, "expires"),
        ({"urls": []}, "urls"),
        ({"urls": {"config.json": 1}}, "config.json"),
        ({"urls": {"../escape": "https://h/"}}, "escape"),
        ({"urls": {"/etc/passwd": "https://h/"}}, "passwd"),
        ({"more": 1}, "more"),
    ],
)
def test_link_sets_that_are_none(fields: dict[str, object], match: str, tmp_path: Path) -> None:
    """Whoever makes a link set may be anybody: a bad one is a file that cannot be used, code 3."""
    place = tmp_path / "links.json"
    place.write_text(json.dumps({**FIELDS, **fields}))
    with pytest.raises(errors.FormatError, match=match) as caught:
        load_links(place.read_bytes(), str(place))
    assert str(place) in str(caught.value)
    _, public = write_keys(tmp_path)
    assert run(["pull", f"links://{place}", str(tmp_path / "out"), "--key", str(public)]) == 3
    assert not (tmp_path / "out").exists()


def test_missing_field_and_missing_file(tmp_path: Path) -> None:
    for name in FIELDS:
        fields = {one: value for one, value in FIELDS.items() if one != name}
        with pytest.raises(errors.FormatError, match=name):
            load_links(json.dumps(fields).encode(), "x")
    with pytest.raises(errors.ReadError, match="No such file"):
        open_source(f"links://{tmp_path}/nothing", Network())


@pytest.mark.parametrize("expires", ["2020-01-01T00:00:00", "2020-01-01T00:00:00+14:00"])
def test_expired(expires: str, tmp_path: Path) -> None:
    place = tmp_path / "links.json"
    place.write_text(json.dumps({**FIELDS, "expires": expires}))
    with pytest.raises(errors.FetchError, match="these links expired at 2020-01-01"):
        open_source(f"links://{place}", Network())
    assert load_links(place.read_bytes(), "x").expires.tzinfo is not None


def test_path_without_a_link(tmp_path: Path) -> None:
    place = tmp_path / "links.json"
    place.write_text(json.dumps(FIELDS))
    with (
        closing(open_source(f"links://{place}", Network())) as source,
        pytest.raises(errors.NotThereError, match=r"has no link for model\.sig"),
    ):
        source.fetch_small("model.sig", 9)


# --- secrets --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "place",
    [
        "https://127.0.0.1:99999/a",
        "https://127.0.0.1:1/a",
        "https://[::1/a",
        "https:///a",
        "https://a b/",
        "https://nowhere.invalid/a",
        "https://\u3000../a",
        "X-Amz-Signature=SECRET",
        "X-Amz-Signature=SECRET:",
        "http://127.0.0.1:1/a",
    ],
)
def test_no_message_has_a_signed_url(place: str, tmp_path: Path) -> None:
    url = f"{place}?{SECRET}"
    target = SignedUrlTarget("links.json", links({"a": url}), Network())
    source = HttpsSource("links.json", lambda _: url, Network())
    with closing(source):
        calls: tuple[tuple[type[errors.CheckError], Callable[[], object]], ...] = (
            (errors.PushError, lambda: target.put_over("a", b"x")),
            (errors.FetchError, lambda: source.fetch_small("a", 9)),
        )
        for kind, call in calls:
            with pytest.raises(kind, match=r"^links\.json: ") as caught:
                call()
            assert "SECRET" not in str(caught.value)


@pytest.mark.parametrize("to", ["https://[::1/", "https://127.0.0.1:99999/", "//[", "ftp://h/"])
def test_redirect_to_what_is_no_address(
    to: str, server: Server, release: Release, tmp_path: Path
) -> None:
    """A server that leads nowhere is one that fails, and the mirror is asked."""

    def redirect(handler: Handler, content: bytes, start: int, end: int) -> bool:
        handler.give(302, b"", Location=f"{to}?{SECRET}")
        return True

    server.misbehave = redirect
    options = PullOptions(Network(ca_file=server.ca_file, attempts=1))
    with pytest.raises(errors.FetchError, match="leads to") as caught:
        pull(server.url, tmp_path / "out", release.policy, options=options)
    assert "SECRET" not in str(caught.value)
    server.misbehave = lambda h, c, s, e: h.path.endswith(BIG) and redirect(h, c, s, e)
    with serve(release.model) as mirror:
        both = tmp_path / "both.pem"
        both.write_text(Path(server.ca_file).read_text() + Path(mirror.ca_file).read_text())
        options = PullOptions(Network(ca_file=str(both), attempts=1))
        pull(server.url, tmp_path / "out", release.policy, mirrors=[mirror.url], options=options)
    assert content_of(tmp_path / "out", release) == release.content


def endless(handler: Handler, status: int, sent: list[int], **headers: str) -> None:
    """An answer whose body never ends, until the other side hangs up."""
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name, value)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    block = bytes(1 << 16)
    with suppress(OSError):
        while sum(sent) < 1 << 30:
            handler.wfile.write(b"10000\r\n%s\r\n" % block)
            sent.append(len(block))
    handler.close_connection = True


def test_redirect_with_a_body_without_end(server: Server, release: Release) -> None:
    sent: list[int] = []

    def redirect(handler: Handler, content: bytes, start: int, end: int) -> bool:
        if "moved" in handler.path:
            return False
        endless(handler, 302, sent, Location=f"{server.url}{handler.path}?moved")
        return True

    server.misbehave = redirect
    source = HttpsSource("x", lambda path: f"{server.url}/{path}", Network(ca_file=server.ca_file))
    with closing(source):
        assert source.fetch_small("config.json", 99) == release.content["config.json"]
    assert sum(sent) < 1 << 26


# --- storing --------------------------------------------------------------------------------------

LOCATIONS = """
location /stored/ { dav_methods PUT; create_full_put_path on; }
location /full/ { return 507; }
location /denied/ { return 403; }
location /exists/ { return 412; }
location /conflict/ { return 409; }
location /moved/ { return 307 https://127.0.0.1:1/; }
"""


@pytest.fixture(scope="module")
def nginx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsNginx]:
    """Stores what is put below /stored/, and refuses it in several ways elsewhere."""
    with running_tls_nginx(tmp_path_factory.mktemp("dav"), LOCATIONS) as running:
        yield running


def target_for(nginx: TlsNginx, where: str) -> SignedUrlTarget:
    network = Network(ca_file=nginx.ca_file)
    return SignedUrlTarget("links.json", links({"a": f"{nginx.url}/{where}/a?{SECRET}"}), network)


def test_stored(nginx: TlsNginx, tmp_path: Path) -> None:
    target = target_for(nginx, "stored")
    assert target.name == "links.json"
    assert (target.size_of("a"), target.read_small("a", 9)) == (None, None)
    target.put_over("a", b"small")
    assert (nginx.root / "stored/a").read_bytes() == b"small"
    (tmp_path / "local").write_bytes(bytes(3 << 20))
    target.put_file("a", str(tmp_path / "local"))
    assert (nginx.root / "stored/a").read_bytes() == bytes(3 << 20)
    assert target.put_new("a", b"x") is True


@pytest.mark.parametrize(
    ("where", "status"), [("full", 507), ("denied", 403), ("moved", 307), ("exists", 412)]
)
def test_refused_by_the_server(nginx: TlsNginx, where: str, status: int, tmp_path: Path) -> None:
    target = target_for(nginx, where)
    (tmp_path / "local").write_bytes(b"x")
    match = rf"^links\.json: a: the server answered {status}$"
    with pytest.raises(errors.PushError, match=match):
        target.put_over("a", b"x")
    with pytest.raises(errors.PushError, match=match):
        target.put_file("a", str(tmp_path / "local"))
    if where == "exists":
        assert target.put_new("a", b"x") is False
        assert target_for(nginx, "conflict").put_new("a", b"x") is False
    else:
        with pytest.raises(errors.PushError, match=match):
            target.put_new("a", b"x")


def test_nobody_can_be_asked(nginx: TlsNginx, tmp_path: Path) -> None:
    target = target_for(nginx, "stored")
    with pytest.raises(errors.PushError, match="has no https link for b"):
        target.put_over("b", b"x")
    plain = SignedUrlTarget("links.json", links({"a": f"http://h/a?{SECRET}"}), Network())
    with pytest.raises(errors.PushError, match="has no https link for a") as caught:
        plain.put_over("a", b"x")
    assert "SECRET" not in str(caught.value)
    with pytest.raises(errors.PushError, match="No such file"):
        target.put_file("a", str(tmp_path / "nothing"))
    # Trusts the system's authorities, which do not know this server.
    stranger = SignedUrlTarget("links.json", links({"a": f"{nginx.url}/stored/z"}), Network())
    with pytest.raises(errors.PushError, match="certificate"):
        stranger.put_over("a", b"x")
    assert not (nginx.root / "stored/z").exists()


def test_file_that_is_gone_after_it_was_hashed(
    nginx: TlsNginx, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pyhash.push import signed_urls

    local = tmp_path / "local"
    local.write_bytes(b"x")
    real = signed_urls.hash_files

    def then_remove(paths: list[str]) -> object:
        found = list(real(paths))
        local.unlink()
        return found

    monkeypatch.setattr(signed_urls, "hash_files", then_remove)
    with pytest.raises(errors.PushError, match="No such file"):
        target_for(nginx, "stored").put_file("a", str(local))


@pytest.mark.parametrize("refused", ["config.json", "model.sig", POINTER_NAME])
def test_a_reader_sees_nothing_of_what_was_refused(
    nginx: TlsNginx, release: Release, tmp_path: Path, refused: str
) -> None:
    """One object of a release is not taken: then there is no bundle, or no pointer to it."""
    home = f"stored/{refused}"
    prefix = release_prefix(release.root)
    names = [*OWN_NAMES, *release.content]
    urls = {one: f"{nginx.url}/{home}/{prefix}{one}" for one in names}
    urls[POINTER_NAME] = f"{nginx.url}/{home}/{POINTER_NAME}"
    urls[refused] = f"{nginx.url}/full/{refused}"
    place = tmp_path / "links.json"
    place.write_bytes(dump_links(links(urls, root=release.root)))
    network = Network(ca_file=nginx.ca_file, attempts=1)
    with pytest.raises(errors.PushError, match=f"{refused}: the server answered 507"):
        push(release.model, f"links://{place}", release.policy, options=PushOptions(network))
    stored = nginx.root / home
    assert not (stored / POINTER_NAME).exists()
    assert (stored / prefix / "model.sig").exists() == (refused == POINTER_NAME)
    with pytest.raises((errors.UnsignedError, errors.NotThereError)):
        pull(f"{nginx.url}/{home}", tmp_path / "out", release.policy, options=PullOptions(network))
    assert not (tmp_path / "out").exists()
    shutil.rmtree(stored, ignore_errors=True)


def test_answer_without_end_to_what_was_stored(server: Server) -> None:
    """Only the head of an answer counts; the rest, however long, is not waited for."""
    sent: list[int] = []

    def answer(handler: Handler, content: bytes, start: int, end: int) -> bool:
        endless(handler, 200, sent)
        return True

    server.misbehave = answer
    network = Network(ca_file=server.ca_file)
    target = SignedUrlTarget("links.json", links({"a": f"{server.url}/a"}), network)
    target.put_over("a", b"x")
    assert sum(sent) < 1 << 26


def test_open_target_reads_what_it_is_for(tmp_path: Path) -> None:
    place = tmp_path / "links.json"
    place.write_bytes(dump_links(links({}, method="GET")))
    with pytest.raises(errors.FetchError, match="links to GET, not to PUT"):
        open_target(f"links://{place}", Network())
    place.write_bytes(dump_links(replace(links({}), expires=datetime(2020, 1, 1, tzinfo=UTC))))
    with pytest.raises(errors.FetchError, match="ask for new ones"):
        open_target(f"links://{place}", Network())
