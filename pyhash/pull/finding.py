# SPDX-License-Identifier: Apache-2.0
"""Where in a source a release lies: right at the top, below its root, or where the pointer says."""

from __future__ import annotations

from dataclasses import dataclass

from pyhash import errors, limits
from pyhash.fetch import Source, TufTrust, fetch_trusted_pointer
from pyhash.locations import BUNDLE_NAME
from pyhash.manifest import Manifest
from pyhash.merkle import parse_root
from pyhash.releases import POINTER_NAME, load_pointer, release_prefix

_MAY_BE_MISSING = 403


@dataclass(frozen=True, slots=True)
class Place:
    """A source, and where in it the release lies.

    Attributes:
        source: The source.
        prefix: What stands before a path of the release; empty, or ends in ``/``.
    """

    source: Source
    prefix: str

    @property
    def name(self) -> str:
        """As in messages. Raises nothing."""
        return self.source.name


def find_release(source: Source, release: str | None) -> tuple[Place, bytes]:
    """Find the release in a source: itself, the one that was asked for, or the latest of a home.

    Args:
        source: The source.
        release: The checkpoint root of the one that is asked for; None: none is.

    Returns:
        Where it lies, and its bundle, of which nothing is verified.

    Raises:
        UsageError: ``release`` is no checkpoint root.
        UnsignedError: The source is neither a release nor the home of releases.
        NotThereError, FetchError: The bundle or the pointer cannot be had.
        LimitError, FormatError: One of them is too large, or the pointer is none.
    """
    prefix = "" if release is None else release_prefix(parse_root(release))
    try:
        return Place(source, prefix), _fetch_bundle(source, prefix)
    except errors.FetchError as error:
        # S3 answers 403 for what is not there when the reader may not list, as it should not.
        missing = isinstance(error, errors.NotThereError)
        if release is not None or not (missing or error.status == _MAY_BE_MISSING):
            raise
        refusal = error
    try:
        pointer = source.fetch_small(POINTER_NAME, limits.MAX_POINTER_BYTES)
    except errors.FetchError as error:
        if not missing:
            raise refusal from error
        if not isinstance(error, errors.NotThereError):
            raise
        raise errors.UnsignedError(
            f"{source.name}: neither a signed release (no {BUNDLE_NAME}) nor the home of releases"
            f" (no {POINTER_NAME})"
        ) from error
    prefix = release_prefix(load_pointer(pointer, f"{source.name}: {POINTER_NAME}"))
    return Place(source, prefix), _fetch_bundle(source, prefix)


def _fetch_bundle(source: Source, prefix: str) -> bytes:
    return source.fetch_small(prefix + BUNDLE_NAME, limits.MAX_BUNDLE_BYTES)


def find_trusted_release(source: Source, trust: TufTrust) -> tuple[Place, bytes]:
    """Find the latest release of a home by a pointer that TUF vouches for.

    Raises:
        PolicyError: The pointer is not believable, or the bundle is not the one that it names.
        FetchError: They cannot be had.
    """
    pointer = fetch_trusted_pointer(source, trust)
    place = Place(source, release_prefix(pointer.root))
    bundle = _fetch_bundle(source, place.prefix)
    pointer.check_bundle(bundle, f"{place.name}: {place.prefix}{BUNDLE_NAME}")
    return place, bundle


def place_in_mirror(source: Source, manifest: Manifest) -> Place:
    """Where the release lies in a mirror: below its root if that is there, or right at the top.

    Raises nothing.
    """
    prefix = "" if manifest.root is None else release_prefix(manifest.root)
    try:
        _fetch_bundle(source, prefix)
    except (errors.FetchError, errors.LimitError):
        prefix = ""
    return Place(source, prefix)
