# SPDX-License-Identifier: Apache-2.0
"""Loading checkpoints and parts of them: the right arrays, in memory of our own, or nothing."""

from __future__ import annotations

import copy
import dataclasses
import mmap
import os
import pickle
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pyhash
from pyhash import _native, errors, files, hashing, loading, opening
from tests.unit._loadable import SPAN, Loadable, make_loadable
from tests.unit._signed import flip, write_keys

READERS = ("auto", "mmap", "buffered", "direct")


@pytest.fixture(scope="module")
def loadable(tmp_path_factory: pytest.TempPathFactory) -> Loadable:
    return make_loadable(tmp_path_factory.mktemp("load"))


@pytest.fixture
def own(tmp_path: Path) -> Loadable:
    """One that a test may damage."""
    return make_loadable(tmp_path)


def expect_arrays(found: dict[str, Any], expected: dict[str, Any]) -> None:
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)


# --- whole files ---------------------------------------------------------------------------------


@pytest.mark.parametrize("reader", READERS)
def test_everything(loadable: Loadable, reader: str) -> None:
    done: list[tuple[int, int]] = []
    options = pyhash.Options(reader=reader, progress=lambda now, total: done.append((now, total)))
    loaded = loadable.load(options=options)
    expect_arrays(loaded.numpy(), loadable.arrays)
    files = {file: (loadable.root / file).read_bytes() for file in loaded.files}
    assert set(files) == {"a.safetensors", "sub/b.safetensors", "config.json", "empty"}
    assert {path: bytes(data) for path, data in loaded.files.items()} == files
    assert loaded.metadata["a.safetensors"] == {"format": "np", "file": "a.safetensors"}
    assert loaded.guarantee == "loaded"
    size = sum(map(len, files.values()))
    assert loaded.size == size and done[-1] == (size, size)
    assert {name: tensor.path for name, tensor in loaded.tensors.items()} == loadable.path_of


def test_tree_file_is_not_needed_for_whole_files(own: Loadable) -> None:
    (own.root / "model.tree").unlink()
    expect_arrays(own.load().numpy(), own.arrays)


def test_one_file(loadable: Loadable) -> None:
    loaded = loadable.load(paths=["sub/b.safetensors"])
    assert set(loaded.files) == {"sub/b.safetensors"}
    assert set(loaded.tensors) == {"tall", "mask", "wave"}


def test_arrays_are_views_and_writable(loadable: Loadable) -> None:
    loaded = loadable.load(paths=["sub/b.safetensors"])
    first, second = loaded.tensors["tall"].numpy(), loaded.tensors["tall"].numpy()
    first[0, 0] = 17
    assert second[0, 0] == 17
    assert loadable.load(paths=["sub/b.safetensors"]).numpy()["tall"][0, 0] != 17


def test_memory_outlives_what_it_was_loaded_with(loadable: Loadable) -> None:
    array = loadable.load().tensors["tall"].numpy()
    np.testing.assert_array_equal(array, loadable.arrays["tall"])


def test_a_single_file(tmp_path: Path, loadable: Loadable) -> None:
    private, public = write_keys(tmp_path)
    path = tmp_path / "one.safetensors"
    path.write_bytes((loadable.root / "a.safetensors").read_bytes())
    pyhash.sign(path, private)
    loaded = pyhash.load(path, keys=[public], only=["wide"])
    np.testing.assert_array_equal(loaded.numpy()["wide"], loadable.arrays["wide"])


# --- parts ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("reader", READERS)
def test_named_tensors(loadable: Loadable, reader: str) -> None:
    for name, array in loadable.arrays.items():
        loaded = loadable.load(only=[name], options=pyhash.Options(reader=reader))
        expect_arrays(loaded.numpy(), {name: array})
        assert not loaded.files


def test_a_named_tensor_reads_its_spans_and_headers_only(loadable: Loadable) -> None:
    loaded = loadable.load(only=["mask"])
    # Two headers, which are in the first span of their files, and the span of the tensor.
    assert loaded.size <= 3 * SPAN < sum(a.nbytes for a in loadable.arrays.values())


SLICES = [
    (slice(None),),
    (slice(10, 20),),
    (slice(0, 0),),
    (slice(5, 3),),
    (slice(-8, None),),
    (slice(None), slice(100, 200)),
    (slice(3, 60), slice(4096, 12288)),
    (slice(1, 2), slice(5, 6)),
    (slice(0, 1000000), slice(0, 1)),
]


@pytest.mark.parametrize("slices", SLICES, ids=str)
@pytest.mark.parametrize("name", ["wide", "tall", "half"])
def test_slices(loadable: Loadable, name: str, slices: tuple[slice, ...]) -> None:
    found = loadable.load(only={name: slices}).numpy()[name]
    np.testing.assert_array_equal(found, loadable.arrays[name][slices])


def test_slices_of_three_dimensions(loadable: Loadable) -> None:
    array = loadable.arrays["deep"]
    for slices in [
        (slice(1, 3), slice(2, 4), slice(3, 6)),
        (slice(0, 3), slice(0, 5), slice(6, 7)),
        (slice(1, 2), slice(1, 2)),
        (slice(0, 2), slice(0, 5), slice(0, 7)),
    ]:
        found = loadable.load(only={"deep": slices}).numpy()["deep"]
        np.testing.assert_array_equal(found, array[slices])


def test_an_eighth_reads_little_more(loadable: Loadable) -> None:
    parts = [
        loadable.load(only={"tall": (slice(512 * i, 512 * (i + 1)),)}, paths=["sub/b.safetensors"])
        for i in range(8)
    ]
    whole = np.concatenate([part.numpy()["tall"] for part in parts])
    np.testing.assert_array_equal(whole, loadable.arrays["tall"])
    assert all(part.size <= 3 * SPAN for part in parts)


def test_without_a_tree_file_no_parts(own: Loadable) -> None:
    (own.root / "model.tree").unlink()
    with pytest.raises(errors.ReadError, match=r"model\.tree"):
        own.load(only=["mask"])


def test_a_lying_tree_file_is_no_tree_file(own: Loadable) -> None:
    flip(own.root / "model.tree", 40)
    with pytest.raises(errors.FormatError, match="do not fold to the signed root"):
        own.load(only=["mask"])


# --- requests that make no sense ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"only": ["nothing"]}, "no tensor 'nothing'"),
        ({"only": "mask"}, "as a list"),
        ({"paths": ["c.safetensors"]}, "no signed file"),
        ({"paths": "a.safetensors"}, "as a list"),
        ({"only": {"one": (slice(0, 1),)}}, "1 slices of 0 dimensions"),
        ({"only": {"mask": (slice(0, 9, 2),)}}, "no step"),
        ({"only": {"mask": (3,)}}, "no step"),
    ],
)
def test_senseless(loadable: Loadable, more: dict[str, Any], message: str) -> None:
    with pytest.raises(errors.UsageError, match=message):
        loadable.load(**more)


def test_the_same_name_in_two_files(tmp_path: Path) -> None:
    loadable = make_loadable(tmp_path)
    data = (loadable.root / "a.safetensors").read_bytes()
    (loadable.root / "c.safetensors").write_bytes(data)
    pyhash.sign(loadable.root, tmp_path / "publisher.key")
    for more in ({}, {"only": ["wide"]}):
        with pytest.raises(errors.UsageError, match=r"is in a\.safetensors and in c\.safetensors"):
            loadable.load(**more)
    assert "wide" in loadable.load(paths=["c.safetensors"]).tensors


def test_nobody_else_makes_one(loadable: Loadable) -> None:
    loaded = loadable.load(paths=["config.json"])
    for copied in (copy.copy, copy.deepcopy, pickle.dumps, dataclasses.replace):
        with pytest.raises((errors.UsageError, TypeError, ValueError, pickle.PicklingError)):
            copied(loaded)
    with pytest.raises(errors.UsageError, match="only pyhash"):
        loading.Loaded("", loaded.manifest, b"", "loaded", "", (), {}, {}, {}, 0, 0.0, None)


# --- no ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("offset", [5, 3 * SPAN, -1])
def test_another_byte(own: Loadable, reader: str, offset: int) -> None:
    path = own.root / "a.safetensors"
    offset %= path.stat().st_size
    flip(path, offset)
    options = pyhash.Options(reader=reader)
    # In a whole load the closure check may refuse the header before it is hashed.
    with pytest.raises(errors.VerificationError) as caught:
        own.load(options=options)
    finding = caught.value.findings[0]
    if offset > 4096:
        (damaged,) = finding.ranges
        assert damaged.start <= offset < damaged.end <= damaged.start + SPAN
        assert damaged.tensors and set(damaged.tensors) <= own.arrays.keys()
    with pytest.raises(errors.VerificationError):
        own.load(only=["wide", "one", "half"], options=options)
    if offset < 4096:
        return  # the closure check has doubts of the whole checkpoint
    # What does not share a span with it is not concerned.
    np.testing.assert_array_equal(
        own.load(only=["tall"], paths=["sub/b.safetensors"]).numpy()["tall"], own.arrays["tall"]
    )


def test_parts_name_what_is_damaged(own: Loadable) -> None:
    flip(own.root / "a.safetensors", 2 * SPAN + 99)
    with pytest.raises(errors.DigestMismatchError) as caught:
        own.load(only=["wide"])
    (finding,) = caught.value.findings
    assert finding.path == "a.safetensors"
    assert finding.ranges == (errors.DamagedRange(2 * SPAN, 3 * SPAN, ("wide",)),)


def test_another_key(loadable: Loadable, tmp_path: Path) -> None:
    _, other = write_keys(tmp_path, "other")
    with pytest.raises(errors.SignatureError):
        pyhash.load(loadable.root, keys=[other])


def test_signed_but_leads_elsewhere(
    own: Loadable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (own.root / "config.json").write_text('{"auto_map": {"AutoModel": "other.Model"}}')
    with monkeypatch.context() as careless:
        careless.setattr("pyhash.closure.check_closure", lambda _: [])
        pyhash.sign(own.root, tmp_path / "publisher.key")
    for more in ({}, {"only": ["mask"]}):
        with pytest.raises(errors.ClosureError, match=r"other\.py"):
            own.load(**more)


@pytest.mark.parametrize("more", [{}, {"only": ["tall"]}], ids=["whole", "part"])
def test_nothing_is_left_of_what_was_refused(
    own: Loadable, more: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    areas: list[tuple[int, weakref.ref[mmap.mmap]]] = []

    class Area(mmap.mmap):
        def __new__(cls, *arguments: Any, **more: Any) -> Area:
            area = super().__new__(cls, *arguments, **more)
            areas.append((len(area), weakref.ref(area)))
            return area

    monkeypatch.setattr(mmap, "mmap", Area)
    flip(own.root / "sub/b.safetensors", 2 * SPAN)
    with pytest.raises(errors.DigestMismatchError) as caught:
        own.load(**more)
    # Verified spans of a header may be left; a place for the tensor is not.
    assert [size > 6 * SPAN for size, _ in areas].count(True)
    assert [size for size, area in areas if area() and size > 6 * SPAN] == []
    assert caught.value.findings


# --- another tool's bundle, files that shrink, places that do not fit -----------------------------


def test_a_bundle_of_another_tool_has_whole_files_only(
    own: Loadable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the reference tool signs has no trees: plain digests are compared."""
    opened = opening.open_checkpoint(
        own.root, pyhash.Policy.from_key_files([own.key]), guarantee=None
    )
    shards = tuple(
        dataclasses.replace(shard, size=None, root=None) for shard in opened.manifest.shards
    )
    foreign = dataclasses.replace(opened.manifest, root=None, shards=shards)
    monkeypatch.setattr(
        "pyhash.loading._load.open_checkpoint",
        lambda *_, **__: dataclasses.replace(opened, manifest=foreign),
    )
    loaded = own.load()
    assert loaded.root is None and loaded.signers == opened.signers
    expect_arrays(loaded.numpy(), own.arrays)
    with pytest.raises(errors.FormatError, match="signs no trees"):
        own.load(only=["mask"])
    path = own.root / "sub/b.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    before = path.stat()
    path.write_bytes(data)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    listing = files.list_checkpoint(own.root, hashing.ignorer(opened.ignored), own=opened.own)
    opened = dataclasses.replace(opened, listing=listing)
    with pytest.raises(errors.DigestMismatchError, match="no usable tree file"):
        own.load()


def test_a_file_that_becomes_shorter(own: Loadable, monkeypatch: pytest.MonkeyPatch) -> None:
    def shrink(ranges: Any, **_: Any) -> Any:
        raise errors.TruncatedError("x: ends", ranges[0].path, None, 0)

    monkeypatch.setattr("pyhash._native.hash_ranges", shrink)
    for more in ({}, {"only": ["mask"]}):
        with pytest.raises(errors.ChangedWhileReadError, match="became shorter"):
            own.load(**more)


def test_more_files_than_may_be_open(loadable: Loadable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hashing, "files_at_once", lambda: 1)
    expect_arrays(loadable.load().numpy(), loadable.arrays)
    expect_arrays(loadable.load(only=list(loadable.arrays)).numpy(), loadable.arrays)


def test_more_edges_than_one_call_takes(
    loadable: Loadable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pyhash.loading._source.EDGE_SPANS", 2)
    monkeypatch.setattr("pyhash.loading._source.KEPT_SPANS", 1)
    expect_arrays(loadable.load(only=list(loadable.arrays)).numpy(), loadable.arrays)


@pytest.mark.parametrize(
    ("place", "message"),
    [
        (bytes(10), "not one contiguous writable buffer"),
        (bytearray(9), "9 bytes are no place for the range's 10"),
        (3, "not one contiguous writable buffer"),
    ],
)
def test_places_that_do_not_fit(tmp_path: Path, place: Any, message: str) -> None:
    path = tmp_path / "x"
    path.write_bytes(bytes(10))
    with path.open("rb") as file, pytest.raises(errors.UsageError, match=message):
        _native.hash_ranges([_native.Range("x", file.fileno(), 0, 10, place)])


def test_names_are_given_up_when_the_file_is_another_one(
    own: Loadable, monkeypatch: pytest.MonkeyPatch
) -> None:
    def vanish(*_: Any) -> Any:
        raise errors.ChangedWhileReadError("x: changed")

    flip(own.root / "a.safetensors", 2 * SPAN + 99)
    monkeypatch.setattr("pyhash.damage.with_tensors", vanish)
    with pytest.raises(errors.DigestMismatchError) as caught:
        own.load()
    assert caught.value.findings[0].ranges == (errors.DamagedRange(2 * SPAN, 3 * SPAN),)
