# SPDX-License-Identifier: Apache-2.0
"""Every format against its committed samples: layouts of the valid, refusal of the invalid."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from _formats import BY_NAME, VECTORS, Reader, as_data, parse, samples

from pyhash import errors
from pyhash.errors import FormatError
from pyhash.formats import layout_of

WITH_SAMPLES = sorted(name for name in BY_NAME if name != "raw")


def each(kind: str) -> list[tuple[str, str]]:
    return [(name, file) for name in WITH_SAMPLES for file in samples(name, kind)]


@pytest.mark.parametrize("name", WITH_SAMPLES)
@pytest.mark.parametrize("kind", ["valid", "invalid"])
def test_index_names_every_sample(name: str, kind: str) -> None:
    there = {path.name for path in (VECTORS / name / kind).iterdir()}
    assert there == set(samples(name, kind))
    assert there


@pytest.mark.parametrize(("name", "file"), each("valid"))
def test_valid(name: str, file: str) -> None:
    data = (VECTORS / name / "valid" / file).read_bytes()
    layout = layout_of(Reader(data), len(data), file)
    assert layout.format == name
    assert as_data(layout) == samples(name, "valid")[file]


@pytest.mark.parametrize(("name", "file"), each("invalid"))
def test_invalid(name: str, file: str) -> None:
    data = (VECTORS / name / "invalid" / file).read_bytes()
    expected = samples(name, "invalid")[file]
    with pytest.raises(FormatError) as caught:
        layout_of(Reader(data), len(data), file)
    assert type(caught.value) is getattr(errors, expected["error"])
    assert expected["says"] in str(caught.value)
    assert str(caught.value).startswith(f"{file}: ")
    assert caught.value.path == file
    assert caught.value.offset is None or caught.value.offset >= 0


@pytest.mark.parametrize(("name", "file"), each("valid"))
def test_every_truncation_is_refused(name: str, file: str) -> None:
    """No prefix of a valid file is one, but for padding of a GGUF file that may be left out."""
    data = (VECTORS / name / "valid" / file).read_bytes()
    expected = samples(name, "valid")[file]
    needed = max([expected["header_end"], *(one["end"] for one in expected["tensors"])])
    for size in range(needed):
        with pytest.raises(FormatError):
            parse(name, data[:size])


def test_committed_samples_are_what_the_script_writes(tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("generate_formats", VECTORS / "generate.py")
    assert spec is not None and spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    script.generate(tmp_path)
    for name in script.FORMATS:
        written, committed = (
            {path.relative_to(root): path.read_bytes() for path in files if path.is_file()}
            for root, files in (
                (tmp_path / name, sorted((tmp_path / name).rglob("*"))),
                (VECTORS / name, sorted((VECTORS / name).rglob("*"))),
            )
        )
        assert written == committed
