# SPDX-License-Identifier: Apache-2.0
"""GGUF versions 2 and 3, little and big endian: key-value pairs, tensor infos, aligned tensors.

Values are walked, not interpreted: only ``general.alignment`` changes what the file means here.
Items of string arrays are not decoded, since real vocabularies hold bytes that are not UTF-8.
Tensor data is never read.
"""

from __future__ import annotations

from pyhash.errors import FormatError, LimitError
from pyhash.formats._base import (
    Layout,
    ReadAt,
    TensorRange,
    align_up,
    arrange_tensors,
    count_elements,
)
from pyhash.formats._cursor import Cursor
from pyhash.frozen import frozen
from pyhash.limits import (
    MAX_GGUF_ARRAY_DEPTH,
    MAX_GGUF_ARRAY_ITEMS,
    MAX_GGUF_HEADER_BYTES,
    MAX_GGUF_PAIRS,
    MAX_GGUF_STRING_BYTES,
    MAX_TENSOR_RANK,
    MAX_TENSORS,
)
from pyhash.strict_json import show

NAME = "gguf"

_MAGIC = b"GGUF"  # the same in both byte orders
_VERSIONS = (2, 3)
_BOOLEANS_AT_ONCE = 1 << 16  # bytes read at once of an array of booleans
_MAX_NAME_BYTES = (1 << 16) - 1  # the specification's cap on keys; used for tensor names too
_MIN_PAIR_BYTES = 8 + 1 + 4 + 1  # key of one byte, type, value of one byte
_MIN_INFO_BYTES = 8 + 1 + 4 + 4 + 8  # name of one byte, rank 0, type, offset
_ALIGNMENT_KEY = "general.alignment"
_DEFAULT_ALIGNMENT = 32

_UINT32, _BOOL, _STRING, _ARRAY = 4, 7, 8, 9
# Value type -> name, letter of ``struct`` and bytes, for numbers.
_NUMBERS = {
    0: ("u8", "B", 1),
    1: ("i8", "b", 1),
    2: ("u16", "H", 2),
    3: ("i16", "h", 2),
    4: ("u32", "I", 4),
    5: ("i32", "i", 4),
    6: ("f32", "f", 4),
    10: ("u64", "Q", 8),
    11: ("i64", "q", 8),
    12: ("f64", "d", 8),
}
_TYPE_NAMES = {kind: name for kind, (name, _, _) in _NUMBERS.items()} | {
    _BOOL: "bool",
    _STRING: "string",
    _ARRAY: "array",
}

# ggml type -> name, elements per block, bytes per block. Numbers missing here were taken out of
# the format again; no reader in use knows them.
_GGML_TYPES = {
    0: ("F32", 1, 4),
    1: ("F16", 1, 2),
    2: ("Q4_0", 32, 18),
    3: ("Q4_1", 32, 20),
    6: ("Q5_0", 32, 22),
    7: ("Q5_1", 32, 24),
    8: ("Q8_0", 32, 34),
    9: ("Q8_1", 32, 40),
    10: ("Q2_K", 256, 84),
    11: ("Q3_K", 256, 110),
    12: ("Q4_K", 256, 144),
    13: ("Q5_K", 256, 176),
    14: ("Q6_K", 256, 210),
    15: ("Q8_K", 256, 292),
    16: ("IQ2_XXS", 256, 66),
    17: ("IQ2_XS", 256, 74),
    18: ("IQ3_XXS", 256, 98),
    19: ("IQ1_S", 256, 50),
    20: ("IQ4_NL", 32, 18),
    21: ("IQ3_S", 256, 110),
    22: ("IQ2_S", 256, 82),
    23: ("IQ4_XS", 256, 136),
    24: ("I8", 1, 1),
    25: ("I16", 1, 2),
    26: ("I32", 1, 4),
    27: ("I64", 1, 8),
    28: ("F64", 1, 8),
    29: ("IQ1_M", 256, 56),
    30: ("BF16", 1, 2),
    34: ("TQ1_0", 256, 54),
    35: ("TQ2_0", 256, 66),
    39: ("MXFP4", 32, 17),
    40: ("NVFP4", 64, 36),
    41: ("Q1_0", 128, 18),
}


@frozen
class _TensorInfo:
    """One tensor as the header has it; ``offset`` counts from the start of the data."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    offset: int
    size: int


def detect(path: str, head: bytes) -> bool:
    """Tell a GGUF file by its magic or its ending.

    Args:
        path: Path inside the checkpoint.
        head: First bytes of the file.

    Returns:
        True when either fits. Raises nothing.
    """
    return head.startswith(_MAGIC) or path.lower().endswith(".gguf")


def parse(read_at: ReadAt, size: int, path: str) -> Layout:
    """Read the header; see `Format.parse` for the arguments.

    Args:
        read_at: Gives bytes of the file. Asked for the header in windows of 64 KiB, and for
            single strings that are longer.
        size: Size of the file in bytes.
        path: Path for messages.

    Returns:
        The layout. Metadata values are text: numbers in decimal, ``true`` or ``false``, strings
        as they are, arrays only as ``[count x type]``.

    Raises:
        FormatError: The header breaks a rule of the format, or the version is not 2 or 3.
        LimitError: The header, or a count, length or rank in it, is above its cap.
        ReadError: ``read_at`` could not give the bytes.
    """
    if size < 24:
        raise FormatError(f"{path}: {size} bytes are too few for a GGUF file", path, size)
    order = _load_byte_order(read_at(0, 8), path)
    cursor = Cursor(read_at, size, cap=MAX_GGUF_HEADER_BYTES, order=order, path=path)
    cursor.skip(8)
    tensor_count, pair_count = cursor.numbers("QQ")
    _check_count(pair_count, "key-value pairs", MAX_GGUF_PAIRS, path)
    _check_count(tensor_count, "tensors", MAX_TENSORS, path)
    if pair_count * _MIN_PAIR_BYTES + tensor_count * _MIN_INFO_BYTES > size - cursor.position:
        message = f"{path}: more key-value pairs and tensors than the file has room for"
        raise FormatError(message, path, 8)
    metadata, alignment = _load_pairs(cursor, pair_count, path)
    infos = _load_infos(cursor, tensor_count, alignment, path)
    data_start = align_up(cursor.position, alignment)
    tensors = [_place(info, data_start) for info in infos]
    arranged = arrange_tensors(tensors, start=data_start, end=size, alignment=alignment, path=path)
    return Layout(NAME, arranged, cursor.position, metadata)


def _load_byte_order(head: bytes, path: str) -> str:
    """Return ``<`` or ``>``: the order in which the version is one that is known."""
    if not head.startswith(_MAGIC):
        raise FormatError(f"{path}: does not begin with the magic of GGUF", path, 0)
    little = int.from_bytes(head[4:], "little")
    if little in _VERSIONS:
        return "<"
    big = int.from_bytes(head[4:], "big")
    if big in _VERSIONS:
        return ">"
    known = " and ".join(map(str, _VERSIONS))
    message = f"{path}: GGUF version {min(little, big)} is not one of those known, {known}"
    raise FormatError(message, path, 4)


def _check_count(count: int, what: str, cap: int, path: str) -> None:
    """Refuse a count above its cap."""
    if count > cap:
        raise LimitError(f"{path}: {count} {what}, above the cap of {cap}", path, 8)


def _load_pairs(cursor: Cursor, count: int, path: str) -> tuple[tuple[tuple[str, str], ...], int]:
    """Walk the key-value pairs; return them as text, and the alignment in bytes."""
    pairs: dict[str, str] = {}
    alignment = _DEFAULT_ALIGNMENT
    for _ in range(count):
        begin = cursor.position
        key = _load_name(cursor, "key", path)
        if key in pairs:
            raise FormatError(f"{path}: key {show(key)} is there twice", path, begin)
        (kind,) = cursor.numbers("I")
        pairs[key] = _load_value(cursor, kind, f"value of {show(key)}", path)
        if key == _ALIGNMENT_KEY:
            alignment = int(pairs[key]) if kind == _UINT32 else 0
            if alignment == 0 or alignment & (alignment - 1):
                message = f"{path}: {_ALIGNMENT_KEY} is no power of two in a u32"
                raise FormatError(message, path, begin)
    return tuple(pairs.items()), alignment


def _load_name(cursor: Cursor, what: str, path: str) -> str:
    """Return the next string as a key or tensor name: not empty, UTF-8."""
    begin = cursor.position
    name = _decode(cursor.string(_MAX_NAME_BYTES), what, path, begin)
    if not name:
        raise FormatError(f"{path}: {what} is empty", path, begin)
    return name


def _decode(text: bytes, what: str, path: str, offset: int) -> str:
    """Decode UTF-8 strictly."""
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError:
        raise FormatError(f"{path}: {what} is not UTF-8", path, offset) from None


def _load_value(cursor: Cursor, kind: int, where: str, path: str) -> str:
    """Walk one value and return it as text."""
    begin = cursor.position
    if kind in _NUMBERS:
        return str(cursor.numbers(_NUMBERS[kind][1])[0])
    if kind == _BOOL:
        return "true" if _load_booleans(cursor, 1, where, path) == b"\1" else "false"
    if kind == _STRING:
        return _decode(cursor.string(MAX_GGUF_STRING_BYTES), where, path, begin)
    if kind == _ARRAY:
        count, item = _skip_array(cursor, where, path, depth=1)
        return f"[{count} x {_TYPE_NAMES[item]}]"
    raise FormatError(f"{path}: {where} has the unknown type {kind}", path, begin)


def _skip_array(cursor: Cursor, where: str, path: str, *, depth: int) -> tuple[int, int]:
    """Walk an array without keeping any of it; return its count and the type of its items."""
    begin = cursor.position
    item, count = cursor.numbers("IQ")
    if count > MAX_GGUF_ARRAY_ITEMS:
        cap = MAX_GGUF_ARRAY_ITEMS
        message = f"{path}: {where} is an array of {count} items, above the cap of {cap}"
        raise LimitError(message, path, begin)
    if item in _NUMBERS:
        cursor.skip(count * _NUMBERS[item][2])
    elif item == _STRING:
        cursor.skip_strings(count, MAX_GGUF_STRING_BYTES)
    elif item == _BOOL:
        for done in range(0, count, _BOOLEANS_AT_ONCE):
            _load_booleans(cursor, min(_BOOLEANS_AT_ONCE, count - done), where, path)
    elif item == _ARRAY:
        if depth == MAX_GGUF_ARRAY_DEPTH:
            message = f"{path}: {where} has arrays nested deeper than {depth}"
            raise LimitError(message, path, begin)
        for _ in range(count):
            _skip_array(cursor, where, path, depth=depth + 1)
    else:
        message = f"{path}: {where} is an array of the unknown type {item}"
        raise FormatError(message, path, begin)
    return count, item


def _load_booleans(cursor: Cursor, count: int, where: str, path: str) -> bytes:
    """Return the next booleans, one byte each, after checking that they are 0 or 1."""
    begin = cursor.position
    values = cursor.take(count)
    if values.translate(None, b"\0\1"):
        raise FormatError(f"{path}: {where} is a boolean other than 0 and 1", path, begin)
    return values


def _load_infos(cursor: Cursor, count: int, alignment: int, path: str) -> list[_TensorInfo]:
    """Read the tensor infos, each checked by itself."""
    infos: dict[str, _TensorInfo] = {}
    for _ in range(count):
        begin = cursor.position
        info = _load_info(cursor, path)
        if info.name in infos:
            raise FormatError(f"{path}: tensor {show(info.name)} is there twice", path, begin)
        if info.offset % alignment:
            message = f"{path}: tensor {show(info.name)} is not aligned to {alignment} bytes"
            raise FormatError(message, path, begin)
        infos[info.name] = info
    return list(infos.values())


def _load_info(cursor: Cursor, path: str) -> _TensorInfo:
    """Read one tensor info."""
    begin = cursor.position
    name = _load_name(cursor, "tensor name", path)
    where = f"tensor {show(name)}"
    (rank,) = cursor.numbers("I")
    if rank > MAX_TENSOR_RANK:
        cap = MAX_TENSOR_RANK
        raise LimitError(f"{path}: {where} has more than {cap} dimensions", path, begin)
    # Dimensions, fastest-varying first.
    *dimensions, kind, offset = cursor.numbers("Q" * rank + "IQ")
    if kind not in _GGML_TYPES:
        raise FormatError(f"{path}: {where} has the unknown ggml type {kind}", path, begin)
    dtype, block_elements, block_bytes = _GGML_TYPES[kind]
    elements = count_elements(dimensions, where, path)
    if (dimensions[0] if dimensions else 1) % block_elements:
        message = f"{path}: rows of {where} are no multiple of {block_elements} elements"
        raise FormatError(message, path, begin)
    size = elements // block_elements * block_bytes
    return _TensorInfo(name, dtype, tuple(reversed(dimensions)), offset, size)


def _place(info: _TensorInfo, data_start: int) -> TensorRange:
    """Turn an offset into the data into one into the file."""
    start = data_start + info.offset
    return TensorRange(info.name, info.dtype, info.shape, start, start + info.size)
