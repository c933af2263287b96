# SPDX-License-Identifier: Apache-2.0
"""Access to S3-compatible stores through ``obstore``: opening one with a credential, signing URLs.

The only file that imports ``obstore`` (extra ``[s3]``). Whoever reads needs it to sign only.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from pyhash.errors import DependencyError, FetchError, ReadError, UsageError
from pyhash.files import read_small

if TYPE_CHECKING:
    from obstore.store import S3Store

# What a credential may say; all but the first two have a default.
CREDENTIAL_FIELDS = (
    "access_key_id",
    "secret_access_key",
    "session_token",
    "endpoint",
    "region",
)
DEFAULT_REGION = "us-east-1"
MAX_CA_FILE_BYTES = 1 << 22
ATTEMPTS = 11  # of one request, what obstore takes for granted: a busy store costs time, not a push
METHODS: dict[str, Literal["GET", "PUT", "HEAD", "DELETE"]] = {
    "GET": "GET",
    "PUT": "PUT",
    "HEAD": "HEAD",
    "DELETE": "DELETE",
}


def open_store(
    reference: str,
    credential: Mapping[str, str],
    *,
    ca_file: str | None = None,
    proxy: str | None = None,
    attempts: int = ATTEMPTS,
) -> S3Store:
    """Return a bucket that was opened with a credential; connects to nobody yet.

    Where it is and who asks is what is said here, and nothing that stands in the environment.

    Args:
        reference: ``s3://BUCKET/…``.
        credential: Values for names of ``CREDENTIAL_FIELDS``.
        ca_file: PEM file of authorities to trust instead of the system's.
        proxy: URL of a proxy.
        attempts: How often a request that failed on the way is sent, with growing pauses.

    Raises:
        UsageError: No bucket, a prefix that no object can have, an incomplete credential, a plain
            http endpoint, or a CA file or proxy that cannot be used.
        DependencyError: obstore is not installed.
    """
    bucket = _bucket(reference)
    for name in ("access_key_id", "secret_access_key"):
        if not credential.get(name):
            raise UsageError(f"{reference}: the credential has no {name}")
    endpoint = credential.get("endpoint")
    if endpoint is not None and not endpoint.startswith("https://"):
        raise UsageError(f"{endpoint}: only https endpoints are used")
    try:
        from obstore.exceptions import BaseError
        from obstore.store import S3Store
    except ImportError as error:
        raise DependencyError(
            "obstore is not installed: pip install 'pyhash-checkpoint[s3]'"
        ) from error
    known: Any = {
        "access_key_id": credential["access_key_id"],
        "secret_access_key": credential["secret_access_key"],
        "token": credential.get("session_token") or None,
        "expires_at": None,
    }
    options = _client_options(ca_file, proxy)
    try:
        return S3Store(
            bucket,
            config=_config(endpoint, credential.get("region") or DEFAULT_REGION),
            client_options=options,
            credential_provider=lambda: known,
            retry_config={"max_retries": attempts - 1},
        )
    except (BaseError, ValueError) as error:
        # Says neither which option nor which file; nothing has been asked of anybody yet.
        given = ", ".join(one for one in (ca_file, proxy) if one) or reference
        raise UsageError(f"{given}: cannot be used: {first_line(error)}") from error


def first_line(error: Exception) -> str:
    """Return what an error of ``obstore`` says, without the requests and answers that follow.

    Raises nothing.
    """
    return str(error).strip().partition("\n")[0]


def _bucket(reference: str) -> str:
    try:
        parts = urlsplit(reference)
    except ValueError as error:
        raise UsageError(f"{reference}: expected s3://BUCKET/PREFIX") from error
    if not parts.netloc:
        raise UsageError(f"{reference}: expected s3://BUCKET/PREFIX")
    prefix = parts.path.strip("/")
    if prefix and set(prefix.split("/")) & {"", ".", ".."}:
        raise UsageError(f"{reference}: a prefix without empty names, . and .. is expected")
    return parts.netloc


def _config(endpoint: str | None, region: str) -> Any:
    """Every setting that decides where bytes go, and how they are checked.

    obstore takes what is not set here from AWS_* variables: one of them would send a push, with
    its signature, to another server.
    """
    endpoint = endpoint or f"https://s3.{region}.amazonaws.com"
    return {
        "endpoint": endpoint,
        "aws_endpoint_url_s3": endpoint,  # has precedence
        "region": region,
        "virtual_hosted_style_request": False,
        "s3_express": False,
        "skip_signature": False,
        "unsigned_payload": False,
        "request_payer": False,
        "conditional_put": "etag",
        "checksum_algorithm": "SHA256",
    }


def _client_options(ca_file: str | None, proxy: str | None) -> Any:
    options: dict[str, object] = {
        "allow_http": False,
        "allow_invalid_certificates": False,
        "timeout": timedelta(minutes=30),
    }
    if ca_file is not None:
        try:
            options["root_certificate"] = read_small(ca_file, MAX_CA_FILE_BYTES).decode("ascii")
        except (ReadError, UnicodeDecodeError) as error:
            raise UsageError(f"{ca_file}: cannot be used as a list of authorities") from error
    if proxy is not None:
        options["proxy_url"] = proxy
    return options


def sign_url(store: S3Store, method: str, key: str, lifetime: timedelta) -> str:
    """Return a URL that lets its holder do one thing with one object, for some time.

    Args:
        store: What ``open_store`` returned; its credential signs.
        method: A name of ``METHODS``.
        key: The object.
        lifetime: How long.

    Raises:
        FetchError: It cannot be signed.
    """
    import obstore
    from obstore.exceptions import BaseError

    try:
        return obstore.sign(store, METHODS[method], key, lifetime)
    except (BaseError, TypeError, ValueError) as error:
        raise FetchError(f"{key}: no URL could be signed: {first_line(error)}", key) from error
