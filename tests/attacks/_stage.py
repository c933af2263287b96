# SPDX-License-Identifier: Apache-2.0
"""Where attacks are played: a signed checkpoint that verifies, and what a refusal must look like.

A refusal is looked at twice: as the exception of ``pyhash.verify``, and as ``pyhash run`` that
must end in 1 (the answer is no) or 3 (could not check) without having started its command.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

import pyhash
from pyhash import errors, files, hashing, manifest, paths, signing
from tests.support import mutations

REPOSITORY = Path(__file__).resolve().parents[2]
SMALL_BYTES = 20_000  # of a shard; most attacks are the same at any size


@dataclass(frozen=True, slots=True)
class Finished:
    """How a command line ended: its exit code, and what it wrote."""

    code: int
    stdout: str
    stderr: str


class Commands:
    """Runs command lines in forks of one process, which has imported pyhash already."""

    def __init__(self, directory: Path) -> None:
        self._output = [directory / "stdout", directory / "stderr"]
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("_fork_server.py"))],
            cwd=REPOSITORY,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(
        self, *arguments: object, directory: Path, environment: Mapping[str, str] | None = None
    ) -> Finished:
        """Run ``pyhash`` with these arguments in a directory."""
        request = {
            "arguments": [str(one) for one in arguments],
            "directory": str(directory),
            "environment": dict(os.environ if environment is None else environment),
            "output": [str(path) for path in self._output],
        }
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        code = int(self._process.stdout.readline())
        return Finished(code, *(path.read_text("utf-8", "replace") for path in self._output))

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(10)
        assert self._process.stdout is not None
        self._process.stdout.close()


@dataclass(frozen=True, slots=True)
class Stage:
    """One signed checkpoint in a directory of its own.

    Attributes:
        home: The directory; whatever is outside the checkpoint lies here.
        model: The checkpoint.
        key: The publisher's private key.
        trusted: The publisher's public key.
        attacker: The private key of somebody whom nobody trusts.
        commands: Runs command lines.
    """

    home: Path
    model: Path
    key: Path
    trusted: Path
    attacker: Path
    commands: Commands

    @property
    def bundle(self) -> Path:
        """The bundle of the checkpoint."""
        return self.model / "model.sig"

    @property
    def tree(self) -> Path:
        """The tree file of the checkpoint."""
        return self.model / "model.tree"

    def verify(self, **named: Any) -> pyhash.Verified:
        """Verify under the publisher's key."""
        return pyhash.verify(self.model, **{"keys": [self.trusted], **named})

    def run(self, *options: object) -> tuple[Finished, bool]:
        """``pyhash run`` under the publisher's key; tells also whether the child was started."""
        return self.run_under("--key", self.trusted, *options)

    def run_under(self, *options: object) -> tuple[Finished, bool]:
        """``pyhash run`` with these options alone; tells also whether the child was started."""
        started = self.home / "started"
        line = ("run", *options, self.model, "--", "touch", started)
        finished = self.commands.run(*line, directory=self.home)
        was_started = started.exists()
        started.unlink(missing_ok=True)
        return finished, was_started

    def expect_verified(self, *options: object, **named: Any) -> pyhash.Verified:
        """It verifies, and the command line starts the child."""
        verified = self.verify(**named)
        finished, started = self.run(*options)
        assert (finished.code, started) == (0, True), finished
        return verified

    def expect_refused(
        self,
        error: type[errors.PyhashError],
        *,
        code: str | None = None,
        path: str | None = None,
        options: Sequence[object] = (),
        **named: Any,
    ) -> errors.PyhashError:
        """It is refused by exactly this exception, with such a finding, and nothing is started.

        Args:
            error: The exception's class.
            code: Code that one of its findings must have; None: it must not have any.
            path: Path of that finding; None: any.
            options: The same as ``named`` for the command line.
            named: Arguments of ``verify``.
        """
        with pytest.raises(error) as caught:
            self.verify(**named)
        assert type(caught.value) is error
        found = found_by(caught.value)
        if code is None:
            assert not found
        else:
            assert any(pair[0] == code and path in (None, pair[1]) for pair in found), found
        self.expect_not_started(error, *options)
        return caught.value

    def expect_not_started(self, error: type[errors.PyhashError], *options: object) -> Finished:
        """``pyhash run`` ends in the exit code of that exception and starts nothing."""
        finished, started = self.run(*options)
        expected = 1 if issubclass(error, errors.VerificationError) else 3
        assert (finished.code, started) == (expected, False), finished
        assert "was not started" in finished.stderr
        assert finished.stdout == ""
        assert "a fault in pyhash itself" not in finished.stderr
        return finished


def make_checkpoint(directory: Path, *, seed: int = 0, shard_bytes: int = SMALL_BYTES) -> Path:
    """The checkpoint that the attacks know, with shards of another size."""
    with patch.object(mutations, "SHARD_BYTES", shard_bytes):
        return mutations.make_victim(directory, seed)


def make_stage(home: Path, commands: Commands) -> Stage:
    """The stage in a directory that conftest.py has prepared."""
    return Stage(
        home,
        home / "model",
        home / "publisher.key",
        home / "publisher.pub",
        home / "attacker.key",
        commands,
    )


def found_by(error: errors.PyhashError) -> set[tuple[str, str]]:
    """Code and path of each finding of an exception."""
    findings = error.findings if isinstance(error, errors.VerificationError) else ()
    return {(one.code, one.path) for one in findings}


def payload_of(stage: Stage) -> bytes:
    """The statement in the bundle of the checkpoint."""
    return signing.load_bundle(stage.bundle.read_bytes(), "model.sig").envelope.payload


def sign_payload(stage: Stage, payload: bytes, *, key: Path | None = None) -> None:
    """Put a bundle over any bytes into the checkpoint, signed by the publisher or another key."""
    bundle = signing.sign_payload(payload, signing.load_signer(key or stage.key))
    stage.bundle.write_bytes(signing.dump_bundle(bundle))


def sign_blindly(stage: Stage, *, key: Path | None = None) -> None:
    """Sign whatever regular files there are, as a careless or hostile publisher's tool would.

    What ``pyhash.sign`` looks at (closure, links) is not looked at.
    """
    ignored = (*paths.DEFAULT_IGNORED, "model.sig", "model.tree")
    listing = files.list_checkpoint(stage.model, hashing.ignorer(ignored))
    digests = hashing.hash_listing(listing, options=pyhash.Options(), file_digests=True)
    shards = [
        manifest.ShardEntry(file.path, one.size, one.root, one.file_digest)
        for file, one in zip(listing.files, digests, strict=True)
    ]
    made = manifest.build_manifest(listing.name, shards, ignore_paths=ignored)
    sign_payload(stage, manifest.dump_statement(made), key=key)


def read_json(path: Path) -> Any:
    """The value of a JSON file."""
    return json.loads(path.read_text("utf-8"))


def write_json(path: Path, value: object) -> None:
    """Write a value as JSON; directories are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), "utf-8")
