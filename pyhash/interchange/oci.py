# SPDX-License-Identifier: Apache-2.0
"""OCI artifacts that hold a model: layer digests of an image manifest, as CNCF ModelPack has them.

Two things can be held against one: the files that were taken out of it, whose raw layers name them;
and an image layout on disk, whose blobs are named by their digests. A layer that is an archive says
nothing about single files: then only the layout can be checked.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import posixpath

from pyhash import limits
from pyhash.errors import FormatError
from pyhash.files import read_small
from pyhash.interchange._base import (
    Expected,
    ExpectedDigests,
    Exported,
    FileRecord,
    ListKind,
    Sniff,
    check_entry_count,
    load_hex,
)
from pyhash.strict_json import (
    JsonValue,
    expect_array,
    expect_integer,
    expect_object,
    expect_string,
    load_json,
    show,
)

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
ARTIFACT_TYPE = "application/vnd.cncf.model.manifest.v1+json"
CONFIG_TYPE = "application/vnd.cncf.model.config.v1+json"
PATH_KEYS = ("org.cncf.model.filepath", "org.opencontainers.image.title")
ARCHIVE_MARKS = (".tar", "+gzip", "+zstd")
LAYOUT_FILE, INDEX_FILE = "oci-layout", "index.json"
DIGEST_PREFIX = "sha256:"
BLOBS = "blobs/sha256"

# Ending of a name, in any case -> what ModelPack calls such a layer; the first that fits.
_LAYER_TYPES = (
    ((".py", ".sh"), "application/vnd.cncf.model.code.v1.raw"),
    (("readme.md", "license", ".md", "notice"), "application/vnd.cncf.model.doc.v1.raw"),
    (
        (".json", ".txt", ".model", ".jinja", ".yaml", ".yml", ".gitattributes"),
        "application/vnd.cncf.model.weight.config.v1.raw",
    ),
    (("",), "application/vnd.cncf.model.weight.v1.raw"),
)


def load(source: str, model: str) -> ExpectedDigests:
    """Read an image manifest, or the layout whose index names one.

    Raises:
        ReadError, LimitError, FormatError: It cannot be read, is too long, or is none; a manifest
            that is not the one that the index names; or layers that name no files.
    """
    if not os.path.isdir(source):
        return load_manifest(read_small(source, limits.MAX_OCI_JSON_BYTES), source)
    index = read_small(os.path.join(source, INDEX_FILE), limits.MAX_OCI_JSON_BYTES)
    name, size = load_index(index, os.path.join(source, INDEX_FILE))
    location = os.path.join(source, name)
    data = read_small(location, limits.MAX_OCI_JSON_BYTES)
    if len(data) != size or hashlib.sha256(data).hexdigest() != posixpath.basename(name):
        raise FormatError(f"{location}: is not what the index names", location)
    if os.path.realpath(source) == os.path.realpath(model):
        return load_layout(data, name, location)
    return load_manifest(data, location)


def load_index(data: bytes, source: str) -> tuple[str, int]:
    """Return path and size of the only manifest that an index names. Pure, thread-safe.

    Raises:
        LimitError, FormatError: No index, or one of several manifests.
    """
    fields = _load_object(data, source)
    manifests = expect_array(fields.get("manifests"), "manifests", source)
    if len(manifests) != 1:
        raise FormatError(f"{source}: {len(manifests)} manifests instead of one", source)
    digest, size = _load_descriptor(manifests[0], "the manifest", source)
    return f"{BLOBS}/{digest.hex()}", size


def load_manifest(data: bytes, source: str) -> ExpectedDigests:
    """Read the files that the raw layers of a manifest name. Pure, thread-safe.

    Args:
        data: The whole manifest.
        source: Where it came from, for messages.

    Raises:
        LimitError: Too long, or too many layers.
        FormatError: No manifest, a layer that is an archive or names no file, or what
            ``ExpectedDigests`` refuses.
    """
    entries = []
    for layer in _load_layers(_load_object(data, source), source):
        digest, size = _load_descriptor(layer, "a layer", source)
        path = _load_path(layer, source)
        kind = expect_string(layer.get("mediaType"), "mediaType of a layer", source)
        if kind.endswith(ARCHIVE_MARKS):
            raise FormatError(
                f"{source}: the layer of {show(path)} is an archive ({show(kind)}): its digest says"
                " nothing about the files in it; give the layout itself as MODEL, or export again"
                " with raw layers",
                source,
            )
        entries.append(Expected(path, (("sha256", digest),), size))
    return ExpectedDigests(KIND.name, source, tuple(entries))


def load_layout(data: bytes, name: str, source: str) -> ExpectedDigests:
    """Read the blobs that a layout must have for a manifest. Pure, thread-safe.

    Args:
        data: The whole manifest; it has been found to be what the index names.
        name: Its path in the layout.
        source: Where it came from, for messages.

    Raises:
        LimitError, FormatError: As ``load_manifest``; archives are fine here.
    """
    fields = _load_object(data, source)
    blobs = {name: Expected(name, (("sha256", hashlib.sha256(data).digest()),), len(data))}
    for one in (fields.get("config"), *_load_layers(fields, source)):
        digest, size = _load_descriptor(one, "a descriptor", source)
        entry = Expected(f"{BLOBS}/{digest.hex()}", (("sha256", digest),), size)
        if blobs.setdefault(entry.path, entry) != entry:
            raise FormatError(f"{source}: {entry.path} is listed with two sizes", source)
    return ExpectedDigests(
        KIND.name, source, tuple(blobs.values()), ignored=(LAYOUT_FILE, INDEX_FILE)
    )


def _load_object(data: bytes, source: str) -> dict[str, JsonValue]:
    value = load_json(data, path=source, max_bytes=limits.MAX_OCI_JSON_BYTES)
    fields = expect_object(value, "the manifest", source)
    if fields.get("schemaVersion") != 2:
        raise FormatError(f"{source}: schemaVersion is not 2", source)
    return fields


def _load_layers(fields: dict[str, JsonValue], source: str) -> list[dict[str, JsonValue]]:
    layers = expect_array(fields.get("layers"), "layers", source)
    check_entry_count(len(layers), source)
    return [expect_object(layer, "a layer", source) for layer in layers]


def _load_descriptor(value: JsonValue, where: str, source: str) -> tuple[bytes, int]:
    fields = expect_object(value, where, source)
    text = expect_string(fields.get("digest"), f"digest of {where}", source)
    if not text.startswith(DIGEST_PREFIX) or text != text.lower():
        raise FormatError(f"{source}: the digest of {where} is {show(text)}, not sha256", source)
    digest = load_hex(text.removeprefix(DIGEST_PREFIX), "sha256", f"digest of {where}", source)
    return digest, expect_integer(fields.get("size"), f"size of {where}", source)


def _load_path(layer: dict[str, JsonValue], source: str) -> str:
    notes = expect_object(layer.get("annotations", {}), "annotations of a layer", source)
    named = {expect_string(notes[key], key, source) for key in PATH_KEYS if key in notes}
    if len(named) != 1:
        raise FormatError(
            f"{source}: a layer names {len(named) or 'no'} files; {' or '.join(PATH_KEYS)} should"
            " name one",
            source,
        )
    return named.pop()


def dump(what: Exported) -> bytes:
    """Write an image manifest with one raw layer for each file, and the config inside it.

    Pure, thread-safe. Nothing is pushed anywhere; the blobs are the files themselves.
    Raises nothing.
    """
    layers = [_dump_layer(one) for one in what.files]
    config = _dump(
        {
            "descriptor": {"name": what.name},
            "modelfs": {"type": "layers", "diffIds": [layer["digest"] for layer in layers]},
            "config": {},
        }
    )
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "artifactType": ARTIFACT_TYPE,
        "config": {
            "mediaType": CONFIG_TYPE,
            "digest": DIGEST_PREFIX + hashlib.sha256(config).hexdigest(),
            "size": len(config),
            "data": base64.b64encode(config).decode("ascii"),
        },
        "layers": layers,
    }
    return _dump(manifest) + b"\n"


def _dump(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode("ascii")


def _dump_layer(file: FileRecord) -> dict[str, object]:
    name = file.path.lower()
    kind = next(kind for endings, kind in _LAYER_TYPES if name.endswith(endings))
    return {
        "mediaType": kind,
        "digest": DIGEST_PREFIX + file.sha256.hex(),
        "size": file.size,
        "annotations": dict.fromkeys(PATH_KEYS, file.path),
    }


def _detect(sniff: Sniff) -> bool:
    if sniff.is_directory:
        return os.path.isfile(os.path.join(sniff.path, LAYOUT_FILE))
    return "schemaVersion" in sniff.keys


KIND = ListKind(
    name="oci",
    title="an OCI image manifest or layout, CNCF ModelPack among them",
    covers="every byte of every raw layer, by the path that it names; or every blob of a layout",
    leaves_out="who made it; files inside archives, one by one",
    detect=_detect,
    load=load,
    dump=dump,
)
