# SPDX-License-Identifier: Apache-2.0
"""What differs between two sides: files, ranges, tensors, and whose word it is."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path
from xml.etree import ElementTree

import pytest

import pyhash
from pyhash import errors, manifest, merkle, signing
from pyhash.difference import (
    Difference,
    FileDifference,
    SideSummary,
    TensorDifference,
    compare,
    render_page,
)
from pyhash.difference._page import amount
from pyhash.errors import DamagedRange
from tests import reference
from tests.unit._signed import SHARD, SPAN, flip, write_checkpoint, write_keys

SIZE = 2 * SPAN + SPAN // 2


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Two signed copies of one checkpoint, ``a`` and ``b``."""
    write_keys(tmp_path)
    write_checkpoint(tmp_path / "a")
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    sign(tmp_path / "a")
    sign(tmp_path / "b")
    return tmp_path


def sign(model: Path, **named: object) -> None:
    pyhash.sign(model, model.parent / "publisher.key", **named)  # type: ignore[arg-type]


def spans(file: FileDifference) -> list[tuple[int, int, tuple[str, ...]]]:
    return [(one.start, one.end, one.tensors) for one in file.ranges]


def write_tensors(path: Path, tensors: dict[str, tuple[list[int], bytes]], pad: int = 0) -> None:
    """A safetensors file of U8 tensors whose header has at least ``pad`` bytes."""
    entries, data = {}, b""
    for name, (shape, content) in tensors.items():
        offsets = [len(data), len(data) + len(content)]
        entries[name] = {"dtype": "U8", "shape": shape, "data_offsets": offsets}
        data += content
    header = json.dumps(entries).encode().ljust(pad)
    path.write_bytes(len(header).to_bytes(8, "little") + header + data)


# --- what differs ---------------------------------------------------------------------------------


def test_the_same(home: Path) -> None:
    found = compare(home / "a", home / "b", keys=[home / "publisher.pub"])
    assert (found.files, found.unchanged, found.changed, found.share) == ((), 4, 0, 0.0)
    assert found.size == SIZE + 23 + 1
    assert (found.before.signature, found.after.signature) == ("verified", "verified")
    assert found.before.key_hint == signing.load_verifier(home / "publisher.pub").hint
    assert (found.hashed, found.notes) == (0, ())


def test_files_ranges_and_tensors(home: Path) -> None:
    b = home / "b"
    flip(b / SHARD, SPAN + 9)
    (b / "README.md").write_text("new")
    (b / "config.json").unlink()
    sign(b)
    found = compare(home / "a", b, keys=[home / "publisher.pub"])
    by_path = {one.path: one for one in found.files}
    assert list(by_path) == ["README.md", "config.json", SHARD]
    assert [one.kind for one in found.files] == ["added", "removed", "changed"]
    assert (by_path["README.md"].before, by_path["README.md"].after) == (None, 3)
    assert (by_path["config.json"].before, by_path["config.json"].after) == (23, None)
    assert spans(by_path["README.md"]) == [(0, 3, ())]
    assert spans(by_path[SHARD]) == [(SPAN, 2 * SPAN, ("b",))]
    assert by_path[SHARD].tensors == (TensorDifference("b", "changed"),)
    assert by_path[SHARD].is_located
    assert (found.unchanged, found.changed) == (2, SPAN + 3 + 23)
    assert found.size == SIZE + 23 + 1 + 3
    assert found.share == pytest.approx((SPAN + 26) / (SIZE + 27))
    assert found.hashed == 0


def test_neighbouring_spans_are_one_range(home: Path) -> None:
    for offset in (SPAN, 2 * SPAN + 1):
        flip(home / "b" / SHARD, offset)
    sign(home / "b")
    (file,) = compare(home / "a", home / "b").files
    assert spans(file) == [(SPAN, SIZE, ("b", "c"))]


@pytest.mark.parametrize(("count", "bad"), [(1, [0]), (33, [0, 7, 8, 32]), (40, [])])
def test_against_a_comparison_span_by_span(count: int, bad: list[int], tmp_path: Path) -> None:
    write_keys(tmp_path)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        with (tmp_path / name / "x.bin").open("wb") as file:
            file.truncate(count * SPAN - 3)
    for span in bad:
        flip(tmp_path / "b/x.bin", span * SPAN)
    sign(tmp_path / "a")
    sign(tmp_path / "b")
    files = compare(tmp_path / "a", tmp_path / "b").files
    found = [
        span
        for file in files
        for one in file.ranges
        for span in range(one.start // SPAN, -(-one.end // SPAN))
    ]
    assert found == bad


def test_longer_and_shorter(home: Path) -> None:
    with (home / "b/sub/caf\u00e9").open("wb") as file:
        file.truncate(2 * SPAN + 1)
    sign(home / "b")
    (file,) = compare(home / "a", home / "b").files
    assert (file.before, file.after, spans(file)) == (1, 2 * SPAN + 1, [(0, 2 * SPAN + 1, ())])
    (file,) = compare(home / "b", home / "a").files
    assert (file.before, file.after, spans(file)) == (2 * SPAN + 1, 1, [(0, 2 * SPAN + 1, ())])


def test_emptied(home: Path) -> None:
    (home / "b/sub/caf\u00e9").write_bytes(b"")
    sign(home / "b")
    (file,) = compare(home / "a", home / "b").files
    assert (file.after, spans(file)) == (0, [(0, 1, ())])


def test_what_happened_to_tensors(tmp_path: Path) -> None:
    write_keys(tmp_path)
    same = {"kept": ([4], b"kept"), "big": ([SPAN], bytes(SPAN))}
    old = {**same, "gone": ([1], b"g"), "shaped": ([4], b"abcd"), "moved": ([1], b"m")}
    new = {**same, "shaped": ([2, 2], b"abcd"), "moved": ([1], b"m"), "new": ([1], b"n")}
    for name, tensors in (("a", old), ("b", new)):
        (tmp_path / name).mkdir()
        write_tensors(tmp_path / name / "x.safetensors", tensors, 4096)
        sign(tmp_path / name)
    (file,) = compare(tmp_path / "a", tmp_path / "b").files
    kinds = {one.name: one.kind for one in file.tensors}
    # Both spans differ: the first holds the headers, the last the small tensors behind "big".
    assert kinds == {
        "big": "changed",
        "gone": "removed",
        "kept": "changed",
        "moved": "moved",
        "new": "added",
        "shaped": "reshaped",
    }


# --- kinds of sides -------------------------------------------------------------------------------


@pytest.mark.parametrize("one", ["a", "a/model.sig", "a/model.tree"])
@pytest.mark.parametrize("other", ["b", "b/model.sig", "b/model.tree"])
def test_every_pair_of_sides(one: str, other: str, home: Path) -> None:
    flip(home / "b" / SHARD, SPAN + 9)
    sign(home / "b")
    found = compare(home / one, home / other)
    assert (found.before.signature, found.after.signature) == ("unverified", "unverified")
    assert (found.before.basis, found.before.key_hint) == ("signed", None)
    (file,) = found.files
    names = ("b",) if one == "a" or other == "b" else ()  # headers are needed
    assert spans(file) == [(SPAN, 2 * SPAN, names)]
    assert found.before.root == reference.hash_path(home / "a", reference.LEFT_OUT)


def test_unsigned_directories_are_hashed(home: Path) -> None:
    flip(home / "b" / SHARD, SPAN + 9)
    for name in ("model.sig", "model.tree"):
        os.unlink(home / "b" / name)
    found = compare(home / "a", home / "b")
    assert (found.after.basis, found.after.signature) == ("hashed", "none")
    assert found.after.root == reference.hash_path(home / "b", reference.LEFT_OUT)
    assert found.hashed == SIZE + 24
    assert [spans(file) for file in found.files] == [[(SPAN, 2 * SPAN, ("b",))]]
    with pytest.raises(errors.UnsignedError):
        compare(home / "a", home / "b", keys=[home / "publisher.pub"])


def test_hashed_on_request(home: Path) -> None:
    flip(home / "b" / SHARD, SPAN + 9)
    assert compare(home / "a", home / "b").files == ()
    found = compare(home / "a/model.sig", home / "b", rehash=True)
    assert (found.before.basis, found.after.basis) == ("signed", "hashed")
    assert [file.path for file in found.files] == [SHARD]


def test_single_files(home: Path) -> None:
    for name, offset in (("one", 5), ("two", SPAN)):
        shutil.copy(home / "a" / SHARD, home / f"{name}.bin")
        flip(home / f"{name}.bin", offset)
    (gone, new) = compare(home / "one.bin", home / "two.bin").files
    assert (gone.kind, new.kind) == ("removed", "added")
    sign(home / "one.bin")
    assert compare(home / "one.bin", home / "one.bin.sig").files == ()
    assert compare(home / "one.bin.tree", home / "one.bin").files == ()


def test_json_file_that_is_no_bundle(home: Path) -> None:
    found = compare(home / "a/config.json", home / "b/config.json")
    assert (found.files, found.before.basis) == ((), "hashed")


def test_tree_file_alone_names_nothing(home: Path) -> None:
    shutil.copy(home / "a/model.tree", home / "alone.tree")
    shutil.copy(home / "a/model.tree", home / "alone")
    for name in ("alone.tree", "alone"):
        with pytest.raises(errors.UsageError, match="its bundle is needed beside it"):
            compare(home / name, home / "a")


def test_not_there(home: Path) -> None:
    with pytest.raises(errors.ReadError, match="absent"):
        compare(home / "a", home / "absent")


# --- trust ----------------------------------------------------------------------------------------


def test_signed_by_somebody_else(home: Path) -> None:
    other, public = write_keys(home, "other")
    pyhash.sign(home / "b", other)
    with pytest.raises(errors.SignatureError):
        compare(home / "a", home / "b", keys=[home / "publisher.pub"])
    found = compare(home / "a", home / "b", keys=[home / "publisher.pub", public])
    assert found.before.key_hint != found.after.key_hint


@pytest.mark.parametrize("spoil", ["damaged", "missing"])
def test_tree_file_that_cannot_be_believed(spoil: str, home: Path) -> None:
    flip(home / "b" / SHARD, SPAN + 9)
    sign(home / "b")
    tree = home / "b/model.tree"
    if spoil == "missing":
        tree.unlink()
    else:
        # Nodes of the shard: behind those of config.json, or before.
        for offset in range(32, tree.stat().st_size, 32):
            flip(tree, offset)
    found = compare(home / "a", home / "b")
    assert [spans(file) for file in found.files] == [[(SPAN, 2 * SPAN, ("b",))]]
    assert found.hashed == SIZE
    assert found.notes == (f"{home / 'b'}: {SHARD}: no usable tree file, so it was hashed",)
    found = compare(home / "a", home / "b/model.sig")
    (file,) = found.files
    assert (file.is_located, spans(file)) == (False, [(0, SIZE, ("a", "b", "c"))])
    assert found.hashed == 0
    assert "it is not known where it differs" in found.notes[0]


def test_file_that_is_not_what_was_signed(home: Path) -> None:
    flip(home / "b" / SHARD, SPAN + 9)
    sign(home / "b")
    flip(home / "b" / SHARD, 9)
    (home / "b/model.tree").unlink()
    found = compare(home / "a", home / "b")
    assert "damaged: the file does not hold what is signed" in found.notes[0]
    assert not found.files[0].is_located
    os.truncate(home / "b" / SHARD, SPAN)
    found = compare(home / "a", home / "b")
    assert found.files[0].tensors == ()


def test_damaged_header_names_no_tensors(home: Path) -> None:
    flip(home / "b" / SHARD, SPAN + 9)
    sign(home / "b")
    for name in ("a", "b"):
        with (home / name / SHARD).open("r+b") as file:
            file.write(b"\xff" * 8)
    (file,) = compare(home / "a", home / "b").files
    assert (file.tensors, spans(file)) == ((), [(SPAN, 2 * SPAN, ())])


def test_bundle_of_another_tool(home: Path) -> None:
    shards = pyhash.sign(home / "b", home / "publisher.key").manifest.shards
    changed = [
        manifest.ShardEntry(
            one.path, None, None, bytes(32) if one.path == SHARD else one.file_digest
        )
        for one in shards
    ]
    foreign = manifest.Manifest("b", tuple(changed), None, (), manifest.OMS_PREDICATE_TYPE)
    signer = signing.load_signer(home / "publisher.key")
    bundle = signing.sign_payload(manifest.dump_statement(foreign), signer)
    (home / "b/model.sig").write_bytes(signing.dump_bundle(bundle))
    found = compare(home / "a", home / "b/model.sig")
    (file,) = found.files
    assert (file.path, file.is_located, file.after) == (SHARD, False, None)
    assert (found.after.size, found.after.root) == (None, None)
    assert "size not known" not in render_page(found)
    found = compare(home / "b/model.sig", home / "b/model.sig")
    assert found.files == ()
    assert found.share == 0.0


# --- the page -------------------------------------------------------------------------------------

NASTY = '<script>alert(1)</script>&".bin'


def _page(*files: FileDifference, notes: tuple[str, ...] = ()) -> str:
    side = SideSummary(NASTY, "signed", "unverified", None, bytes(32), 1, 5)
    total = sum(file.size for file in files)
    return render_page(Difference(side, side, files, 3, total, 0, notes))


def test_page_is_whole_and_harmless() -> None:
    ranges = (DamagedRange(0, SPAN, (NASTY,)), DamagedRange(10 * SPAN, 11 * SPAN))
    tensors = tuple(TensorDifference(f"{NASTY}{index}", "changed") for index in range(201))
    page = _page(
        FileDifference(NASTY, "changed", 100 * SPAN, 100 * SPAN, ranges, True, tensors),
        FileDifference("b", "added", None, 0, (), True, ()),
        FileDifference("c", "changed", None, None, (), False, ()),
        notes=(NASTY,),
    )
    assert "<script" not in page
    assert not re.search(r"(src|href)=", page)
    assert "and 1 more" in page
    assert "size not known; it is not known where" in page
    root = ElementTree.fromstring(re.search(r"<svg.*?</svg>", page, re.DOTALL)[0])  # type: ignore[index]
    drawn = [
        (int(one.get("x", "0")), int(one.get("width", "0")))
        for one in root
        if one.get("class") == "changed"
    ]
    assert drawn == [(0, 10), (96, 10)]  # of 960 pixels for 100 spans


def test_page_draws_no_more_than_it_has_pixels() -> None:
    ranges = tuple(DamagedRange(2 * n * SPAN, (2 * n + 1) * SPAN) for n in range(10_000))
    page = _page(FileDifference("a", "changed", 0, 20_000 * SPAN, ranges, True, ()))
    assert page.count("<rect") <= 961


def test_page_of_nothing_and_of_many() -> None:
    assert "Nothing: all 3 files are the same." in _page()
    many = [FileDifference(f"f{n}", "added", None, 1, (), True, ()) for n in range(1001)]
    assert "and 1 more files" in _page(*many)


def test_page_says_whose_word_it_is(home: Path) -> None:
    (home / "b/config.json").write_text('{"model_type": "llam2"}')
    sign(home / "b")
    page = render_page(compare(home / "a", home / "b", keys=[home / "publisher.pub"]))
    assert page.count("signed by the trusted key") == 2
    assert merkle.format_root(reference.hash_path(home / "b", reference.LEFT_OUT)) in page
    assert "the signature was not checked" in render_page(compare(home / "a", home / "b"))
    assert "hashed now" in render_page(compare(home / "a", home / "b", rehash=True))


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1 << 40, "1.0 TiB"),
        (1 << 51, "2048.0 TiB"),
    ],
)
def test_amounts(size: int, text: str) -> None:
    assert amount(size) == text
