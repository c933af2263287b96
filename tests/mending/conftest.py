# SPDX-License-Identifier: Apache-2.0
"""One checkpoint and its copy for each test."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.mending._damaged import Pair, make_pair


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    """Both may be changed."""
    return make_pair(tmp_path)
