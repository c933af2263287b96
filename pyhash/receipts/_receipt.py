# SPDX-License-Identifier: Apache-2.0
"""A receipt: which files, by identity, were found to be what one manifest says.

one line of JSON | newline | HMAC-SHA256 of that line in hex | newline
"""

from __future__ import annotations

import hmac
import json
import time
from collections.abc import Mapping, Sequence

from pyhash import atomic, limits
from pyhash.closure_rules import rules_name
from pyhash.errors import FormatError, ReceiptError
from pyhash.files import CheckpointFile, Identity
from pyhash.frozen import frozen
from pyhash.receipts._binding import (
    Binding,
    dump_binding,
    dump_identity,
    load_binding,
    load_identity,
)
from pyhash.receipts._settling import is_settled
from pyhash.receipts._store import Store
from pyhash.strict_json import expect_fields, expect_object, expect_string, load_json

PURPOSE = b"pyhash-receipt-v1"
SUFFIX = "receipt"


@frozen
class Receipt:
    """What was verified once.

    Attributes:
        binding: What it speaks about.
        written: When, as text for people: seconds and UTC.
        identities: Path inside the checkpoint -> the file that had the signed content.
        closure_rules: Name of the rules under which the files led to no other file; None: not
            known.
    """

    binding: Binding
    written: str
    identities: Mapping[str, Identity]
    closure_rules: str | None = None

    def is_covered(self, file: CheckpointFile) -> bool:
        """Whether this very file was verified, and nothing was written to it since.

        Args:
            file: As listed now.

        Returns:
            True where every part of its identity is the same. Raises nothing.
        """
        return self.identities.get(file.path) == file.identity

    def has_closure(self) -> bool:
        """Whether the verified files were found to lead to no other by the rules of this process.

        A receipt is written only where that was found of every file, beside files of these names.
        Raises nothing.
        """
        return self.closure_rules is not None and self.closure_rules == rules_name()


def record(
    store: Store, binding: Binding, verified: Sequence[CheckpointFile], began_ns: int
) -> tuple[str, tuple[str, ...]]:
    """Write the receipt of a checkpoint in place of an earlier one, whole or not at all.

    Args:
        store: Where.
        binding: What was verified.
        verified: The files that were found to have the signed content, as they were then.
        began_ns: When hashing began, as ``settle`` said.

    Returns:
        The path of the receipt, and the paths of files that are left out of it because their
        times could hide a later write.

    Raises:
        WriteError: The system refused; the earlier receipt is still there.
    """
    settled = {one.path: one for one in verified if is_settled(one.identity, began_ns)}
    value = {
        "receipt": "1",
        "binding": dump_binding(binding),
        "written": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(began_ns / 1e9)),
        "closure_rules": rules_name(),
        "files": {path: dump_identity(one.identity) for path, one in settled.items()},
    }
    line = json.dumps(value, separators=(",", ":")).encode("ascii")
    path = store.place(binding.location, SUFFIX)
    mac = store.authenticate(PURPOSE, line).hex().encode("ascii")
    atomic.write_file(path, line + b"\n" + mac + b"\n", mode=0o600)
    return path, tuple(one.path for one in verified if one.path not in settled)


def read_receipt(store: Store, location: str) -> Receipt | None:
    """Return the receipt of a checkpoint; None where there is none.

    Args:
        store: Where.
        location: ``Binding.location`` of the checkpoint.

    Raises:
        ReceiptError: This host's key did not write it: edited, damaged, or of another host.
        FormatError, LimitError: It is authentic and cannot be understood.
    """
    path = store.place(location, SUFFIX)
    data = store.read(path, limits.MAX_RECEIPT_BYTES)
    if data is None:
        return None
    line, _, rest = data.partition(b"\n")
    expected = store.authenticate(PURPOSE, line).hex().encode("ascii") + b"\n"
    if not hmac.compare_digest(rest, expected):
        raise ReceiptError(
            f"{path}: not written with this host's key: edited, damaged or from another host;"
            " remove it, and find out who could write there",
            path,
        )
    fields = expect_fields(
        load_json(line, path=path, max_bytes=limits.MAX_RECEIPT_BYTES),
        "the receipt",
        path,
        required=("receipt", "binding", "written", "files"),
        optional=("closure_rules",),  # receipts of the first version have none
    )
    if fields["receipt"] != "1":
        raise FormatError(f"{path}: a receipt of another version", path)
    listed = expect_object(fields["files"], "files", path)
    rules = fields.get("closure_rules")
    return Receipt(
        load_binding(fields["binding"], path),
        expect_string(fields["written"], "written", path),
        {name: load_identity(value, path) for name, value in listed.items()},
        None if rules is None else expect_string(rules, "closure_rules", path),
    )
