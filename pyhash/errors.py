# SPDX-License-Identifier: Apache-2.0
"""Every exception that pyhash raises on purpose, and the findings they carry.

Two branches that must never be mixed up: "the answer is no" and "could not check". Both stop a
start; they need different people to act.

    PyhashError
    ├── VerificationError            the answer is no: refuse (exit code 1)
    │   ├── SignatureError           no valid signature by a trusted key over these bytes
    │   ├── UnsignedError            there is no bundle at all
    │   ├── PolicyError              validly signed, but not what the policy accepts
    │   ├── MissingShardError        a signed file is not there
    │   ├── UnexpectedFileError      a file, link or device that nobody signed
    │   ├── SizeMismatchError        a file has another size than the signed one
    │   ├── DigestMismatchError      a file has other bytes than the signed ones
    │   ├── ChangedWhileReadError    a file changed between opening and the end of hashing
    │   ├── ClosureError             what is signed could lead a loader to something else
    │   ├── LogError                 a transparency log is not the one that it was, or lacks a proof
    │   └── ProvenanceError          a step of the life cycle is missing, forged or not accepted
    ├── CheckError                   could not check: refuse too (exit code 3)
    │   ├── FormatError              bytes that do not follow their format
    │   │   └── LimitError           a size or count above its cap (limits.py)
    │   ├── ReadError                the operating system would not give the bytes
    │   │   └── TruncatedError       a file ended before the bytes that were asked for
    │   ├── WriteError               the operating system would not write a file
    │   ├── FetchError               a source would not give what was asked for
    │   │   └── NotThereError        a source has no such object
    │   ├── PushError                a target would not store something
    │   ├── KeyFileError             a key that cannot be read, or must not be used
    │   ├── ReceiptError             a receipt that is missing, forged, or not for these files
    │   ├── SealError                fs-verity is not to be had, or a file is not sealed by it
    │   ├── PolicyFileError          a policy, or what it names, cannot be read or must not be used
    │   ├── DependencyError          a library that this request needs is not installed
    │   ├── EngineError              the native engine refused or failed
    │   └── CancelledError           the caller asked to stop before the answer was known
    └── UsageError                   the request itself makes no sense (exit code 2)
"""

from __future__ import annotations

from pyhash.frozen import frozen


@frozen
class DamagedRange:
    """One run of bytes that differs from what was signed.

    Attributes:
        start: First byte, counted from the start of the file.
        end: One past the last byte. Ranges are whole spans of 1 MiB, so the true difference lies
            somewhere within.
        tensors: Names of the tensors that own bytes of the range; empty for formats without any.
    """

    start: int
    end: int
    tensors: tuple[str, ...] = ()


@frozen
class Finding:
    """One thing that is wrong with one file.

    Attributes:
        code: Stable machine-readable word: ``missing``, ``unexpected``, ``size``, ``digest``,
            ``changed``, ``closure``.
        path: Path inside the checkpoint, ``/``-separated.
        message: One sentence for a person.
        expected: What was signed (hex digest or size), or None.
        actual: What was found, or None.
        ranges: Damaged byte ranges, as far as they are known.
    """

    code: str
    path: str
    message: str
    expected: str | None = None
    actual: str | None = None
    ranges: tuple[DamagedRange, ...] = ()


class PyhashError(Exception):
    """Base of everything that pyhash raises on purpose. Never raised directly."""


class VerificationError(PyhashError):
    """The answer is no. Never raised directly.

    Attributes:
        findings: Everything that was found wrong, not only the first; may be empty where one
            sentence says it all (a bad signature).
    """

    def __init__(self, message: str, findings: tuple[Finding, ...] = ()) -> None:
        super().__init__(message)
        self.findings = findings


class SignatureError(VerificationError):
    """No trusted key made a valid signature over these bytes."""


class PolicyError(VerificationError):
    """The signature holds, but the policy does not accept it for this checkpoint."""


class UnsignedError(VerificationError):
    """There is no bundle: nobody has signed this checkpoint, or the bundle was taken away."""


class MissingShardError(VerificationError):
    """A file that was signed is not there."""


class UnexpectedFileError(VerificationError):
    """There is a file, link or device that was not signed and that no policy lets be ignored."""


class SizeMismatchError(VerificationError):
    """A file has another size than the signed one."""


class DigestMismatchError(VerificationError):
    """A file has other bytes than the signed ones."""


class ChangedWhileReadError(VerificationError):
    """A file changed between being opened and the end of hashing."""


class ClosureError(VerificationError):
    """What is signed could lead a loader to something else.

    An index or configuration file points at a file that was not signed, or a header or JSON file
    says something twice, so that two readers may understand two things.
    """


class LogError(VerificationError):
    """A log was truncated, forked, reordered or rewritten, or a proof of it does not hold."""


class ProvenanceError(VerificationError):
    """A statement about a checkpoint's life is missing, stands twice, is about another checkpoint,
    or is not what the requirements accept.
    """


class CheckError(PyhashError):
    """The answer could not be found out. Never raised directly.

    Attributes:
        path: The file concerned, or None.
    """

    def __init__(self, message: str, path: str | None = None) -> None:
        super().__init__(message)
        self.path = path


class FormatError(CheckError):
    """Bytes that do not follow the format they claim.

    Attributes:
        offset: Byte at which reading failed, or None where there is no single one.
    """

    def __init__(self, message: str, path: str | None = None, offset: int | None = None) -> None:
        super().__init__(message, path)
        self.offset = offset


class LimitError(FormatError):
    """A size or count is above its cap in ``pyhash.limits``."""


class ReadError(CheckError):
    """The operating system would not give the bytes.

    Attributes:
        errno: The system's error number, or None (for example when a file ended early).
        offset: First byte that could not be read, or None.
    """

    def __init__(
        self,
        message: str,
        path: str | None = None,
        errno: int | None = None,
        offset: int | None = None,
    ) -> None:
        super().__init__(message, path)
        self.errno = errno
        self.offset = offset


class TruncatedError(ReadError):
    """A file ended before the bytes that were asked for: it shrank while it was read."""


class WriteError(CheckError):
    """The system would not write a file; what was there before still is.

    Attributes:
        errno: The system's error number, or None.
    """

    def __init__(self, message: str, path: str | None = None, errno: int | None = None) -> None:
        super().__init__(message, path)
        self.errno = errno


class FetchError(CheckError):
    """A source would not give the bytes, or gave something that cannot be what was asked for.

    Attributes:
        source: Which source, without credentials.
        status: The status that a server answered with, or None.
    """

    def __init__(
        self,
        message: str,
        path: str | None = None,
        source: str | None = None,
        status: int | None = None,
    ) -> None:
        super().__init__(message, path)
        self.source = source
        self.status = status


class NotThereError(FetchError):
    """A source has no such object."""


class PushError(CheckError):
    """A target would not store something.

    Attributes:
        target: Which target, without credentials.
    """

    def __init__(self, message: str, path: str | None = None, target: str | None = None) -> None:
        super().__init__(message, path)
        self.target = target


class KeyFileError(CheckError):
    """A key that cannot be read, is of a kind we do not take, or must not be used."""


class ReceiptError(CheckError):
    """A receipt is missing, is not authentic, or says nothing about the files that are there now.

    Also: the directory that receipts or progress are kept in must not be used.
    """


class SealError(CheckError):
    """The kernel cannot seal a file, or does not vouch for it: no fs-verity on the file system, a
    file that is open for writing, one that is not sealed, or no signed digest to compare with.

    Attributes:
        errno: The system's error number, or None.
    """

    def __init__(self, message: str, path: str | None = None, errno: int | None = None) -> None:
        super().__init__(message, path)
        self.errno = errno


class PolicyFileError(CheckError):
    """A policy file that cannot be read or understood, or that others could change; or the same of
    what it names.
    """


class DependencyError(CheckError):
    """A library that this request needs is not installed; the message says which."""


class EngineError(CheckError):
    """The native engine refused the request or failed (memory, threads, unknown kernel)."""


class CancelledError(CheckError):
    """The caller asked to stop before the answer was known."""


class UsageError(PyhashError):
    """The request itself makes no sense; nothing was read or written."""
