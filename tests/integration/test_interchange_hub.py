# SPDX-License-Identifier: Apache-2.0
"""Downloads of Hugging Face's own package, verified offline from what it wrote beside the files.

The layouts are laid out by the functions of the real package; no network is used.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from pathlib import Path

import pytest
from huggingface_hub import _local_folder, _tree_cache, file_download

import pyhash
from pyhash import errors, limits
from pyhash.cli import group
from pyhash.interchange import huggingface, verify_list
from tests.support import mutations
from tests.unit import _signed

COMMIT = "0123456789abcdef0123456789abcdef01234567"
XET = "ab" + "0" * 62
SMALL = {
    "config.json": b'{"model_type": "llama"}',
    ".gitattributes": b"*.bin\n",
    "sub/été.txt": b"x",
}
LARGE = {"model.bin": bytes(range(256)) * 8192, "sub/other.bin": b"y" * 1000}
FILES = {**SMALL, **LARGE}


def git_blob(data: bytes) -> str:
    """What git itself calls the content."""
    line = ["git", "hash-object", "--stdin"]
    return subprocess.run(line, input=data, capture_output=True, check=True).stdout.decode().strip()


def etag(name: str) -> str:
    data = FILES[name]
    return hashlib.sha256(data).hexdigest() if name in LARGE else git_blob(data)


def tree_entries() -> dict[str, _tree_cache.TreeCacheEntry]:
    return {
        name: _tree_cache.TreeCacheEntry(
            size=len(data),
            blob_id=git_blob(b"pointer" + data if name in LARGE else data),
            lfs_sha256=etag(name) if name in LARGE else None,
            lfs_size=len(data) if name in LARGE else None,
            xet_hash=XET if name == "model.bin" else None,
        )
        for name, data in FILES.items()
    }


def make_cache(hub: Path, *, tree: bool = True) -> Path:
    """A cache with one snapshot, one blob of which lies in the shared store; the snapshot."""
    repository = hub / file_download.repo_folder_name(repo_id="org/name", repo_type="model")
    (repository / "blobs").mkdir(parents=True)
    for name, data in FILES.items():
        blob = repository / "blobs" / etag(name)
        pointer = Path(file_download._get_pointer_path(str(repository), COMMIT, name))
        pointer.parent.mkdir(parents=True, exist_ok=True)
        if name == "model.bin":
            shared = hub / "blobs" / XET[:2] / XET
            shared.parent.mkdir(parents=True)
            shared.write_bytes(data)
            file_download._create_symlink(str(shared), str(blob))
        else:
            blob.write_bytes(data)
        file_download._create_symlink(str(blob), str(pointer))
    file_download._cache_commit_hash_for_specific_revision(str(repository), "main", COMMIT)
    if tree:
        _tree_cache.write_tree_cache(str(repository), COMMIT, tree_entries())
    return repository / "snapshots" / COMMIT


def make_directory(directory: Path, *, tree: bool = True) -> Path:
    """A directory as ``hf download --local-dir`` leaves it."""
    for name, data in FILES.items():
        mutations.add_file(directory / name, data)
        _local_folder.write_download_metadata(directory, name, COMMIT, etag(name))
    if tree:
        folder = _tree_cache.tree_cache_folder_for_local_dir(str(directory))
        _tree_cache.write_tree_cache(folder, COMMIT, tree_entries())
    return directory


Made = tuple[Path, bool]


@pytest.fixture(params=["cache", "local-dir"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def make(kind: str, home: Path, *, tree: bool = True) -> Path:
    if kind == "cache":
        return make_cache(home / "hub", tree=tree)
    return make_directory(home / "model", tree=tree)


@pytest.fixture
def model(kind: str, tmp_path: Path) -> Path:
    return make(kind, tmp_path)


# --- good and damaged -----------------------------------------------------------------------------


@pytest.mark.parametrize("tree", [True, False])
def test_what_was_downloaded_whole_matches(kind: str, tmp_path: Path, tree: bool) -> None:
    model = make(kind, tmp_path, tree=tree)
    for source in (model, "huggingface", f"huggingface:{model}"):
        matched = verify_list(model, source)
        assert (matched.kind, matched.files) == ("huggingface", len(FILES))
        assert matched.size == sum(map(len, FILES.values()))
        assert (matched.notes, matched.guarantee) == ((), "unsigned-list")


@pytest.mark.parametrize("name", FILES)
def test_damage_is_found(model: Path, name: str) -> None:
    mutations.flip_byte((model / name).resolve(), -1)
    with pytest.raises(errors.DigestMismatchError) as caught:
        verify_list(model, "huggingface")
    assert [one.path for one in caught.value.findings] == [name]
    assert caught.value.findings[0].expected == etag(name)


def test_a_cut_download_is_found_without_hashing(model: Path) -> None:
    path = (model / "model.bin").resolve()
    os.truncate(path, 1 << 20)
    with pytest.raises(errors.SizeMismatchError):
        verify_list(model, "huggingface")


def test_files_that_are_not_there(kind: str, model: Path) -> None:
    (model / "sub/other.bin").unlink()
    with pytest.raises(errors.MissingShardError) as caught:
        verify_list(model, "huggingface")
    assert [one.path for one in caught.value.findings] == ["sub/other.bin"]
    matched = verify_list(model, "huggingface", ignore_missing=True)
    assert (matched.files, matched.absent) == (4, ("sub/other.bin",))


def test_files_that_nobody_downloaded(model: Path) -> None:
    mutations.add_file(model / "evil.py")
    with pytest.raises(errors.UnexpectedFileError) as caught:
        verify_list(model, "huggingface")
    assert [one.path for one in caught.value.findings] == ["evil.py"]
    verify_list(model, "huggingface", ignore=["evil.py"])


def test_interrupted_downloads_are_told(kind: str, model: Path, tmp_path: Path) -> None:
    if kind == "cache":
        part = model.parents[1] / "blobs" / f"{etag('model.bin')}.1234abcd.incomplete"
    else:
        paths = _local_folder.get_local_download_paths(model, "model.bin")
        part = paths.incomplete_path(etag("model.bin"))
    part.write_bytes(b"half")
    (note,) = verify_list(model, "huggingface").notes
    assert note.startswith("1 interrupted downloads")


def test_a_file_against_its_tree(kind: str, model: Path) -> None:
    """A note or a link that says another digest than the tree of the repository does."""
    wrong = git_blob(b"other")
    if kind == "cache":
        blob = model.parents[1] / "blobs" / wrong
        blob.write_bytes(b"other")
        (model / "config.json").unlink()
        (model / "config.json").symlink_to(f"../../blobs/{wrong}")
    else:
        (model / "config.json").write_bytes(b"other")
        _local_folder.write_download_metadata(model, "config.json", COMMIT, wrong)
    with pytest.raises(errors.FormatError, match="another in the tree"):
        verify_list(model, "huggingface")


# --- caches alone ---------------------------------------------------------------------------------


def test_a_repository_of_the_cache_by_its_main(tmp_path: Path) -> None:
    repository = make_cache(tmp_path / "hub").parents[1]
    matched = verify_list(repository, "huggingface")
    assert matched.files == len(FILES)
    (repository / "refs/main").unlink()
    assert verify_list(repository, repository).files == len(FILES)
    (repository / "snapshots" / ("f" * 40)).mkdir()
    with pytest.raises(errors.UsageError, match="2 snapshots; name one"):
        verify_list(repository, "huggingface")


@pytest.mark.parametrize("level", ["snapshot", "blob"])
def test_links_out_of_the_cache_are_refused(tmp_path: Path, level: str) -> None:
    model = make_cache(tmp_path / "hub")
    outside = tmp_path / etag("config.json")
    outside.write_bytes(SMALL["config.json"])  # the very bytes, under the very name
    link = model / "config.json"
    if level == "blob":
        link = link.parent / os.readlink(link)
    link.unlink()
    link.symlink_to(outside)
    with pytest.raises((errors.FormatError, errors.UnexpectedFileError)) as caught:
        verify_list(model, "huggingface")
    assert "leads " in str(caught.value)


def test_a_copy_in_the_snapshot_is_known_by_the_tree_alone(tmp_path: Path) -> None:
    """Where the system has no links, the package puts copies there."""
    model = make_cache(tmp_path / "hub")
    (model / "config.json").unlink()
    (model / "config.json").write_bytes(SMALL["config.json"])
    assert verify_list(model, "huggingface").files == len(FILES)
    mutations.flip_byte(model / "config.json", 0)
    with pytest.raises(errors.DigestMismatchError):
        verify_list(model, "huggingface")
    (model.parents[1] / "trees" / f"{COMMIT}.json").unlink()
    with pytest.raises(errors.UnexpectedFileError):
        verify_list(model, "huggingface")


def test_a_blob_that_is_named_by_no_digest(tmp_path: Path) -> None:
    model = make_cache(tmp_path / "hub", tree=False)
    mutations.add_file(model.parents[1] / "blobs/latest", b"x")
    (model / "x").symlink_to("../../blobs/latest")
    with pytest.raises(errors.FormatError, match="no SHA-256 and no git blob"):
        verify_list(model, "huggingface")


def test_a_snapshot_is_signed_with_links_within_the_cache(tmp_path: Path) -> None:
    model = make_cache(tmp_path / "hub")
    private, public = _signed.write_keys(tmp_path)
    within = ("--links-within", str(tmp_path / "hub"))
    assert group.run(("sign", str(model), "--key", str(private), *within)) == 0
    assert group.run(("verify", str(model), "--key", str(public), *within)) == 0
    # The bundle and the tree file beside the links are ours and change nothing here.
    assert verify_list(model, "huggingface").files == len(FILES)


# --- directories alone ----------------------------------------------------------------------------


def test_revisions_that_are_mixed_are_told(tmp_path: Path) -> None:
    model = make_directory(tmp_path / "model")
    _local_folder.write_download_metadata(model, "config.json", "f" * 40, etag("config.json"))
    (note,) = verify_list(model, "huggingface").notes
    assert note.startswith("the files are of 2 revisions")


def test_signing_a_directory_says_what_it_signs(
    tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    model = make_directory(tmp_path / "model")
    private, public = _signed.write_keys(tmp_path)
    assert group.run(("sign", str(model), "--key", str(private))) == 0
    assert b"--ignore .cache/huggingface leaves them out" in capsysbinary.readouterr().err
    leave = ("--ignore", ".cache/huggingface")
    assert group.run(("sign", str(model), "--key", str(private), *leave)) == 0
    assert capsysbinary.readouterr().err == b""
    assert group.run(("verify", str(model), "--key", str(public))) == 1
    assert b"--ignore .cache/huggingface leaves it out" in capsysbinary.readouterr().err
    assert group.run(("verify", str(model), "--key", str(public), *leave)) == 0


NOTES = {
    "empty": b"",
    "two lines": f"{COMMIT}\n{'0' * 64}\n".encode(),
    "commit": f"main\n{'0' * 64}\n1.0\n".encode(),
    "etag": f'{COMMIT}\n"{"0" * 64}"\n1.0\n'.encode(),
    "upper case": f"{COMMIT}\n{'A' * 64}\n1.0\n".encode(),
    "time": f"{COMMIT}\n{'0' * 64}\nnan\n".encode(),
    "four lines": f"{COMMIT}\n{'0' * 64}\n1.0\n\n".encode(),
    "not ASCII": f"{COMMIT}\n{'0' * 64}\n\u0661\n".encode(),
}


@pytest.mark.parametrize("data", NOTES.values(), ids=NOTES)
def test_notes_that_are_none(tmp_path: Path, data: bytes) -> None:
    model = make_directory(tmp_path / "model")
    (model / ".cache/huggingface/download/config.json.metadata").write_bytes(data)
    with pytest.raises(errors.FormatError, match=r"config\.json\.metadata"):
        verify_list(model, "huggingface")


def test_caps_of_notes(tmp_path: Path) -> None:
    model = make_directory(tmp_path / "model", tree=False)
    note = model / ".cache/huggingface/download/config.json.metadata"
    note.write_bytes(b"x" * limits.MAX_HUB_NOTE_BYTES)
    with pytest.raises(errors.FormatError, match="a line each"):
        verify_list(model, "huggingface")
    note.write_bytes(b"x" * (limits.MAX_HUB_NOTE_BYTES + 1))
    with pytest.raises(errors.LimitError):
        verify_list(model, "huggingface")


def tree(**files: object) -> bytes:
    return json.dumps({"format_version": 1, "files": files}).encode()


SHA1 = "0" * 40
TREES = {
    "version": (b'{"format_version": 2, "files": {}}', "format_version is not 1"),
    "no files": (b'{"format_version": 1}', "no field 'files'"),
    "no object": (tree(a=1), "not an object"),
    "no size": (tree(a={"blob_id": SHA1}), "no field 'size'"),
    "negative": (tree(a={"size": -1, "blob_id": SHA1}), "below 0"),
    "short": (tree(a={"size": 1, "blob_id": "0"}), "no git blob"),
    "unknown": (tree(a={"size": 1, "blob_id": SHA1, "mode": 1}), "unknown field 'mode'"),
    "two sizes": (
        tree(a={"size": 1, "blob_id": SHA1, "lfs_sha256": "0" * 64, "lfs_size": 2}),
        "two sizes",
    ),
}


@pytest.mark.parametrize(("data", "message"), TREES.values(), ids=TREES)
def test_trees_that_are_none(data: bytes, message: str) -> None:
    with pytest.raises(errors.FormatError, match=message):
        huggingface.load_tree(data, "tree.json")


def test_caps_of_trees(monkeypatch: pytest.MonkeyPatch) -> None:
    data = tree(**{str(index): {"size": 1, "blob_id": SHA1} for index in range(3)})
    monkeypatch.setattr(limits, "MAX_LIST_ENTRIES", 3)
    monkeypatch.setattr(limits, "MAX_HUB_TREE_BYTES", len(data))
    assert len(huggingface.load_tree(data, "x")) == 3
    with pytest.raises(errors.LimitError):
        huggingface.load_tree(data + b" ", "x")
    monkeypatch.setattr(limits, "MAX_LIST_ENTRIES", 2)
    with pytest.raises(errors.LimitError):
        huggingface.load_tree(data, "x")


def test_a_path_in_the_tree_that_leads_out(tmp_path: Path) -> None:
    model = make_directory(tmp_path / "model")
    location = model / f".cache/huggingface/trees/{COMMIT}.json"
    value = json.loads(location.read_text())
    value["files"]["../evil"] = {"size": 1, "blob_id": SHA1}
    location.write_text(json.dumps(value))
    with pytest.raises(errors.FormatError, match="not relative"):
        verify_list(model, "huggingface")


# --- neither --------------------------------------------------------------------------------------


def test_other_directories(tmp_path: Path) -> None:
    mutations.add_file(tmp_path / "plain/x")
    with pytest.raises(errors.FormatError, match="neither a snapshot"):
        verify_list(tmp_path / "plain", "huggingface")
    with pytest.raises(errors.UsageError, match="none of the kinds"):
        verify_list(tmp_path / "plain", tmp_path / "plain")
    model = make_directory(tmp_path / "model")
    with pytest.raises(errors.UsageError, match="is not about it"):
        verify_list(tmp_path / "plain", model)


def test_the_report_says_what_it_is_worth(
    model: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    line = ("verify", str(model), "--from", "huggingface", "--format", "json")
    assert group.run(line) == 0
    found = json.loads(capsysbinary.readouterr().out)
    assert (found["result"], found["guarantee"], found["key"]) == ("matches", "unsigned-list", None)
    assert pyhash.__version__ == found["pyhash"]
    assert "who made the files" in found["leaves_out"]
