# SPDX-License-Identifier: Apache-2.0
"""Standard base64 in its one canonical spelling, as bundles hold it."""

from __future__ import annotations

import base64
import binascii

from pyhash.errors import FormatError
from pyhash.strict_json import JsonValue, expect_string


def encode_base64(data: bytes) -> str:
    """Return standard base64 with padding. Raises nothing."""
    return base64.b64encode(data).decode("ascii")


def decode_base64(value: JsonValue, where: str, path: str) -> bytes:
    """Decode standard base64 in its one canonical spelling; empty is refused.

    Args:
        value: What was parsed.
        where: Place inside the file, for the message.
        path: The file, for the message.

    Raises:
        FormatError: It is something else.
    """
    text = expect_string(value, where, path)
    try:
        data = binascii.a2b_base64(text)
    except ValueError as error:  # binascii.Error, and ValueError for text beyond ASCII
        raise FormatError(f"{path}: {where} is not base64: {error}", path) from error
    # The decoder skips what it does not know and ignores stray bits; its inverse does not.
    if not data or encode_base64(data) != text:
        raise FormatError(f"{path}: {where} is not standard base64 with padding", path)
    return data
