# SPDX-License-Identifier: Apache-2.0
"""Repair from a second copy that is far away: a real nginx over TLS, and a real S3 store. Only what
is damaged is asked for, and a source that fails, lies or is somebody else changes nothing.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

import pyhash
from pyhash import errors
from pyhash.cli.group import run
from pyhash.fetch import Network
from pyhash.fetch.links import dump_links
from pyhash.push import PushOptions, push
from pyhash.push.targets import open_target
from pyhash.releases import release_prefix
from pyhash.repair import RepairOptions, RepairResult, repair
from pyhash.share import share_release
from pyhash.store.embedded import EmbeddedStore
from tests.distribution._release import BIG, SHARD, SPAN, Release, content_of, flip
from tests.distribution.test_store import network
from tests.support.nginx import free_port
from tests.support.tls_nginx import TlsNginx, running_tls_nginx

DAMAGED = (3, 4, 30)  # spans of the largest file

# /model/ is as it should be. The others say something else than what they were asked for.
LOCATIONS = """
location /ignoring/ { alias %(root)s/model/; max_ranges 0; }
location /encoded/ { alias %(root)s/model/; add_header Content-Encoding gzip always; }
location /denied/ { return 403; }
location /failing/ { return 503; }
location /plain/ { return 302 http://127.0.0.1:1$uri; }
location /circle/ { return 302 $uri; }
location /shifted/ {
    proxy_pass https://127.0.0.1:%(port)d/model/;
    proxy_set_header Range "bytes=0-1048575";
}
"""


@dataclass(frozen=True)
class Damaged:
    """A release with a few bad spans and a file that is gone."""

    model: Path
    release: Release

    @property
    def whole(self) -> bool:
        return content_of(self.model, self.release) == self.release.content

    def state(self) -> dict[str, tuple[int, int, bytes]]:
        """Inode, time and content of everything."""
        return {
            str(one.relative_to(self.model)): (
                one.stat().st_ino,
                one.stat().st_mtime_ns,
                one.read_bytes() if one.is_file() else b"",
            )
            for one in self.model.rglob("*")
        }

    def repair(self, *sources: str, how: Network) -> RepairResult:
        how = replace(how, attempts=1, timeout_seconds=10)
        options = RepairOptions(how, connections=2)
        return repair(self.model, sources, self.release.policy, options=options)

    def refused(
        self, kind: type[errors.PyhashError], match: str, source: str, how: Network
    ) -> None:
        """It fails so, and nothing has been written."""
        before = self.state()
        with pytest.raises(kind, match=match):
            self.repair(source, how=how)
        assert self.state() == before


@pytest.fixture
def damaged(own_release: Release) -> Damaged:
    for span in DAMAGED:
        flip(own_release.model / BIG, span * SPAN + 5)
    (own_release.model / "config.json").unlink()
    return Damaged(own_release.model, own_release)


@pytest.fixture(scope="module")
def nginx(release: Release, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsNginx]:
    place = tmp_path_factory.mktemp("repair")
    port = free_port()
    fields = {"root": place / "root", "port": port}
    with running_tls_nginx(place, LOCATIONS % fields, port=port) as running:
        shutil.copytree(release.model, running.root / "model")
        shutil.copytree(release.model, running.root / "rotten")
        flip(running.root / "rotten" / BIG, 4 * SPAN + 9)
        shutil.copytree(release.model, running.root / "short")
        os.truncate(running.root / "short" / BIG, 35 * SPAN)
        yield running


@pytest.fixture
def trusting(nginx: TlsNginx) -> Network:
    nginx.log.write_text("")
    return Network(ca_file=nginx.ca_file)


# --- nginx ----------------------------------------------------------------------------------------


def test_only_what_is_damaged_is_fetched(
    damaged: Damaged, nginx: TlsNginx, trusting: Network
) -> None:
    before = damaged.state()
    source = f"{nginx.url}/model"
    result = damaged.repair(source, how=trusting)
    assert result.is_whole
    assert damaged.whole
    assert [(one.path, one.start // SPAN, one.source) for one in result.taken] == [
        *((BIG, span, source) for span in DAMAGED),
        ("config.json", 0, source),
    ]
    # What the server has seen: the two runs of spans, and never the rest.
    assert sorted(nginx.ranges(BIG)) == [
        (3 * SPAN, 5 * SPAN, 206),
        (30 * SPAN, 31 * SPAN, 206),
    ]
    assert nginx.ranges(SHARD) == []
    after = damaged.state()
    assert {name for name in after if after[name] != before.get(name)} == {BIG, "config.json"}
    assert after[BIG][0] == before[BIG][0]
    assert pyhash.verify(damaged.model, keys=[damaged.release.public]).guarantee == "content"


def test_tree_file_over_the_network(damaged: Damaged, nginx: TlsNginx, trusting: Network) -> None:
    (damaged.model / "model.tree").unlink()
    result = damaged.repair(f"{nginx.url}/model", how=trusting)
    assert (result.tree_source, damaged.whole) == (f"{nginx.url}/model", True)


@pytest.mark.parametrize(
    ("where", "match"),
    [
        ("ignoring", "the server ignores ranges and sent the whole object"),
        ("shifted", "the server sent 'bytes 0-1048575/.*instead of 'bytes 3"),
        ("encoded", "came encoded"),
        ("denied", "403: not allowed"),
        ("failing", "503"),
        ("plain", "leads to http://, and only https"),
        ("circle", "more than 5 redirects"),
        ("short", "not of the signed size"),
        ("nothing", "404"),
    ],
)
def test_server_that_gives_something_else(
    damaged: Damaged, nginx: TlsNginx, trusting: Network, where: str, match: str
) -> None:
    """It is not believed, whatever the answer holds; and where there is another source, that is
    taken.
    """
    (damaged.model / "config.json").write_bytes(damaged.release.content["config.json"])
    damaged.refused(errors.FetchError, match, f"{nginx.url}/{where}", trusting)
    result = damaged.repair(f"{nginx.url}/{where}", f"{nginx.url}/model", how=trusting)
    assert damaged.whole
    assert {one.source for one in result.taken} == {f"{nginx.url}/model"}
    assert result.bad == ()


def test_rotten_copy(damaged: Damaged, nginx: TlsNginx, trusting: Network) -> None:
    """Of three spans one is bad there: it is not written, and had from elsewhere."""
    source = f"{nginx.url}/rotten"
    with pytest.raises(errors.DigestMismatchError, match="other bytes than the signed ones"):
        damaged.repair(source, how=trusting)
    data = (damaged.model / BIG).read_bytes()
    old = bytearray(damaged.release.content[BIG])
    for span in DAMAGED:
        old[span * SPAN + 5] ^= 1
    assert data[4 * SPAN : 5 * SPAN] == old[4 * SPAN : 5 * SPAN]
    result = damaged.repair(source, f"{nginx.url}/model", how=trusting)
    assert damaged.whole
    assert {(one.path, one.start // SPAN, one.source) for one in result.bad} == {(BIG, 4, source)}


def test_somebody_elses_certificate(damaged: Damaged, nginx: TlsNginx, trusting: Network) -> None:
    """The system's authorities do not know it; another authority has not signed it; and it is for
    another name: no request is even sent.
    """
    source = f"{nginx.url}/model"
    damaged.refused(errors.FetchError, "certificate verify failed", source, Network())
    other = damaged.model.parent / "other.pem"
    trustme.CA().cert_pem.write_to_path(other)
    another = Network(ca_file=str(other))
    damaged.refused(errors.FetchError, "certificate verify failed", source, another)
    name = source.replace("127.0.0.1", "localhost")
    damaged.refused(errors.FetchError, "Hostname mismatch", name, trusting)
    assert nginx.log.read_text() == ""


def test_certificate_of_yesterday(
    damaged: Damaged, tmp_path_factory: pytest.TempPathFactory
) -> None:
    expired = datetime.now(UTC) - timedelta(days=1)
    with running_tls_nginx(tmp_path_factory.mktemp("old"), not_after=expired) as old:
        shutil.copytree(damaged.release.model, old.root / "model")
        trusting = Network(ca_file=old.ca_file)
        source = f"{old.url}/model"
        damaged.refused(errors.FetchError, "certificate has expired", source, trusting)


def test_command(
    damaged: Damaged, nginx: TlsNginx, trusting: Network, capfd: pytest.CaptureFixture[str]
) -> None:
    line = ["repair", str(damaged.model), "--key", str(damaged.release.public), "--from"]
    before = damaged.state()
    assert run([*line, f"{nginx.url}/model"]) == 3
    assert "certificate" in capfd.readouterr().err
    assert run([*line, f"{nginx.url}/rotten", "--ca", nginx.ca_file, "--dry-run"]) == 1
    assert damaged.state() == before
    capfd.readouterr()
    assert run([*line, f"{nginx.url}/model", "--ca", nginx.ca_file]) == 0
    assert f"{nginx.url}/model: 4 spans" in capfd.readouterr().out
    assert damaged.whole


# --- S3 -------------------------------------------------------------------------------------------

HOME = "s3://models/second-copy"


@pytest.fixture(scope="module")
def home(store: EmbeddedStore, release: Release) -> str:
    push(release.model, HOME, release.policy, options=PushOptions(network(store.writer)))
    return HOME


def requests(store: EmbeddedStore, name: str) -> int:
    lines = Path(store.audit).read_text().splitlines()
    return sum(f"second-copy/{name}" in line or f"/{name}" in line for line in lines)


def test_from_the_store(damaged: Damaged, store: EmbeddedStore, home: str) -> None:
    (damaged.model / "model.tree").write_bytes(b"rot")
    asked = requests(store, SHARD)
    result = damaged.repair(home, how=network(store.reader))
    assert result.is_whole
    assert damaged.whole
    assert result.tree_source == HOME
    assert [(one.path, one.start // SPAN, one.source) for one in result.taken] == [
        *((BIG, span, HOME) for span in DAMAGED),
        ("config.json", 0, HOME),
    ]
    assert requests(store, SHARD) == asked  # what is whole is not asked for
    assert pyhash.verify(damaged.model, keys=[damaged.release.public]).guarantee == "content"


def test_from_the_store_by_links(
    damaged: Damaged, store: EmbeddedStore, home: str, tmp_path: Path
) -> None:
    """No credential on the host that is repaired."""
    policy = damaged.release.policy
    hour = timedelta(hours=1)
    found = share_release(home, policy, lifetime=hour, network=network(store.reader))
    links = tmp_path / "links.json"
    links.write_bytes(dump_links(found))
    assert damaged.repair(f"links://{links}", how=Network(ca_file=store.ca_file)).is_whole
    assert damaged.whole


def test_store_that_does_not_know_the_reader(
    damaged: Damaged, store: EmbeddedStore, home: str
) -> None:
    right = network(store.reader)
    wrong = replace(
        right,
        credentials=tuple({**dict(right.credentials), "secret_access_key": "guess"}.items()),
    )
    damaged.refused(errors.FetchError, "403", home, wrong)
    damaged.refused(errors.FetchError, "40[34]", "s3://models/nothing", right)
    damaged.refused(errors.FetchError, "certificate", home, replace(right, ca_file=None))
    damaged.refused(errors.UsageError, "no access_key_id", home, Network(ca_file=store.ca_file))
    # The first source fails, the second has it.
    assert damaged.repair("s3://models/nothing", home, how=right).is_whole
    assert damaged.whole


def test_writer_who_replaced_a_shard(
    damaged: Damaged, store: EmbeddedStore, tmp_path: Path
) -> None:
    """Of the right size, under the right name, with a valid bundle beside it."""
    reference = "s3://models/swapped-copy"
    release = damaged.release
    good = tmp_path / "good"
    shutil.copytree(release.model, good)
    for name, data in release.content.items():
        (good / name).write_bytes(data)
    push(good, reference, release.policy, options=PushOptions(network(store.writer)))
    evil = tmp_path / "evil"
    evil.write_bytes(bytes(len(release.content[BIG])))
    target = open_target(reference, network(store.writer))
    target.put_file(release_prefix(release.root) + BIG, str(evil))
    (damaged.model / "config.json").write_bytes(release.content["config.json"])
    reader = network(store.reader)
    damaged.refused(errors.DigestMismatchError, f"{BIG}: other bytes", reference, reader)
