# SPDX-License-Identifier: Apache-2.0
"""What the fuzz targets share: what may be raised, how inputs are made, how atheris is started.

A target is a file ``fuzz_<name>.py`` in this folder with

    one_input(data: bytes) -> None    parse the bytes; may raise only what ALLOWED lists
    seeds() -> list[bytes]            inputs to begin from, valid and invalid
    DICTIONARY: tuple[bytes, ...]     optional: tokens of the format
    MUTATIONS: int                    optional: how many mutations the suite runs

and ``main(one_input, seeds())`` at its end. ``test_fuzz_smoke.py`` finds every such file by
itself. With atheris installed: ``python tests/fuzz/fuzz_<name>.py CORPUS -max_total_time=60``.
"""

from __future__ import annotations

import random
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from pyhash.errors import FormatError, ReadError

ALLOWED = (FormatError, ReadError)  # LimitError is a FormatError

VECTORS = Path(__file__).resolve().parents[1] / "vectors"
DEFAULT_MUTATIONS = 20_000

_MAX_INPUT_BYTES = 1 << 16
_NUMBERS = (0, 1, 2, 31, 32, 33, 127, 128, 255, 256, 65535, 65536)
_EDGES = tuple((1 << bits) + change for bits in (31, 32, 53, 63) for change in (-1, 0, 1))


def files_below(*folders: Path) -> list[bytes]:
    """Contents of every file below the folders, in a fixed order."""
    found = (path for folder in folders for path in sorted(folder.rglob("*")))
    return [path.read_bytes() for path in found if path.is_file()]


def run_one(one_input: Callable[[bytes], None], data: bytes) -> None:
    """Run one input; whatever is raised and not allowed goes on, with the input as a note."""
    try:
        one_input(data)
    except ALLOWED:
        return
    except BaseException as error:
        error.add_note(f"input of {len(data)} bytes: {data!r}")
        raise


def mutations(
    seeds: Sequence[bytes], dictionary: Sequence[bytes], *, count: int, seed: int = 1
) -> Iterator[bytes]:
    """Yield the same ``count`` changed inputs at every run."""
    rng = random.Random(seed)
    for _ in range(count):
        data = bytearray(rng.choice(seeds))
        for _ in range(rng.choice((1, 1, 1, 2, 3, 5))):
            rng.choice(_CHANGES)(rng, data, seeds, dictionary)
        yield bytes(data[:_MAX_INPUT_BYTES])


def _place(rng: random.Random, data: bytearray) -> int:
    """A position; half the time in the first bytes, where headers are."""
    near = min(len(data), 64)
    return rng.randint(0, near if rng.random() < 0.5 else len(data))


def _flip_bit(rng: random.Random, data: bytearray, *_: object) -> None:
    if data:
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def _put_byte(rng: random.Random, data: bytearray, *_: object) -> None:
    if data:
        data[rng.randrange(len(data))] = rng.randrange(256)


def _put_number(rng: random.Random, data: bytearray, *_: object) -> None:
    width = rng.choice((1, 2, 4, 8))
    number = rng.choice(_NUMBERS + _EDGES) & ((1 << 8 * width) - 1)
    at = _place(rng, data)
    data[at : at + width] = number.to_bytes(width, rng.choice(("little", "big")))


def _step_digit(rng: random.Random, data: bytearray, *_: object) -> None:
    digits = [at for at, byte in enumerate(data[:4096]) if 0x30 <= byte <= 0x39]
    if digits:
        data[rng.choice(digits)] = rng.choice(b"0123456789")


def _cut(rng: random.Random, data: bytearray, *_: object) -> None:
    at = _place(rng, data)
    del data[at : at + rng.choice((1, 2, 4, 8, 64, len(data)))]


def _repeat(rng: random.Random, data: bytearray, *_: object) -> None:
    at = _place(rng, data)
    run = data[at : at + rng.choice((1, 2, 8, 32, 128))]
    data[at:at] = run * rng.choice((1, 1, 2, 100))


def _insert_token(
    rng: random.Random, data: bytearray, _: Sequence[bytes], dictionary: Sequence[bytes]
) -> None:
    at = _place(rng, data)
    token = rng.choice(dictionary) if dictionary else rng.randbytes(4)
    data[at : at + rng.choice((0, len(token)))] = token


def _splice(
    rng: random.Random, data: bytearray, seeds: Sequence[bytes], _: Sequence[bytes]
) -> None:
    other = rng.choice(seeds)
    begin = rng.randint(0, len(other))
    at = _place(rng, data)
    data[at : at + rng.choice((0, 16, len(data)))] = other[begin : begin + rng.choice((16, 4096))]


_CHANGES = (
    _flip_bit,
    _put_byte,
    _put_number,
    _step_digit,
    _cut,
    _repeat,
    _insert_token,
    _splice,
)


def main(one_input: Callable[[bytes], None], seeds: Iterable[bytes]) -> None:
    """Fuzz with atheris; arguments of the command line go to libFuzzer."""
    import atheris  # optional, and not needed by the suite

    with tempfile.TemporaryDirectory() as folder:
        for index, data in enumerate(seeds):
            (Path(folder) / f"{index:04}").write_bytes(data)
        atheris.instrument_all()
        atheris.Setup([*sys.argv, folder], lambda data: run_one(one_input, data))
        atheris.Fuzz()
