# SPDX-License-Identifier: Apache-2.0
"""Transparency log on plain files: C2SP tlog-tiles, signed checkpoints, proofs, witnesses.

Append-only, crash-safe, many writers on one host. A holder of the log's key could still write
another history; docs/log.md says what stops that. Imports nothing by itself: take what is needed
from its modules.
"""
