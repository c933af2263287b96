# SPDX-License-Identifier: Apache-2.0
"""A release in a repository of a Hugging Face style endpoint: ``hf://HOST/ORG/NAME@REVISION``.

Only the resolving URL is used, which every such endpoint has; no SDK and no account. A revision
that can move (a branch) is fine: what is fetched is compared with what is signed.
"""

from __future__ import annotations

import re
from urllib.parse import quote

from pyhash.errors import UsageError
from pyhash.fetch._base import Network, Source, SourceKind
from pyhash.fetch.https import HttpsSource

_REFERENCE = re.compile(
    r"hf://(?P<host>[^/@\s]+)/(?P<repo>[^/@\s]+/[^/@\s]+)(@(?P<revision>[^@\s]+))?"
)


def _open_source(reference: str, network: Network) -> Source:
    match = _REFERENCE.fullmatch(reference)
    if match is None:
        raise UsageError(f"{reference}: expected hf://HOST/ORG/NAME or hf://HOST/ORG/NAME@REVISION")
    revision = quote(match["revision"] or "main", safe="")
    base = f"https://{match['host']}/{quote(match['repo'])}/resolve/{revision}"
    return HttpsSource(reference, lambda path: f"{base}/{quote(path)}", network)


KIND = SourceKind(("hf",), _open_source)
