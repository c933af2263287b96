# SPDX-License-Identifier: Apache-2.0
"""Fetches what a release's history is told by, where the policy asks for it: statements and proofs.
They are checked before the first byte of a weight is fetched.
"""

from __future__ import annotations

import os
from contextlib import suppress

from pyhash import errors, limits
from pyhash.atomic import write_file
from pyhash.history import Beside, check_beside
from pyhash.locations import BUNDLE_NAME, PROOFS_NAME, PROVENANCE_NAME
from pyhash.manifest import Manifest
from pyhash.policy import Policy
from pyhash.pull.finding import Place


def history_names(policy: Policy) -> tuple[str, ...]:
    """Return the files that a policy wants to lie beside a checkpoint. Raises nothing."""
    proofs = (PROOFS_NAME,) if policy.log is not None else ()
    return (PROVENANCE_NAME, *proofs) if policy.provenance is not None else proofs


def fetch_history(
    place: Place, manifest: Manifest, bundle: bytes, policy: Policy, directory: str
) -> None:
    """Fetch and check statements and proofs; nothing where the policy asks for none.

    Args:
        place: Where the release lies.
        manifest: What was signed.
        bundle: The bundle, whose signature has been checked.
        policy: What is required.
        directory: Where the files go.

    Raises:
        LogError, ProvenanceError, SignatureError: They are not what the policy accepts, or are not
            there.
        FetchError, FormatError, LimitError, WriteError: That could not be found out.
    """
    for name in history_names(policy):
        target = os.path.join(directory, name)
        with suppress(FileNotFoundError):
            os.unlink(target)  # of an earlier pull
        with suppress(errors.NotThereError):  # what that means is for the check to say
            data = place.source.fetch_small(place.prefix + name, limits.MAX_PROVENANCE_FILE_BYTES)
            write_file(target, data)
    beside = Beside(os.path.join(directory, PROVENANCE_NAME), os.path.join(directory, PROOFS_NAME))
    check_beside(policy, manifest, bundle, f"{place.name}: {place.prefix}{BUNDLE_NAME}", beside)
