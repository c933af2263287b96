# SPDX-License-Identifier: Apache-2.0
"""The gate before a start: a command runs in place of this process, or does not run at all.

It accepts a ``Verified`` and looks once more, by name, size, inode and times,
whether the files are still those that were hashed. Between that look and the child's own reading
there is a gap that only reading into verified memory, or fs-verity, can close: the guarantee is
``content``, not ``loaded``.

The only other way through is a ``Waiver``, which a rule of a policy file with mode ``warn`` or
``off`` makes.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from typing import NoReturn

from pyhash import files, hashing
from pyhash.errors import Finding, PolicyError, UsageError
from pyhash.findings import raise_findings
from pyhash.guarantees import is_at_least
from pyhash.policy import Waiver
from pyhash.verify_checkpoint import Verified, expect_verified


def find_command(arguments: Sequence[str]) -> str:
    """Return the path of the program to start.

    To be asked before the verification, so that a misspelt command is not found out after it.

    Args:
        arguments: The command and its arguments.

    Raises:
        UsageError: No command, or no such program.
    """
    if not arguments:
        raise UsageError("no command to start: put it after --")
    program = shutil.which(arguments[0])
    if program is None:
        raise UsageError(f"{arguments[0]}: no such program")
    return program


def check_unchanged(verified: Verified) -> None:
    """Look whether a checkpoint is still the one that was verified, without hashing.

    Raises:
        UsageError: Not a ``Verified`` that ``verify`` made.
        ChangedWhileReadError: A file is another one, is gone, or is new.
        UnexpectedFileError: There is a link, pipe or device now.
        ReadError: The directory cannot be read.
    """
    verified = expect_verified(verified)
    now = files.list_checkpoint(
        verified.location,
        hashing.ignorer(verified.ignored),
        own=verified.own,
        links_within=verified.listing.links_within,
    )
    before = {file.path: file.identity for file in verified.listing.files}
    after = {file.path: file.identity for file in now.files}
    changed = sorted(
        path for path in before.keys() | after.keys() if before.get(path) != after.get(path)
    )
    raise_findings(
        [
            *now.strange,
            *(Finding("changed", path, "changed after it was verified") for path in changed),
        ]
    )


def start_unverified(waiver: Waiver, arguments: Sequence[str]) -> NoReturn:
    """Replace this process by a command although nothing was verified, as a policy's rule allows.

    Whoever calls this tells the user first, and under another name than ``verified``.

    Args:
        waiver: What only a rule with mode ``warn`` or ``off`` gives.
        arguments: The command and its arguments.

    Raises:
        UsageError: Not a ``Waiver``, no such program, or the system refused to run it.
    """
    if type(waiver) is not Waiver:
        raise UsageError(f"this takes a Waiver, not a {type(waiver).__name__}")
    _replace_process(find_command(arguments), arguments)


def start(verified: Verified, arguments: Sequence[str], *, least: str = "content") -> NoReturn:
    """Replace this process by a command.

    Args:
        verified: The proof; anything else is refused.
        arguments: The command and its arguments.
        least: The weakest guarantee to start behind, a name of ``guarantees.MEANINGS``.

    Raises:
        UsageError: Not a ``Verified``, no such program, or the system refused to run it.
        PolicyError: The guarantee of the proof is weaker than ``least``.
        ChangedWhileReadError, UnexpectedFileError, ReadError: As ``check_unchanged``.
    """
    verified = expect_verified(verified)
    if not is_at_least(verified.guarantee, least):
        raise PolicyError(
            f"{verified.location}: only the guarantee {verified.guarantee!r} holds, and nothing is"
            f" started behind less than {least!r}"
        )
    program = find_command(arguments)
    check_unchanged(verified)
    _replace_process(program, arguments)


def _replace_process(program: str, arguments: Sequence[str]) -> NoReturn:
    try:
        os.execv(program, list(arguments))  # noqa: S606 - replacing this process is the point
    except (OSError, ValueError) as error:  # ValueError: a NUL in an argument
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise UsageError(f"{program}: cannot be run: {reason}") from error
    raise UsageError(f"{program}: did not start")
