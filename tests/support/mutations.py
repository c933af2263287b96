# SPDX-License-Identifier: Apache-2.0
"""The checkpoint that attacks are tried on, and functions that each do one bad thing to its files.

What the refusal must say stands in attacks.py. Imports nothing of pyhash.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import stat
import unicodedata
from collections.abc import Callable
from pathlib import Path

from tests.support.checkpoints import make_hf_checkpoint

SPAN_BYTES = 1 << 20
SHARD_BYTES = 2 * SPAN_BYTES + 70_000  # two whole spans and a short one
SHARD_1, SHARD_2, SHARD_3 = (f"model-{i:05d}-of-00003.safetensors" for i in (1, 2, 3))
INDEX = "model.safetensors.index.json"
CONFIG = "config.json"
EMPTY = "onnx/empty.bin"
ACCENTED = unicodedata.normalize("NFC", "onnx/modèle.txt")
NESTED = "onnx/quantized/notes.txt"
MODULES = "modules.json"


def make_victim(directory: Path, seed: int = 0) -> Path:
    """Write the checkpoint that the attacks know: 3 shards of 3 spans, nested and empty files."""
    make_hf_checkpoint(directory, shards=3, shard_bytes=SHARD_BYTES, seed=seed)
    (directory / NESTED).parent.mkdir(parents=True)
    (directory / NESTED).write_text("notes\n", encoding="utf-8")
    (directory / ACCENTED).write_text("accented\n", encoding="utf-8")
    (directory / EMPTY).touch()
    (directory / MODULES).write_text('[{"idx": 0, "path": "onnx"}]\n', encoding="utf-8")
    return directory


# --- bytes ---------------------------------------------------------------------------------------


def flip_byte(path: Path, offset: int) -> None:
    """Invert the lowest bit of one byte; a negative offset counts from the end."""
    with path.open("r+b") as file:
        file.seek(offset, os.SEEK_END if offset < 0 else os.SEEK_SET)
        (byte,) = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte ^ 1]))


def flip_byte_keep_times(path: Path, offset: int) -> None:
    """Invert a bit and put the modification time back, as against a cache of times."""
    before = path.stat()
    flip_byte(path, offset)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def zero_range(path: Path, start: int, size: int) -> None:
    """Overwrite a range by zeros, as a lost block reads."""
    with path.open("r+b") as file:
        file.seek(start)
        file.write(bytes(size))


def swap_ranges(path: Path, first: int, second: int, size: int) -> None:
    """Exchange two ranges of one file."""
    with path.open("r+b") as file:
        data = [_read_at(file.fileno(), start, size) for start in (first, second)]
        os.pwrite(file.fileno(), data[1], first)
        os.pwrite(file.fileno(), data[0], second)


def _read_at(descriptor: int, start: int, size: int) -> bytes:
    return os.pread(descriptor, size, start)


def append(path: Path, data: bytes) -> None:
    """Add bytes at the end."""
    with path.open("ab") as file:
        file.write(data)


def cut(path: Path, removed: int) -> None:
    """Take bytes off the end."""
    os.truncate(path, path.stat().st_size - removed)


def replace_text(path: Path, old: str, new: str) -> None:
    """Replace the one occurrence of a text."""
    text = path.read_text(encoding="utf-8")
    if text.count(old) != 1:
        raise ValueError(f"{path} has {old!r} {text.count(old)} times")
    path.write_text(text.replace(old, new), encoding="utf-8")


# --- names ---------------------------------------------------------------------------------------


def swap_files(first: Path, second: Path) -> None:
    """Exchange the names of two files."""
    aside = first.with_name(first.name + ".aside")
    first.rename(aside)
    second.rename(first)
    aside.rename(second)


def rename(path: Path, new_name: str) -> None:
    """Give a file another name in the same directory."""
    path.rename(path.with_name(new_name))


def add_file(path: Path, data: bytes = b"evil") -> None:
    """Add a file, with the directories that it needs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def add_deep_file(directory: Path, depth: int) -> None:
    """Add a file below that many directories."""
    add_file(directory.joinpath(*["d"] * depth, "file"))


# --- kinds of files ------------------------------------------------------------------------------


def replace_by_symlink(path: Path) -> None:
    """Move a file or directory out of the checkpoint and leave a link to it: same content."""
    outside = _outside(path)
    path.rename(outside)
    path.symlink_to(outside)


def replace_by_hard_link(path: Path, other: Path) -> None:
    """Make a name mean another file of the checkpoint. (A link to equal content is no attack.)"""
    path.unlink()
    path.hardlink_to(other)


def replace_by_directory(path: Path) -> None:
    """Put a directory with a file in it where a file was."""
    path.unlink(missing_ok=True)
    add_file(path / "evil.safetensors")


def replace_by_fifo(path: Path) -> None:
    """Put a pipe where a file was: whoever opens it naively waits for ever."""
    path.unlink()
    os.mkfifo(path)


def replace_by_socket(path: Path) -> None:
    """Put a socket where a file was."""
    path.unlink()
    name = path.with_name("s")  # socket names are short; bound by a short path, then renamed
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
            server.bind(f"/proc/self/fd/{directory}/{name.name}")
    finally:
        os.close(directory)
    name.rename(path)


def replace_by_device(path: Path) -> None:
    """Put the endless zero device where a file was; only root can."""
    path.unlink()
    os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 5))


def _outside(path: Path) -> Path:
    """A free path beside the checkpoint, which make_victim wrote ``path`` into."""
    root = next(parent for parent in path.parents if (parent / INDEX).exists())
    aside = root.with_name(root.name + ".outside")
    aside.mkdir(exist_ok=True)
    return aside / path.name


# --- what the files say --------------------------------------------------------------------------


def point_index(directory: Path, target: str) -> None:
    """Send the first tensor of the index to another file."""
    _point_index(directory, lambda _: target)


def _point_index(directory: Path, target: Callable[[Path], str]) -> None:
    path = directory / INDEX
    index = json.loads(path.read_text(encoding="utf-8"))
    index["weight_map"][min(index["weight_map"])] = target(directory)
    path.write_text(json.dumps(index), encoding="utf-8")


def point_index_outside(directory: Path, *, absolute: bool = False) -> None:
    """Send a tensor to a real shard beside the checkpoint, ``../`` or by its absolute path."""
    outside = _outside(directory / SHARD_1)
    shutil.copyfile(directory / SHARD_2, outside)
    relative = os.path.relpath(outside, directory)
    _point_index(directory, lambda _: str(outside.absolute()) if absolute else relative)


def point_index_ignored(directory: Path) -> None:
    """Send a tensor to a real shard where nobody signs: below ``.git``."""
    add_file(directory / ".git" / SHARD_1, (directory / SHARD_2).read_bytes())
    point_index(directory, f".git/{SHARD_1}")


def repeat_index_key(directory: Path, *, escaped: bool) -> None:
    """List the first tensor twice, at last with another shard; perhaps spelled with an escape."""
    path = directory / INDEX
    text = path.read_text(encoding="utf-8")
    name = min(json.loads(text)["weight_map"])
    key = f"\\u{ord(name[0]):04x}{name[1:]}" if escaped else name
    head, tail = text.rstrip().removesuffix("}").rstrip().removesuffix("}"), "}}"
    path.write_text(f'{head}, "{key}": "{SHARD_2}"{tail}', encoding="utf-8")


def edit_json(path: Path, **values: object) -> None:
    """Set top-level keys of a JSON object."""
    value = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(value | values), encoding="utf-8")


def repeat_tensor(path: Path, *, escaped: bool) -> None:
    """List a safetensors file's first tensor twice, at last as F16: two readers, two weights."""
    header = _read_header(path)
    name = next(key for key in json.loads(header) if key != "__metadata__")
    entry = {**json.loads(header)[name], "dtype": "F16"}
    key = f"\\u{ord(name[0]):04x}{name[1:]}" if escaped else name
    _write_header(path, f'{header.rstrip()[:-1]},"{key}":{json.dumps(entry)}}}')


def _read_header(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(int.from_bytes(file.read(8), "little")).decode()


def _write_header(path: Path, header: str) -> None:
    data = path.read_bytes()[8 + len(_read_header(path).encode()) :]
    raw = header.encode()
    raw += b" " * (-len(raw) % 8)
    path.write_bytes(len(raw).to_bytes(8, "little") + raw + data)
