# SPDX-License-Identifier: Apache-2.0
"""The table of guarantees: its order, which policies compare by, and what is imported late."""

from __future__ import annotations

import pytest

from pyhash import guarantees
from pyhash.guarantees import kernel, resumed, sampled
from pyhash.policy import GUARANTEES

ORDER = ("receipt", "sampled", "content", "kernel", "loaded")


def test_order() -> None:
    assert GUARANTEES == ORDER
    assert tuple(guarantees.MEANINGS) == ORDER
    assert guarantees.is_at_least("loaded", "receipt")


@pytest.mark.parametrize("name", ORDER)
@pytest.mark.parametrize("least", ORDER)
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
    assert guarantees.KERNEL is kernel.KERNEL
    assert set(guarantees.__all__) <= set(dir(guarantees))
    with pytest.raises(AttributeError, match="has no attribute 'trust_me'"):
        guarantees.__getattr__("trust_me")
