# SPDX-License-Identifier: Apache-2.0
"""``pyhash hash``: roots of checkpoints, digests of files, and lists of digests checked."""

from __future__ import annotations

import os

import click

from pyhash import limits
from pyhash.cli import output
from pyhash.cli.answer import Answer
from pyhash.cli.command import PATH, answering, ignore_option
from pyhash.cli.settings import Settings
from pyhash.digest_list import dump_line, escape_name, load_list
from pyhash.digests import ALGORITHMS, FileDigest, hash_files
from pyhash.errors import Finding, UsageError

EXAMPLE = """\
pyhash hash my-model
pyhash hash --algorithm sha256 my-model/*.safetensors > SHA256SUMS
pyhash hash --check SHA256SUMS"""


@answering("hash", example=EXAMPLE)
@click.argument("paths", metavar="MODEL | FILES...", nargs=-1, type=PATH)
@click.option(
    "--algorithm",
    type=click.Choice(tuple(ALGORITHMS)),
    help="Print a digest of each file as sha256sum does, by this algorithm. xxh3-128 finds rot,"
    " not attackers.",
)
@click.option(
    "--check",
    "-c",
    "list_file",
    type=PATH,
    metavar="LIST",
    help="Check the files of such a list. Default algorithm: sha256.",
)
@ignore_option
def command(
    settings: Settings,
    *,
    paths: tuple[str, ...],
    algorithm: str | None,
    list_file: str | None,
    ignore: tuple[str, ...],
) -> Answer:
    """Print the root of MODEL, the one that sign would sign; or digests of FILES; or check a list.

    Nothing here says who made the files: whoever can change them can change a list, too. With
    --check, exit code 1 means that a file differs, 3 that one could not be read.
    """
    if list_file is not None:
        if paths or ignore:
            raise UsageError("--check takes the files from its list, and no others")
        return _check(list_file, algorithm or "sha256", settings)
    if algorithm is not None:
        if not paths or ignore:
            raise UsageError("--algorithm needs files, and takes no --ignore")
        return _digests(paths, algorithm, settings)
    if len(paths) != 1:
        raise UsageError("give one MODEL; for digests of files, give --algorithm")
    return _root(paths[0], ignore, settings)


def _root(model: str, ignore: tuple[str, ...], settings: Settings) -> Answer:
    from pyhash import hash_checkpoint
    from pyhash.hashing import IGNORED
    from pyhash.merkle import format_root

    with settings.hashing_options() as options:
        found = hash_checkpoint(model, ignore=(*IGNORED, *ignore), options=options)
    root = format_root(found.root)
    return Answer(
        "ok",
        "hashed; nothing was verified",
        lines=(output.raw_line(f"{root}  {model}"),),
        checkpoint=model,
        root=root,
        files=len(found.shards),
        bytes=sum(shard.size for _, shard in found.shards),
    )


def _digests(paths: tuple[str, ...], algorithm: str, settings: Settings) -> Answer:
    with settings.hashing_options() as options:
        found = hash_files(paths, algorithm, options=options)
    unread = tuple(_unreadable(one) for one in found if one.error is not None)
    total = f"{len(unread)} of {len(found)} files could not be read"
    return Answer(
        "error" if unread else "ok",
        total if unread else "hashed; nothing was verified",
        lines=tuple(
            output.raw_line(dump_line(one.path, one.digest))
            for one in found
            if one.digest is not None
        ),
        files=len(found) - len(unread),
        findings=unread,
        details={
            "algorithm": algorithm,
            "digests": [
                {"path": one.path, "digest": None if one.digest is None else one.digest.hex()}
                for one in found
            ],
        },
    )


def _check(list_file: str, algorithm: str, settings: Settings) -> Answer:
    from pyhash.files import read_small

    data = read_small(list_file, limits.MAX_DIGEST_LIST_BYTES)
    listed = load_list(data, digest_bytes=ALGORITHMS[algorithm].digest_bytes, source=list_file)
    with settings.hashing_options() as options:
        found = hash_files([one.path for one in listed], algorithm, options=options)
    lines: list[str | bytes] = []
    differing: list[Finding] = []
    unread: list[Finding] = []
    for entry, one in zip(listed, found, strict=True):
        if one.digest is None:
            unread.append(_unreadable(one))
            lines.append(_check_line(entry.path, "FAILED open or read"))
        elif one.digest != entry.digest:
            expected, actual = entry.digest.hex(), one.digest.hex()
            message = "other bytes than those of the list"
            differing.append(Finding("digest", entry.path, message, expected, actual))
            lines.append(_check_line(entry.path, "FAILED"))
        elif not settings.quiet:
            lines.append(_check_line(entry.path, "OK"))
    result = "refused" if differing else "error" if unread else "ok"
    return Answer(
        result,
        f"of {len(listed)} files, {len(differing)} differ and {len(unread)} could not be read",
        lines=tuple(lines),
        files=len(listed),
        findings=(*differing, *unread),
        details={"algorithm": algorithm},
    )


def _unreadable(one: FileDigest) -> Finding:
    return Finding("unreadable", one.path, str(one.error).removeprefix(f"{one.path}: "))


def _check_line(path: str, verdict: str) -> str | bytes:
    return output.raw_line(escape_name(os.fsencode(path)) + f": {verdict}".encode("ascii"))
