# SPDX-License-Identifier: Apache-2.0
"""Writes NIST's CAVP vectors for SHA-256 as lines that test_kernels.c can read.

``message <hex or -> <digest>``, ``seed <digest>`` and ``monte <digest>``. The .rsp files come from
the distribution cryptography_vectors; nothing is computed here.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from cryptography_vectors import open_vector_file

FOLDER = "hashes/SHA2"
# Of the byte-oriented suite (CAVS 11): 65 short messages, 64 long ones, 100 checkpoints.
EXPECTED = {"SHA256ShortMsg": 65, "SHA256LongMsg": 64, "SHA256Monte": 100}


def fields(name: str) -> Iterator[tuple[str, str]]:
    """Yield every (key, value) of a response file."""
    with open_vector_file(f"{FOLDER}/{name}.rsp", "r") as file:
        for line in file:
            key, separator, value = line.strip().partition(" = ")
            if separator and not key.startswith(("#", "[")):
                yield key, value


def lines(name: str) -> Iterator[str]:
    """Yield the test's lines for one response file."""
    size, message = 0, ""
    for key, value in fields(name):
        if key == "Len":
            size = int(value)
        elif key == "Msg":
            message = value[: size // 4] or "-"
        elif key == "Seed":
            yield f"seed {value}"
        elif key == "MD":
            yield f"monte {value}" if name.endswith("Monte") else f"message {message} {value}"


def main(target: Path) -> None:
    """Write the file, or fail when the vectors are not the ones that are known."""
    text: list[str] = []
    for name, count in EXPECTED.items():
        found = list(lines(name))
        if sum(not line.startswith("seed") for line in found) != count:
            sys.exit(f"{name}.rsp has {len(found)} vectors, not {count}")
        text += found
    target.write_text("\n".join(text) + "\n", encoding="ascii")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
