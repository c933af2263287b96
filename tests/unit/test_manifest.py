# SPDX-License-Identifier: Apache-2.0
"""Statements: the OMS vector, our two forms byte by byte, and everything that must be refused.

Roots are computed here with hashlib alone, from the text of the format.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
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

_OMS = Path(__file__).resolve().parents[1] / "vectors" / "oms"
_VECTOR = (_OMS / "tiny-model.statement.json").read_bytes()

Json = dict[str, Any]


def _sha256(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()


def _tree(leaves: list[bytes]) -> bytes:
    """RFC 6962, 2.1: split at the largest power of two below the number of leaves."""
    if len(leaves) == 1:
        return leaves[0]
    half = 1
    while 2 * half < len(leaves):
        half *= 2
    return _sha256(b"\x01", _tree(leaves[:half]), _tree(leaves[half:]))


def _checkpoint_root(entries: list[tuple[str, int, bytes]]) -> bytes:
    leaves = []
    for name, size, root in sorted((path.encode(), size, root) for path, size, root in entries):
        entry = (b"pyhash-shard-v1\0", len(name).to_bytes(4, "big"), name)
        leaves.append(_sha256(b"\x00", *entry, size.to_bytes(8, "big"), root))
    return _tree(leaves)


def _load(value: object) -> Manifest:
    return load_statement(json.dumps(value).encode("utf-8"), path="model.sig")


def _entry(path: str, size: int = 3, *, digest: bool = True) -> ShardEntry:
    name = path.encode()
    return ShardEntry(path, size, _sha256(b"root", name), _sha256(name) if digest else None)


# Byte order of path is not the order of components: "." and "-" come before "/".
_ENTRIES = [_entry("w/a.bin", 0), _entry("w-1", 5), _entry("w.index", 1 << 40), _entry("caf\u00e9")]
_ORDER = ["caf\u00e9", "w-1", "w.index", "w/a.bin"]
_OURS = build_manifest("model", _ENTRIES, ignore_paths=["model.sig"])
_OWN = build_manifest(
    "model", [replace(entry, file_digest=None) for entry in _ENTRIES], ignore_paths=["model.sig"]
)


# --- statements of other tools ----------------------------------------------------------------


def test_oms_vector() -> None:
    manifest = load_statement(_VECTOR, path="model.sig")
    assert manifest == Manifest(
        name="tiny-model",
        shards=(
            ShardEntry("config.json", None, None, _sha256(b"{}\n")),
            ShardEntry("weights.index", None, None, _sha256(b"idx\n")),
            ShardEntry("weights/a.bin", None, None, _sha256(bytes(range(16)))),
        ),
        root=None,
        ignore_paths=(".git", ".gitignore", ".gitattributes", ".github"),
        predicate_type=OMS_PREDICATE_TYPE,
        single_file=False,
    )


def test_dump_writes_the_vector() -> None:
    assert dump_statement(load_statement(_VECTOR, path="model.sig")) == _VECTOR


def _vector() -> Json:
    return dict(json.loads(_VECTOR))


def _set_root(fields: Json) -> None:
    """Put the OMS root of whatever is listed now, so that another fault is what is found."""
    digests = [bytes.fromhex(item["digest"]) for item in fields["predicate"]["resources"]]
    fields["subject"][0]["digest"]["sha256"] = _sha256(*digests).hex()


def test_order_of_the_reference_tool() -> None:
    """It sorts by components of the path; any order is read, with the root in that order."""
    fields = _vector()
    resources = fields["predicate"]["resources"]
    resources[1:] = reversed(resources[1:])
    with pytest.raises(FormatError, match="root digest is not the root"):
        _load(fields)
    fields["subject"][0]["digest"]["sha256"] = (
        "1285642b46f7c06cb9b06614035be429d52b5a46a81fd371ffde6f4a5efd238a"
    )
    assert _load(fields) == load_statement(_VECTOR, path="model.sig")


def test_oms_root_binds_no_names() -> None:
    """Known weakness of OMS, here so that nobody mistakes that root for an identity."""
    fields = _vector()
    fields["predicate"]["resources"] = [
        {"name": name, "algorithm": "sha256", "digest": _sha256(data).hex()}
        for name, data in (("x.py", b"1"), ("y.py", b"2"))
    ]
    root = "4295f72eeb1e3507b8461e240e3b8d18c1e7bd2f1122b11fc9ec40a65894031a"
    fields["subject"][0]["digest"]["sha256"] = root
    assert [shard.path for shard in _load(fields).shards] == ["x.py", "y.py"]


def _put(value: object, *place: str | int) -> Callable[[Json], None]:
    def change(fields: Any) -> None:
        for name in place[:-1]:
            fields = fields[name]
        fields[place[-1]] = value

    return change


def _pop(*place: str | int) -> Callable[[Json], None]:
    def change(fields: Any) -> None:
        for name in place[:-1]:
            fields = fields[name]
        del fields[place[-1]]

    return change


_SERIALIZATION = ("predicate", "serialization")
_RESOURCES = ("predicate", "resources")
_FIRST = (*_RESOURCES, 0)
_DIGEST = ("subject", 0, "digest")


@pytest.mark.parametrize(
    "change",
    [
        _pop(*_SERIALIZATION, "ignore_paths"),
        _put([], *_SERIALIZATION, "ignore_paths"),
        _put(True, *_SERIALIZATION, "allow_symlinks"),
        _put("any name", "subject", 0, "name"),
        _put({"a": 1}, "subject", 0, "annotations"),
        _put("ab", *_DIGEST, "sha512"),
        _put(123, *_FIRST, "size"),
        _put({"other": {}}, *_FIRST, "annotations"),
    ],
)
def test_what_oms_lets_others_write(change: Callable[[Json], None]) -> None:
    fields = _vector()
    change(fields)
    assert _load(fields).shards == load_statement(_VECTOR, path="model.sig").shards


def _one_file(name: str) -> Json:
    fields = _vector()
    fields["predicate"]["resources"] = fields["predicate"]["resources"][:1]
    fields["predicate"]["resources"][0]["name"] = name
    _set_root(fields)
    return fields


def test_single_file() -> None:
    """The reference tool writes ".", the specification wants the basename."""
    marked = _load(_one_file("."))
    assert marked.single_file
    assert marked.shards[0].path == "."
    plain = _load(_one_file("model.gguf"))
    assert not plain.single_file
    assert plain.shards[0].path == "model.gguf"
    with pytest.raises(ValueError, match="basename"):
        dump_statement(marked)


# --- our statements ---------------------------------------------------------------------------


def test_dump_of_ours() -> None:
    a, b = (_sha256(b"a"), _sha256(b"ra")), (_sha256(b"b"), _sha256(b"rb"))
    shards = [ShardEntry("z/b\n", 0, b[1], b[0]), ShardEntry("\u00e9", 7, a[1], a[0])]
    root = _checkpoint_root([("z/b\n", 0, b[1]), ("\u00e9", 7, a[1])])
    manifest = build_manifest("my model", shards, ignore_paths=[*DEFAULT_IGNORED, "model.sig"])
    assert manifest.root == root
    expected = (
        '{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"my model","digest":'
        f'{{"sha256":"{_sha256(b[0], a[0]).hex()}","pyhash-v1":"{root.hex()}"}}}}],'
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
    root = _sha256(b"root")
    manifest = build_manifest("m", [ShardEntry("a", 7, root, None)])
    checkpoint = _checkpoint_root([("a", 7, root)])
    assert manifest.root == checkpoint
    expected = (
        '{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"m","digest":'
        f'{{"pyhash-v1":"{checkpoint.hex()}"}}}}],'
        '"predicateType":"https://pyhash-checkpoint.org/statement/v1","predicate":{"resources":['
        f'{{"name":"a","annotations":{{"pyhash-v1":{{"size":7,"root":"{root.hex()}"}}}}}}],'
        '"serialization":{"method":"pyhash-v1","ignore_paths":[]}}}'
    )
    assert dump_statement(manifest) == expected.encode("utf-8")


@pytest.mark.parametrize("manifest", [_OURS, _OWN])
def test_ours(manifest: Manifest) -> None:
    assert [shard.path for shard in manifest.shards] == _ORDER
    assert manifest.root == _checkpoint_root(
        [(entry.path, entry.size or 0, entry.root or b"") for entry in _ENTRIES]
    )
    assert load_statement(dump_statement(manifest), path="model.sig") == manifest


def test_predicate_type_follows_the_file_digests() -> None:
    assert _OURS.predicate_type == OMS_PREDICATE_TYPE
    assert _OWN.predicate_type == PYHASH_PREDICATE_TYPE


def test_only_the_name_and_what_was_left_out_are_outside_the_root() -> None:
    other = build_manifest("other", _ENTRIES, ignore_paths=["x"])
    assert other.root == _OURS.root == _OWN.root
    assert build_manifest("model", _ENTRIES[1:]).root != _OURS.root


def _swap_names(fields: Json) -> None:
    first, second = fields["predicate"]["resources"][:2]
    first["name"], second["name"] = second["name"], first["name"]


def _annotation(*place: str) -> tuple[str | int, ...]:
    return (*_FIRST, "annotations", "pyhash-v1", *place)


_NOT_THE_ROOT = "the checkpoint root is not the root of the listed files"
_ALL_OR_NOWHERE = "in the subject and all resources, or nowhere"
_BOTH_FORMS_REFUSED: dict[str, tuple[Callable[[Json], None], str]] = {
    "type": (_put("https://in-toto.io/Statement/v0.1", "_type"), "_type is"),
    "no type": (_pop("_type"), "no field '_type'"),
    "extra field": (_put(1, "extra"), "the statement has the unknown field"),
    "extra in predicate": (_put(1, "predicate", "extra"), "the predicate has the unknown field"),
    "extra in serialization": (_put(1, *_SERIALIZATION, "extra"), "unknown field 'extra'"),
    "newer kind": (
        _put("https://model_signing/signature/v1.1", "predicateType"),
        "of another kind: predicateType 'https://model_signing/signature/v1.1'",
    ),
    "other kind": (_put("https://slsa.dev/provenance/v1", "predicateType"), "another kind"),
    "old kind": (
        _put("https://model_signing/Digests/v0.1", "predicateType"),
        r"old form of the statement.*model-signing 0\.2",
    ),
    "kind is no string": (_put(None, "predicateType"), "predicateType is null"),
    "no subject": (_put([], "subject"), "0 subjects instead of one"),
    "two subjects": (_put([{}, {}], "subject"), "2 subjects instead of one"),
    "subject is no array": (_put({}, "subject"), "subject is an object"),
    "subject is no object": (_put(["x"], "subject"), "the subject is a string"),
    "no name": (_pop("subject", 0, "name"), "name"),
    "empty name": (_put("", "subject", 0, "name"), "has no name"),
    "name is no string": (_put(1, "subject", 0, "name"), "the subject's name is an integer"),
    "no digest": (_pop("subject", 0, "digest"), "digest"),
    "digest is a string": (_put("00", *_DIGEST), "the subject's digest is a string"),
    "no resources": (_put([], *_RESOURCES), "a checkpoint without any file"),
    "resources missing": (_pop(*_RESOURCES), "no field 'resources'"),
    "resource is no object": (_put("a", *_FIRST), "a resource is a string"),
    "resource without a name": (_pop(*_FIRST, "name"), "name"),
    "resource name is no string": (_put(1, *_FIRST, "name"), "name of a resource is an integer"),
    "shards": (_put("shards", *_SERIALIZATION, "method"), "method is 'shards'; this version"),
    "no method": (_pop(*_SERIALIZATION, "method"), "method"),
    "serialization is no object": (_put("files", *_SERIALIZATION), "serialization is a string"),
    "ignore_paths is no array": (_put("a", *_SERIALIZATION, "ignore_paths"), "is a string"),
    "ignored path is no string": (_put([1], *_SERIALIZATION, "ignore_paths"), "is an integer"),
    "ignored path reaches out": (
        _put(["../x"], *_SERIALIZATION, "ignore_paths"),
        "'../x' is not relative",
    ),
    "everything ignored": (_put(["."], *_SERIALIZATION, "ignore_paths"), "'.' is not relative"),
    "signed and ignored": (
        _put(["w"], *_SERIALIZATION, "ignore_paths"),
        "'w/a.bin' is both signed and ignored",
    ),
}
_ANNOTATED_REFUSED: dict[str, tuple[Callable[[Json], None], str]] = {
    "path reaches out": (_put("../a", *_FIRST, "name"), "'../a' is not relative"),
    "absolute path": (_put("/etc/passwd", *_FIRST, "name"), "is not relative"),
    "dot": (_put(".", *_FIRST, "name"), "'.' is not relative"),
    "NUL": (_put("a\0", *_FIRST, "name"), "has a NUL"),
    "long path": (_put("a" * 4097, *_FIRST, "name"), "longer than 4096"),
    "listed twice": (_put("w-1", *_FIRST, "name"), "'w-1' is listed twice"),
    "below a file": (_put("w-1/x", *_FIRST, "name"), "'w-1/x' lies below"),
    "renamed": (_put("a", *_FIRST, "name"), _NOT_THE_ROOT),
    "names swapped": (_swap_names, _NOT_THE_ROOT),
    "size": (_put(4, *_annotation("size")), _NOT_THE_ROOT),
    "root": (_put("ab" * 32, *_annotation("root")), _NOT_THE_ROOT),
    "negative size": (_put(-1, *_annotation("size")), "size is -1"),
    "size is a float": (_put(3.0, *_annotation("size")), "size is a number with a fraction"),
    "size is a string": (_put("3", *_annotation("size")), "size is a string"),
    "size is true": (_put(True, *_annotation("size")), "size is true or false"),
    "size above the cap": (_put((1 << 44) + 1, *_annotation("size")), "above the cap"),
    "no size": (_pop(*_annotation("size")), "no field 'size'"),
    "no root": (_pop(*_annotation("root")), "no field 'root'"),
    "extra in annotation": (_put(1, *_annotation("extra")), "unknown field 'extra'"),
    "annotation is no object": (_put(1, *_annotation()), "pyhash-v1 is an integer"),
    "annotations are no object": (_put([], *_FIRST, "annotations"), "annotations is an array"),
    "upper case": (_put("AB" * 32, *_annotation("root")), "not 64 lowercase hex"),
    "spaces": (_put("ab " * 21 + "a", *_annotation("root")), "not 64 lowercase hex"),
    "newline behind": (_put("ab" * 32 + "\n", *_annotation("root")), "not 64 lowercase hex"),
    "other digits": (_put("\u0661" * 64, *_annotation("root")), "not 64 lowercase hex"),
    "short": (_put("ab" * 31, *_annotation("root")), "not 64 lowercase hex"),
    "long": (_put("ab" * 33, *_annotation("root")), "not 64 lowercase hex"),
    "checkpoint root": (_put("ab" * 32, *_DIGEST, "pyhash-v1"), _NOT_THE_ROOT),
    "checkpoint root too short": (_put("ab", *_DIGEST, "pyhash-v1"), "not 64 lowercase hex"),
    "one file less": (_pop(*_FIRST), _NOT_THE_ROOT),
}
_OURS_REFUSED = {
    "no root in the subject": (_pop(*_DIGEST, "pyhash-v1"), _ALL_OR_NOWHERE),
    "one without annotations": (_pop(*_FIRST, "annotations"), _ALL_OR_NOWHERE),
    "one without our annotation": (_pop(*_annotation()), _ALL_OR_NOWHERE),
}
_OWN_REFUSED = {
    "no root in the subject": (_pop(*_DIGEST, "pyhash-v1"), "no field 'pyhash-v1'"),
    "one without annotations": (_pop(*_FIRST, "annotations"), "no field 'annotations'"),
    "one without our annotation": (_pop(*_annotation()), "no field 'pyhash-v1'"),
    "OMS root": (_put("ab" * 32, *_DIGEST, "sha256"), "unknown field 'sha256'"),
    "extra in subject": (_put(1, "subject", 0, "extra"), "unknown field 'extra'"),
    "digest": (_put("ab" * 32, *_FIRST, "digest"), "unknown field 'digest'"),
    "other annotation": (_put({}, *_FIRST, "annotations", "other"), "unknown field 'other'"),
    "method of OMS": (_put("files", *_SERIALIZATION, "method"), "method is 'files'"),
    "hash_type": (_put("sha256", *_SERIALIZATION, "hash_type"), "unknown field 'hash_type'"),
    "no ignore_paths": (_pop(*_SERIALIZATION, "ignore_paths"), "no field 'ignore_paths'"),
    "predicate type of OMS": (_put(OMS_PREDICATE_TYPE, "predicateType"), "serialization.method"),
}
_OMS_REFUSED = {
    "no OMS root": (_pop(*_DIGEST, "sha256"), "(sha256) is null"),
    "OMS root": (_put("ab" * 32, *_DIGEST, "sha256"), "root digest is not the root"),
    "OMS root upper case": (_put("AB" * 32, *_DIGEST, "sha256"), "not 64 lowercase"),
    "file digest": (_put("ab" * 32, *_FIRST, "digest"), "root digest is not the root"),
    "file digest short": (_put("ab" * 20, *_FIRST, "digest"), "not 64 lowercase"),
    "no file digest": (_pop(*_FIRST, "digest"), "digest is null"),
    "digest set": (_put({"sha256": "ab" * 32}, *_FIRST, "digest"), "digest is an object"),
    "no algorithm": (_pop(*_FIRST, "algorithm"), "algorithm is null"),
    "algorithm in capitals": (_put("SHA-256", *_FIRST, "algorithm"), "algorithm is 'SHA-256'"),
    "algorithm downgraded": (_put("md5", *_FIRST, "algorithm"), "algorithm is 'md5'"),
    "blake3": (_put("blake3", *_SERIALIZATION, "hash_type"), "hash_type is 'blake3'; this version"),
    "blake2b": (_put("blake2b", *_SERIALIZATION, "hash_type"), "hash_type is 'blake2b'"),
    "no hash_type": (_pop(*_SERIALIZATION, "hash_type"), "hash_type is null"),
    "shard_size": (_put(1000, *_SERIALIZATION, "shard_size"), "unknown field 'shard_size'"),
    "no allow_symlinks": (_pop(*_SERIALIZATION, "allow_symlinks"), "no field 'allow_symlinks'"),
    "allow_symlinks": (_put("no", *_SERIALIZATION, "allow_symlinks"), "allow_symlinks is a string"),
    "our predicate type": (_put(PYHASH_PREDICATE_TYPE, "predicateType"), "serialization.method"),
}
_REFUSED = [
    (base, name, *fault)
    for base, tables in {
        "ours": (_BOTH_FORMS_REFUSED, _ANNOTATED_REFUSED, _OURS_REFUSED, _OMS_REFUSED),
        "own": (_BOTH_FORMS_REFUSED, _ANNOTATED_REFUSED, _OWN_REFUSED),
    }.items()
    for table in tables
    for name, fault in table.items()
]


@pytest.mark.parametrize(
    ("base", "name", "change", "message"), _REFUSED, ids=[f"{b}-{n}" for b, n, _, _ in _REFUSED]
)
def test_refused(base: str, name: str, change: Callable[[Json], None], message: str) -> None:
    fields = json.loads(dump_statement(_OURS if base == "ours" else _OWN))
    change(fields)
    if base == "ours" and name in _ANNOTATED_REFUSED:
        _set_root(fields)
    with pytest.raises(
        FormatError, match=message.replace("(", r"\(").replace(")", r"\)")
    ) as caught:
        _load(fields)
    assert caught.value.path == "model.sig"
    assert str(caught.value).startswith("model.sig: ")


@pytest.mark.parametrize("data", [b"", b"[]", b"null", b"\xff", _VECTOR[:-1], _VECTOR * 2])
def test_not_a_statement(data: bytes) -> None:
    with pytest.raises(FormatError):
        load_statement(data, path="model.sig")


def test_duplicate_keys() -> None:
    twice = _VECTOR.replace(b'"name":"config.json"', b'"name":"config.json","n\\u0061me":"x"')
    with pytest.raises(FormatError, match="twice"):
        load_statement(twice, path="model.sig")


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
        build_manifest(name, [_entry("a")])


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
    other = _entry("c" if position == 0 else "a")
    with pytest.raises(ValueError, match=message):
        build_manifest("model", [other, shard])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"predicate_type": "x"}, "no such predicate type"),
        ({"root": None, "predicate_type": PYHASH_PREDICATE_TYPE}, "needs whole-file digests"),
        ({"root": None}, "do not fit"),
        ({"predicate_type": PYHASH_PREDICATE_TYPE}, "do not fit"),
        ({"shards": tuple(reversed(_OURS.shards))}, "in order of path"),
        ({"shards": (_NO_DIGEST,)}, "do not fit"),
        ({"single_file": True}, "basename"),
    ],
)
def test_dump_wants_a_whole_manifest(changes: Json, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dump_statement(replace(_OURS, **changes))


@pytest.mark.parametrize("manifest", [_OURS, _OWN])
def test_dump_checks_what_load_checks(manifest: Manifest) -> None:
    with pytest.raises(FormatError, match=_NOT_THE_ROOT):
        dump_statement(replace(manifest, root=bytes(32)))
    with pytest.raises(FormatError, match=_NOT_THE_ROOT):
        dump_statement(replace(manifest, shards=manifest.shards[1:]))
    with pytest.raises(FormatError, match="without any file"):
        dump_statement(replace(manifest, shards=()))
    with pytest.raises(FormatError, match="has no name"):
        dump_statement(replace(manifest, name=""))


# --- caps -------------------------------------------------------------------------------------


def test_cap_on_files(monkeypatch: pytest.MonkeyPatch) -> None:
    payload = dump_statement(_OURS)
    monkeypatch.setattr(limits, "MAX_CHECKPOINT_FILES", len(_ENTRIES))
    assert build_manifest("model", _ENTRIES, ignore_paths=["model.sig"]) == _OURS
    assert load_statement(payload, path="model.sig") == _OURS
    monkeypatch.setattr(limits, "MAX_CHECKPOINT_FILES", len(_ENTRIES) - 1)
    with pytest.raises(LimitError, match="checkpoint: 4 files, above the cap of 3"):
        build_manifest("model", _ENTRIES)
    with pytest.raises(LimitError, match=r"model\.sig: 4 files, above the cap of 3"):
        load_statement(payload, path="model.sig")


def test_cap_on_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    payload = dump_statement(_OURS)
    monkeypatch.setattr(limits, "MAX_BUNDLE_BYTES", len(payload))
    assert load_statement(payload, path="model.sig") == _OURS
    with pytest.raises(LimitError):
        load_statement(payload + b" ", path="model.sig")


def test_cap_on_shards() -> None:
    at_cap = build_manifest("model", [_entry("a", limits.MAX_SHARD_BYTES)])
    assert load_statement(dump_statement(at_cap), path="model.sig") == at_cap
    with pytest.raises(LimitError, match="'a' has 17592186044417 bytes"):
        build_manifest("model", [_entry("a", limits.MAX_SHARD_BYTES + 1)])


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
    assert manifest.root == _checkpoint_root(entries)
    shuffled = list(manifest.shards)
    random.shuffle(shuffled)
    again = build_manifest(manifest.name, shuffled, ignore_paths=manifest.ignore_paths)
    assert dump_statement(again) == payload


@given(
    st.sampled_from([_VECTOR, dump_statement(_OURS), dump_statement(_OWN)]),
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
