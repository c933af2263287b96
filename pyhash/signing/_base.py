# SPDX-License-Identifier: Apache-2.0
"""What a signer and a verifier must be able to do, and the table entry that names a method.

No key handling, no file formats: those sit in one file for each method.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol


class Signer(Protocol):
    """Something that signs bytes it is given and never builds them. Immutable, thread-safe."""

    @property
    def hint(self) -> str:
        """Name of the matching verifier: 64 lowercase hex digits. Raises nothing."""

    def sign(self, message: bytes) -> bytes:
        """Sign a message.

        Args:
            message: The exact bytes to sign, never a digest of them.

        Returns:
            The signature, in the encoding that the method defines.

        Raises:
            CheckError: The signer could not sign (a token that does not answer, for example).
        """


class Verifier(Protocol):
    """One trusted key or identity. Immutable, thread-safe."""

    @property
    def hint(self) -> str:
        """Name of this verifier: 64 lowercase hex digits. Raises nothing."""

    def verify(self, message: bytes, signature: bytes) -> None:
        """Check a signature; return nothing when it holds.

        Args:
            message: The exact bytes that were signed.
            signature: The signature, in the encoding that the method defines.

        Raises:
            SignatureError: The signature is not one that this key made over these bytes.
        """


@dataclass(frozen=True, slots=True)
class SigningMethod:
    """One line of the table in ``pyhash.signing``.

    Attributes:
        scheme: What stands before the colon of a key reference, for example ``file``.
        load_signer: Takes what stands after the colon; raises KeyFileError.
        load_verifier: Takes what stands after the colon; raises KeyFileError.
    """

    scheme: str
    load_signer: Callable[[str], Signer]
    load_verifier: Callable[[str], Verifier]
