# SPDX-License-Identifier: Apache-2.0
"""Manifests of ``llama-gguf-hash``: digests of the data of each tensor, and of all together.

The data of tensors is all that they cover. Names, shapes and types of tensors, and every key-value
pair (the chat template among them) can be changed without any digest changing.
"""

from __future__ import annotations

import posixpath
import re

from pyhash import files, formats, limits, range_digests
from pyhash.errors import FormatError
from pyhash.files import read_small
from pyhash.interchange._base import (
    ALL_TENSORS,
    Expected,
    ExpectedDigests,
    Exported,
    ListKind,
    Sniff,
    check_entry_count,
    load_hex,
)
from pyhash.strict_json import show

# Word of a line -> algorithm
WORDS = {
    "xxh64": "xxh64",
    "xxh3": "xxh3",
    "sha1": "sha1",
    "sha256": "sha256",
    "uuid": "llama-uuid",
}
FORMAT = "gguf"
EXPORTED_WORDS = ("sha256",)
# The tool splits at white space, so no name has any; what it prints when it checks has a verdict.
_LINE = re.compile(r"(xxh64|xxh3|sha1|sha256|uuid) +([0-9a-f-]+)  (\S+)")
_HEAD = re.compile(rb"(xxh64|xxh3|sha1|sha256|uuid) +[0-9a-f-]{16,64}  \S")


def load(source: str, model: str) -> ExpectedDigests:
    """Read the manifest in a file.

    Raises:
        ReadError, LimitError, FormatError: It cannot be read, is too long, or is none.
    """
    del model
    return load_lines(read_small(source, limits.MAX_DIGEST_LIST_BYTES), source)


def load_lines(data: bytes, source: str) -> ExpectedDigests:
    """Read a manifest strictly. Pure, thread-safe.

    Args:
        data: The whole text.
        source: Where it came from, for messages.

    Raises:
        LimitError: Too many lines.
        FormatError: A line that is none of the tool's, no line for the whole file, lines about two
            files, or a tensor twice under one algorithm.
    """
    check_entry_count(data.count(b"\n"), source)
    try:
        lines = data.decode("utf-8").removesuffix("\n").split("\n")
    except UnicodeDecodeError as error:
        raise FormatError(f"{source}: not UTF-8", source, error.start) from None
    found = [_load_line(line, number, source) for number, line in enumerate(lines, 1)]
    file = _file_of(found, source)
    digests: dict[tuple[str, ...], dict[str, bytes]] = {}
    for algorithm, digest, name in found:
        tensors = ALL_TENSORS if name == file else (name.removeprefix(f"{file}:"),)
        if tensors and not name.startswith(f"{file}:"):
            raise FormatError(f"{source}: {show(name)} is not of the file {show(file)}", source)
        if digests.setdefault(tensors, {}).setdefault(algorithm, digest) != digest:
            raise FormatError(f"{source}: {show(name)} has two {algorithm} digests", source)
    path = posixpath.basename(file)  # the tool prints it as it was called
    entries = (Expected(path, tuple(of.items()), None, key) for key, of in digests.items())
    return ExpectedDigests(KIND.name, source, tuple(entries))


def _load_line(line: str, number: int, source: str) -> tuple[str, bytes, str]:
    match = _LINE.fullmatch(line)
    if match is None:
        message = f"{source}: line {number} is not an algorithm, a digest and a name"
        raise FormatError(message, source)
    algorithm = WORDS[match[1]]
    digits = match[2].replace("-", "") if algorithm == "llama-uuid" else match[2]
    return algorithm, load_hex(digits, algorithm, f"line {number}", source), match[3]


def _file_of(found: list[tuple[str, bytes, str]], source: str) -> str:
    """The file that the manifest is about: the tool's last line is always that of the whole."""
    file = found[-1][2]
    if any(file.startswith(f"{name}:") for _, _, name in found):
        raise FormatError(f"{source}: no line at its end for the tensors together", source)
    return file


def dump(what: Exported) -> bytes:
    """Hash the tensors of a GGUF file and write SHA-256 lines as the tool does.

    Raises:
        FormatError: Not one GGUF file, or a name with white space, which the tool cannot read.
        ReadError, ChangedWhileReadError, EngineError: It could not be hashed.
    """
    found = [one for one in what.listing.files if one.path.lower().endswith(".gguf")]
    if len(found) != 1 or len(what.listing.files) != 1:
        raise FormatError(f"{what.name}: a manifest of this kind is about one GGUF file")
    (file,) = found
    ranges = tensor_ranges(what.listing, 0)
    messages = [
        *(range_digests.Message(0, EXPORTED_WORDS, (one,)) for one in ranges.values()),
        range_digests.Message(0, EXPORTED_WORDS, tuple(ranges.values())),
    ]
    digests = range_digests.hash_messages(what.listing, messages, options=what.options)
    name = posixpath.basename(file.path)
    names = [*(f"{name}:{tensor}" for tensor in ranges), name]
    return b"".join(
        _dump_line(word, of[word], name).encode("utf-8")
        for of, name in zip(digests, names, strict=True)
        for word in EXPORTED_WORDS
    )


def _dump_line(word: str, digest: bytes, name: str) -> str:
    line = f"{word:<8}  {digest.hex()}  {name}"
    if _LINE.fullmatch(line) is None:
        raise FormatError(f"{show(name)}: llama-gguf-hash can read no name with white space")
    return f"{line}\n"


def tensor_ranges(listing: files.Listing, index: int) -> dict[str, tuple[int, int]]:
    """Return where the data of each tensor lies, in the order of the file.

    Args:
        listing: The files.
        index: Which of them.

    Raises:
        FormatError, LimitError: It is no GGUF file, or a broken one.
        ReadError, ChangedWhileReadError: Its header cannot be read.
    """
    file = listing.files[index]
    with files.open_files(listing, (file,)) as (descriptor,):
        read_at = files.read_at(file.path, descriptor)
        layout = formats.layout_of(read_at, file.identity.size, file.path)
    if layout.format != FORMAT:
        raise FormatError(f"{file.path}: not a GGUF file", file.path)
    return {tensor.name: (tensor.start, tensor.end) for tensor in layout.tensors}


def _detect(sniff: Sniff) -> bool:
    return bool(_HEAD.match(sniff.head))


KIND = ListKind(
    name="gguf-hash",
    title="a manifest of llama-gguf-hash",
    covers="the data of every tensor of one GGUF file",
    leaves_out="who made the list; names, shapes and types of tensors; all metadata, with the"
    " chat template; padding",
    detect=_detect,
    load=load,
    dump=dump,
    reads_files=True,
)
