# SPDX-License-Identifier: Apache-2.0
"""Statements: the OMS vector, our two forms byte by byte, caps, and the way there and back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from _statements import (
    DIGEST,
    ENTRIES,
    FIRST,
    ORDER,
    OURS,
    OWN,
    SERIALIZATION,
    VECTOR,
    Json,
    checkpoint_root,
    load_value,
    make_entry,
    pop,
    put,
    set_oms_root,
    sha256,
    vector,
)
from hypothesis import given
from hypothesis import strategies as st

from pyhash import limits
from pyhash.errors import FormatError, LimitError
from pyhash.manifest import (
    DEFAULT_IGNORED,
    OMS_PREDICATE_TYPE,
    PYHASH_PREDICATE_TYPE,
    Manifest,
    ShardEntry,
    build_manifest,
    dump_statement,
    load_statement,
)

# --- statements of other tools ----------------------------------------------------------------


def test_oms_vector() -> None:
    manifest = load_statement(VECTOR, path="model.sig")
    assert manifest == Manifest(
        name="tiny-model",
        shards=(
            ShardEntry("config.json", None, None, sha256(b"{}\n")),
            ShardEntry("weights.index", None, None, sha256(b"idx\n")),
            ShardEntry("weights/a.bin", None, None, sha256(bytes(range(16)))),
        ),
        root=None,
        ignore_paths=(".git", ".gitignore", ".gitattributes", ".github"),
        predicate_type=OMS_PREDICATE_TYPE,
        single_file=False,
    )


def test_dump_writes_the_vector() -> None:
    assert dump_statement(load_statement(VECTOR, path="model.sig")) == VECTOR


def test_order_of_the_reference_tool() -> None:
    """It sorts by components of the path; any order is read, with the root in that order."""
    fields = vector()
    resources = fields["predicate"]["resources"]
    resources[1:] = reversed(resources[1:])
    with pytest.raises(FormatError, match="root digest is not the root"):
        load_value(fields)
    fields["subject"][0]["digest"]["sha256"] = (
        "1285642b46f7c06cb9b06614035be429d52b5a46a81fd371ffde6f4a5efd238a"
    )
    assert load_value(fields) == load_statement(VECTOR, path="model.sig")


def test_oms_root_binds_no_names() -> None:
    """Known weakness of OMS, here so that nobody mistakes that root for an identity."""
    fields = vector()
    fields["predicate"]["resources"] = [
        {"name": name, "algorithm": "sha256", "digest": sha256(data).hex()}
        for name, data in (("x.py", b"1"), ("y.py", b"2"))
    ]
    root = "4295f72eeb1e3507b8461e240e3b8d18c1e7bd2f1122b11fc9ec40a65894031a"
    fields["subject"][0]["digest"]["sha256"] = root
    assert [shard.path for shard in load_value(fields).shards] == ["x.py", "y.py"]


@pytest.mark.parametrize(
    "change",
    [
        pop(*SERIALIZATION, "ignore_paths"),
        put([], *SERIALIZATION, "ignore_paths"),
        put(True, *SERIALIZATION, "allow_symlinks"),
        put("any name", "subject", 0, "name"),
        put({"a": 1}, "subject", 0, "annotations"),
        put("ab", *DIGEST, "sha512"),
        put(123, *FIRST, "size"),
        put({"other": {}}, *FIRST, "annotations"),
    ],
)
def test_what_oms_lets_others_write(change: Callable[[Json], None]) -> None:
    fields = vector()
    change(fields)
    assert load_value(fields).shards == load_statement(VECTOR, path="model.sig").shards


def _one_file(name: str) -> Json:
    fields = vector()
    fields["predicate"]["resources"] = fields["predicate"]["resources"][:1]
    fields["predicate"]["resources"][0]["name"] = name
    set_oms_root(fields)
    return fields


def test_single_file() -> None:
    """The reference tool writes ".", the specification wants the basename."""
    marked = load_value(_one_file("."))
    assert marked.single_file
    assert marked.shards[0].path == "."
    plain = load_value(_one_file("model.gguf"))
    assert not plain.single_file
    assert plain.shards[0].path == "model.gguf"
    with pytest.raises(ValueError, match="basename"):
        dump_statement(marked)


# --- our statements ---------------------------------------------------------------------------


def test_dump_of_ours() -> None:
    a, b = (sha256(b"a"), sha256(b"ra")), (sha256(b"b"), sha256(b"rb"))
    shards = [ShardEntry("z/b\n", 0, b[1], b[0]), ShardEntry("\u00e9", 7, a[1], a[0])]
    root = checkpoint_root([("z/b\n", 0, b[1]), ("\u00e9", 7, a[1])])
    manifest = build_manifest("my model", shards, ignore_paths=[*DEFAULT_IGNORED, "model.sig"])
    assert manifest.root == root
    expected = (
        '{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"my model","digest":'
        f'{{"sha256":"{sha256(b[0], a[0]).hex()}","pyhash-v1":"{root.hex()}"}}}}],'
        '"predicateType":"https://model_signing/signature/v1.0","predicate":{"resources":['
        f'{{"name":"z/b\\n","algorithm":"sha256","digest":"{b[0].hex()}",'
        f'"annotations":{{"pyhash-v1":{{"size":0,"root":"{b[1].hex()}"}}}}}},'
        f'{{"name":"\u00e9","algorithm":"sha256","digest":"{a[0].hex()}",'
        f'"annotations":{{"pyhash-v1":{{"size":7,"root":"{a[1].hex()}"}}}}}}],'
        '"serialization":{"method":"files","hash_type":"sha256","allow_symlinks":false,'
        '"ignore_paths":[".git",".gitattributes",".github",".gitignore","model.sig"]}}}'
    )
    assert dump_statement(manifest) == expected.encode("utf-8")


def test_dump_without_file_digests() -> None:
    root = sha256(b"root")
    manifest = build_manifest("m", [ShardEntry("a", 7, root, None)])
    checkpoint = checkpoint_root([("a", 7, root)])
    assert manifest.root == checkpoint
    expected = (
        '{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"m","digest":'
        f'{{"pyhash-v1":"{checkpoint.hex()}"}}}}],'
        '"predicateType":"https://pyhash-checkpoint.org/statement/v1","predicate":{"resources":['
        f'{{"name":"a","annotations":{{"pyhash-v1":{{"size":7,"root":"{root.hex()}"}}}}}}],'
        '"serialization":{"method":"pyhash-v1","ignore_paths":[]}}}'
    )
    assert dump_statement(manifest) == expected.encode("utf-8")


@pytest.mark.parametrize("manifest", [OURS, OWN])
def test_ours(manifest: Manifest) -> None:
    assert [shard.path for shard in manifest.shards] == ORDER
    assert manifest.root == checkpoint_root(
        [(entry.path, entry.size or 0, entry.root or b"") for entry in ENTRIES]
    )
    assert load_statement(dump_statement(manifest), path="model.sig") == manifest


def test_predicate_type_follows_the_file_digests() -> None:
    assert OURS.predicate_type == OMS_PREDICATE_TYPE
    assert OWN.predicate_type == PYHASH_PREDICATE_TYPE


def test_only_the_name_and_what_was_left_out_are_outside_the_root() -> None:
    other = build_manifest("other", ENTRIES, ignore_paths=["x"])
    assert other.root == OURS.root == OWN.root
    assert build_manifest("model", ENTRIES[1:]).root != OURS.root


# --- making manifests -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("paths", "ignored", "message"),
    [
        ([], [], "without any file"),
        (["a", "a"], [], "listed twice"),
        (["a", "a/b"], [], "lies below"),
        (["../a"], [], "not relative"),
        (["a\udc80"], [], "not valid UTF-8"),
        (["a/b"], ["a"], "both signed and ignored"),
        (["a"], ["*.tmp"], "patterns do not work"),
        (["a"], ["../b"], "not relative"),
    ],
)
@pytest.mark.parametrize("digest", [True, False])
def test_build_refuses(paths: list[str], ignored: list[str], message: str, digest: bool) -> None:
    shards = [ShardEntry(path, 1, bytes(32), bytes(32) if digest else None) for path in paths]
    with pytest.raises(FormatError, match=message) as caught:
        build_manifest("model", shards, ignore_paths=ignored)
    assert caught.value.path is None


@pytest.mark.parametrize("name", ["", "a\udc80"])
def test_build_refuses_names(name: str) -> None:
    with pytest.raises(FormatError, match="name"):
        build_manifest(name, [make_entry("a")])


_NO_SIZE = ShardEntry("b", None, bytes(32), bytes(32))
_NO_ROOT = ShardEntry("b", 1, None, bytes(32))
_NO_DIGEST = ShardEntry("b", 1, bytes(32), None)


@pytest.mark.parametrize(
    ("shard", "message"),
    [
        (_NO_SIZE, "its size and its root"),
        (_NO_ROOT, "its size and its root"),
        (_NO_DIGEST, "do not fit the manifest"),
        (ShardEntry("b", 1, bytes(31), bytes(32)), "not 32 bytes"),
        (ShardEntry("b", 1, b"", bytes(32)), "not 32 bytes"),
        (ShardEntry("b", 1, bytes(32), bytes(33)), "not 32 bytes"),
    ],
)
@pytest.mark.parametrize("position", [0, 1])
def test_build_wants_whole_entries(shard: ShardEntry, message: str, position: int) -> None:
    other = make_entry("c" if position == 0 else "a")
    with pytest.raises(ValueError, match=message):
        build_manifest("model", [other, shard])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"predicate_type": "x"}, "no such predicate type"),
        ({"root": None, "predicate_type": PYHASH_PREDICATE_TYPE}, "needs whole-file digests"),
        ({"root": None}, "do not fit"),
        ({"predicate_type": PYHASH_PREDICATE_TYPE}, "do not fit"),
        ({"shards": tuple(reversed(OURS.shards))}, "in order of path"),
        ({"shards": (_NO_DIGEST,)}, "do not fit"),
        ({"single_file": True}, "basename"),
    ],
)
def test_dump_wants_a_whole_manifest(changes: Json, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dump_statement(replace(OURS, **changes))


@pytest.mark.parametrize("manifest", [OURS, OWN])
def test_dump_checks_what_load_checks(manifest: Manifest) -> None:
    with pytest.raises(FormatError, match="is not the root of the listed files"):
        dump_statement(replace(manifest, root=bytes(32)))
    with pytest.raises(FormatError, match="is not the root of the listed files"):
        dump_statement(replace(manifest, shards=manifest.shards[1:]))
    with pytest.raises(FormatError, match="without any file"):
        dump_statement(replace(manifest, shards=()))
    with pytest.raises(FormatError, match="has no name"):
        dump_statement(replace(manifest, name=""))


# --- caps -------------------------------------------------------------------------------------


def test_cap_on_files(monkeypatch: pytest.MonkeyPatch) -> None:
    payload = dump_statement(OURS)
    monkeypatch.setattr(limits, "MAX_CHECKPOINT_FILES", len(ENTRIES))
    assert build_manifest("model", ENTRIES, ignore_paths=["model.sig"]) == OURS
    assert load_statement(payload, path="model.sig") == OURS
    monkeypatch.setattr(limits, "MAX_CHECKPOINT_FILES", len(ENTRIES) - 1)
    with pytest.raises(LimitError, match="checkpoint: 4 files, above the cap of 3"):
        build_manifest("model", ENTRIES)
    with pytest.raises(LimitError, match=r"model\.sig: 4 files, above the cap of 3"):
        load_statement(payload, path="model.sig")


def test_cap_on_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    payload = dump_statement(OURS)
    monkeypatch.setattr(limits, "MAX_BUNDLE_BYTES", len(payload))
    assert load_statement(payload, path="model.sig") == OURS
    with pytest.raises(LimitError):
        load_statement(payload + b" ", path="model.sig")


def test_cap_on_shards() -> None:
    at_cap = build_manifest("model", [make_entry("a", limits.MAX_SHARD_BYTES)])
    assert load_statement(dump_statement(at_cap), path="model.sig") == at_cap
    with pytest.raises(LimitError, match="'a' has 17592186044417 bytes"):
        build_manifest("model", [make_entry("a", limits.MAX_SHARD_BYTES + 1)])


# --- properties -------------------------------------------------------------------------------

_NAMES = st.text(
    st.characters(exclude_categories=("Cs",), exclude_characters="\0/*?["), min_size=1, max_size=8
).filter(lambda name: name not in (".", ".."))
_PATHS = st.lists(_NAMES, min_size=1, max_size=3).map("/".join)
_DIGESTS = st.binary(min_size=32, max_size=32)


@st.composite
def _manifests(draw: st.DrawFn) -> Manifest:
    paths = draw(st.lists(_PATHS, min_size=1, max_size=12, unique=True))
    # No file below a file, and nothing that is left out.
    paths = [path for path in paths if not any(path.startswith(other + "/") for other in paths)]
    ignored = draw(st.lists(_PATHS, max_size=3))
    ignored = [
        name
        for name in ignored
        if not any(path == name or path.startswith(name + "/") for path in paths)
    ]
    digest = _DIGESTS if draw(st.booleans()) else st.none()
    sizes = st.integers(0, limits.MAX_SHARD_BYTES)
    shards = [ShardEntry(path, draw(sizes), draw(_DIGESTS), draw(digest)) for path in paths]
    return build_manifest(draw(_NAMES), shards, ignore_paths=ignored)


@given(_manifests(), st.randoms(use_true_random=False))
def test_round_trip(manifest: Manifest, random: Any) -> None:
    payload = dump_statement(manifest)
    assert load_statement(payload, path="model.sig") == manifest
    paths = [shard.path.encode() for shard in manifest.shards]
    assert paths == sorted(paths)
    entries = [(shard.path, shard.size or 0, shard.root or b"") for shard in manifest.shards]
    assert manifest.root == checkpoint_root(entries)
    shuffled = list(manifest.shards)
    random.shuffle(shuffled)
    again = build_manifest(manifest.name, shuffled, ignore_paths=manifest.ignore_paths)
    assert dump_statement(again) == payload


@given(
    st.sampled_from([VECTOR, dump_statement(OURS), dump_statement(OWN)]),
    st.integers(0),
    st.binary(max_size=4),
    st.integers(0, 8),
)
def test_changed_bytes(payload: bytes, start: int, run: bytes, removed: int) -> None:
    """Whatever is put in: FormatError, or a manifest that can be written and read again."""
    start %= len(payload) + 1
    try:
        manifest = load_statement(payload[:start] + run + payload[start + removed :], path="m")
    except FormatError:
        return
    # What others may write and we do not: a file called ".", patterns among what was left out.
    if not manifest.single_file and not set("*?[") & set("".join(manifest.ignore_paths)):
        assert load_statement(dump_statement(manifest), path="m") == manifest
