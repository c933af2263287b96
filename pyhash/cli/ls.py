# SPDX-License-Identifier: Apache-2.0
"""``pyhash ls``: files and tensors of a checkpoint from the headers alone. Verifies nothing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import click

from pyhash.cli.answer import Answer
from pyhash.cli.command import PATH, answering
from pyhash.cli.settings import Settings
from pyhash.cli.terminal_text import amount
from pyhash.errors import CheckError, Finding, VerificationError
from pyhash.files import CheckpointFile, Listing, list_checkpoint, open_files, read_at
from pyhash.formats import Layout, TensorRange, layout_of
from pyhash.locations import OWN_NAMES
from pyhash.paths import DEFAULT_IGNORED

NOT_SHOWN = frozenset({*DEFAULT_IGNORED, *OWN_NAMES})
UNVERIFIED = "From the headers only: nothing was verified."


@dataclass(frozen=True, slots=True)
class _Shard:
    """One file, and its layout or what is wrong with its header."""

    file: CheckpointFile
    layout: Layout | None
    problem: Finding | None = None


@answering("ls", example="pyhash ls my-model --format json")
@click.argument("model", metavar="MODEL | FILE", type=PATH)
def command(settings: Settings, *, model: str) -> Answer:
    """List the files of MODEL, and their tensors: name, type, shape, bytes, range in the file.

    Only headers are read, and nothing is verified: a signature is not looked at. Files of no
    known format have no tensors. Exit code 3: a header could not be read.
    """
    listing = list_checkpoint(model, NOT_SHOWN.__contains__)
    shards = [_read(listing, file) for file in listing.files]
    problems = [one.problem for one in shards if one.problem is not None]
    findings = (*listing.strange, *problems)
    answer = Answer(
        "ok",
        UNVERIFIED,
        lines=tuple(line for shard in shards for line in _lines(shard)),
        note=UNVERIFIED,
        files=len(shards),
        bytes=sum(shard.file.identity.size for shard in shards),
        findings=findings,
        details={"shards": [_as_object(shard) for shard in shards]},
    )
    if not findings:
        return answer
    return replace(answer, result="error", message=f"{len(findings)} files could not be read")


def _read(listing: Listing, file: CheckpointFile) -> _Shard:
    try:
        with open_files(listing, (file,)) as (descriptor,):
            layout = layout_of(read_at(file.path, descriptor), file.identity.size, file.path)
        return _Shard(file, layout)
    except (CheckError, VerificationError) as error:
        message = str(error).removeprefix(f"{file.path}: ")
        return _Shard(file, None, Finding("unreadable", file.path, message))


def _lines(shard: _Shard) -> list[str]:
    size = amount(shard.file.identity.size)
    if shard.layout is None:
        return [f"{shard.file.path}  {size}, header not readable"]
    tensors = shard.layout.tensors
    count = f", {len(tensors)} tensors" if tensors else ""
    return [
        f"{shard.file.path}  {size}, {shard.layout.format}{count}",
        *(_tensor_line(tensor) for tensor in tensors),
    ]


def _tensor_line(tensor: TensorRange) -> str:
    size = tensor.end - tensor.start
    shape = list(tensor.shape)
    return f"  {tensor.name}  {tensor.dtype} {shape}  {size} bytes [{tensor.start}, {tensor.end})"


def _as_object(shard: _Shard) -> dict[str, Any]:
    layout = shard.layout
    return {
        "path": shard.file.path,
        "bytes": shard.file.identity.size,
        "format": None if layout is None else layout.format,
        "tensors": [
            {
                "name": tensor.name,
                "dtype": tensor.dtype,
                "shape": list(tensor.shape),
                "bytes": tensor.end - tensor.start,
                "start": tensor.start,
                "end": tensor.end,
            }
            for tensor in (() if layout is None else layout.tensors)
        ],
    }
