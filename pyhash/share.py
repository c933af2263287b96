# SPDX-License-Identifier: Apache-2.0
"""Link sets: for each file of one release a URL that works for some time and for nothing else.

Two kinds of URL: an S3 store's own presigned ones, and those of a plain nginx with its
``secure_link`` (an MD5 over expiry, path and a secret that nginx and the signer share: what nginx
offers; forging one takes finding a preimage, which MD5 still withstands).
"""

from __future__ import annotations

import base64
import hashlib
import os
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from urllib.parse import quote, urlsplit

from pyhash.errors import FetchError, NotThereError, UsageError
from pyhash.fetch import Network
from pyhash.fetch.https import HttpsSource
from pyhash.fetch.links import LinkSet
from pyhash.history import check_history
from pyhash.locations import BUNDLE_NAME, OWN_NAMES
from pyhash.manifest import Manifest
from pyhash.policy import Policy
from pyhash.pull.finding import find_release
from pyhash.pull.history import fetch_history
from pyhash.releases import POINTER_NAME, release_prefix
from pyhash.s3_access import open_store, sign_url
from pyhash.signed_bundle import check_signed, load_signed

MAX_LIFETIME = timedelta(days=7)  # what S3 allows, and more than a link should live
LEAST_SECRET_BYTES = 32
_MAY_BE_MISSING = 403

Sign = Callable[[str], str]


def share_release(
    reference: str,
    policy: Policy,
    *,
    lifetime: timedelta,
    network: Network,
    release: str | None = None,
    nginx_secret: bytes | None = None,
) -> LinkSet:
    """Make links to read one release. The publisher is verified first, as for a pull.

    Args:
        reference: The home: ``s3://…``; with a secret of nginx, ``https://…``.
        policy: Whose releases may be shared.
        lifetime: How long the links work.
        network: How to reach the home, and as whom: the links can do what this credential can.
        release: Which, by its root; None: the latest.
        nginx_secret: What nginx has in its configuration.

    Raises:
        VerificationError: The bundle is not one that the policy accepts.
        FetchError: It cannot be had.
        UsageError: The reference is of no kind that has signed URLs, or the lifetime too long.
    """
    policy.check_logged()
    sign = _signer(reference, "GET", lifetime, network, nginx_secret)
    source = HttpsSource(reference, sign, network)
    try:
        place, bundle = find_release(source, release)
        where = f"{reference}: {place.prefix}{BUNDLE_NAME}"
        manifest, _ = check_signed(bundle, where, policy)
        with tempfile.TemporaryDirectory(prefix="pyhash-share-") as directory:
            fetch_history(place, manifest, bundle, policy, directory)
        if manifest.root is None:
            raise UsageError(f"{reference}: signed by another tool, without a root to name it by")
        own = [name for name in OWN_NAMES if _has(source, place.prefix + name)]
    finally:
        source.close()
    names = [*own, *(shard.path for shard in manifest.shards)]
    return LinkSet(
        "GET",
        manifest.root,
        _now() + lifetime,
        {name: sign(place.prefix + name) for name in names},
    )


def share_upload(
    bundle_path: str,
    reference: str,
    policy: Policy,
    *,
    lifetime: timedelta,
    network: Network,
) -> LinkSet:
    """Make links to store one release, for a host that gets no credential of its own.

    Args:
        bundle_path: Its bundle.
        reference: The home, ``s3://…``.
        policy: Whose releases may be published.
        lifetime: How long the links work.
        network: How to reach the home, as a writer.

    Raises:
        VerificationError: The bundle is not one that the policy accepts.
        CheckError: It cannot be read.
        UsageError: As for ``share_release``.
    """
    policy.check_logged()
    signed = load_signed(bundle_path, policy)
    manifest = signed.manifest
    directory = os.path.dirname(os.path.abspath(bundle_path))
    check_history(policy, manifest, signed.payload, directory, bundle_path)
    sign = _signer(reference, "PUT", lifetime, network, None)
    prefix = release_prefix(_root(manifest, bundle_path))
    names = [*OWN_NAMES, *(shard.path for shard in manifest.shards)]
    urls = {name: sign(prefix + name) for name in names}
    return LinkSet(
        "PUT",
        _root(manifest, bundle_path),
        _now() + lifetime,
        urls | {POINTER_NAME: sign(POINTER_NAME)},
    )


def _root(manifest: Manifest, where: str) -> bytes:
    if manifest.root is None:
        raise UsageError(f"{where}: signed by another tool, without a root to name it by")
    return manifest.root


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


def _has(source: HttpsSource, path: str) -> bool:
    """Whether there is one; what a failing server leaves unknown is not taken for a no."""
    try:
        source.size_of(path)
    except FetchError as error:
        # S3 answers 403 for what is not there when the reader may not list.
        if isinstance(error, NotThereError) or error.status == _MAY_BE_MISSING:
            return False
        raise
    return True


def _signer(
    reference: str, method: str, lifetime: timedelta, network: Network, secret: bytes | None
) -> Sign:
    """Return a function from a path below a home to a URL that is signed for one method."""
    if not timedelta(0) < lifetime <= MAX_LIFETIME:
        raise UsageError(f"links live for at most {MAX_LIFETIME.days} days")
    try:
        parts = urlsplit(reference)
    except ValueError as error:
        raise UsageError(f"{reference}: no address: {error}") from error
    base = parts.path.strip("/")
    below = f"{base}/" if base else ""
    if parts.scheme == "s3":
        store = open_store(
            reference, dict(network.credentials), ca_file=network.ca_file, proxy=network.proxy
        )
        return lambda path: sign_url(store, method, below + path, lifetime)
    if parts.scheme == "https" and secret is not None and method == "GET":
        expires = int((_now() + lifetime).timestamp())
        host = f"https://{parts.netloc}"
        return lambda path: sign_for_nginx(host, f"/{below}{path}", expires, secret)
    raise UsageError(
        f"{reference}: links are made for s3://, and to read, for https:// with a secret of nginx"
    )


def sign_for_nginx(host: str, path: str, expires: int, secret: bytes) -> str:
    """Return a URL that nginx accepts by ``secure_link_md5 "$secure_link_expires$uri SECRET"``.

    Args:
        host: ``https://`` and the host.
        path: From the first ``/`` on, not encoded: nginx compares what it has decoded.
        expires: Unix time.
        secret: What nginx has.

    Raises:
        UsageError: The secret is too short.
    """
    if len(secret) < LEAST_SECRET_BYTES:
        raise UsageError(f"a secret of nginx needs at least {LEAST_SECRET_BYTES} bytes")
    message = f"{expires}{path} ".encode() + secret
    digest = hashlib.md5(message).digest()  # noqa: S324 - what nginx offers; see above
    mark = base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")
    return f"{host}{quote(path)}?md5={mark}&expires={expires}"
