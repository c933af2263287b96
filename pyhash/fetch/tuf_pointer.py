# SPDX-License-Identifier: Apache-2.0
"""The pointer "latest" under TUF, by python-tuf's client: rotation of keys, no rollback, no freeze.

What is signed is the pointer, with the digest of the bundle that it leads to; the bundle has its
own signature and its policy still. Versions that were seen are kept in a directory of the verifier.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyhash import limits
from pyhash.errors import (
    DependencyError,
    FetchError,
    LimitError,
    NotThereError,
    PolicyError,
    WriteError,
)
from pyhash.fetch._base import Source
from pyhash.releases import POINTER_NAME, TUF_METADATA, TUF_TARGETS, load_pointer

if TYPE_CHECKING:
    from tuf.ngclient import FetcherInterface

_SCHEME = "home:///"  # of the addresses that python-tuf sees; nothing else ever does


@dataclass(frozen=True, slots=True)
class TufTrust:
    """What makes a pointer believable.

    Attributes:
        root: The first root metadata, which came from somewhere else than the home.
        state: A directory that keeps what was seen; without it, an old pointer could come again.
    """

    root: bytes
    state: str


@dataclass(frozen=True, slots=True)
class TrustedPointer:
    """Where the latest release is, by a pointer whose signature, age and version are right.

    Attributes:
        root: Its checkpoint root, 32 bytes.
        bundle_sha256: SHA-256 of its bundle, 32 bytes.
    """

    root: bytes
    bundle_sha256: bytes

    def check_bundle(self, bundle: bytes, where: str) -> None:
        """Refuse another bundle than the one that the pointer names.

        Args:
            bundle: Its exact bytes.
            where: Where it came from, for the message.

        Raises:
            PolicyError: It is another one.
        """
        if hashlib.sha256(bundle).digest() != self.bundle_sha256:
            raise PolicyError(
                f"{where}: another bundle than the one that the trusted pointer names; somebody has"
                " replaced it in the store"
            )


def fetch_trusted_pointer(source: Source, trust: TufTrust) -> TrustedPointer:
    """Fetch the pointer, and check it by TUF.

    Args:
        source: The home.
        trust: Whom to believe, and where earlier versions are remembered.

    Raises:
        PolicyError: A signature is missing, or the pointer is expired, replaced, or older than one
            that was seen.
        FetchError: It cannot be had.
        WriteError: What was seen cannot be remembered.
        DependencyError: The extra ``tuf`` is not installed.
    """
    try:
        from tuf.api import exceptions
        from tuf.ngclient import Updater
    except ImportError as error:
        raise DependencyError(
            "tuf is not installed: pip install 'pyhash-checkpoint[tuf]'"
        ) from error
    where = f"{source.name}: the TUF pointer"
    try:
        os.makedirs(trust.state, mode=0o700, exist_ok=True)
        updater = Updater(
            trust.state,
            f"{_SCHEME}{TUF_METADATA}",
            trust.state,
            f"{_SCHEME}{TUF_TARGETS}",
            _fetcher(source),
            bootstrap=trust.root,
        )
        updater.refresh()
        target = updater.get_targetinfo(POINTER_NAME)
        if target is None:
            raise PolicyError(f"{where}: nobody has signed a {POINTER_NAME}")
        place = updater.download_target(target)
        with open(place, "rb") as file:
            root = load_pointer(file.read(limits.MAX_POINTER_BYTES + 1), where)
    except exceptions.DownloadError as error:
        raise FetchError(f"{where}: {error}", None, source.name) from error
    except exceptions.RepositoryError as error:
        raise PolicyError(f"{where}: refused: {error}") from error
    except OSError as error:
        raise WriteError(f"{trust.state}: {error.strerror}", trust.state, error.errno) from error
    custom = target.custom
    digest = custom.get("bundle_sha256") if isinstance(custom, dict) else None
    if not isinstance(digest, str) or not re.fullmatch("[0-9a-f]{64}", digest):
        raise PolicyError(f"{where}: does not name the bundle that it leads to")
    return TrustedPointer(root, bytes.fromhex(digest))


def _fetcher(source: Source) -> FetcherInterface:
    """Return what lets python-tuf read from a source of ours."""
    from tuf.api import exceptions
    from tuf.ngclient import FetcherInterface

    class SourceFetcher(FetcherInterface):
        """Reads metadata and targets through a source."""

        def _fetch(self, url: str) -> Iterator[bytes]:
            try:
                yield source.fetch_small(url.removeprefix(_SCHEME), limits.MAX_TUF_BYTES)
            except NotThereError as error:
                raise exceptions.DownloadHTTPError(str(error), 404) from error
            except LimitError as error:
                raise exceptions.DownloadLengthMismatchError(str(error)) from error
            except FetchError as error:
                raise exceptions.DownloadError(str(error)) from error

    return SourceFetcher()
