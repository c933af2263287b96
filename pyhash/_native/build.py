# SPDX-License-Identifier: Apache-2.0
"""Build-time only: compiles csrc/ into ``pyhash._native._engine`` (cffi, API mode, stable ABI).

The declarations that Python sees are the part of csrc/pyhash.h between its two markers, verbatim:
there is no second copy of them.
"""

from __future__ import annotations

from pathlib import Path

from cffi import FFI

ROOT = Path(__file__).resolve().parents[2]
CSRC = ROOT / "csrc"
BEGIN, END = "/* cffi: begin */", "/* cffi: end */"

# One set of flags for every file. Instruction sets are function attributes, so a plain compiler
# command works too and the result runs on any processor of the architecture.
COMPILE_ARGS = ["-std=c11", "-O2", "-fvisibility=hidden", "-Wall", "-Wextra"]


def declarations() -> str:
    """Return the text of the public header between its markers."""
    text = (CSRC / "pyhash.h").read_text(encoding="utf-8")
    return text[text.index(BEGIN) + len(BEGIN) : text.index(END)]


def sources() -> list[str]:
    """Return every C file of the engine, relative to the repository's root as setuptools asks."""
    return sorted(str(path.relative_to(ROOT)) for path in CSRC.rglob("*.c"))


builder = FFI()
builder.cdef(declarations())
builder.set_source(
    "pyhash._native._engine",
    '#include "pyhash.h"',
    sources=sources(),
    depends=sorted(str(path.relative_to(ROOT)) for path in CSRC.rglob("*.h")),
    include_dirs=["csrc"],
    define_macros=[("_GNU_SOURCE", None), ("_FILE_OFFSET_BITS", "64")],
    extra_compile_args=COMPILE_ARGS,
    libraries=["pthread"],
    py_limited_api=True,
)
