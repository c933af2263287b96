# SPDX-License-Identifier: Apache-2.0
"""Records who did what with a checkpoint in a transparency log.

For every operation that touches a checkpoint (sign, verify, run, load, push, pull)::

    log = open_access_log("access-log")                      # before any work: refuses early
    record_access(log, log.event("load", "done", location, root=root, files=names))

A log that was asked for and cannot be written raises; the caller must not go on.
"""

from __future__ import annotations

import os
import pwd
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from pyhash.errors import CheckError, PyhashError, VerificationError
from pyhash.log.checkpoint import TrustedLog
from pyhash.log.events import AccessEvent, dump_event, statement_entry
from pyhash.log.note_keys import LOG, NoteSigner, load_signer
from pyhash.log.proof_file import add_proofs
from pyhash.log.reader import open_log
from pyhash.log.writer import Appended, append_entries, check_writable
from pyhash.merkle import format_root

KEY_SUFFIX = ".key"


@dataclass(frozen=True, slots=True)
class AccessLog:
    """A log that events go to. Immutable, thread-safe; ``open_access_log`` makes it.

    Attributes:
        directory: The log.
        signer: Its key.
    """

    directory: str
    signer: NoteSigner

    def event(
        self,
        operation: str,
        outcome: str,
        location: str | os.PathLike[str],
        *,
        root: bytes | None = None,
        files: Sequence[str] = (),
        ranges: Sequence[tuple[str, int, int]] = (),
        key: str | None = None,
        credential: str | None = None,
    ) -> AccessEvent:
        """Return the event of something that this process has just done. Raises nothing.

        Args:
            operation: One of ``log.events.OPERATIONS``.
            outcome: One of ``log.events.OUTCOMES``.
            location: The checkpoint, as the caller knows it.
            root: Its root, 32 bytes; None: not known.
            files: Files that were touched; empty: all.
            ranges: (path, start, end) of what was read of them; empty: all.
            key: Hint of the key that signed it; None: not known.
            credential: Key or account that was used; None: the user's own.
        """
        uid = os.getuid()
        return AccessEvent(
            operation,
            outcome,
            time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            _user_name(uid),
            uid,
            os.uname().nodename,
            credential,
            None if root is None else format_root(root),
            _location(location),
            tuple(files),
            tuple(ranges),
            key,
        )


def open_access_log(
    directory: str | os.PathLike[str], key: str | os.PathLike[str] | None = None
) -> AccessLog:
    """Open a log for appending, and make sure that it can be written.

    Args:
        directory: The log.
        key: Its private key; None: the file beside the log, ``.key`` behind its name.

    Raises:
        KeyFileError: The key cannot be read, or others can read it.
        LogError, SignatureError: The log is not what its checkpoint says.
        ReadError, WriteError, FormatError: The log cannot be read or written.
    """
    name = os.fspath(directory)
    signer = load_signer(f"{name.rstrip('/')}{KEY_SUFFIX}" if key is None else key, kind=LOG)
    check_writable(name, signer)
    return AccessLog(name, signer)


def record_access(log: AccessLog, *events: AccessEvent) -> Appended:
    """Append events to the log; when it returns, they are durable. May be called from any thread.

    Args:
        log: Where to.
        events: In order.

    Raises:
        As ``log.writer.append_entries``; the caller must refuse the operation.
    """
    return append_entries(log.directory, log.signer, [dump_event(event) for event in events])


@contextmanager
def failures_recorded(
    log: AccessLog,
    operation: str,
    location: str | os.PathLike[str],
    claimed: Callable[[], bytes | None] = lambda: None,
) -> Iterator[None]:
    """Record what is refused, fails or is interrupted in the block; success is the caller's.

    Args:
        log: Where to.
        operation: Name of what is done.
        location: The checkpoint.
        claimed: Asked after a refusal: the root that was validly signed, if there was one.

    Raises:
        Whatever the block raises. The operation has not taken place then, and a second error, of
        the record, does not hide that.
    """
    try:
        yield
    except (VerificationError, CheckError, KeyboardInterrupt) as error:
        outcome = "refused" if isinstance(error, VerificationError) else "failed"
        root = None
        with suppress(PyhashError):
            root = claimed()
        with suppress(PyhashError):
            record_access(log, log.event(operation, outcome, location, root=root))
        raise


def record_statement(log: AccessLog, bundle: bytes, proofs: str | os.PathLike[str]) -> Appended:
    """Append a signed statement, and keep the proof that it is in the log beside the checkpoint.

    Args:
        log: Where to.
        bundle: The exact bytes of the statement's bundle.
        proofs: The file with proofs (``locations.default_proofs``).

    Raises:
        As ``record_access``; and what ``log.proof_file.add_proofs`` raises.
    """
    appended = append_entries(log.directory, log.signer, [statement_entry(bundle)])
    reader = open_log(log.directory, TrustedLog(log.signer.verifier))
    add_proofs(proofs, {bundle: reader.prove(appended.first)[1]})
    return appended


def _location(location: str | os.PathLike[str]) -> str:
    name = os.fspath(location)
    path = name if "://" in name else os.path.abspath(name)
    return path.encode("utf-8", "backslashreplace").decode("utf-8")


def _user_name(uid: int) -> str | None:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:  # a container's user without a name
        return None
