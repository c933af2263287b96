# SPDX-License-Identifier: Apache-2.0
"""A release behind a link set: one JSON file with a signed URL for each of its files.

The URLs are secrets for as long as they are valid: whoever has one can read that file. Messages
name the path, never the URL.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from pyhash import files, limits
from pyhash.errors import FetchError, FormatError, NotThereError, UsageError
from pyhash.fetch._base import Network, Source, SourceKind
from pyhash.fetch.https import HttpsSource
from pyhash.merkle import format_root, parse_root
from pyhash.paths import check_path
from pyhash.strict_json import expect_fields, expect_object, expect_string, load_json

KIND_NAME = "pyhash-links-v1"
METHODS = ("GET", "PUT")


@dataclass(frozen=True, slots=True)
class LinkSet:
    """Signed URLs for the files of one release.

    Attributes:
        method: ``GET`` to read the files, or ``PUT`` to store them.
        root: Which release: its checkpoint root, 32 bytes. A promise of who made the set, no proof.
        expires: When the URLs stop working.
        urls: For each path below the release its URL.
    """

    method: str
    root: bytes
    expires: datetime
    urls: Mapping[str, str]


def load_links(data: bytes, path: str) -> LinkSet:
    """Read a link set strictly. Pure, thread-safe.

    Args:
        data: The whole file.
        path: Where it came from, for messages.

    Raises:
        FormatError, LimitError: Not a link set.
    """
    fields = expect_fields(
        load_json(data, path=path, max_bytes=limits.MAX_LINKS_BYTES),
        "the link set",
        path,
        required=("kind", "method", "root", "expires", "urls"),
    )
    if expect_string(fields["kind"], "kind", path) != KIND_NAME:
        raise FormatError(f"{path}: not a link set of the kind {KIND_NAME}", path)
    urls = expect_object(fields["urls"], "urls", path)
    for name in urls:
        check_path(name, source=path)
    try:
        expires = datetime.fromisoformat(expect_string(fields["expires"], "expires", path))
        root = parse_root(expect_string(fields["root"], "root", path))
    except (ValueError, UsageError) as error:
        raise FormatError(f"{path}: {error}", path) from error
    method = expect_string(fields["method"], "method", path)
    if method not in METHODS:
        raise FormatError(f"{path}: links to {method}; there are {', '.join(METHODS)}", path)
    return LinkSet(
        method,
        root,
        expires if expires.tzinfo else expires.replace(tzinfo=UTC),
        {name: expect_string(url, name, path) for name, url in urls.items()},
    )


def dump_links(links: LinkSet) -> bytes:
    """Write a link set. Pure, thread-safe. Raises nothing."""
    fields = {
        "kind": KIND_NAME,
        "method": links.method,
        "root": format_root(links.root),
        "expires": links.expires.isoformat(),
        "urls": dict(links.urls),
    }
    return (json.dumps(fields, indent=1) + "\n").encode("ascii")


def read_links(reference: str, method: str) -> tuple[str, LinkSet]:
    """Read the link set that a reference names, if it is of use now.

    Args:
        reference: ``links://FILE``.
        method: What it must be for.

    Returns:
        The file, and what it says.

    Raises:
        FetchError: It is for something else, or has expired.
        ReadError, FormatError, LimitError: It cannot be read.
    """
    location = reference.removeprefix("links://")
    links = load_links(files.read_small(location, limits.MAX_LINKS_BYTES), location)
    if links.method != method:
        raise FetchError(f"{location}: links to {links.method}, not to {method}", location)
    if links.expires <= datetime.now(UTC):
        raise FetchError(
            f"{location}: these links expired at {links.expires.isoformat()}; ask for new ones",
            location,
        )
    return location, links


def _open_source(reference: str, network: Network) -> Source:
    location, links = read_links(reference, "GET")

    def url_of(path: str) -> str:
        url = links.urls.get(path)
        if url is None:
            raise NotThereError(f"{location}: has no link for {path}", path, location)
        return url

    return HttpsSource(location, url_of, network)


KIND = SourceKind(("links",), _open_source)
