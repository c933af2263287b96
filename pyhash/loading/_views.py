# SPDX-License-Identifier: Apache-2.0
"""Verified bytes as arrays of numpy or tensors of torch: views of the same memory, no copies.

The only copy made is of a tensor that does not begin on a multiple of its elements' size, which no
well-made file has. Both libraries are imported when they are asked for, and only here.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pyhash.errors import DependencyError, FormatError, UsageError

if TYPE_CHECKING:
    import numpy
    import torch

# Element type of safetensors or GGUF -> numpy's name for it. Those with ml_dtypes: see below.
NUMPY_TYPES = {
    "BOOL": "bool",
    "U8": "uint8",
    "I8": "int8",
    "U16": "uint16",
    "I16": "int16",
    "F16": "float16",
    "U32": "uint32",
    "I32": "int32",
    "F32": "float32",
    "U64": "uint64",
    "I64": "int64",
    "F64": "float64",
    "C64": "complex64",
}
ML_TYPES = {
    "BF16": "bfloat16",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2",
    "F8_E8M0": "float8_e8m0fnu",
    "F8_E4M3FNUZ": "float8_e4m3fnuz",
    "F8_E5M2FNUZ": "float8_e5m2fnuz",
}
TORCH_TYPES = {
    **{name: kind for name, kind in NUMPY_TYPES.items() if name != "C64"},
    **ML_TYPES,
    "C64": "complex64",
    "F4": "float4_e2m1fn_x2",
}
FRAMEWORKS = ("numpy", "torch")


@dataclass(frozen=True, slots=True, eq=False)
class Tensor:
    """One tensor, or a slice of one, whose bytes have been verified. Immutable but for its bytes.

    Attributes:
        name: As the file has it.
        dtype: The format's own name of the element type.
        shape: Dimensions, slowest-varying first.
        data: Its bytes, in memory that only this process can write to.
        path: The file that it comes from.
        big_endian: The file has its numbers in that order.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    data: memoryview
    path: str
    big_endian: bool = False

    def numpy(self) -> numpy.ndarray[Any, Any]:
        """Return it as a writable array.

        Element types that are packed below one byte (F4, F6, quantised GGUF) come as the bytes that
        they are, row by row; those that numpy lacks need ml_dtypes.

        Raises:
            DependencyError: numpy or ml_dtypes is not installed.
        """
        np = _numpy()
        kind = NUMPY_TYPES.get(self.dtype)
        if kind is not None:
            dtype = np.dtype(kind)
        elif self.dtype in ML_TYPES:
            dtype = np.dtype(getattr(_ml_dtypes(), ML_TYPES[self.dtype]))
        else:
            packed: numpy.ndarray[Any, Any] = np.frombuffer(self.data, dtype="uint8")
            return packed.reshape(self._packed())
        if self.big_endian and dtype.itemsize > 1:
            if self.dtype in ML_TYPES:
                raise FormatError(f"{self.path}: {self.dtype} in big-endian order", self.path)
            dtype = dtype.newbyteorder(">")
        array: numpy.ndarray[Any, Any] = np.frombuffer(self.data, dtype=dtype)
        return array.reshape(self.shape)

    def torch(self) -> torch.Tensor:
        """Return it as a tensor of torch, on the CPU.

        Types that torch lacks (F6, quantised GGUF) come as the bytes that they are, row by row.

        Raises:
            DependencyError: torch is not installed.
            FormatError: Numbers in the other byte order than this machine's.
        """
        library = _torch()
        kind = getattr(library, TORCH_TYPES.get(self.dtype, ""), None)
        if self.big_endian and sys.byteorder == "little":
            raise FormatError(f"{self.path}: big-endian numbers, not for torch", self.path)
        shape = self._packed() if kind is None or self.dtype == "F4" else self.shape
        flat: torch.Tensor
        if not len(self.data):
            flat = library.empty(0, dtype=library.uint8)
        else:
            flat = library.frombuffer(self.data, dtype=library.uint8)
        if kind is None:
            return flat.reshape(shape)
        if flat.data_ptr() % kind.itemsize:
            flat = flat.clone()
        return flat.view(kind).reshape(shape)

    def to(self, framework: str) -> Any:
        """Return it for ``numpy`` or ``torch`` (also ``np`` and ``pt``).

        Raises:
            UsageError: Another framework.
            DependencyError, FormatError: As ``numpy`` and ``torch``.
        """
        return self.numpy() if framework_name(framework) == "numpy" else self.torch()

    def _packed(self) -> tuple[int, ...]:
        """The shape in bytes: rows stay rows where they are whole bytes."""
        rows = math.prod(self.shape[:-1])
        if not rows or len(self.data) % rows:
            return (len(self.data),)
        return (*self.shape[:-1], len(self.data) // rows)


def framework_name(framework: str) -> str:
    """Return ``numpy`` or ``torch`` for either's names.

    Raises:
        UsageError: Another framework.
    """
    names = {"np": "numpy", "numpy": "numpy", "pt": "torch", "torch": "torch", "pytorch": "torch"}
    if framework not in names:
        raise UsageError(f"no framework {framework!r} here; there are {', '.join(FRAMEWORKS)}")
    return names[framework]


def _numpy() -> Any:
    try:
        import numpy
    except ImportError as error:
        raise DependencyError("arrays need numpy: pip install numpy") from error
    return numpy


def _ml_dtypes() -> Any:
    try:
        import ml_dtypes
    except ImportError as error:
        message = "numpy has no such element type by itself: pip install ml_dtypes, or use torch"
        raise DependencyError(message) from error
    return ml_dtypes


def _torch() -> Any:
    try:
        import torch
    except ImportError as error:
        raise DependencyError("tensors of torch need it: pip install torch") from error
    return torch
