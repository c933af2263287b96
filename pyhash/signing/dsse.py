# SPDX-License-Identifier: Apache-2.0
"""DSSE: what exactly is signed (the pre-authentication encoding), and the envelope around it.

Follows the DSSE protocol, version 1. Knows no JSON, no base64 and no keys: ``bundle.py`` reads and
writes the file, the signing methods make the signatures. Lengths are counted in bytes.
"""

from __future__ import annotations

from pyhash.frozen import frozen

PAYLOAD_TYPE = "application/vnd.in-toto+json"


@frozen
class Envelope:
    """A payload with signatures that nobody has checked yet.

    Attributes:
        payload: The exact bytes received. They must not be parsed before ``verify_envelope``.
        payload_type: What the envelope says the payload is; it is signed too.
        signatures: At least one signature, in the order of the file.
    """

    payload: bytes
    payload_type: str
    signatures: tuple[bytes, ...]

    @property
    def message(self) -> bytes:
        """What the signatures are over.

        Raises:
            UnicodeEncodeError: As ``pae``.
        """
        return pae(self.payload_type, self.payload)


def pae(payload_type: str, payload: bytes) -> bytes:
    """Encode what is signed: type and payload, each behind its length. Pure, thread-safe.

    Args:
        payload_type: The type of the payload; encoded as UTF-8.
        payload: The exact bytes of the payload; may be empty.

    Returns:
        ``DSSEv1 LEN(type) type LEN(payload) payload``, lengths in decimal bytes.

    Raises:
        UnicodeEncodeError: The type holds a lone surrogate (``load_bundle`` refuses those).
    """
    kind = payload_type.encode("utf-8")
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)
