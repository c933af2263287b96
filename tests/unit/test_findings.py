# SPDX-License-Identifier: Apache-2.0
"""From findings to one exception: the gravest decides, none is lost."""

from __future__ import annotations

import itertools

import pytest

from pyhash import errors
from pyhash.errors import Finding
from pyhash.findings import KINDS, raise_findings

# Written down here once more, from the table in the documentation of the exceptions.
CLASSES = {
    "digest": errors.DigestMismatchError,
    "size": errors.SizeMismatchError,
    "missing": errors.MissingShardError,
    "unexpected": errors.UnexpectedFileError,
    "changed": errors.ChangedWhileReadError,
    "closure": errors.ClosureError,
}


def test_nothing_found() -> None:
    raise_findings([])
    raise_findings(())


def test_codes() -> None:
    assert dict(KINDS) == CLASSES
    assert list(KINDS) == list(CLASSES)
    assert Finding.__doc__ is not None
    for code in CLASSES:
        assert f"``{code}``" in Finding.__doc__


@pytest.mark.parametrize("code", CLASSES)
def test_class_by_code(code: str) -> None:
    finding = Finding(code, "a/b", "is wrong")
    with pytest.raises(CLASSES[code]) as caught:
        raise_findings([finding])
    assert type(caught.value) is CLASSES[code]
    assert str(caught.value) == "a/b: is wrong"
    assert caught.value.findings == (finding,)


@pytest.mark.parametrize(("graver", "lesser"), list(itertools.combinations(CLASSES, 2)))
def test_gravest_decides(graver: str, lesser: str) -> None:
    findings = [Finding(lesser, "a", "x"), Finding(graver, "z", "y"), Finding(graver, "b", "w")]
    with pytest.raises(errors.VerificationError) as caught:
        raise_findings(findings)
    assert type(caught.value) is CLASSES[graver]
    assert str(caught.value) == "b: w (and 2 more)"
    assert caught.value.findings == (findings[2], findings[1], findings[0])
