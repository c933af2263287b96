# SPDX-License-Identifier: Apache-2.0
"""What a publisher takes back from the home to sign it again: whoever can write there must not have
anything signed that way, and nothing old brought back.
"""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pyhash import errors
from pyhash.push import tuf_pointer
from tests.distribution._release import Release
from tests.distribution.test_tuf import Home


@pytest.fixture
def home(own_release: Release, tmp_path: Path) -> Home:
    found = Home(tmp_path, own_release)
    found.publish('{"n": 1}')
    return found


def renew(home: Home) -> None:
    tuf_pointer.renew_timestamp(home.target, home.keys)


def publish(home: Home) -> None:
    home.publish(f'{{"n": {next(NUMBERS)}}}')


def rotate(home: Home) -> None:
    tuf_pointer.rotate_key(home.target, home.keys, "targets")


NUMBERS = itertools.count(100)  # a release is published once
ACTS = [renew, publish, rotate]


def metadata(home: Home) -> Path:
    return Path(home.path, "tuf")


def state(home: Home) -> dict[str, bytes]:
    return {one.name: one.read_bytes() for one in metadata(home).iterdir() if one.is_file()}


def versions(home: Home, role: str) -> list[Path]:
    """Every version of a role's metadata, the oldest first."""
    found = metadata(home).glob(f"*.{role}.json")
    return sorted(found, key=lambda one: int(one.name.split(".")[0]))


def refused(home: Home, act: Callable[[Home], None], error: type[Exception], match: str) -> None:
    """The act is refused, and the metadata are what they were."""
    before = state(home)
    with pytest.raises(error, match=match):
        act(home)
    assert state(home) == before


def change(place: Path, **fields: Any) -> None:
    """Write other values into signed metadata, and leave the signatures as they are."""
    envelope = json.loads(place.read_bytes())
    envelope["signed"].update(fields)
    place.write_text(json.dumps(envelope))


@pytest.mark.parametrize("act", ACTS)
def test_timestamp_that_was_changed(home: Home, act: Callable[[Home], None]) -> None:
    change(metadata(home) / "timestamp.json", version=1000)
    refused(home, act, errors.SignatureError, r"timestamp\.json: .*somebody else wrote it")


@pytest.mark.parametrize("act", ACTS)
def test_timestamp_that_nobody_signed(home: Home, act: Callable[[Home], None]) -> None:
    place = metadata(home) / "timestamp.json"
    envelope = json.loads(place.read_bytes())
    place.write_text(json.dumps({**envelope, "signatures": []}))
    refused(home, act, errors.SignatureError, "somebody else wrote it")


@pytest.mark.parametrize("act", ACTS)
def test_metadata_of_another_role(home: Home, act: Callable[[Home], None]) -> None:
    shutil.copy(versions(home, "snapshot")[-1], metadata(home) / "timestamp.json")
    refused(home, act, errors.SignatureError, "not timestamp metadata")


@pytest.mark.parametrize("role", ["snapshot", "targets"])
@pytest.mark.parametrize("act", [publish, rotate])
def test_older_one_under_the_name_of_the_latest(
    home: Home, act: Callable[[Home], None], role: str
) -> None:
    home.publish('{"n": 2}')
    earlier, latest = versions(home, role)[-2:]
    shutil.copy(earlier, latest)
    refused(home, act, errors.SignatureError, "put an older one in its place")


@pytest.mark.parametrize("act", ACTS)
def test_earlier_state_brought_back(home: Home, act: Callable[[Home], None]) -> None:
    """All of it signed, all of it fitting together, and not the latest."""
    before = state(home)
    home.publish('{"n": 2}')
    for name, data in before.items():
        (metadata(home) / name).write_bytes(data)
    refused(home, act, errors.PolicyError, "brought an earlier state back")
    Path(home.keys, "seen.json").unlink()  # as the message says, if it was the publisher
    act(home)


def test_root_metadata_taken_away(home: Home) -> None:
    """Else the key that was replaced would be among the new ones again."""
    rotate(home)
    (metadata(home) / "2.root.json").unlink()
    refused(home, rotate, errors.PolicyError, "root metadata have version 1, and 2 was signed")


def test_root_metadata_of_somebody_else(home: Home, tmp_path: Path) -> None:
    other = Home(_made(tmp_path / "other"), home.release)
    shutil.copy(metadata(other) / "1.root.json", metadata(home) / "1.root.json")
    refused(home, rotate, errors.SignatureError, r"1\.root\.json: .*somebody else wrote it")


def _made(place: Path) -> Path:
    place.mkdir()
    return place


def test_new_key_taken_up_and_nothing_signed_yet(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed there, the metadata still have the signature of a key that is here no more."""

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(tuf_pointer, "_publish_next", killed)
        with pytest.raises(KeyboardInterrupt):
            rotate(home)
    with pytest.raises(errors.SignatureError):
        publish(home)
    rotate(home)
    assert home.publish('{"n": 3}') == home.pull()


@pytest.mark.parametrize("text", ["{", "[]", '{"timestamp": "1"}', '{"timestamp": -1}'])
def test_what_was_seen_is_damaged(home: Home, text: str) -> None:
    Path(home.keys, "seen.json").write_text(text)
    refused(home, renew, errors.FormatError, r"seen\.json")


@pytest.mark.parametrize("data", [b"", b"junk", b"{}", b"[]", b'{"keyid": 1}'])
def test_public_half_that_is_none(home: Home, data: bytes) -> None:
    Path(home.keys, "timestamp.pem.pub").write_bytes(data)
    refused(home, renew, errors.KeyFileError, "cannot be used")


def test_halves_that_do_not_fit(home: Home) -> None:
    shutil.copy(Path(home.keys, "targets.pem"), Path(home.keys, "timestamp.pem"))
    refused(home, renew, errors.KeyFileError, "cannot be used")


def test_environment_does_not_choose_the_key(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CRYPTO_SIGNER_PATH_PREFIX", str(tmp_path / "elsewhere"))
    renew(home)
    assert home.pull()
