# SPDX-License-Identifier: Apache-2.0
"""Every status of the engine has its exception and its text; the enum itself is walked."""

from __future__ import annotations

import pytest

from pyhash import _native, errors
from pyhash._native import Range, ffi, lib
from pyhash._native._statuses import STATUS_ERRORS, raise_status

STATUSES = {
    name: value
    for value, name in ffi.typeof("enum pyhash_status").elements.items()
    if name not in ("PYHASH_OK", "PYHASH_STATUS_COUNT")
}

# What each means to a caller, written down a second time.
EXPECTED = {
    "PYHASH_ERR_ARGUMENT": errors.UsageError,
    "PYHASH_ERR_MEMORY": errors.EngineError,
    "PYHASH_ERR_KERNEL": errors.EngineError,
    "PYHASH_ERR_NOT_REGULAR": errors.ReadError,
    "PYHASH_ERR_READ": errors.ReadError,
    "PYHASH_ERR_SHRANK": errors.TruncatedError,
    "PYHASH_ERR_CANCELLED": errors.CancelledError,
}


def text_of(status: int) -> str:
    return ffi.string(lib.pyhash_status_text(status)).decode("ascii")


def test_enum_is_without_gaps() -> None:
    assert sorted(STATUSES.values()) == list(range(1, lib.PYHASH_STATUS_COUNT))
    assert set(STATUSES) == set(EXPECTED)


def test_table_has_each_and_no_other() -> None:
    assert set(STATUS_ERRORS) == set(STATUSES.values())
    assert {name: STATUS_ERRORS[value] for name, value in STATUSES.items()} == EXPECTED


def test_texts_are_known_and_differ() -> None:
    texts = [text_of(status) for status in range(lib.PYHASH_STATUS_COUNT)]
    assert "unknown status" not in texts
    assert len(set(texts)) == len(texts)
    assert text_of(lib.PYHASH_STATUS_COUNT) == "unknown status"


@pytest.mark.parametrize("name", STATUSES)
def test_exception_of_a_status(name: str) -> None:
    error = ffi.new("struct pyhash_error *", {"os_errno": 5, "range_index": 1, "offset": 77})
    ranges = [Range("first", -1, 0, 0), Range("second", -1, 0, 0)]
    with pytest.raises(EXPECTED[name]) as caught:
        raise_status(STATUSES[name], error, ranges)
    assert type(caught.value) is EXPECTED[name]
    assert text_of(STATUSES[name]) in str(caught.value)
    if isinstance(caught.value, errors.ReadError):
        assert (caught.value.path, caught.value.errno, caught.value.offset) == ("second", 5, 77)
        assert "second" in str(caught.value)
        assert "77" in str(caught.value)


def test_every_reader_has_a_name() -> None:
    known = {
        value
        for value, name in ffi.typeof("enum pyhash_reader").elements.items()
        if name != "PYHASH_READER_COUNT"
    }
    assert sorted(_native.READERS.values()) == sorted(known)
