# SPDX-License-Identifier: Apache-2.0
"""Sign and verify AI checkpoints at the speed of the drive; refuse to start on any mismatch.

The public names are imported when they are first used, so that ``import pyhash`` costs next to
nothing and ``pyhash --help`` loads no engine.
"""

from __future__ import annotations

# Type checkers take this name as true; importing typing would double the time of --help.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyhash.errors import (
        CheckError,
        DamagedRange,
        Finding,
        PyhashError,
        UsageError,
        VerificationError,
    )
    from pyhash.hashing import (
        CheckpointDigest,
        Options,
        ShardDigest,
        hash_buffer,
        hash_checkpoint,
        hash_file,
    )
    from pyhash.loading import Loaded, load
    from pyhash.manifest import Release
    from pyhash.merkle import format_root, parse_root
    from pyhash.policy import Policy, PolicyFile
    from pyhash.sign_checkpoint import SignResult, sign
    from pyhash.verify_checkpoint import Verified, verify

__version__ = "0.1.0"

_HOMES = {
    "CheckError": "errors",
    "CheckpointDigest": "hashing",
    "DamagedRange": "errors",
    "Finding": "errors",
    "Loaded": "loading",
    "Options": "hashing",
    "Policy": "policy",
    "PolicyFile": "policy",
    "PyhashError": "errors",
    "Release": "manifest",
    "ShardDigest": "hashing",
    "SignResult": "sign_checkpoint",
    "UsageError": "errors",
    "VerificationError": "errors",
    "Verified": "verify_checkpoint",
    "format_root": "merkle",
    "hash_buffer": "hashing",
    "hash_checkpoint": "hashing",
    "hash_file": "hashing",
    "parse_root": "merkle",
    "load": "loading",
    "sign": "sign_checkpoint",
    "verify": "verify_checkpoint",
}

__all__ = [
    "CheckError",
    "CheckpointDigest",
    "DamagedRange",
    "Finding",
    "Loaded",
    "Options",
    "Policy",
    "PolicyFile",
    "PyhashError",
    "Release",
    "ShardDigest",
    "SignResult",
    "UsageError",
    "VerificationError",
    "Verified",
    "format_root",
    "hash_buffer",
    "hash_checkpoint",
    "hash_file",
    "load",
    "parse_root",
    "sign",
    "verify",
]


def __getattr__(name: str) -> object:
    """Import a public name from its module on first use."""
    import importlib

    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'pyhash' has no attribute {name!r}")
    value: object = getattr(importlib.import_module(f"pyhash.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
