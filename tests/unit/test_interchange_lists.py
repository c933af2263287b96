# SPDX-License-Identifier: Apache-2.0
"""What a list may say, kind by kind, and what is refused before any file is opened."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pyhash import errors, limits
from pyhash.interchange import (
    KINDS,
    Expected,
    ExpectedDigests,
    find_kind,
    flat_manifest,
    gguf_hash,
    oci,
    sglang,
    sha256sum,
)
from pyhash.provenance.flat_manifest import FIELDS

HEX = "0123456789abcdef" * 4
DIGEST = bytes.fromhex(HEX)
SHA1 = HEX[:40]
XXH = HEX[:16]


def flat(**more: Any) -> bytes:
    fields = dict.fromkeys(FIELDS, "x")
    return json.dumps({"model_manifest": {**fields, "hash": f"sha256:{HEX}", **more}}).encode()


def flat_lines(**more: str) -> bytes:
    fields = {**dict.fromkeys(FIELDS, 'a "b"'), "hash": f"sha256:{HEX}", **more}
    lines = [f"  {name}: {json.dumps(text)}\n" for name, text in fields.items()]
    return "".join(["model_manifest:\n", *lines]).encode()


def layer(path: str = "a", **more: Any) -> dict[str, Any]:
    return {
        "mediaType": "application/vnd.cncf.model.weight.v1.raw",
        "digest": f"sha256:{HEX}",
        "size": 3,
        "annotations": {"org.cncf.model.filepath": path},
        **more,
    }


def image(*layers: Any, **more: Any) -> bytes:
    return json.dumps({"schemaVersion": 2, "layers": list(layers), **more}).encode()


Load = Callable[[bytes], ExpectedDigests]
READERS: dict[str, Load] = {
    "sha256sum": lambda data: sha256sum.load_lines(data, "list"),
    "sglang": lambda data: sglang.load_text(data, "list"),
    "gguf-hash": lambda data: gguf_hash.load_lines(data, "list"),
    "oci": lambda data: oci.load_manifest(data, "list"),
    "flat-manifest": lambda data: flat_manifest.load_text(data, "list", "model"),
}


def whole(path: str, size: int | None = None) -> Expected:
    return Expected(path, (("sha256", DIGEST),), size)


ACCEPTED: list[tuple[str, bytes, tuple[Expected, ...]]] = [
    ("sha256sum", f"{HEX}  a\n{HEX.upper()} *b/c".encode(), (whole("a"), whole("b/c"))),
    ("sha256sum", f"\\{HEX}  a\\nb\\\\\n".encode(), (whole("a\nb\\"),)),
    ("sha256sum", f"{HEX}  ./a (b) = c\n".encode(), (whole("a (b) = c"),)),
    ("sha256sum", f"SHA256 (a) = {HEX}\nSHA256 (b) = c) = {HEX}\n".encode(),
     (whole("a"), whole("b) = c"))),
    ("sha256sum", f"\\SHA256 (a\\nb) = {HEX}\n".encode(), (whole("a\nb"),)),
    ("sha256sum", f"BLAKE3 (a) = {HEX}\nSHA1 (b) = {SHA1}\nBLAKE2b (c) = {HEX * 2}\n".encode(), (
        Expected("a", (("blake3", DIGEST),)),
        Expected("b", (("sha1", DIGEST[:20]),)),
        Expected("c", (("blake2b", DIGEST * 2),)),
    )),
    ("sglang", json.dumps({"checksums": {"a": HEX, "b": HEX.upper()}}).encode(),
     (whole("a"), whole("b"))),
    ("sglang", json.dumps({"files": {"a": {"sha256": HEX, "size": 3},
                                     "b": {"size": -1, "sha256": HEX}}}).encode(),
     (whole("a", 3), whole("b"))),
    ("gguf-hash", f"sha256    {HEX}  d/m.gguf:t:1\nxxh64     {XXH}  d/m.gguf:t:1\n"
     f"sha256    {HEX}  d/m.gguf\n".encode(), (
        Expected("m.gguf", (("sha256", DIGEST), ("xxh64", DIGEST[:8])), None, ("t:1",)),
        Expected("m.gguf", (("sha256", DIGEST),), None, ()),
    )),
    ("gguf-hash", b"uuid      01234567-89ab-cdef-0123-456789abcdef  m.gguf\n",
     (Expected("m.gguf", (("llama-uuid", DIGEST[:16]),), None, ()),)),
    ("oci", image(layer()), (whole("a", 3),)),
    ("oci", image(layer(annotations={"org.opencontainers.image.title": "b"})), (whole("b", 3),)),
    ("flat-manifest", flat(), (whole("model"),)),
    ("flat-manifest", flat(hash=f"pyhash-v1:{HEX}"), ()),
    ("flat-manifest", flat_lines(hash=f"pyhash-v1:{HEX}"), ()),
    ("flat-manifest", b"# by hand\n\nmodel_manifest: \n name: x # mine\n hash: 'sha256:%s'\n"
     % HEX.encode(), (whole("model"),)),
    ("flat-manifest", flat_lines().removesuffix(b"\n"), (whole("model"),)),
    ("flat-manifest", b'{"model_manifest": {"name": "x", "hash": "sha256:%s"}}' % HEX.encode(),
     (whole("model"),)),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "data", "entries"), ACCEPTED)
def test_accepted(kind: str, data: bytes, entries: tuple[Expected, ...]) -> None:
    found = READERS[kind](data)
    assert (found.kind, found.source, found.entries) == (kind, "list", entries)
    assert (found.root is None) == bool(entries)


REFUSED: list[tuple[str, bytes, str]] = [
    *[("sha256sum", data, message) for data, message in [
        (b"", "empty list"),
        (b"\n", "line 1"),
        (f"{HEX}  a\n\n".encode(), "line 2"),
        (f"{HEX[1:]}  a\n".encode(), "line 1"),
        (f"{HEX} a\n".encode(), "line 1"),
        (f"{HEX}  /etc/passwd\n".encode(), "not relative"),
        (f"{HEX}  ../a\n".encode(), "not relative"),
        (f"{HEX}  a/../b\n".encode(), "not relative"),
        (f"{HEX}  ././a\n".encode(), "not relative"),
        (f"{HEX}  a\0\n".encode(), "line 1"),
        (f"{HEX}  a\n{HEX}  ./a\n".encode(), "listed twice"),
        (f"{HEX}  a\n{HEX}  a/b\n".encode(), "lies below"),
        (f"\\{HEX}  a\\x\n".encode(), "unknown escape"),
        (f"{HEX}  a\n".encode() + b"\xff", "line 2"),
        (f"{HEX}  ".encode() + b"\xff\n", "UTF-8"),
        (f"MD5 (a) = {SHA1[:32]}\n".encode(), "tagged with none of"),
        (f"SHA256 (a) = {SHA1}\n".encode(), "not 64 hex"),
        (f"SHA256 (a) = {HEX}\n{HEX}  a\n".encode(), "line 2"),
        (f"\\SHA256 (a\\x) = {HEX}\n".encode(), "unknown escape"),
    ]],
    *[("sglang", json.dumps(value).encode(), message) for value, message in [
        ([], "not an object"),
        ({}, "not one object"),
        ({"files": {}}, "checks nothing"),
        ({"files": {}, "checksums": {}}, "not one object"),
        ({"files": {"a": HEX}}, "not an object"),
        ({"files": {"a": {"sha256": HEX}}}, "no field 'size'"),
        ({"files": {"a": {"sha256": HEX, "size": -2}}}, "below -1"),
        ({"files": {"a": {"sha256": HEX, "size": 1, "md5": ""}}}, "unknown field"),
        ({"files": {"a": {"sha256": SHA1, "size": 1}}}, "not 64 hex"),
        ({"checksums": {"a": 1}}, "not a string"),
        ({"checksums": {"../a": HEX}}, "not relative"),
    ]],
    ("sglang", f'{{"checksums": {{"a": "{HEX}", "a": "{HEX}"}}}}'.encode(), "twice"),
    *[("gguf-hash", data, message) for data, message in [
        (b"", "line 1"),
        (b"\xff", "not UTF-8"),
        (f"sha256    {HEX}  m.gguf  -  Ok\n".encode(), "line 1"),
        (f"md5       {HEX}  m.gguf\n".encode(), "line 1"),
        (f"sha256    {SHA1}  m.gguf\n".encode(), "not 64 hex"),
        (f"sha256    {HEX}  a.gguf\nsha256    {HEX}  b.gguf\n".encode(), "not of the file"),
        (f"sha256    {HEX}  a:t\nsha256    {HEX}  a\nsha256    {HEX}  a:u\n".encode(),
         "no line at its end"),
        (f"sha256    {HEX}  a\nsha256    {'0' * 64}  a\n".encode(), "two sha256 digests"),
        (f"sha256    {HEX}  ..\n".encode(), "not relative"),
    ]],
    *[("oci", data, message) for data, message in [
        (b"[]", "not an object"),
        (b"{}", "schemaVersion"),
        (image(), "checks nothing"),
        (image("a"), "not an object"),
        (image(layer("../a")), "not relative"),
        (image(layer(), layer()), "listed twice"),
        (image(layer(digest=f"sha512:{HEX * 2}")), "not sha256"),
        (image(layer(digest=f"sha256:{HEX.upper()}")), "not sha256"),
        (image(layer(digest=f"sha256:{SHA1}")), "not 64 hex"),
        (image(layer(size=-1)), "below 0"),
        (image(layer(annotations={})), "names no files"),
        (image(layer(annotations={"org.cncf.model.filepath": "a",
                                  "org.opencontainers.image.title": "b"})), "names 2 files"),
        (image(layer(mediaType="application/vnd.cncf.model.weight.v1.tar+gzip")), "an archive"),
        (image(layer(mediaType="application/vnd.cncf.model.weight.v1.tar")), "an archive"),
    ]],
    *[("flat-manifest", data, message) for data, message in [
        (b"{}", "no field 'model_manifest'"),
        (b'{"model_manifest": {}}', "no field 'name'"),
        (flat(extra="x"), "unknown field 'extra'"),
        (flat_lines(extra="x"), "no field of a flat manifest: '  extra"),
        (flat_lines() + b'  name: "x"\n', "no field of a flat manifest: '  name"),
        (b"model_manifest:\n  name: x\n", "needs name and hash"),
        (b'model_manifest:\n  name: "x" # y\n', "not JSON"),
        (b'model_manifest:\n  name: "x"y"\n', "not JSON"),
        (b'model_manifest:\n  name: "x"\n', "needs name and hash"),
        (flat(name=1), "not a string"),
        (flat(hash=HEX), "neither a root nor"),
        (flat(hash=f"sha256:{SHA1}"), "not 64 hex"),
        (flat(hash=f"md5:{SHA1[:32]}"), "neither a root nor"),
    ]],
]  # fmt: skip


@pytest.mark.parametrize(("kind", "data", "message"), REFUSED)
def test_refused(kind: str, data: bytes, message: str) -> None:
    with pytest.raises(errors.FormatError, match=message) as caught:
        READERS[kind](data)
    assert caught.value.path == "list"


# --- caps -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("sha256sum", "".join(f"{HEX}  {i}\n" for i in range(3)).encode()),
        ("sglang", json.dumps({"checksums": dict.fromkeys("abc", HEX)}).encode()),
        ("gguf-hash", f"xxh3 {XXH}  a:t\nxxh3 {XXH}  a:u\nxxh3 {XXH}  a\n".encode()),
        ("oci", image(layer("a"), layer("b"), layer("c"))),
    ],
)
def test_cap_of_lines(kind: str, data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_LIST_ENTRIES", 3)
    assert len(READERS[kind](data).entries) == 3
    monkeypatch.setattr(limits, "MAX_LIST_ENTRIES", 2)
    with pytest.raises(errors.LimitError):
        READERS[kind](data)


@pytest.mark.parametrize(
    ("kind", "cap", "data"),
    [
        ("sha256sum", "MAX_DIGEST_LIST_BYTES", f"{HEX}  a".encode()),
        ("sglang", "MAX_DIGEST_LIST_BYTES", json.dumps({"checksums": {"a": HEX}}).encode()),
        ("gguf-hash", "MAX_DIGEST_LIST_BYTES", f"xxh3 {XXH}  a".encode()),
        ("oci", "MAX_OCI_JSON_BYTES", image(layer())),
        ("flat-manifest", "MAX_FLAT_MANIFEST_BYTES", flat()),
        ("flat-manifest", "MAX_FLAT_MANIFEST_BYTES", flat_lines()),
    ],
)
def test_cap_of_bytes(
    kind: str, cap: str, data: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "list"
    source.write_bytes(data)
    monkeypatch.setattr(limits, cap, len(data))
    assert KINDS[kind].load(str(source), "model").entries
    monkeypatch.setattr(limits, cap, len(data) - 1)
    with pytest.raises(errors.LimitError):
        KINDS[kind].load(str(source), "model")


# --- the type itself ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (Expected("a", ()), "without a digest"),
        (Expected("a", (("sha256", b"x"),)), "digest of 1 bytes"),
        (Expected("", (("sha256", DIGEST),)), "not relative"),
    ],
)
def test_entries_that_make_no_sense(entry: Expected, message: str) -> None:
    with pytest.raises(errors.FormatError, match=message):
        ExpectedDigests("sha256sum", "list", (entry,))


def test_strength_is_that_of_the_weakest_line() -> None:
    strong, git, rot = ("sha256", DIGEST), ("git-sha1", DIGEST[:20]), ("xxh64", DIGEST[:8])
    lines = {
        ((strong,), (git, strong)): "attackers",
        ((strong,), (git,)): "forgers",
        ((strong,), (rot,)): "rot",
        ((rot, strong), (rot, git)): "forgers",
    }
    for digests, strength in lines.items():
        entries = tuple(Expected(str(i), of) for i, of in enumerate(digests))
        assert ExpectedDigests("sha256sum", "list", entries).strength == strength
    assert ExpectedDigests("flat-manifest", "list", (), root=DIGEST).strength == "attackers"


# --- layouts --------------------------------------------------------------------------------------


def descriptor(data: bytes) -> dict[str, Any]:
    return {"digest": f"sha256:{hashlib.sha256(data).hexdigest()}", "size": len(data)}


def write_layout(home: Path, manifest: bytes, index: Any = None) -> Path:
    blobs = home / "blobs/sha256"
    blobs.mkdir(parents=True)
    (blobs / hashlib.sha256(manifest).hexdigest()).write_bytes(manifest)
    value = index or {"schemaVersion": 2, "manifests": [descriptor(manifest)]}
    (home / "index.json").write_text(json.dumps(value))
    return home


def test_blobs_are_listed_once(tmp_path: Path) -> None:
    manifest = image(layer("a"), layer("b"), config=descriptor(b"{}"))
    layout = write_layout(tmp_path, manifest)
    found = oci.load(str(layout), str(layout))
    name = f"blobs/sha256/{hashlib.sha256(manifest).hexdigest()}"
    assert {entry.path for entry in found.entries} == {
        name,
        f"blobs/sha256/{HEX}",
        f"blobs/sha256/{hashlib.sha256(b'{}').hexdigest()}",
    }


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        (image(layer("a"), layer("b", size=4), config=descriptor(b"{}")), "two sizes"),
        (image(layer("a")), "not an object"),
    ],
)
def test_layouts_that_make_no_sense(tmp_path: Path, manifest: bytes, message: str) -> None:
    layout = write_layout(tmp_path, manifest)
    with pytest.raises(errors.FormatError, match=message):
        oci.load(str(layout), str(layout))


def test_a_manifest_that_is_not_the_one_of_the_index(tmp_path: Path) -> None:
    manifest = image(layer("a"))
    layout = write_layout(tmp_path, manifest)
    blob = layout / "blobs/sha256" / hashlib.sha256(manifest).hexdigest()
    blob.write_bytes(image(layer("b")))
    with pytest.raises(errors.FormatError, match="not what the index names"):
        oci.load(str(layout), "model")


@pytest.mark.parametrize("count", [0, 2])
def test_an_index_of_several_manifests(tmp_path: Path, count: int) -> None:
    manifest = image(layer("a"))
    index = {"schemaVersion": 2, "manifests": [descriptor(manifest)] * count}
    layout = write_layout(tmp_path, manifest, index)
    with pytest.raises(errors.FormatError, match=f"{count} manifests"):
        oci.load(str(layout), "model")


def test_the_config_of_our_manifest_is_inside() -> None:
    from pyhash.files import Listing
    from pyhash.hashing import Options
    from pyhash.interchange._base import Exported, FileRecord

    listing = Listing("m", "m", False, (), ())
    made = json.loads(oci.dump(Exported("m", (FileRecord("a", 3, DIGEST),), listing, Options())))
    config = base64.b64decode(made["config"]["data"])
    assert made["config"]["digest"] == f"sha256:{hashlib.sha256(config).hexdigest()}"
    assert made["config"]["size"] == len(config)
    assert json.loads(config)["modelfs"] == {"type": "layers", "diffIds": [f"sha256:{HEX}"]}


# --- telling kinds apart --------------------------------------------------------------------------

LOOKS = {
    "sha256sum": [f"{HEX}  a".encode(), f"\\{HEX} *a\n".encode(), f"SHA1 (a) = {SHA1}".encode()],
    "sglang": [b' {"files": {}}', b'{"checksums": {}}'],
    "gguf-hash": [f"sha256    {HEX}  a\n".encode(), f"xxh64     {XXH}  a:b\n".encode()],
    "oci": [image(layer())],
    "flat-manifest": [flat(), flat_lines(), b"# by hand\n\n" + flat_lines()],
}


@pytest.mark.parametrize(("kind", "data"), [(k, one) for k, of in LOOKS.items() for one in of])
def test_kinds_are_told_by_their_looks(tmp_path: Path, kind: str, data: bytes) -> None:
    source = tmp_path / "a:b"
    source.write_bytes(data)
    found, place = find_kind(str(source), "model")
    assert (found.name, place) == (kind, str(source))
    found, place = find_kind(f"{kind}:{source}", "model")
    assert (found.name, place) == (kind, str(source))
    assert find_kind(kind, "model")[1] == "model"


@pytest.mark.parametrize(
    "data", [b"", b"text", b"{", b"[]", b"{}", b'{"a": 1}', f"{SHA1}  a".encode()]
)
def test_what_looks_like_nothing(tmp_path: Path, data: bytes) -> None:
    source = tmp_path / "list"
    source.write_bytes(data)
    with pytest.raises(errors.UsageError, match="none of the kinds"):
        find_kind(str(source), "model")


def test_what_looks_like_two_things(tmp_path: Path) -> None:
    source = tmp_path / "list"
    source.write_bytes(b'{"files": {}, "model_manifest": {}}')
    with pytest.raises(errors.UsageError, match="more than one kind"):
        find_kind(str(source), "model")


def test_a_source_that_is_not_there() -> None:
    with pytest.raises(errors.ReadError, match="No such file"):
        find_kind("/nowhere", "model")
