# SPDX-License-Identifier: Apache-2.0
"""What a load format of a server is told, and the verified weights that it hands over.

Servers have one option for what belongs to a load format, ``--model-loader-extra-config``, a JSON
object. It means the same in all of them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pyhash.access import AccessLog, open_access_log
from pyhash.errors import UsageError
from pyhash.loading import model_weights, read_checkpoint
from pyhash.opening import given_policy
from pyhash.policy import PolicyFile

EXTRA_KEYS = frozenset({"policy", "keys", "signature", "root", "log", "log-key"})


@dataclass(frozen=True, slots=True)
class Trust:
    """Whom to trust, and where it is recorded.

    Attributes:
        policy: A policy file; None: ``keys`` and ``root`` say it.
        keys: Public keys, PEM files.
        signature: The bundle; None: its usual place.
        root: The only checkpoint root to accept; None: any.
        log: Where each load is recorded; None: nowhere.
    """

    policy: PolicyFile | None
    keys: Sequence[str]
    signature: str | None
    root: str | None
    log: AccessLog | None

    @classmethod
    def read(cls, extra: Any, load_format: str) -> Trust:
        """Take what ``--model-loader-extra-config`` says.

        Args:
            extra: The object, as the server parsed it.
            load_format: Its name, for messages.

        Raises:
            UsageError: It says nothing, or something unknown.
            CheckError: The policy cannot be read, or the log not be written.
        """
        if not isinstance(extra, Mapping) or not extra:
            raise UsageError(
                f"--load-format {load_format} needs --model-loader-extra-config with a policy or"
                ' keys, such as {"policy": "/etc/pyhash/policy.toml"}'
            )
        unknown = sorted(extra.keys() - EXTRA_KEYS)
        if unknown:
            raise UsageError(f"--model-loader-extra-config: {unknown[0]!r} means nothing here")
        policy = extra.get("policy")
        return cls(
            policy=None if policy is None else PolicyFile.read(policy),
            keys=extra.get("keys", ()),
            signature=extra.get("signature"),
            root=extra.get("root"),
            log=_log(extra),
        )

    def weights(self, path: str | os.PathLike[str]) -> Iterator[tuple[str, Any]]:
        """Read and verify every file of a checkpoint, then give out the weights' tensors.

        Nothing is given out before everything has passed: the reading is done when this returns.

        Args:
            path: The checkpoint, a directory.

        Returns:
            Pairs of name and tensor of torch, which are views of the verified memory.

        Raises:
            VerificationError, CheckError, UsageError: As ``pyhash.load``.
        """
        policy = given_policy(path, self.policy, self.keys, (), self.root)
        contents = read_checkpoint(path, policy, signature=self.signature, log=self.log)
        return ((tensor.name, tensor.torch()) for tensor in model_weights(contents))


def _log(extra: Mapping[str, Any]) -> AccessLog | None:
    """The log that accesses are recorded in, found writable before any work."""
    if "log" in extra:
        return open_access_log(extra["log"], extra.get("log-key"))
    if "log-key" in extra:
        raise UsageError("--model-loader-extra-config: log-key without log")
    return None
