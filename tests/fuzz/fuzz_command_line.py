# SPDX-License-Identifier: Apache-2.0
"""Fuzz target: the whole command line over one hostile file beside a good signed checkpoint.

The first byte of an input says which file it is: the bundle, the tree file, a safetensors or GGUF
header, an index, a policy, or the key. No input may end in a traceback, in an exit code that is
not documented, or in "verified" for anything but the bytes that were signed.
"""

from __future__ import annotations

import io
import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from unittest.mock import patch

from _harness import VECTORS, files_below, main

import pyhash
from pyhash.__main__ import main as command_line
from pyhash.signing.ecdsa import generate_key, write_key_pair

MUTATIONS = 400
EXIT_CODES = (0, 1, 2, 3)

DICTIONARY = (
    b'"pyhash-v1"', b'"keyid":null', b'"hint":""', b'"tlogEntries":[{}]', b'"sig":"MAA="', b"==",
    b"pyhash-tree\0", b"\0\0\0\1", b"\xff" * 8, b"GGUF", b'"__metadata__":{}', b'"dtype":"U8"',
    b'"data_offsets":[0,0]', b'"weight_map":{"a":"../x"}', b"\\ud800", b"[[rule]]\n",
    b"version = 1", b'name = "*"\n', b'keys = ["publisher.pub"]\n',
    b"signatures = 0\n", b'mode = "off"\n',
    b'ignore = ["a"]\n', b'max-age = "1d"\n', b"min-release = 1\n", b"[rule.log]\n", b"[[", b"]]",
    b"'''", b'"""', b"1979-05-27T07:32:00Z", b"9" * 400, b"-----BEGIN PUBLIC KEY-----\n", b"\n",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Stage:
    """A signed checkpoint that verifies, and where a hostile file is put.

    Attributes:
        home: Everything lies here.
        model: The checkpoint.
        good: The content of each file that is put back after an input.
    """

    home: Path
    model: Path
    good: dict[str, bytes]


# What each slot is called with: files relative to home.
VERIFY = ("verify", "model", "--key", "publisher.pub")
SLOTS: dict[str, tuple[tuple[str, ...], ...]] = {
    "model/model.sig": (VERIFY, (*VERIFY, "--format", "json")),
    "model/model.tree": (VERIFY,),
    "model/model.safetensors": (VERIFY, ("ls", "model")),
    "model/model.gguf": (("ls", "model", "--format", "json"), VERIFY),
    "model/model.safetensors.index.json": (VERIFY, ("sign", "model", "--key", "publisher.key")),
    "policy.toml": (
        ("verify", "model", "--policy", "policy.toml"),
        ("policy", "check", "model", "--policy", "policy.toml"),
    ),
    "publisher.pub": (VERIFY,),
}
POLICY = b"""\
version = 1
[[rule]]
name = "model"
keys = ["publisher.pub"]
signatures = 1
ignore = ["logs"]
guarantee = "content"
[[rule]]
name = "/srv/**/dev-*"
mode = "warn"
keys = ["publisher.pub"]
min-release = 3
max-age = "30d"
"""


@cache
def stage() -> Stage:
    """Make the stage once; it lives as long as the process."""
    folder = tempfile.TemporaryDirectory(prefix="pyhash-fuzz-")
    _FOLDERS.append(folder)
    home = Path(folder.name)
    model = home / "model"
    model.mkdir()
    samples = VECTORS / "formats"
    for suffix in ("safetensors", "gguf"):
        sample = sorted((samples / suffix / "valid").iterdir())[0]
        (model / f"model.{suffix}").write_bytes(sample.read_bytes())
    (model / "model.safetensors.index.json").write_text(
        json.dumps({"weight_map": {"a": "model.safetensors"}})
    )
    (home / "policy.toml").write_bytes(POLICY)
    write_key_pair(generate_key(), home / "publisher.key", home / "publisher.pub")
    pyhash.sign(model, home / "publisher.key")
    return Stage(home, model, {name: (home / name).read_bytes() for name in SLOTS})


_FOLDERS: list[tempfile.TemporaryDirectory[str]] = []


def seeds() -> list[bytes]:
    """For each slot the good file, and samples of its kind, good and bad."""
    good = stage().good
    formats = VECTORS / "formats"
    more: dict[str, Sequence[bytes]] = {
        "model/model.sig": files_below(VECTORS / "oms"),
        "model/model.safetensors": files_below(formats / "safetensors"),
        "model/model.gguf": files_below(formats / "gguf"),
        "policy.toml": [b"", b"version = 2", POLICY.replace(b'"warn"', b'"off"')],
    }
    found = [
        [data for data in (good[name], *more.get(name, ())) if len(data) < 1 << 14]
        for name in SLOTS
    ]
    most = max(map(len, found))  # every file is as likely, however many samples of it there are
    return [
        bytes([number]) + data
        for number, samples in enumerate(found)
        for data in samples * (most // len(samples))
    ]


def run_command_line(arguments: Sequence[str]) -> tuple[int, str]:
    """Run ``python -m pyhash`` in this process; returns its exit code and all that it wrote."""
    output = io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True)
    with ExitStack() as patched:
        for target, name, value in (
            (sys, "argv", ["pyhash", *arguments]),
            (sys, "stdout", output),
            (sys, "stderr", output),
        ):
            patched.enter_context(patch.object(target, name, value))
        code = command_line()
    return code, output.buffer.getvalue().decode("utf-8", "replace")  # type: ignore[attr-defined]


def one_input(data: bytes) -> None:
    """Put the bytes in the place of one file; run the commands that read it; put it back."""
    here = stage()
    name = list(SLOTS)[data[0] % len(SLOTS)] if data else next(iter(SLOTS))
    content = data[1:]
    (here.home / name).write_bytes(content)
    try:
        for arguments in SLOTS[name]:
            _check(arguments, here, untouched=_is_harmless(name, content, here))
    finally:
        for changed in {name, "model/model.sig", "model/model.tree"}:
            (here.home / changed).write_bytes(here.good[changed])


def _is_harmless(name: str, content: bytes, here: Stage) -> Callable[[], bool]:
    """Whether "verified" may be said: nothing that is signed has changed."""
    signed = name.startswith("model/") and name not in ("model/model.sig", "model/model.tree")
    return lambda: not signed or content == here.good[name]


def _check(arguments: Sequence[str], here: Stage, *, untouched: Callable[[], bool]) -> None:
    absolute = [
        str(here.home / one) if (here.home / one.split("/")[0]).exists() else one
        for one in arguments
    ]
    code, text = run_command_line(absolute)
    if code not in EXIT_CODES:
        raise AssertionError(f"{arguments}: exit code {code}: {text}")
    if "Traceback" in text or "a fault in pyhash itself" in text:
        raise AssertionError(f"{arguments}: {text}")
    if code == 0 and arguments[0] == "verify" and not untouched():
        raise AssertionError(f"{arguments}: verified something else: {text}")


if __name__ == "__main__":
    main(one_input, seeds())
