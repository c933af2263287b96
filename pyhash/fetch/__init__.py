# SPDX-License-Identifier: Apache-2.0
"""The table of sources that a release can be fetched from.

Adding one is one file here and one line in ``_KINDS``.
"""

from __future__ import annotations

from pyhash.errors import UsageError
from pyhash.fetch import directory, https, huggingface, links, s3
from pyhash.fetch._base import Network, Source, SourceKind
from pyhash.fetch.tuf_pointer import TrustedPointer, TufTrust, fetch_trusted_pointer

__all__ = [
    "Network",
    "Source",
    "SourceKind",
    "TrustedPointer",
    "TufTrust",
    "fetch_trusted_pointer",
    "open_source",
]

_KINDS = (directory.KIND, https.KIND, s3.KIND, huggingface.KIND, links.KIND)
_BY_SCHEME = {scheme: kind for kind in _KINDS for scheme in kind.schemes}


def open_source(reference: str, network: Network) -> Source:
    """Return the source that a reference names. Safe to call from any thread.

    Args:
        reference: A directory, ``https://…``, ``s3://…``, ``hf://…``, or ``links://FILE``.
        network: How to reach it.

    Raises:
        UsageError: No such kind of source, or plain http.
        FetchError: There is nothing there.
        DependencyError: What this kind needs is not installed.
    """
    scheme, mark, _ = reference.partition("://")
    kind = _BY_SCHEME.get(scheme if mark else "")
    if kind is None:
        known = ", ".join(f"{name}://" for name in _BY_SCHEME if name)
        why = " (only https is fetched from)" if scheme == "http" else ""
        raise UsageError(f"no source {scheme}://{why}; there are directories, {known}")
    return kind.open_source(reference, network)
