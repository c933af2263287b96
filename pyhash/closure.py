# SPDX-License-Identifier: Apache-2.0
"""Closure: whatever the signed files can lead a loader to must be a signed file too.

A directory can be exactly as signed and still load something else: a shard name in an index with
``../`` in it, code that a configuration fetches from elsewhere, a tensor that a header lists twice
so that two readers take two different ones. This module reads the small files and the headers and
says what it finds; it decides nothing and checks no digest.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Collection, Iterator

from pyhash import files, formats, limits
from pyhash.errors import Finding, FormatError
from pyhash.paths import check_path
from pyhash.strict_json import JsonValue, load_json, show

# Files from which loaders take the names of other files.
CONFIG_NAMES = frozenset(
    {
        "adapter_config.json",
        "config.json",
        "generation_config.json",
        "model_index.json",
        "preprocessor_config.json",
        "processor_config.json",
        "tokenizer_config.json",
        "video_preprocessor_config.json",
    }
)
# "model.safetensors.index.json", and with a variant "model.safetensors.index.fp16.json"
INDEX_MARK, INDEX_SUFFIX = ".index.", ".json"
MODULES_NAME = "modules.json"  # sentence-transformers: a list of directories
TOKENIZER_NAME = "tokenizer_config.json"

# Endings, in any case, that say that a string of a configuration is the name of a file that will be
# loaded. What has a scheme is no file name: nothing in the field loads weights from there unasked.
LOADABLE = (
    ".bin",
    ".ckpt",
    ".engine",
    ".gguf",
    ".h5",
    ".index.json",
    ".jinja",
    ".joblib",
    ".keras",
    ".msgpack",
    ".npy",
    ".npz",
    ".onnx",
    ".pickle",
    ".pkl",
    ".pt",
    ".pth",
    ".py",
    ".safetensors",
    ".so",
    ".tflite",
)
REMOTE_SCHEME = "://"
PARENT = ".."  # as a component, it leads out of the checkpoint whatever the ending
# Where the model once came from; and, of an adapter, the checkpoint that it is put upon, which is
# another checkpoint and has a signature of its own.
INFORMATION_KEYS = frozenset({"_name_or_path", "base_model_name_or_path"})
# Words of the model itself, whatever they look like: names of classes, tokens, a template.
TEXT_KEYS = frozenset({"added_tokens_decoder", "chat_template", "id2label"})
# In a tokenizer's configuration "vocab_file", "merges_file" and all of their kind are opened as
# they are written there; only these two are not.
FILE_KEY_SUFFIX = "_file"
OTHER_FILE_KEYS = frozenset({"source_spm", "target_spm", "vocab"})  # of Marian's
# transformers forgets this key where there is no such file.
TOKENIZER_KEY, TOKENIZER_FILE = "tokenizer_file", "tokenizer.json"
UNOPENED_FILE_KEYS = frozenset({"added_tokens_file", "special_tokens_map_file"})
# "module.Class" of code that lies in the checkpoint; "repository--module.Class" of other code.
# What has no dot is no code: no loader takes it for a class.
CODE_KEYS = frozenset({"auto_map", "impl"})
REMOTE_MARK = "--"

WEIGHT_SUFFIXES = (".gguf", ".safetensors")  # in any case
# A file of this size is looked into whatever it is called, bytes.
WEIGHT_BYTES = 1 << 20


def check_closure(
    listing: files.Listing, known: Collection[files.CheckpointFile] = ()
) -> list[Finding]:
    """Look for everything that leads from the signed files to anything else.

    Args:
        listing: The checkpoint; every file of it is signed.
        known: Files of it that led nowhere else when they were looked into earlier, under the same
            rules and beside files of the same names; these are not looked into again.

    Returns:
        Findings of code ``closure``; none when all is well.

    Raises:
        ReadError, ChangedWhileReadError: A file could not be read, or is another one now.
    """
    signed = frozenset(file.path for file in listing.files)
    found: list[Finding] = []
    for file in listing.files:
        check = _check_of(file)
        if check is None or file in known:
            continue
        with files.open_files(listing, (file,)) as (descriptor,):
            try:
                messages = list(check(file, descriptor, signed))
            except FormatError as error:
                messages = [_without_path(str(error), file.path)]
        found += [Finding("closure", file.path, message) for message in messages]
    return found


Check = Callable[[files.CheckpointFile, int, frozenset[str]], Iterator[str]]


def _check_of(file: files.CheckpointFile) -> Check | None:
    name = posixpath.basename(file.path)
    if INDEX_MARK in name and name.endswith(INDEX_SUFFIX):
        return _check_index
    if name in CONFIG_NAMES:
        return _check_config
    if name == MODULES_NAME:
        return _check_modules
    if name.lower().endswith(WEIGHT_SUFFIXES) or file.identity.size >= WEIGHT_BYTES:
        return _check_header
    return None


def _check_index(
    file: files.CheckpointFile, descriptor: int, signed: frozenset[str]
) -> Iterator[str]:
    value = _load(file, descriptor, limits.MAX_INDEX_BYTES)
    weight_map = value.get("weight_map") if isinstance(value, dict) else None
    if weight_map is None:
        return
    if not isinstance(weight_map, dict):
        yield "weight_map is not an object"
        return
    targets: dict[str, str] = {}
    for tensor, target in weight_map.items():
        if not isinstance(target, str):
            yield f"weight_map sends tensor {show(tensor)} to something that is not a file name"
        else:
            targets.setdefault(target, tensor)
    for target, tensor in targets.items():
        if not _is_signed(file.path, target, signed):
            yield (
                f"weight_map sends tensor {show(tensor)} to {show(target)}, which is not a signed"
                " file of this checkpoint"
            )


def _check_config(
    file: files.CheckpointFile, descriptor: int, signed: frozenset[str]
) -> Iterator[str]:
    value = _load(file, descriptor, limits.MAX_CONFIG_BYTES)
    is_tokenizer = posixpath.basename(file.path) == TOKENIZER_NAME
    for key, text, is_code in _strings(value, "", False):
        if is_code and REMOTE_MARK in text:
            yield f"{key} takes code from another repository: {show(text)}"
        elif is_code and "." in text:
            module = text.partition(".")[0] + ".py"
            if not _is_signed(file.path, module, signed):
                yield f"{key} takes code from {show(module)}, which is not a signed file"
        elif not text or _is_signed(file.path, text, signed) or REMOTE_SCHEME in text:
            continue
        elif _is_file_name(text) or (is_tokenizer and _is_file_key(key, file.path, signed)):
            yield f"{key} names {show(text)}, which is not a signed file of this checkpoint"


def _is_file_name(text: str) -> bool:
    return text.lower().endswith(LOADABLE) or PARENT in text.split("/")


def _is_file_key(key: str, origin: str, signed: frozenset[str]) -> bool:
    if key == TOKENIZER_KEY and not _is_signed(origin, TOKENIZER_FILE, signed):
        return False
    return key in OTHER_FILE_KEYS or (
        key.endswith(FILE_KEY_SUFFIX) and key not in UNOPENED_FILE_KEYS
    )


def _strings(value: JsonValue, key: str, is_code: bool) -> Iterator[tuple[str, str, bool]]:
    """Every string of a configuration, with the key it stands under. Depth is capped on load."""
    if isinstance(value, str):
        yield key or "it", value, is_code
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item, key, is_code)
    elif isinstance(value, dict):
        for name, item in value.items():
            if name not in INFORMATION_KEYS | TEXT_KEYS:
                yield from _strings(item, name, is_code or name in CODE_KEYS)


def _check_modules(
    file: files.CheckpointFile, descriptor: int, signed: frozenset[str]
) -> Iterator[str]:
    value = _load(file, descriptor, limits.MAX_CONFIG_BYTES)
    for module in value if isinstance(value, list) else ():
        path = module.get("path") if isinstance(module, dict) else None
        kind = module.get("type") if isinstance(module, dict) else None
        if isinstance(kind, str) and REMOTE_MARK in kind:
            yield f"a module takes code from another repository: {show(kind)}"
        # A module without weights has no files, and then often no directory either.
        if isinstance(path, str) and path and not _is_normal(path):
            yield f"a module lies in {show(path)}, which leads out of this checkpoint"


def _check_header(
    file: files.CheckpointFile, descriptor: int, signed: frozenset[str]
) -> Iterator[str]:
    formats.layout_of(files.read_at(file.path, descriptor), file.identity.size, file.path)
    yield from ()


def _load(file: files.CheckpointFile, descriptor: int, cap: int) -> JsonValue:
    size = min(file.identity.size, cap + 1)
    data = files.read_at(file.path, descriptor)(0, size)
    # Real configurations have Infinity, and 1e30 written as an integer.
    return load_json(data, path=file.path, max_bytes=cap, python_numbers=True)


def _is_signed(origin: str, target: str, signed: frozenset[str]) -> bool:
    """Is ``target``, as a loader would find it from the file ``origin``, a signed file?"""
    return _is_normal(target) and posixpath.join(posixpath.dirname(origin), target) in signed


def _is_normal(target: str) -> bool:
    """Does a path stay below where it starts from, under its one spelling?"""
    try:
        check_path(target)
    except FormatError:
        return False
    return True


def _without_path(message: str, path: str) -> str:
    return message.removeprefix(f"{path}: ")
