# SPDX-License-Identifier: Apache-2.0
"""A release in an S3-compatible store: ``s3://BUCKET/PREFIX``.

Each read is an ordinary HTTPS request with a URL signed here, for a few minutes, by the reader's
credential; so reading is the same code as for any other server. ``obstore`` signs the URLs.
"""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import urlsplit

from pyhash.fetch._base import Network, Source, SourceKind
from pyhash.fetch.https import HttpsSource
from pyhash.s3_access import open_store, sign_url

LINK_LIFETIME = timedelta(minutes=15)


def _open_source(reference: str, network: Network) -> Source:
    store = open_store(reference, dict(network.credentials), ca_file=network.ca_file)
    parts = urlsplit(reference)
    prefix = parts.path.strip("/")
    return HttpsSource(
        f"s3://{parts.netloc}{parts.path}",
        lambda path: sign_url(store, "GET", f"{prefix}/{path}" if prefix else path, LINK_LIFETIME),
        network,
    )


KIND = SourceKind(("s3",), _open_source)
