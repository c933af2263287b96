# SPDX-License-Identifier: Apache-2.0
"""What ``sign`` and ``seal`` share: their options, the signing itself, and what is said of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from pyhash.cli.answer import Answer
from pyhash.cli.command import PATH, bundle_options, links_option
from pyhash.cli.log_options import (
    access_log_options,
    record_signature,
    recorded,
    take_access_log,
    under_log,
)
from pyhash.cli.release import release_options, take_release
from pyhash.cli.settings import Settings
from pyhash.cli.signer_options import signer_options, take_signer
from pyhash.cli.terminal_text import amount
from pyhash.cli.update_options import carried_lines

if TYPE_CHECKING:
    from pyhash.manifest import Release, ShardEntry
    from pyhash.sign_checkpoint import SignResult

F = TypeVar("F", bound=Callable[..., Any])

_KEY = click.option(
    "--key", required=True, type=PATH, metavar="K.key", help="Private key to sign with."
)
_POLICY = click.option(
    "--policy",
    type=PATH,
    metavar="FILE",
    help="Refuse to sign what this policy file would not accept.",
)


def signing_options(function: F) -> F:
    """Add what every command takes that signs a checkpoint; ``run_signing`` takes it out again.

    Raises nothing.
    """
    decorators = (signer_options, links_option, bundle_options, _POLICY, release_options)
    for one in reversed((_KEY, *decorators, access_log_options)):
        function = one(function)
    return function


def run_signing(
    settings: Settings, model: str, parameters: dict[str, Any], more: Callable[[], dict[str, Any]]
) -> tuple[SignResult, Answer]:
    """Sign a checkpoint, and record it.

    Args:
        settings: Of the command.
        model: The checkpoint.
        parameters: Those of ``signing_options``; emptied.
        more: Returns further arguments of ``pyhash.sign``; called when key and policy are known to
            be right, as it may make directories.

    Returns:
        What was signed, and what to say of it.

    Raises:
        As ``pyhash.sign``, and as ``recorded``.
    """
    from pyhash import sign
    from pyhash.policy import PolicyFile

    reference, passphrase = take_signer(parameters.pop("key"), parameters)
    release = take_release(parameters)
    access_log = take_access_log(parameters)
    file, rules = parameters.pop("policy"), None
    if file is not None:
        rules = under_log(PolicyFile.read(file).for_checkpoint(model), access_log)
    further = more()
    began = time.monotonic()
    with settings.hashing_options() as options:
        result = recorded(
            access_log,
            "sign",
            model,
            lambda: sign(
                model,
                reference,
                passphrase=passphrase,
                release=release,
                policy=rules,
                options=options,
                **parameters,
                **further,
            ),
            done=lambda result: {"root": result.root, "credential": result.key_hint},
        )
    record_signature(access_log, model, result.bundle_path)
    return result, _answer(model, result, release, time.monotonic() - began)


def _answer(model: str, result: SignResult, release: Release | None, seconds: float) -> Answer:
    """Return what a command that signs says. Raises nothing."""
    from pyhash.manifest import dump_release
    from pyhash.merkle import format_root

    root = format_root(result.root)
    count = len(result.manifest.shards)
    return Answer(
        "signed",
        f"{model} is signed",
        summary=(
            f"signed     {model}",
            f"root       {root}",
            f"key        {result.key_hint}",
            f"files      {count}, {amount(result.size)} in {seconds:.1f} s",
            f"signature  {result.bundle_path}",
            f"tree       {result.tree_path}",
            *_shown(release),
            *carried_lines(result.carried, count),
        ),
        note=_note(result.manifest.shards),
        root=root,
        key=result.key_hint,
        files=count,
        bytes=result.size,
        seconds=seconds,
        details={
            "signature": result.bundle_path,
            "tree": result.tree_path,
            "carried": [{"path": one.path, "reason": one.reason} for one in result.carried],
            "release": None if release is None else dump_release(release),
        },
    )


def _shown(release: Release | None) -> tuple[str, ...]:
    """Return the lines about a release; nothing without one."""
    if release is None:
        return ()
    from pyhash.manifest import format_time

    number = "not counted" if release.counter is None else str(release.counter)
    until = "never" if release.expires is None else format_time(release.expires)
    name = "" if release.name is None else f" of {release.name}"
    return (f"release    {number}{name}", f"expires    {until}")


def _note(shards: Sequence[ShardEntry]) -> str:
    """What a publisher may not have meant to sign."""
    from pyhash.locations import DOWNLOAD_METADATA

    count = sum(shard.path.startswith(DOWNLOAD_METADATA + "/") for shard in shards)
    if not count:
        return ""
    return (
        f"{count} of the signed files are notes of Hugging Face's downloader, which change with"
        f" every download: --ignore {DOWNLOAD_METADATA} leaves them out"
    )
