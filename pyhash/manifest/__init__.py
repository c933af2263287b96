# SPDX-License-Identifier: Apache-2.0
"""The signed list of shards, as frozen data and as the statement bytes that are signed.

Two statements are written and read: the OMS v1.0 statement with our part in its annotations, and
the same without whole-file digests under a predicate type of our own. Statements of other OMS
tools (whole files or ranges, SHA-256 or BLAKE) are read too. Nothing here opens a file or checks a
signature.
"""

from pyhash.manifest._model import (
    FORMAT_NAME,
    OMS_PREDICATE_TYPE,
    PYHASH_PREDICATE_TYPE,
    STATEMENT_TYPE,
    VERITY_NAME,
    Manifest,
    ShardEntry,
    SignedRange,
    build_manifest,
)
from pyhash.manifest._reading import load_statement
from pyhash.manifest._release import (
    RELEASE_KEY,
    Release,
    dump_release,
    format_time,
    parse_time,
)
from pyhash.manifest._writing import dump_statement
from pyhash.paths import DEFAULT_IGNORED, check_path

__all__ = [
    "DEFAULT_IGNORED",
    "FORMAT_NAME",
    "OMS_PREDICATE_TYPE",
    "PYHASH_PREDICATE_TYPE",
    "RELEASE_KEY",
    "STATEMENT_TYPE",
    "VERITY_NAME",
    "Manifest",
    "Release",
    "ShardEntry",
    "SignedRange",
    "build_manifest",
    "check_path",
    "dump_release",
    "dump_statement",
    "format_time",
    "load_statement",
    "parse_time",
]
