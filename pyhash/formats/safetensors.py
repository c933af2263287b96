# SPDX-License-Identifier: Apache-2.0
"""safetensors: an 8-byte length, a JSON header of that length, then the tensors without holes.

Stricter than common readers: duplicate names, unknown fields and anything but spaces around the
header are refused, so that no two readers can see different tensors. Tensor data is never read.
"""

from __future__ import annotations

from pyhash.errors import FormatError, LimitError
from pyhash.formats._base import Layout, ReadAt, TensorRange, arrange_tensors, count_elements
from pyhash.limits import MAX_SAFETENSORS_HEADER_BYTES, MAX_TENSOR_RANK, MAX_TENSORS
from pyhash.strict_json import (
    JsonValue,
    expect_array,
    expect_fields,
    expect_integer,
    expect_object,
    expect_string,
    load_json,
    show,
)

NAME = "safetensors"

_LENGTH_BYTES = 8  # u64, little endian: size of the header in bytes
_METADATA = "__metadata__"
_FIELDS = ("dtype", "shape", "data_offsets")

_DTYPE_BITS = {
    "BOOL": 8,
    "F4": 4,
    "F6_E2M3": 6,
    "F6_E3M2": 6,
    "U8": 8,
    "I8": 8,
    "F8_E5M2": 8,
    "F8_E4M3": 8,
    "F8_E8M0": 8,
    "F8_E4M3FNUZ": 8,
    "F8_E5M2FNUZ": 8,
    "I16": 16,
    "U16": 16,
    "F16": 16,
    "BF16": 16,
    "I32": 32,
    "U32": 32,
    "F32": 32,
    "C64": 64,
    "F64": 64,
    "I64": 64,
    "U64": 64,
}


def detect(path: str, head: bytes) -> bool:
    """Tell a safetensors file by its ending, or by a length in bounds and an object behind it.

    Args:
        path: Path inside the checkpoint.
        head: First bytes of the file.

    Returns:
        True when either fits. Raises nothing.
    """
    if path.lower().endswith(".safetensors"):
        return True
    length = int.from_bytes(head[:_LENGTH_BYTES], "little")
    begins = head[_LENGTH_BYTES : _LENGTH_BYTES + 2]
    return begins in (b'{"', b"{}") and length <= MAX_SAFETENSORS_HEADER_BYTES


def parse(read_at: ReadAt, size: int, path: str) -> Layout:
    """Read the header; see `Format.parse` for the arguments.

    Args:
        read_at: Gives bytes of the file. Asked for at most the header, and for that only after
            its length was found to be within the cap and inside the file.
        size: Size of the file in bytes.
        path: Path for messages.

    Returns:
        The layout; tensors fill the file from the end of the header to the last byte.

    Raises:
        FormatError: The header breaks a rule of the format.
        LimitError: The header, the number of tensors or a rank is above its cap.
        ReadError: ``read_at`` could not give the bytes.
    """
    header_end, header = _read_header(read_at, size, path)
    metadata: tuple[tuple[str, str], ...] = ()
    tensors: list[TensorRange] = []
    if len(header) > MAX_TENSORS:
        raise LimitError(f"{path}: {len(header)} tensors, above the cap of {MAX_TENSORS}", path)
    for name, entry in header.items():
        if name == _METADATA:
            metadata = _load_metadata(entry, path)
        else:
            tensors.append(_load_tensor(name, entry, header_end, path))
    arranged = arrange_tensors(tensors, start=header_end, end=size, alignment=1, path=path)
    return Layout(NAME, arranged, header_end, metadata)


def _read_header(read_at: ReadAt, size: int, path: str) -> tuple[int, dict[str, JsonValue]]:
    """Return where the header ends, and what it says."""
    if size < _LENGTH_BYTES:
        raise FormatError(f"{path}: {size} bytes are too few for a safetensors file", path, size)
    length = int.from_bytes(read_at(0, _LENGTH_BYTES), "little")
    if length > MAX_SAFETENSORS_HEADER_BYTES:
        cap = MAX_SAFETENSORS_HEADER_BYTES
        message = f"{path}: header length {length} is above the cap of {cap} bytes"
        raise LimitError(message, path, 0)
    header_end = _LENGTH_BYTES + length
    if header_end > size:
        message = f"{path}: header length {length} reaches behind the end of the file"
        raise FormatError(message, path, 0)
    text = read_at(_LENGTH_BYTES, length).rstrip(b" ")
    if not (text.startswith(b"{") and text.endswith(b"}")):
        message = f"{path}: header is not one JSON object with nothing but spaces behind it"
        raise FormatError(message, path, _LENGTH_BYTES)
    try:
        value = load_json(text, path=path, max_bytes=MAX_SAFETENSORS_HEADER_BYTES)
    except FormatError as error:
        if error.offset is not None:  # counted from the start of the text
            error.offset += _LENGTH_BYTES
        raise
    return header_end, expect_object(value, "the header", path)


def _load_metadata(entry: JsonValue, path: str) -> tuple[tuple[str, str], ...]:
    """Return the free-form pairs, which may hold nothing but strings."""
    fields = expect_object(entry, _METADATA, path)
    return tuple(
        (key, expect_string(value, f"{_METADATA} {show(key)}", path))
        for key, value in fields.items()
    )


def _load_tensor(name: str, entry: JsonValue, data_start: int, path: str) -> TensorRange:
    """Check one tensor by itself; whether they fit together is for `arrange_tensors`."""
    where = f"tensor {show(name)}"
    fields = expect_fields(entry, where, path, required=_FIELDS)
    dtype = expect_string(fields["dtype"], f"dtype of {where}", path)
    if dtype not in _DTYPE_BITS:
        raise FormatError(f"{path}: {where} has the unknown dtype {show(dtype)}", path)
    dimensions = expect_array(fields["shape"], f"shape of {where}", path)
    if len(dimensions) > MAX_TENSOR_RANK:
        cap = MAX_TENSOR_RANK
        raise LimitError(f"{path}: {where} has more than {cap} dimensions", path)
    shape = tuple(expect_integer(item, f"dimension of {where}", path) for item in dimensions)
    offsets = expect_array(fields["data_offsets"], f"data_offsets of {where}", path)
    if len(offsets) != 2:
        raise FormatError(f"{path}: {where} has {len(offsets)} data_offsets, not 2", path)
    begin, end = (expect_integer(item, f"data_offset of {where}", path) for item in offsets)
    bits = count_elements(shape, where, path) * _DTYPE_BITS[dtype]
    if bits % 8:
        raise FormatError(f"{path}: {where} does not fill whole bytes", path)
    if end - begin != bits // 8:
        message = f"{where} takes {end - begin} bytes, its shape needs {bits // 8}"
        raise FormatError(f"{path}: {message}", path, data_start + begin)
    return TensorRange(name, dtype, shape, data_start + begin, data_start + end)
