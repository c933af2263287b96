# SPDX-License-Identifier: Apache-2.0
"""The table of targets that a release can be published to."""

from __future__ import annotations

from pyhash.errors import UsageError
from pyhash.fetch import Network
from pyhash.push import directory, s3, signed_urls
from pyhash.push._base import Target

_KINDS = (directory.KIND, s3.KIND, signed_urls.KIND)
_BY_SCHEME = {scheme: kind for kind in _KINDS for scheme in kind.schemes}


def open_target(reference: str, network: Network) -> Target:
    """Return the target that a reference names. Safe to call from any thread.

    Args:
        reference: A directory, ``s3://…``, or ``links://FILE`` with URLs that are signed for PUT.
        network: How to reach it, and as whom.

    Raises:
        UsageError: No such kind of target, or what it needs was not given.
        DependencyError: What this kind needs is not installed.
    """
    scheme, mark, _ = reference.partition("://")
    kind = _BY_SCHEME.get(scheme if mark else "")
    if kind is None:
        known = ", ".join(f"{name}://" for name in _BY_SCHEME if name)
        raise UsageError(f"nothing is published to {scheme}://; there are directories, {known}")
    return kind.open_target(reference, network)
