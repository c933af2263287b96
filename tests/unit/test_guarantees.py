# SPDX-License-Identifier: Apache-2.0
"""The table of guarantees: its order, which policies compare by, and what is imported late."""

from __future__ import annotations

import pytest

from pyhash import guarantees
from pyhash.guarantees import resumed, sampled
from pyhash.policy import GUARANTEES

ORDER = ("receipt", "sampled", "content", "kernel", "loaded")
NAMES = [name for name in ORDER if name in guarantees.MEANINGS]


def test_order() -> None:
    assert GUARANTEES == ORDER
    assert list(guarantees.MEANINGS) == NAMES
    assert {"receipt", "sampled", "content", "loaded"} <= set(NAMES)
    assert guarantees.is_at_least("loaded", "receipt")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("least", NAMES)
def test_at_least(name: str, least: str) -> None:
    assert guarantees.is_at_least(name, least) is (ORDER.index(name) >= ORDER.index(least))


@pytest.mark.parametrize("least", ["", "strong", "Content"])
def test_names_that_are_none(least: str) -> None:
    """Whatever is not in the table is no weaker guarantee than another."""
    with pytest.raises(ValueError, match="not in list"):
        guarantees.is_at_least("loaded", least)


def test_imported_when_first_used() -> None:
    assert guarantees.sample is sampled.sample
    assert guarantees.resume is resumed.resume
    assert set(guarantees.__all__) <= {*vars(guarantees), "resume", "sample"}
    with pytest.raises(AttributeError, match="has no attribute 'trust_me'"):
        guarantees.__getattr__("trust_me")
