# SPDX-License-Identifier: Apache-2.0
"""A PUT to an S3 server, signed by hand (AWS Signature Version 4), that may claim another digest.

From Amazon's description of the signature, with hmac alone: what our own client would never send.
"""

from __future__ import annotations

import datetime
import hashlib
import hmac
import http.client
import ssl
from base64 import b64encode
from dataclasses import dataclass
from urllib.parse import urlsplit

REGION = "us-east-1"


@dataclass(frozen=True)
class Answer:
    """What the server said."""

    status: int
    body: str


def put(
    endpoint: str,
    ca_file: str,
    credential: dict[str, str],
    path: str,
    data: bytes,
    *,
    payload_of: bytes,
    checksum_of: bytes,
) -> Answer:
    """Send ``data``, and say that its digests are those of other bytes.

    Args:
        endpoint: ``https://HOST:PORT``.
        ca_file: Whom to trust.
        credential: ``access_key_id`` and ``secret_access_key``.
        path: ``/BUCKET/KEY``.
        data: The body.
        payload_of: Whose SHA-256 is signed as the body's.
        checksum_of: Whose SHA-256 is sent as the object's checksum.
    """
    now = datetime.datetime.now(datetime.UTC)
    stamp, day = now.strftime("%Y%m%dT%H%M%SZ"), now.strftime("%Y%m%d")
    host = urlsplit(endpoint).netloc
    payload = hashlib.sha256(payload_of).hexdigest()
    headers = {
        "host": host,
        "x-amz-checksum-sha256": b64encode(hashlib.sha256(checksum_of).digest()).decode(),
        "x-amz-content-sha256": payload,
        "x-amz-date": stamp,
    }
    names = ";".join(sorted(headers))
    lines = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
    request = f"PUT\n{path}\n\n{lines}\n{names}\n{payload}"
    scope = f"{day}/{REGION}/s3/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    key = ("AWS4" + credential["secret_access_key"]).encode()
    for word in (day, REGION, "s3", "aws4_request"):
        key = hmac.digest(key, word.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    headers["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={credential['access_key_id']}/{scope},"
        f" SignedHeaders={names}, Signature={signature}"
    )
    context = ssl.create_default_context(cafile=ca_file)
    connection = http.client.HTTPSConnection(host, context=context, timeout=30)
    try:
        connection.request("PUT", path, data, headers)
        answer = connection.getresponse()
        return Answer(answer.status, answer.read().decode("utf-8", "replace"))
    finally:
        connection.close()
