# SPDX-License-Identifier: Apache-2.0
"""GGUF tensors, as the gguf package writes and reads them; and what each element type becomes."""

from __future__ import annotations

import sys
from pathlib import Path

import gguf
import ml_dtypes
import numpy as np
import pytest
import torch

import pyhash
from pyhash import errors, loading
from tests.unit._signed import flip, write_keys


def write(path: Path, endian: gguf.GGUFEndian = gguf.GGUFEndian.LITTLE) -> None:
    writer = gguf.GGUFWriter(path, "llama", endianess=endian)
    writer.add_string("general.name", "tiny")
    numbers = np.arange(512, dtype=np.float32).reshape(2, 256) / 7
    writer.add_tensor("plain", numbers)
    writer.add_tensor("half", numbers.astype(np.float16))
    if endian == gguf.GGUFEndian.LITTLE:
        quantised = gguf.quants.quantize(numbers, gguf.GGMLQuantizationType.Q8_0)
        writer.add_tensor("quantised", quantised, raw_dtype=gguf.GGMLQuantizationType.Q8_0)
        brain = gguf.quants.quantize(numbers, gguf.GGMLQuantizationType.BF16)
        writer.add_tensor("brain", brain, raw_dtype=gguf.GGMLQuantizationType.BF16)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.mark.parametrize("only", [None, ["plain", "half", "quantised", "brain"]], ids=str)
def test_tensors(tmp_path: Path, only: list[str] | None) -> None:
    private, public = write_keys(tmp_path)
    path = tmp_path / "model.gguf"
    write(path)
    pyhash.sign(path, private)
    loaded = pyhash.load(path, keys=[public], only=only)
    assert loaded.metadata["model.gguf"]["general.name"] == "tiny"
    for theirs in gguf.GGUFReader(path).tensors:
        ours = loaded.tensors[theirs.name]
        assert ours.numpy().tobytes() == theirs.data.tobytes()
        assert ours.torch().view(torch.uint8).numpy().tobytes() == theirs.data.tobytes()
        if theirs.name != "brain":  # which the package shows as bytes
            assert ours.numpy().shape == theirs.data.shape
            assert ours.numpy().dtype == theirs.data.dtype
    assert loaded.tensors["brain"].numpy().dtype == ml_dtypes.bfloat16
    assert loaded.tensors["brain"].torch().dtype == torch.bfloat16
    with pytest.raises(errors.UsageError, match="no slices"):
        pyhash.load(path, keys=[public], only={"quantised": (slice(0, 2), slice(0, 8))})
    flip(path, path.stat().st_size - 1)
    with pytest.raises(errors.DigestMismatchError):
        pyhash.load(path, keys=[public], only=only)


def test_the_other_byte_order(tmp_path: Path) -> None:
    private, public = write_keys(tmp_path)
    path = tmp_path / "model.gguf"
    write(path, gguf.GGUFEndian.BIG)
    pyhash.sign(path, private)
    for only in (None, ["plain"]):
        tensor = pyhash.load(path, keys=[public], only=only).tensors["plain"]
        expected = np.arange(512, dtype=np.float32).reshape(2, 256) / 7
        np.testing.assert_array_equal(tensor.numpy(), expected)
        with pytest.raises(errors.FormatError, match="big-endian"):
            tensor.torch()


# --- element types -------------------------------------------------------------------------------


def tensor(dtype: str, shape: tuple[int, ...], size: int, **more: bool) -> loading.Tensor:
    return loading.Tensor("t", dtype, shape, memoryview(bytearray(range(size))), "f", **more)


def test_rows_that_are_no_whole_bytes() -> None:
    assert tensor("F4", (3, 4), 6).numpy().shape == (3, 2)
    assert tensor("F4", (4, 3), 6).numpy().shape == (6,)
    assert tuple(tensor("Q4_0", (2, 32), 36).torch().shape) == (2, 18)


def test_empty() -> None:
    assert tensor("BF16", (0, 3), 0).numpy().shape == (0, 3)
    assert tuple(tensor("F32", (0, 3), 0).torch().shape) == (0, 3)


def test_misaligned_tensors_are_copied() -> None:
    data = memoryview(bytearray(range(9)))[1:]
    found = loading.Tensor("t", "F32", (2,), data, "f").torch()
    assert found.numpy().tobytes() == bytes(range(1, 9))


def test_big_endian_numbers_that_numpy_has_no_order_for() -> None:
    with pytest.raises(errors.FormatError, match="BF16 in big-endian"):
        tensor("BF16", (2,), 4, big_endian=True).numpy()
    assert tensor("I8", (2,), 2, big_endian=True).numpy().tolist() == [0, 1]


@pytest.mark.parametrize(
    ("module", "dtype", "framework"),
    [("numpy", "F32", "np"), ("ml_dtypes", "BF16", "np"), ("torch", "F32", "pt")],
)
def test_missing_libraries(
    module: str, dtype: str, framework: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(errors.DependencyError, match=f"pip install {module}"):
        tensor(dtype, (4,), 16).to(framework)


def test_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(errors.EngineError, match="no memory for"):
        loading.allocate(1 << 62)


def test_memory_is_aligned_as_the_file_is() -> None:
    for skew in (0, 100, 4095):
        view = loading.allocate(1 << 20, skew=skew)
        assert np.frombuffer(view, dtype="u1").ctypes.data % 4096 == skew
        assert len(view) == 1 << 20 and not any(view[::4096])
