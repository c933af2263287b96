# SPDX-License-Identifier: Apache-2.0
"""What the engine's objects export, import and may write, and which file includes which.

The objects are compiled anew from csrc/, with the build's flags but unoptimised, which is quicker;
the exports are those of the extension that is installed.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest

from pyhash._native import _engine, build

CSRC = build.CSRC
SOURCES = sorted(CSRC.rglob("*.c"))
HEADERS = sorted(CSRC.rglob("*.h"))

# A library has no business with any of these, and C threads none with Python.
FORBIDDEN = re.compile(
    r"_*(abort|_?[Ee]xit|quick_exit|at_?exit|assert_fail|"
    r"[a-z]*printf(_chk)?|f?puts|f?putc|putchar|perror|"
    r"fopen(64)?|fdopen|fread|fwrite|fclose|fflush|stdin|stdout|stderr|"
    r"getenv|secure_getenv|setenv|putenv|setlocale|strerror|system|popen|fork|exec[a-z]+|"
    r"longjmp|siglongjmp|Py[A-Z_]\w*)"
)
# Which files may write to data of their own, which outlives every call.
STATEFUL = {"map_guard", "cpu_features"}
# Constants that hold addresses are written once, by the loader, and then protected.
WRITABLE = re.compile(r"\.(data|bss|tdata|tbss)(?!\.rel\.ro)|COMMON|\*COM\*")

# Quoted includes of the files that must stay what they are.
KERNEL_INCLUDES = {"kernel.h", "common.h", "cpu_features.h"}
TREE_INCLUDES = {"merkle.h", "sha256.h", "kernel.h", "common.h"}


def nm(path: Path, *options: str) -> list[list[str]]:
    if shutil.which("nm") is None:
        pytest.skip("nm is not installed: symbols were not looked at")
    done = subprocess.run(["nm", *options, str(path)], capture_output=True, text=True, check=True)
    return [line.split() for line in done.stdout.splitlines() if line.strip()]


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Every file of the engine, compiled on its own."""
    if shutil.which("cc") is None:
        pytest.skip("there is no C compiler: objects were not looked at")
    folder = tmp_path_factory.mktemp("objects")
    found = []
    for source in SOURCES:
        target = folder / f"{source.parent.name}-{source.stem}.o"
        flags = (*build.COMPILE_ARGS, "-O0", "-D_GNU_SOURCE", "-fPIC")
        subprocess.run(["cc", *flags, "-c", source, "-o", target], check=True)
        found.append(target)
    return found


def stem(path: Path) -> str:
    return path.stem.partition("-")[2]


def includes(path: Path) -> set[str]:
    text = path.read_text(encoding="utf-8")
    return {Path(name).name for name in re.findall(r'^#\s*include "([^"]+)"', text, re.MULTILINE)}


def names(lines: Iterable[list[str]]) -> set[str]:
    return {line[-1].partition("@")[0] for line in lines}


def test_extension_exports_the_header_and_no_more() -> None:
    declared = set(re.findall(r"\b(pyhash_\w+)\(", build.declarations()))
    assert len(declared) <= 15
    exported = names(nm(Path(_engine.__file__), "--dynamic", "--defined-only"))
    own = {name for name in exported if name.startswith("pyhash_")}
    assert own == declared
    others = {name for name in exported - own if not name.startswith(("PyInit_", "_cffi_"))}
    # What some linkers add to every shared object.
    assert others <= {"_init", "_fini", "_edata", "_end", "__bss_start"}


def test_every_symbol_of_the_objects_has_our_prefix(objects: list[Path]) -> None:
    for path in objects:
        found = names(nm(path, "--defined-only", "--extern-only"))
        assert {name for name in found if not name.startswith("pyhash_")} == set(), path.name


def test_objects_need_nothing_that_ends_prints_or_asks(objects: list[Path]) -> None:
    for path in objects:
        needed = names(nm(path, "--undefined-only"))
        assert {name for name in needed if FORBIDDEN.fullmatch(name)} == set(), path.name


@pytest.mark.parametrize(
    "name",
    [
        *("abort", "_exit", "__assert_fail", "printf", "__fprintf_chk", "stderr", "fopen64"),
        *("secure_getenv", "__longjmp", "PyErr_Occurred", "_Py_Dealloc"),
    ],
)
def test_a_forbidden_name(name: str) -> None:
    assert FORBIDDEN.fullmatch(name)


@pytest.mark.parametrize("name", ["open", "pread64", "mmap", "pthread_create", "memcpy", "raise"])
def test_a_name_that_is_not_forbidden(name: str) -> None:
    assert not FORBIDDEN.fullmatch(name)


def test_writable_data_only_where_it_is_known(objects: list[Path]) -> None:
    holders = set()
    for path in objects:
        for line in nm(path, "--format=sysv", "--defined-only"):
            row = "".join(f"{word} " for word in line).split("|")
            if len(row) == 7 and WRITABLE.match(row[-1].strip()):
                holders.add(stem(path))
    assert holders == STATEFUL


def test_kernels_know_nothing_else() -> None:
    kernels = [path for path in SOURCES + HEADERS if "kernels" in path.parts]
    assert kernels
    for path in kernels:
        allowed = KERNEL_INCLUDES | {one.name for one in kernels if one.suffix == ".h"}
        assert includes(path) <= allowed, path.name


def test_tree_knows_no_file_and_no_instruction_set() -> None:
    assert includes(CSRC / "merkle.c") | includes(CSRC / "merkle.h") <= TREE_INCLUDES
    assert includes(CSRC / "sha256.c") | includes(CSRC / "sha256.h") <= {"sha256.h", "kernel.h"}


def test_threads_are_known_to_one_file() -> None:
    users = {path.name for path in SOURCES + HEADERS if "threads.h" in includes(path)}
    assert users == {"threads.c", "hash_ranges.c"}


def test_processor_is_asked_in_one_file() -> None:
    asking = re.compile(r"cpuid|xgetbv|getauxval|__builtin_cpu|HWCAP|/proc/cpuinfo")
    found = {path.name for path in SOURCES + HEADERS if asking.search(_code(path))}
    assert found == {"cpu_features.c"}


def test_same_flags_for_all_files() -> None:
    flags = " ".join(build.COMPILE_ARGS)
    assert "-m" not in flags.replace("-mno-", "")
    assert not re.search(r"march|mavx|msha|mtune|ffast-math", flags)


def _code(path: Path) -> str:
    """The text without comments."""
    return re.sub(r"/\*.*?\*/", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
