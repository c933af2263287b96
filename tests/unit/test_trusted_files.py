# SPDX-License-Identifier: Apache-2.0
"""Files that decide whom to trust: who could change them is looked at before what they say."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pyhash.errors import PolicyFileError
from pyhash.policy._trusted_files import check_trusted, check_trusted_directory, read_trusted

OTHER_USER = 12345


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "d").mkdir(mode=0o755)
    found = tmp_path / "d/policy.toml"
    found.write_bytes(b"content")
    found.chmod(0o644)
    return found


def both_refuse(file: Path, message: str) -> None:
    with pytest.raises(PolicyFileError, match=message):
        read_trusted(str(file), 100)
    with pytest.raises(PolicyFileError, match=message):
        check_trusted(str(file))


def test_plain_file(file: Path) -> None:
    assert read_trusted(str(file), 100) == b"content"
    check_trusted(str(file))


def test_cap(file: Path) -> None:
    assert read_trusted(str(file), 7) == b"content"
    with pytest.raises(PolicyFileError, match="larger than 6 bytes"):
        read_trusted(str(file), 6)


@pytest.mark.parametrize("mode", [0o664, 0o646, 0o622, 0o666, 0o777])
def test_others_can_write(file: Path, mode: int) -> None:
    file.chmod(mode)
    both_refuse(file, f"mode {mode:04o} lets others write.*chmod go-w")


@pytest.mark.parametrize("mode", [0o775, 0o757, 0o777])
def test_others_can_write_its_directory(file: Path, mode: int) -> None:
    file.parent.chmod(mode)
    both_refuse(file, f"{file.parent}: mode {mode:04o} lets others write")


def test_sticky_directory(file: Path) -> None:
    """As /tmp: nobody can rename another one's file."""
    file.parent.chmod(0o1777)
    assert read_trusted(str(file), 100) == b"content"


def test_link_is_followed_to_what_it_leads_to(file: Path, tmp_path: Path) -> None:
    """Orchestrators mount configuration as links; the file behind is the one that counts."""
    link = tmp_path / "link"
    link.symlink_to(file)
    assert read_trusted(str(link), 100) == b"content"
    file.parent.chmod(0o777)
    both_refuse(link, "lets others write")


def test_not_a_file(file: Path, tmp_path: Path) -> None:
    both_refuse(tmp_path, "not a regular file")
    os.mkfifo(tmp_path / "pipe")
    both_refuse(tmp_path / "pipe", "not a regular file")
    both_refuse(Path("/dev/zero"), "not a regular file")
    both_refuse(tmp_path / "missing", "cannot be read: No such file")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_owner(file: Path) -> None:
    os.chown(file, OTHER_USER, -1)
    both_refuse(file, f"belongs to user {OTHER_USER}")


def test_owner_by_number(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root's files are trusted by everybody, another user's by nobody else."""
    real = os.stat_result
    owner = file.stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: OTHER_USER)
    if owner == 0:
        check_trusted(str(file))
    else:
        both_refuse(file, f"belongs to user {owner}")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    given_away = list(file.stat())
    given_away[4] = OTHER_USER
    monkeypatch.setattr(os, "stat", lambda path: real(given_away))
    with pytest.raises(PolicyFileError, match=f"belongs to user {OTHER_USER}"):
        check_trusted(str(file))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_owner_of_its_directory(file: Path) -> None:
    """Who owns a directory can move away what lies in it, sticky or not."""
    for mode in (0o755, 0o1755):
        file.parent.chmod(mode)
        os.chown(file.parent, OTHER_USER, -1)
        both_refuse(file, f"{file.parent}: belongs to user {OTHER_USER}")


def test_directory(tmp_path: Path) -> None:
    place = tmp_path / "state"
    place.mkdir(mode=0o700)
    check_trusted_directory(str(place))
    for mode in (0o770, 0o707, 0o1777):
        place.chmod(mode)
        with pytest.raises(PolicyFileError, match="lets others write"):
            check_trusted_directory(str(place))
    with pytest.raises(PolicyFileError, match="cannot be read"):
        check_trusted_directory(str(tmp_path / "missing"))
    (tmp_path / "file").touch()
    with pytest.raises(PolicyFileError, match="not a directory"):
        check_trusted_directory(str(tmp_path / "file"))


def test_directory_of_another_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given_away = list(tmp_path.stat())
    given_away[4] = OTHER_USER
    found = os.stat_result(given_away)
    monkeypatch.setattr(os, "stat", lambda path: found)
    with pytest.raises(PolicyFileError, match=f"belongs to user {OTHER_USER}"):
        check_trusted_directory("anywhere")


@pytest.mark.parametrize("mode", [0o775, 0o757, 0o777])
def test_others_can_move_the_directory_away(tmp_path: Path, mode: int) -> None:
    """An empty one in its place would remember nothing; where a link leads is theirs to say."""
    around, place = tmp_path / "around", tmp_path / "place"
    around.mkdir()
    (around / "state").mkdir(mode=0o700)
    place.mkdir(mode=0o700)
    (around / "link").symlink_to(place)
    check_trusted_directory(str(around / "state"))
    check_trusted_directory(str(around / "link"))
    around.chmod(mode)
    (tmp_path / "link").symlink_to(around / "state")
    for location in (around / "state", around / "link", tmp_path / "link"):
        with pytest.raises(PolicyFileError, match=f"{around}: mode {mode:04o} lets others write"):
            check_trusted_directory(str(location))
    around.chmod(0o1777)  # as /tmp
    check_trusted_directory(str(around / "state"))
