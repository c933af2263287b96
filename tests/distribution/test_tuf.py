# SPDX-License-Identifier: Apache-2.0
"""The pointer "latest" under TUF: what is old, frozen, replaced or by other keys is refused."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

import pyhash
from pyhash import errors
from pyhash.fetch import Network, TufTrust
from pyhash.pull import pull
from pyhash.push import push, tuf_metadata, tuf_pointer
from pyhash.push.targets import open_target
from pyhash.releases import release_prefix
from tests.distribution._release import Release


class Home:
    """A home with a TUF repository; releases come and go."""

    def __init__(self, place: Path, release: Release) -> None:
        self.place, self.release = place, release
        self.path = str(place / "home")
        self.keys = str(place / "keys")
        self.target = open_target(self.path, Network())
        self.root = tuf_pointer.init_repository(self.target, self.keys)
        self.trust = TufTrust(self.root, str(place / "state"))
        self.pulls = 0

    def publish(self, text: str) -> bytes:
        """Sign and publish a release that differs in its configuration; returns its root."""
        (self.release.model / "config.json").write_text(text)
        root = pyhash.sign(self.release.model, self.release.key).root
        push(self.release.model, self.path, self.release.policy)
        bundle = (self.release.model / "model.sig").read_bytes()
        tuf_pointer.publish_pointer(self.target, self.keys, root, bundle)
        return root

    def pull(self, source: str | None = None, trust: TufTrust | None = None) -> bytes | None:
        """Pull the latest release; returns its root."""
        self.pulls += 1
        out = self.place / f"out{self.pulls}"
        policy, trust = self.release.policy, trust or self.trust
        try:
            return pull(source or self.path, out, policy, tuf=trust, only=["config.json"]).root
        except errors.PyhashError:
            assert not out.exists()
            raise


@pytest.fixture
def home(own_release: Release, tmp_path: Path) -> Home:
    return Home(tmp_path, own_release)


def test_follows_the_pointer(home: Home) -> None:
    first = home.publish('{"n": 1}')
    assert home.pull() == first
    second = home.publish('{"n": 2}')
    assert home.pull() == second != first


def test_rolled_back_pointer(home: Home, tmp_path: Path) -> None:
    home.publish('{"n": 1}')
    shutil.copytree(home.path, tmp_path / "old")
    home.publish('{"n": 2}')
    home.pull()
    with pytest.raises(errors.PolicyError, match="version"):
        home.pull(str(tmp_path / "old"))


def test_frozen_pointer(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is wrong with it but its age."""
    week = timedelta(days=8)
    monkeypatch.setattr(tuf_pointer, "_expires", lambda role: datetime.now(UTC) - week)
    home.publish('{"n": 1}')
    with pytest.raises(errors.PolicyError, match="expired"):
        home.pull()
    monkeypatch.undo()
    tuf_pointer.renew_timestamp(home.target, home.keys)
    with pytest.raises(errors.PolicyError, match="expired"):  # the others still are
        home.pull()


def test_renewed_timestamp(home: Home) -> None:
    root = home.publish('{"n": 1}')
    assert home.pull() == root
    tuf_pointer.renew_timestamp(home.target, home.keys)
    assert home.pull() == root


def test_stale_plain_pointer_counts_for_nothing(home: Home) -> None:
    first = home.publish('{"n": 1}')
    second = home.publish('{"n": 2}')
    from pyhash.releases import dump_pointer

    home.target.put_over("latest.json", dump_pointer(first))
    assert home.pull() == second


@pytest.mark.parametrize("role", tuf_pointer.ROLES)
def test_keys_are_replaced(home: Home, role: str) -> None:
    root = home.publish('{"n": 1}')
    assert home.pull() == root
    old = Path(home.keys, f"{role}.pem").read_bytes()
    tuf_pointer.rotate_key(home.target, home.keys, role)
    assert Path(home.keys, f"{role}.pem").read_bytes() != old
    assert home.pull() == root
    assert home.publish('{"n": 2}') == home.pull()


def unchecked(real: Any, *arguments: Any, **more: Any) -> Any:
    """What a thief's own program would take back: anything."""
    with mock.patch.object(tuf_metadata, "_has_signed", return_value=True):
        return real(*arguments, **more)


def test_revoked_key_signs_nothing_more(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.publish('{"n": 1}')
    home.pull()
    stolen = tmp_path / "stolen"
    shutil.copytree(home.keys, stolen)
    for role in ("targets", "snapshot", "timestamp"):
        tuf_pointer.rotate_key(home.target, home.keys, role)
    home.pull()
    bundle = (home.release.model / "model.sig").read_bytes()
    shutil.copy(Path(home.keys, "seen.json"), stolen)
    with pytest.raises(errors.SignatureError, match="somebody else wrote it"):
        tuf_pointer.publish_pointer(home.target, str(stolen), bytes(32), bundle)
    real = tuf_metadata.take_back
    monkeypatch.setattr(tuf_pointer, "take_back", lambda *a, **k: unchecked(real, *a, **k))
    tuf_pointer.publish_pointer(home.target, str(stolen), bytes(32), bundle)
    with pytest.raises(errors.PolicyError, match="signed by 0/1"):
        home.pull()


def test_other_repository(home: Home, tmp_path: Path) -> None:
    home.publish('{"n": 1}')
    (tmp_path / "b").mkdir()
    other = Home(tmp_path / "b", home.release)
    with pytest.raises(errors.PolicyError):
        home.pull(trust=TufTrust(other.root, str(tmp_path / "state2")))


def test_replaced_bundle(home: Home) -> None:
    """Signed by the publisher, for these very files, and still not the one that was published."""
    root = home.publish('{"n": 1}')
    pyhash.sign(home.release.model, home.release.key)
    again = (home.release.model / "model.sig").read_bytes()
    home.target.put_over(f"{release_prefix(root)}model.sig", again)
    with pytest.raises(errors.PolicyError, match="another bundle than the one"):
        home.pull()


def test_no_repository(own_release: Release, tmp_path: Path, home: Home) -> None:
    place = tmp_path / "plain"
    push(own_release.model, str(place), own_release.policy)
    with pytest.raises(errors.FetchError, match="TUF pointer"):
        home.pull(str(place))
    with pytest.raises(errors.UsageError, match="no TUF repository"):
        tuf_pointer.renew_timestamp(open_target(str(place), Network()), home.keys)
    with pytest.raises(errors.PolicyError, match="nobody has signed"):
        home.pull()


def test_keys_are_kept_and_closed(home: Home) -> None:
    with pytest.raises(errors.UsageError, match="has a TUF repository already"):
        tuf_pointer.init_repository(home.target, home.keys)
    with pytest.raises(errors.UsageError, match="not written over"):
        tuf_pointer.init_repository(open_target(home.path + "2", Network()), home.keys)
    place = Path(home.keys, "timestamp.pem")
    assert place.stat().st_mode & 0o777 == 0o600
    place.chmod(0o640)
    with pytest.raises(errors.KeyFileError, match="lets others reach"):
        tuf_pointer.renew_timestamp(home.target, home.keys)
    place.chmod(0o600)
    place.write_bytes(b"junk")
    with pytest.raises(errors.KeyFileError, match="cannot be used"):
        tuf_pointer.renew_timestamp(home.target, home.keys)
    place.unlink()
    with pytest.raises(errors.KeyFileError):
        tuf_pointer.renew_timestamp(home.target, home.keys)
    with pytest.raises(errors.UsageError, match="no role"):
        tuf_pointer.rotate_key(home.target, home.keys, "king")


def test_damaged_metadata(home: Home) -> None:
    home.publish('{"n": 1}')
    home.target.put_over("tuf/timestamp.json", b"{}")
    with pytest.raises(errors.PushError):
        tuf_pointer.renew_timestamp(home.target, home.keys)
    with pytest.raises(errors.PolicyError, match="refused"):
        home.pull()
