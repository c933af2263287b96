# SPDX-License-Identifier: Apache-2.0
"""A store that refuses, is not there, or is not the one that was meant: each ends in a clear error,
as a reader, as a writer, and before anything is asked.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from pyhash import errors
from pyhash.cli.group import run
from pyhash.fetch import Network, open_source
from pyhash.push.s3 import S3Target
from pyhash.push.targets import open_target
from pyhash.releases import release_prefix
from pyhash.s3_access import open_store, sign_url
from pyhash.share import share_release
from pyhash.store import checking
from pyhash.store.embedded import EmbeddedStore
from tests.distribution._https_server import Handler, serve
from tests.distribution._release import Release
from tests.distribution.test_store import network

CREDENTIAL = {
    "access_key_id": "a",
    "secret_access_key": "SECRET",
    "endpoint": "https://127.0.0.1:1",
}


# --- before anything is asked ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reference", "credential", "match"),
    [
        ("s3://", CREDENTIAL, "expected s3://BUCKET/PREFIX"),
        ("s3:///prefix", CREDENTIAL, "expected s3://BUCKET/PREFIX"),
        ("s3://[b/x", CREDENTIAL, "expected s3://BUCKET/PREFIX"),
        ("s3://b/a//b", CREDENTIAL, "without empty names"),
        ("s3://b/../x", CREDENTIAL, "without empty names"),
        ("s3://b/x/.", CREDENTIAL, "without empty names"),
        ("s3://b/x", {}, "the credential has no access_key_id"),
        ("s3://b/x", {**CREDENTIAL, "secret_access_key": ""}, "has no secret_access_key"),
        ("s3://b/x", {**CREDENTIAL, "endpoint": "http://h"}, "only https endpoints are used"),
    ],
)
def test_references_and_credentials(reference: str, credential: dict[str, str], match: str) -> None:
    reached = Network(credentials=tuple(credential.items()))
    calls: tuple[Callable[[], object], ...] = (
        lambda: open_store(reference, credential),
        lambda: open_source(reference, reached),
        lambda: open_target(reference, reached),
    )
    for call in calls:
        with pytest.raises(errors.UsageError, match=match) as caught:
            call()
        assert "SECRET" not in str(caught.value)


PEM = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"


@pytest.mark.parametrize("content", [None, b"", b"junk", b"\xff\xfe", PEM.encode()])
def test_authorities_that_are_none(content: bytes | None, tmp_path: Path) -> None:
    place = tmp_path / "ca.pem"
    if content is not None:
        place.write_bytes(content)
    with pytest.raises(errors.UsageError, match=r"ca\.pem: cannot be used"):
        open_store("s3://b/x", CREDENTIAL, ca_file=str(place))


def test_size_of_the_list_of_authorities(tmp_path: Path) -> None:
    import trustme

    place = tmp_path / "ca.pem"
    authority = trustme.CA().cert_pem.bytes()
    for size, fits in ((1 << 22, True), ((1 << 22) + 1, False)):
        place.write_bytes(authority.ljust(size, b"\n"))
        if fits:
            open_store("s3://b/x", CREDENTIAL, ca_file=str(place))
        else:
            with pytest.raises(errors.LimitError, match="more than 4194304 bytes"):
                open_store("s3://b/x", CREDENTIAL, ca_file=str(place))


def test_proxy_that_is_none() -> None:
    with pytest.raises(errors.UsageError, match="::::: cannot be used"):
        open_store("s3://b/x", CREDENTIAL, proxy="::::")


def test_library_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "obstore.store", None)
    with pytest.raises(errors.DependencyError, match=r"pip install 'pyhash-checkpoint\[s3\]'"):
        open_store("s3://b/x", CREDENTIAL)


@pytest.mark.parametrize("key", ["a//b", "../b", "a\0b"])
def test_keys_that_are_none(key: str) -> None:
    store = open_store("s3://b", CREDENTIAL)
    with pytest.raises(errors.FetchError, match="no URL could be signed") as caught:
        sign_url(store, "GET", key, timedelta(minutes=1))
    assert "SECRET" not in str(caught.value)
    with pytest.raises(errors.FetchError, match="no URL could be signed"):
        sign_url(store, "GET", "a", timedelta(seconds=-1))


# --- nobody there, or somebody else ---------------------------------------------------------------


def calls_of(target: S3Target, local: Path) -> dict[str, Callable[[], object]]:
    local.write_bytes(b"x")
    return {
        "size_of": lambda: target.size_of("a/b"),
        "read_small": lambda: target.read_small("a/b", 9),
        "put_file": lambda: target.put_file("a/b", str(local)),
        "put_new": lambda: target.put_new("a/b", b"x"),
        "put_over": lambda: target.put_over("a/b", b"x"),
    }


def test_another_server(store: EmbeddedStore, tmp_path: Path) -> None:
    """With a certificate of another authority: not one request gets that far."""
    with serve(tmp_path) as middle:
        values = {**dict(network(store.writer).credentials), "endpoint": middle.url}
        opened = open_store("s3://models", values, ca_file=store.ca_file, attempts=1)
        target = S3Target("s3://models", opened, "")
        for call in calls_of(target, tmp_path / "x").values():
            with pytest.raises(errors.PushError, match=r"^s3://models: a/b: ") as caught:
                call()
            assert values["secret_access_key"] not in str(caught.value)
            assert "\n" not in str(caught.value)
        assert middle.asked == []


def test_writer_without_rights(store: EmbeddedStore, tmp_path: Path) -> None:
    """Each call of a reader that would write is refused by the store, and leaves nothing."""
    target = open_target("s3://models/denied", network(store.reader))
    assert target.name == "s3://models/denied"
    calls = calls_of(target, tmp_path / "x")  # type: ignore[arg-type]
    assert calls["size_of"]() is None  # what is not there, and may be asked for
    assert calls["read_small"]() is None
    for name in ("put_file", "put_new", "put_over"):
        with pytest.raises(errors.PushError, match=r"s3://models/denied: a/b: .*privileges"):
            calls[name]()
    writer = open_target("s3://models/denied", network(store.writer))
    assert writer.size_of("a/b") is None


def test_wrong_secret(store: EmbeddedStore, tmp_path: Path) -> None:
    """What may not be looked at is not taken for missing: everything would be sent again."""
    right = network(store.writer)
    wrong = tuple({**dict(right.credentials), "secret_access_key": "guess"}.items())
    target = open_target("s3://models/denied", replace(right, credentials=wrong))
    for call in calls_of(target, tmp_path / "x").values():  # type: ignore[arg-type]
        with pytest.raises(errors.PushError, match="privileges"):
            call()


def test_what_a_writer_does(store: EmbeddedStore, tmp_path: Path) -> None:
    target = open_target("s3://models/target", network(store.writer))
    calls = calls_of(target, tmp_path / "x")  # type: ignore[arg-type]
    assert (calls["size_of"](), calls["read_small"]()) == (None, None)
    assert calls["put_new"]() is True
    assert calls["put_new"]() is False
    target.put_over("a/b", b"0123456789")
    assert target.put_new("a/b", b"other") is False
    assert target.size_of("a/b") == 10
    assert target.read_small("a/b", 10) == b"0123456789"
    with pytest.raises(errors.PushError, match="a/b: more than 9 bytes"):
        target.read_small("a/b", 9)
    with pytest.raises(errors.PushError, match="No such file"):
        target.put_file("a/b", str(tmp_path / "nothing"))
    assert target.read_small("a/b", 10) == b"0123456789"


def test_somebody_is_faster(
    store: EmbeddedStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between looking and storing, the store itself refuses to replace what another one stored."""
    target = open_target("s3://models/race", network(store.writer))
    target.put_over("bundle", b"theirs")
    monkeypatch.setattr(S3Target, "size_of", lambda *_: None)
    assert target.put_new("bundle", b"ours") is False
    assert target.read_small("bundle", 9) == b"theirs"


def test_pushed_by_a_program_that_is_refused(
    store: EmbeddedStore, release: Release, capfd: pytest.CaptureFixture[str]
) -> None:
    credentials = ("--credentials", store.reader)
    line = ("push", str(release.model), "s3://models/nothing", "--key", str(release.public))
    assert run([*line, *credentials]) == 3
    assert "privileges" in capfd.readouterr().err
    writer = open_target("s3://models/nothing", network(store.writer))
    prefix = release_prefix(release.root)
    for name in (*release.content, "model.sig", "model.tree"):
        assert writer.size_of(prefix + name) is None
    assert writer.size_of("latest.json") is None


# --- checks ---------------------------------------------------------------------------------------


def test_a_port_is_no_answer(store: EmbeddedStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody answers at a port with the digits of a refusal: that is no refusal."""
    values = {**dict(network(store.reader).credentials), "endpoint": "https://127.0.0.1:4030"}
    reached = Network(credentials=tuple(values.items()), attempts=1)
    tried = checking.check_store("s3://models", reached, known="a")
    (listing,) = (one for one in tried if one.claim == "a reader cannot list the bucket")
    assert listing.outcome == "unknown"
    assert "4030" in listing.answer


def test_sharing_is_no_guess(release: Release) -> None:
    """A server that fails when it is asked for the tree file: no links, rather than too few."""
    secret = b"x" * 32

    def fail(handler: Handler, content: bytes, start: int, end: int) -> bool:
        if "model.tree" not in handler.path:
            return False
        handler.give(500, b"")
        return True

    with serve(release.model) as server:
        reached = Network(ca_file=server.ca_file, attempts=1)
        how = {"lifetime": timedelta(hours=1), "network": reached, "nginx_secret": secret}
        found = share_release(server.url, release.policy, **how)  # type: ignore[arg-type]
        assert "model.tree" in found.urls
        server.misbehave = fail
        with pytest.raises(errors.FetchError, match="500"):
            share_release(server.url, release.policy, **how)  # type: ignore[arg-type]
