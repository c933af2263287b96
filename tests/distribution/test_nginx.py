# SPDX-License-Identifier: Apache-2.0
"""The plain way: a real nginx with the configuration that ``pyhash store policy`` writes."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
import trustme
import urllib3

from pyhash import errors
from pyhash.fetch import Network
from pyhash.fetch.links import dump_links
from pyhash.pull import PullOptions, pull
from pyhash.push import push
from pyhash.releases import release_prefix
from pyhash.share import share_release, sign_for_nginx
from pyhash.store.access_records import read_records
from pyhash.store.policies import Home, write_policy
from tests.distribution._release import BIG, Release, content_of
from tests.support.nginx import free_port, running_nginx

SECRET = b"0123456789abcdefghijklmnopqrstuvwxyz"
HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Nginx:
    """One that serves a home with the release in it."""

    home: str
    host: str
    ca_file: str
    log: Path


@pytest.fixture(scope="module")
def nginx(release: Release, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    place = tmp_path_factory.mktemp("nginx")
    os.chmod(place, 0o755)
    push(release.model, str(place / "srv/llama"), release.policy)
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    certificate.private_key_pem.write_to_path(place / "key.pem")
    certificate.cert_chain_pems[0].write_to_path(place / "cert.pem")
    authority.cert_pem.write_to_path(place / "ca.pem")
    port = free_port()
    # The written policy, with the places of this machine put in where it says so.
    server = write_policy("nginx", "reader", Home("models.example", "llama"))
    for old, new in (
        ("listen 443 ssl", f"listen 127.0.0.1:{port} ssl"),
        ("/etc/nginx/tls/cert.pem", f"{place}/cert.pem"),
        ("/etc/nginx/tls/key.pem", f"{place}/key.pem"),
        ("/srv/pyhash", f"{place}/srv"),
        ("/var/log/nginx/pyhash.log", f"{place}/access.log"),
        ("REPLACE_ME", SECRET.decode()),
    ):
        assert old in server
        server = server.replace(old, new)
    with running_nginx(place, server, port):
        host = f"https://127.0.0.1:{port}"
        yield Nginx(f"{host}/llama", host, str(place / "ca.pem"), place / "access.log")


def test_shared_and_pulled(nginx: Nginx, release: Release, tmp_path: Path) -> None:
    network = Network(ca_file=nginx.ca_file)
    links = share_release(
        nginx.home, release.policy, lifetime=HOUR, network=network, nginx_secret=SECRET
    )
    file = tmp_path / "links.json"
    file.write_bytes(dump_links(links))
    options = PullOptions(network)
    pull(f"links://{file}", tmp_path / "out", release.policy, options=options)
    assert content_of(tmp_path / "out", release) == release.content
    records = list(read_records(nginx.log.read_text().splitlines(), "nginx", "log"))
    assert f"llama/{release_prefix(release.root)}{BIG}" in {one.key for one in records}


def test_refused_by_the_server(nginx: Nginx, release: Release) -> None:
    pool = urllib3.PoolManager(ca_certs=nginx.ca_file, retries=False)
    path = f"/llama/{release_prefix(release.root)}config.json"
    now = int(time.time())
    good = sign_for_nginx(nginx.host, path, now + 60, SECRET)

    def status(url: str, method: str = "GET") -> int:
        return pool.request(method, url).status

    assert status(good) == 200
    assert pool.request("GET", good, headers={"Range": "bytes=1-2"}).status == 206
    assert status(f"{nginx.host}{path}") == 403  # not signed
    assert status(good.replace("config.json", BIG)) == 403  # signed for another path
    assert status(re.sub(r"expires=\d+", f"expires={now + 999}", good)) == 403  # lives longer
    assert status(sign_for_nginx(nginx.host, path, now - 1, SECRET)) == 410  # expired
    assert status(sign_for_nginx(nginx.host, path, now + 60, b"x" * 32)) == 403  # another secret
    for method in ("PUT", "DELETE", "POST"):
        assert status(good, method) == 403
    assert status(f"{nginx.host}/") == 404
    assert status(f"{nginx.host}/llama/") == 403
    plain = nginx.host.replace("https", "http")
    assert urllib3.PoolManager(retries=False).request("GET", f"{plain}{path}").status == 400


def test_without_links(nginx: Nginx, release: Release, tmp_path: Path) -> None:
    options = PullOptions(Network(ca_file=nginx.ca_file, attempts=1))
    with pytest.raises(errors.FetchError, match="403"):
        pull(nginx.home, tmp_path / "out", release.policy, options=options)
    assert not (tmp_path / "out").exists()


def test_short_secret() -> None:
    with pytest.raises(errors.UsageError, match="at least 32 bytes"):
        sign_for_nginx("https://h", "/a", 1, b"short")
