# SPDX-License-Identifier: Apache-2.0
"""The embedded store, a real S3 server over TLS: writer and reader apart, links, live checks."""

from __future__ import annotations

import json
import os
import stat
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import urllib3

from pyhash import errors
from pyhash.credentials import load_credential
from pyhash.fetch import Network, open_source
from pyhash.fetch.links import LinkSet, dump_links, load_links
from pyhash.policy import Policy
from pyhash.pull import PullOptions, pull
from pyhash.push import PushOptions, push
from pyhash.push.targets import open_target
from pyhash.releases import release_prefix
from pyhash.s3_access import open_store, sign_url
from pyhash.share import share_release, share_upload
from pyhash.store.access_records import read_records
from pyhash.store.checking import check_store, findings_of
from pyhash.store.embedded import EmbeddedStore
from tests.distribution._release import BIG, Release, content_of
from tests.support import signed_put

HOUR = timedelta(hours=1)


def network(credential: str, **more: object) -> Network:
    """How to reach the store with a credential file."""
    values = load_credential(credential)
    ca_file = values.pop("ca_file")
    return replace(Network(ca_file=ca_file, credentials=tuple(values.items())), **more)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def home(store: EmbeddedStore, release: Release) -> str:
    """A home in the store with the release in it."""
    reference = "s3://models/llama"
    options = PushOptions(network(store.writer))
    result = push(release.model, reference, release.policy, options=options)
    assert result.prefix == release_prefix(release.root)
    assert sorted(result.stored) == sorted(release.content)
    return reference


def test_pull_as_reader(store: EmbeddedStore, home: str, release: Release, tmp_path: Path) -> None:
    options = PullOptions(network(store.reader))
    result = pull(home, tmp_path / "out", release.policy, options=options)
    assert content_of(tmp_path / "out", release) == release.content
    assert (result.root, result.bytes_moved) == (release.root, release.size)
    root = f"pyhash-v1:{release.root.hex()}"
    pull(home, tmp_path / "o2", release.policy, release=root, options=options)
    with pytest.raises(errors.NotThereError):
        pull(
            home, tmp_path / "o3", release.policy, release=f"pyhash-v1:{'0' * 64}", options=options
        )


def test_again_stores_nothing(store: EmbeddedStore, home: str, release: Release) -> None:
    options = PushOptions(network(store.writer))
    again = push(release.model, home, release.policy, options=options)
    assert (again.was_there, again.stored, again.bytes_stored) == (True, (), 0)


def test_reader_cannot_push(store: EmbeddedStore, release: Release) -> None:
    options = PushOptions(network(store.reader))
    with pytest.raises(errors.PushError, match="privileges"):
        push(release.model, "s3://models/other", release.policy, options=options)
    target = open_target("s3://models/other", network(store.writer))
    prefix = release_prefix(release.root)
    assert [target.size_of(f"{prefix}{name}") for name in release.content] == [None] * 5


# What the AWS clients take from the environment, each of it set to mislead.
MISLEADING = {
    "AWS_ENDPOINT_URL_S3": "https://127.0.0.1:9",
    "AWS_ENDPOINT_URL": "https://127.0.0.1:9",
    "AWS_ENDPOINT": "https://127.0.0.1:9",
    "AWS_ACCESS_KEY_ID": "somebody",
    "AWS_SECRET_ACCESS_KEY": "guess",
    "AWS_SESSION_TOKEN": "of-somebody",
    "AWS_REGION": "elsewhere-1",
    "AWS_BUCKET": "other",
    "AWS_SKIP_SIGNATURE": "true",
    "AWS_UNSIGNED_PAYLOAD": "true",
    "AWS_CONDITIONAL_PUT": "disabled",
    "AWS_VIRTUAL_HOSTED_STYLE_REQUEST": "true",
    "AWS_S3_EXPRESS": "true",
    "AWS_ALLOW_HTTP": "true",
    "AWS_ALLOW_INVALID_CERTIFICATES": "true",
}


def test_environment_leads_nowhere(
    store: EmbeddedStore, release: Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in MISLEADING.items():
        monkeypatch.setenv(name, value)
    own = PushOptions(network(store.writer))
    push(release.model, "s3://models/environment", release.policy, options=own)
    reading = PullOptions(network(store.reader))
    pull("s3://models/environment", tmp_path / "out", release.policy, options=reading)
    assert content_of(tmp_path / "out", release) == release.content
    # The system's authorities do not know this server, whatever the environment allows.
    strange = PushOptions(replace(network(store.writer), ca_file=None))
    with pytest.raises(errors.PushError):
        push(release.model, "s3://models/strange", release.policy, options=strange)
    target = open_target("s3://models/strange", network(store.writer))
    assert target.size_of(f"{release_prefix(release.root)}model.sig") is None


def test_no_endpoint_is_amazon(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in MISLEADING.items():
        monkeypatch.setenv(name, value)
    bucket = open_store("s3://models/x", {"access_key_id": "a", "secret_access_key": "b"})
    url = urlsplit(sign_url(bucket, "GET", "x/k", HOUR))
    assert (url.scheme, url.netloc, url.path) == (
        "https",
        "s3.us-east-1.amazonaws.com",
        "/models/x/k",
    )
    asked = parse_qs(url.query)
    assert asked["X-Amz-Credential"][0].startswith("a/")
    assert "X-Amz-Security-Token" not in asked


def test_session_token_is_sent() -> None:
    credential = {"access_key_id": "a", "secret_access_key": "b", "session_token": "of-mine"}
    url = sign_url(open_store("s3://models/x", credential), "GET", "k", HOUR)
    assert parse_qs(urlsplit(url).query)["X-Amz-Security-Token"] == ["of-mine"]


def test_wrong_secret(store: EmbeddedStore, home: str, release: Release, tmp_path: Path) -> None:
    right = network(store.reader)
    wrong = tuple({**dict(right.credentials), "secret_access_key": "guess"}.items())
    options = PullOptions(replace(right, credentials=wrong))
    with pytest.raises(errors.FetchError, match="403"):
        pull(home, tmp_path / "out", release.policy, options=options)


def test_shared_links(store: EmbeddedStore, home: str, release: Release, tmp_path: Path) -> None:
    links = share_release(home, release.policy, lifetime=HOUR, network=network(store.reader))
    assert (links.method, links.root) == ("GET", release.root)
    file = tmp_path / "links.json"
    file.write_bytes(dump_links(links))
    assert load_links(file.read_bytes(), "x") == links
    # No credential on this side: the links are all it takes.
    options = PullOptions(Network(ca_file=store.ca_file))
    pull(f"links://{file}", tmp_path / "out", release.policy, options=options)
    assert content_of(tmp_path / "out", release) == release.content


def test_links_are_bound_to_path_and_time(
    store: EmbeddedStore, home: str, release: Release, tmp_path: Path
) -> None:
    """The real server refuses what was tampered with, and what has expired."""
    links = share_release(home, release.policy, lifetime=HOUR, network=network(store.reader))
    pool = urllib3.PoolManager(ca_certs=store.ca_file, retries=False)
    url = links.urls[BIG]
    assert pool.request("GET", url, headers={"Range": "bytes=0-3"}).status == 206
    assert pool.request("GET", url.replace(BIG, "config.json")).status == 403
    assert pool.request("PUT", url, body=b"evil").status == 403
    assert pool.request("DELETE", url).status == 403
    assert pool.request("GET", url.partition("?")[0]).status == 403
    brief = share_release(
        home, release.policy, lifetime=timedelta(seconds=1), network=network(store.reader)
    )
    file = tmp_path / "links.json"
    # The server's answer, not this side's clock: the set claims to live on.
    kept = LinkSet("GET", brief.root, datetime.now(UTC) + HOUR, brief.urls)
    file.write_bytes(dump_links(kept))
    while pool.request("GET", brief.urls["config.json"]).status == 200:
        pass
    options = PullOptions(Network(ca_file=store.ca_file, attempts=1))
    with pytest.raises(errors.FetchError, match="403: not allowed; a signed URL may have expired"):
        pull(f"links://{file}", tmp_path / "out", release.policy, options=options)
    file.write_bytes(dump_links(brief))
    with pytest.raises(errors.FetchError, match="these links expired"):
        pull(f"links://{file}", tmp_path / "out", release.policy, options=options)
    assert not (tmp_path / "out").exists()


def test_push_by_signed_urls(store: EmbeddedStore, release: Release, tmp_path: Path) -> None:
    home = "s3://models/by-link"
    bundle = str(release.model / "model.sig")
    links = share_upload(bundle, home, release.policy, lifetime=HOUR, network=network(store.writer))
    file = tmp_path / "links.json"
    file.write_bytes(dump_links(links))
    options = PushOptions(Network(ca_file=store.ca_file))
    result = push(release.model, f"links://{file}", release.policy, options=options)
    assert result.bytes_stored == release.size
    pull(home, tmp_path / "out", release.policy, options=PullOptions(network(store.reader)))
    assert content_of(tmp_path / "out", release) == release.content
    # Again: the server has the bundle, and does not take another one.
    push(release.model, f"links://{file}", release.policy, options=options)
    with pytest.raises(errors.FetchError, match="links to PUT, not to GET"):
        pull(f"links://{file}", tmp_path / "o2", release.policy)


def test_only_a_trusted_publisher_is_shared(
    store: EmbeddedStore, home: str, release: Release, tmp_path: Path
) -> None:
    from tests.unit._signed import write_keys

    stranger = Policy.from_key_files([write_keys(tmp_path, "stranger")[1]])
    with pytest.raises(errors.SignatureError):
        share_release(home, stranger, lifetime=HOUR, network=network(store.reader))
    with pytest.raises(errors.UsageError, match="at most 7 days"):
        share_release(
            home, release.policy, lifetime=timedelta(days=8), network=network(store.reader)
        )
    with pytest.raises(errors.UsageError, match="links are made for s3"):
        share_release("/a", release.policy, lifetime=HOUR, network=network(store.reader))


def test_swapped_release(store: EmbeddedStore, release: Release, tmp_path: Path) -> None:
    """A writer who replaces a shard under a signed bundle: its bad spans are named."""
    home = "s3://models/swapped"
    push(release.model, home, release.policy, options=PushOptions(network(store.writer)))
    evil = tmp_path / "evil"
    evil.write_bytes(bytes(len(release.content[BIG])))
    target = open_target(home, network(store.writer))
    target.put_file(release_prefix(release.root) + BIG, str(evil))
    with pytest.raises(errors.DigestMismatchError, match=BIG):
        pull(home, tmp_path / "out", release.policy, options=PullOptions(network(store.reader)))
    assert not (tmp_path / "out").exists()


def test_release_is_never_written_over(
    store: EmbeddedStore, own_release: Release, home: str
) -> None:
    import pyhash
    from tests.unit._signed import write_keys

    key, public = write_keys(own_release.model.parent, "second")
    pyhash.sign(own_release.model, key)  # the same files by another key: the same root
    policy = Policy.from_key_files([public])
    with pytest.raises(errors.PushError, match="never written over"):
        push(own_release.model, home, policy, options=PushOptions(network(store.writer)))


def test_live_checks(store: EmbeddedStore, home: str) -> None:
    reader, writer = network(store.reader), network(store.writer)
    tried = check_store("s3://models", reader, known="llama/latest.json")
    assert {one.outcome for one in tried} == {"ok"}, tried
    assert len(tried) == 6
    # A home below a prefix, and a reader who can read the whole bucket.
    below = {one.claim: one.outcome for one in check_store(home, reader, known="latest.json")}
    assert below.pop("a reader cannot read beyond its prefix") == "wrong"
    assert set(below.values()) == {"ok"}
    # A writer's credential where a reader's should be.
    wrong = {
        one.claim for one in check_store(home, writer, known="latest.json") if one.outcome != "ok"
    }
    assert {"a reader cannot write", "a reader cannot delete"} <= wrong
    claimed = check_store(
        home, reader, known="latest.json", writer=writer, claims=("versioning", "object-lock")
    )
    assert [one.outcome for one in claimed[-2:]] == ["wrong", "wrong"]
    assert len(findings_of(claimed)) == 3
    with pytest.raises(errors.UsageError, match="no claim"):
        check_store(home, reader, known="x", claims=("everything",))
    with pytest.raises(errors.UsageError, match="name the writer's"):
        check_store(home, reader, known="x", claims=("versioning",))


def test_nobody_answers(store: EmbeddedStore) -> None:
    values = {**dict(network(store.reader).credentials), "endpoint": "https://127.0.0.1:1"}
    tried = check_store("s3://models/x", Network(credentials=tuple(values.items())), known="a")
    assert {one.outcome for one in tried if one.claim != "plain http is refused"} == {"unknown"}


def test_everything_is_closed_to_others(store: EmbeddedStore) -> None:
    place = Path(store.directory)
    assert stat.S_IMODE(place.stat().st_mode) == 0o700
    closed = ("writer.toml", "reader.toml", "identities.json", "security.toml")
    for name in (*closed, "key-127.0.0.1.pem"):
        assert stat.S_IMODE((place / name).stat().st_mode) == 0o600
    pool = urllib3.PoolManager(retries=False)
    ports = json.loads((place / "ports.json").read_text())
    for path in ("/buckets/models/llama/latest.json", "/"):
        assert pool.request("GET", f"http://127.0.0.1:{ports['filer']}{path}").status == 401


def test_every_access_is_in_the_servers_own_log(store: EmbeddedStore, home: str) -> None:
    lines = Path(store.audit).read_text().splitlines()
    records = list(read_records(lines, "seaweedfs", store.audit))
    assert len(records) == len(lines)
    stored = {one.key.rpartition("/")[2] for one in records if one.requester == "writer"}
    assert {BIG, "model.sig", "latest.json"} <= stored
    assert {one.requester for one in records} <= {"writer", "reader", None}
    assert os.path.getsize(store.audit) > 0


# --- digests that the server compares -------------------------------------------------------------


@pytest.mark.parametrize("payload_of", [b"sent", b"other"])
def test_the_server_refuses_bytes_that_are_not_those_of_their_digest(
    payload_of: bytes, store: EmbeddedStore
) -> None:
    """Why a push may believe the server: it compares what arrives before it stores it.

    It is the checksum that counts. SeaweedFS takes a body whose signed payload digest is another.
    """
    checksum_of = b"other"
    credential = load_credential(store.writer)
    place = f"/{store.bucket}/digests/{payload_of.decode()}-{checksum_of.decode()}"

    def send(path: str, payload: bytes, checksum: bytes) -> signed_put.Answer:
        return signed_put.put(
            store.endpoint,
            store.ca_file,
            credential,
            path,
            b"sent",
            payload_of=payload,
            checksum_of=checksum,
        )

    assert send(place + "-right", b"sent", b"sent").status == 200
    answer = send(place, payload_of, checksum_of)
    assert answer.status == 400, answer
    source = open_source(f"s3://{store.bucket}/digests", network(store.reader))
    with pytest.raises(errors.FetchError, match=r"404|NoSuchKey|not found|no such|is not there"):
        source.fetch_small(place.rpartition("/")[2], 10)
    assert source.fetch_small(place.rpartition("/")[2] + "-right", 10) == b"sent"
