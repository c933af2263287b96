# SPDX-License-Identifier: Apache-2.0
"""The drop-in for the safetensors package gives what that package gives, where it gives anything.

Expected values are those of the package itself, on the same files.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import safetensors
import safetensors.torch
import torch

import pyhash
from pyhash import errors
from pyhash.safetensors import load_file, safe_open
from tests.unit._loadable import SPAN, Loadable, make_loadable
from tests.unit._signed import flip, write_keys


@pytest.fixture(scope="module")
def loadable(tmp_path_factory: pytest.TempPathFactory) -> Loadable:
    return make_loadable(tmp_path_factory.mktemp("safetensors"))


@pytest.fixture(params=["tree", "no tree"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Any, Any, Loadable]]:
    """Ours and theirs, of the same file."""
    loadable = make_loadable(tmp_path)
    if request.param == "no tree":
        (loadable.root / "model.tree").unlink()
    path = loadable.root / "a.safetensors"
    with (
        safe_open(path, "np", keys=[loadable.key]) as ours,
        safetensors.safe_open(path, "np") as theirs,
    ):
        yield ours, theirs, loadable


def test_load_file(loadable: Loadable) -> None:
    path = loadable.root / "a.safetensors"
    found, expected = load_file(path, keys=[loadable.key]), safetensors.numpy.load_file(path)
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype


def test_load_file_with_torch(loadable: Loadable) -> None:
    path = loadable.root / "sub/b.safetensors"
    found = load_file(path, framework="pt", keys=[loadable.key], checkpoint=loadable.root)
    expected = safetensors.torch.load_file(path)
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())


def test_same_answers(opened: tuple[Any, Any, Loadable]) -> None:
    ours, theirs, _ = opened
    assert ours.keys() == theirs.keys()
    assert ours.offset_keys() == theirs.offset_keys()
    assert ours.metadata() == theirs.metadata()
    for name in theirs.keys():  # noqa: SIM118 - no dictionary
        np.testing.assert_array_equal(ours.get_tensor(name), theirs.get_tensor(name))
        assert ours.get_slice(name).get_shape() == theirs.get_slice(name).get_shape()
        assert ours.get_slice(name).get_dtype() == theirs.get_slice(name).get_dtype()
    assert ours.get_tensors().keys() == set(theirs.keys())


@pytest.mark.parametrize(
    "index",
    [
        3,
        -1,
        slice(2, 9),
        (slice(None), slice(100, 200)),
        (slice(1, 60, 7), slice(4, 9000, 3)),
        (..., slice(5, 9)),
        (slice(1, 2), ...),
        (5, 6),
        (slice(50, 2), 1),
        ...,
    ],
    ids=str,
)
def test_slices(opened: tuple[Any, Any, Loadable], index: Any) -> None:
    ours, _, loadable = opened
    found = ours.get_slice("wide")[index]
    np.testing.assert_array_equal(found, loadable.arrays["wide"][index])


@pytest.mark.parametrize("index", [64, -65, (0, 0, 0), (..., ...), (0, 0, ..., 0)], ids=str)
def test_out_of_bounds(opened: tuple[Any, Any, Loadable], index: Any) -> None:
    with pytest.raises(IndexError):
        opened[0].get_slice("wide")[index]


@pytest.mark.parametrize("index", [slice(9, 2, -1), "wide", None], ids=str)
def test_no_such_index(opened: tuple[Any, Any, Loadable], index: Any) -> None:
    with pytest.raises(errors.UsageError):
        opened[0].get_slice("wide")[index]


def test_senseless(opened: tuple[Any, Any, Loadable]) -> None:
    ours, _, loadable = opened
    with pytest.raises(errors.UsageError, match="no tensor 'x'"):
        ours.get_tensor("x")
    with pytest.raises(errors.UsageError, match="no tensor 'x'"):
        ours.get_slice("x")
    with ours, pytest.raises(errors.UsageError, match="no framework 'tf'"):
        safe_open(loadable.root / "a.safetensors", "tf", keys=[loadable.key])
    with pytest.raises(errors.UsageError, match="was closed"):
        ours.get_tensor("wide")
    with pytest.raises(errors.UsageError, match="no device"):
        load_file(loadable.root / "a.safetensors", "cuda", keys=[loadable.key])
    with pytest.raises(errors.UsageError, match="no signed file"):
        safe_open(loadable.root / "c.safetensors", "np", keys=[loadable.key])
    with pytest.raises(errors.UsageError):
        safe_open(loadable.root / "a.safetensors", "np")


def test_other_device(loadable: Loadable) -> None:
    path = loadable.root / "a.safetensors"
    with safe_open(path, "pt", "meta", keys=[loadable.key]) as file:
        assert file.get_tensor("wide").is_meta


def test_a_file_signed_by_itself(loadable: Loadable, tmp_path: Path) -> None:
    private, public = write_keys(tmp_path)
    path = tmp_path / "one.safetensors"
    path.write_bytes((loadable.root / "a.safetensors").read_bytes())
    pyhash.sign(path, private)
    for more in ({}, {"checkpoint": path}):
        with safe_open(path, "np", keys=[public], **more) as file:
            np.testing.assert_array_equal(file.get_tensor("wide"), loadable.arrays["wide"])


def test_a_later_change_is_refused(opened: tuple[Any, Any, Loadable]) -> None:
    ours, theirs, loadable = opened
    before = loadable.arrays["wide"]
    flip(loadable.root / "a.safetensors", 2 * SPAN)
    assert not np.array_equal(theirs.get_tensor("wide"), before)  # what the package does
    if (loadable.root / "model.tree").exists():
        with pytest.raises(errors.ChangedWhileReadError):
            ours.get_tensor("wide")
    else:
        np.testing.assert_array_equal(ours.get_tensor("wide"), before)


# --- every element type of the format ------------------------------------------------------------

TYPES = {
    "F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U64": 8,
    "U32": 4, "U16": 2, "U8": 1, "C64": 8, "F8_E4M3": 1, "F8_E5M2": 1, "F8_E8M0": 1,
    "F8_E4M3FNUZ": 1, "F8_E5M2FNUZ": 1,
}  # fmt: skip


def write_types(path: Path, skew: int) -> dict[str, bytes]:
    """A tensor of six elements for each type, behind a header that ends anywhere."""
    import json

    content, entries, data = {}, {}, b""
    for number, (dtype, size) in enumerate(TYPES.items()):
        content[dtype] = bytes((17 * number + i) % 113 for i in range(6 * size))
        span = [len(data), len(data) + len(content[dtype])]
        entries[dtype] = {"dtype": dtype, "shape": [2, 3], "data_offsets": span}
        data += content[dtype]
    for dtype, size in (("F4", 4), ("F6_E2M3", 6), ("F6_E3M2", 6)):
        content[dtype] = bytes(range(size))
        span = [len(data), len(data) + size]
        entries[dtype] = {"dtype": dtype, "shape": [2, 4], "data_offsets": span}
        data += content[dtype]
    entries["BOOL"] = {"dtype": "BOOL", "shape": [3], "data_offsets": [len(data), len(data) + 3]}
    content["BOOL"] = b"\1\0\1"
    header = json.dumps(entries).encode()
    header += b" " * ((skew - len(header)) % 8)
    path.write_bytes(len(header).to_bytes(8, "little") + header + data + content["BOOL"])
    return content


@pytest.mark.parametrize("skew", [0, 3])
def test_every_type(tmp_path: Path, skew: int) -> None:
    private, public = write_keys(tmp_path)
    path = tmp_path / "types.safetensors"
    content = write_types(path, skew)
    pyhash.sign(path, private)
    arrays = load_file(path, keys=[public])
    tensors = load_file(path, framework="torch", keys=[public])
    assert arrays.keys() == tensors.keys() == content.keys()
    for name, data in content.items():
        assert arrays[name].tobytes() == data, name
        assert tensors[name].view(torch.uint8).numpy().tobytes() == data, name
    assert arrays["BF16"].dtype == ml_dtypes.bfloat16 and arrays["BF16"].shape == (2, 3)
    assert tensors["BF16"].dtype == torch.bfloat16 and tensors["C64"].dtype == torch.complex64
    assert arrays["F8_E8M0"].dtype == ml_dtypes.float8_e8m0fnu
    assert tensors["F8_E8M0"].dtype == torch.float8_e8m0fnu
    assert tensors["F4"].dtype == torch.float4_e2m1fn_x2 and tuple(tensors["F4"].shape) == (2, 2)
    assert arrays["F6_E2M3"].shape == (2, 3) == tuple(tensors["F6_E3M2"].shape)
    if skew == 0:
        with safetensors.safe_open(path, "pt") as file:
            for name in content.keys() - {"F6_E2M3", "F6_E3M2"}:  # which it cannot read
                theirs = file.get_tensor(name)
                assert (tensors[name].dtype, tensors[name].shape) == (theirs.dtype, theirs.shape)
