# SPDX-License-Identifier: Apache-2.0
"""The only package that sees the C engine: calls become functions, statuses become exceptions.

The interpreter lock is free while the engine runs. A long call runs on a thread of its own while
the calling thread reports progress and listens for Ctrl-C, which ends the call within
milliseconds. Nothing here knows checkpoints, manifests or trees above one shard.
"""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from pyhash import errors
from pyhash._native._engine import ffi, lib
from pyhash._native._statuses import check, raise_status
from pyhash.frozen import frozen

DIGEST_BYTES = 32
CHUNK_BYTES = 65_536
SPAN_CHUNKS = 16
SPAN_BYTES = CHUNK_BYTES * SPAN_CHUNKS

READERS = {
    "auto": lib.PYHASH_READER_AUTO,
    "mmap": lib.PYHASH_READER_MMAP,
    "buffered": lib.PYHASH_READER_BUFFERED,
    "direct": lib.PYHASH_READER_DIRECT,
}

# What a call did another way than was asked for: slower, never different.
NOTES = {
    lib.PYHASH_NOTE_NO_DIRECT: (
        "this file system has no O_DIRECT: cold data was read through the page cache"
    ),
    lib.PYHASH_NOTE_NO_URING: (
        "io_uring is not available here: cold data was not read ahead of hashing"
    ),
}

# Below this the call is over sooner than a person could press Ctrl-C, bytes.
INTERRUPTIBLE_BYTES = 32 << 20
# How often progress is reported, seconds.
POLL_SECONDS = 0.05
# Below this, measuring the kernels would take longer than the best could save, bytes.
CALIBRATED_BYTES = 8 << 20
# Messages of the widest kernel; length of kernel_for in csrc/pyhash.h.
MOST_LANES = 16
# What each kernel hashes while being measured: enough for 16 lanes, small enough for any L2.
CALIBRATION_MESSAGES, CALIBRATION_BYTES, CALIBRATION_ROUNDS = 16, 8192, 5

Progress = Callable[[int], None]


@frozen
class Kernel:
    """One kernel of the engine.

    Attributes:
        name: Instruction set and lane count, for example ``avx2_x8``.
        lanes: Messages that it hashes at once.
        supported: Whether this processor can run it.
    """

    name: str
    lanes: int
    supported: bool


@frozen
class Range:
    """One run of bytes to hash.

    Attributes:
        path: For messages only.
        source: An open descriptor, or an object with the buffer protocol.
        start: First byte, a multiple of 1 MiB.
        end: One past the last byte: a multiple of 1 MiB, or the end of the shard.
        into: A writable buffer of ``end - start`` bytes, to which the range is read and where it
            is hashed: what was hashed is what it holds. None: not wanted. All ranges of a call
            have one, or none has; after an error nothing is known of its bytes.
    """

    path: str
    source: Any
    start: int
    end: int
    into: Any = None


@frozen
class RangeDigest:
    """What the engine computed for one range.

    Attributes:
        span_nodes: 32 bytes for each span; empty if not asked for.
        file_digest: SHA-256 of the range in one piece; None if not asked for.
    """

    span_nodes: bytes
    file_digest: bytes | None


@functools.cache
def kernels() -> tuple[Kernel, ...]:
    """Return every kernel that was built in, in the engine's order of preference."""
    found = []
    for index in range(lib.pyhash_kernel_count()):
        info = ffi.new("struct pyhash_kernel_info *")
        check(lib.pyhash_kernel_at(index, info))
        name = ffi.string(info.name).decode("ascii")
        found.append(Kernel(name, info.lanes, bool(info.supported)))
    return tuple(found)


@functools.cache
def measure_kernels() -> tuple[tuple[Kernel, float], ...]:
    """Measure every kernel that this processor can run, fastest first; takes a few milliseconds.

    Which kernel wins differs by processor model, so the choice is measured, once per process.

    Returns:
        Pairs of kernel and bytes per second, on data in cache, one thread.
    """
    messages = bytes(CALIBRATION_MESSAGES * CALIBRATION_BYTES)
    rates = []
    for kernel in kernels():
        if kernel.supported:
            best = min(_seconds(kernel.name, messages) for _ in range(CALIBRATION_ROUNDS))
            rates.append((kernel, len(messages) / best))
    return tuple(sorted(rates, key=lambda pair: -pair[1]))


def kernels_by_count() -> tuple[str, ...]:
    """Return which kernel is fastest at 1, 2, ... 16 messages side by side, as measured.

    Sixteen lanes are no use to two messages: the fewer there are, the more often a kernel with
    fewer lanes wins, if its instructions make up for it.
    """
    measured = measure_kernels()

    def seconds(count: int, lanes: int, rate: float) -> float:
        return -(-count // lanes) * lanes / rate

    return tuple(
        min(measured, key=lambda one: seconds(count, one[0].lanes, one[1]))[0].name
        for count in range(1, MOST_LANES + 1)
    )


def _seconds(kernel: str, messages: bytes) -> float:
    start = time.perf_counter()
    hash_messages(messages, CALIBRATION_BYTES, kernel=kernel)
    return max(time.perf_counter() - start, 1e-9)


def hash_messages(messages: Any, size: int, *, kernel: str | None = None) -> bytes:
    """Return the SHA-256 digests of equal messages that lie one after the other.

    Args:
        messages: A whole number of messages.
        size: Bytes of each, at least 1.
        kernel: Name, or None for the engine's preference.

    Raises:
        EngineError: No such kernel, or this processor cannot run it.
        UsageError: The buffer is no whole number of messages.
    """
    view = ffi.from_buffer(messages)
    if size < 1 or len(view) % size:
        raise errors.UsageError(f"{len(view)} bytes are no whole number of {size}-byte messages")
    count = len(view) // size
    digests = bytearray(DIGEST_BYTES * count)
    status = lib.pyhash_hash_messages(
        _name(kernel), view, count, size, ffi.from_buffer(digests, require_writable=True)
    )
    check(status)
    return bytes(digests)


def fold_nodes(nodes: Any, *, kernel: str | None = None) -> bytes:
    """Return the RFC 6962 root over nodes of one level.

    Args:
        nodes: One or more digests of 32 bytes each.
        kernel: Name, or None for the engine's preference.

    Raises:
        EngineError: No such kernel, or this processor cannot run it.
        UsageError: The buffer is empty or no whole number of digests.
    """
    scratch = bytearray(nodes)
    if not scratch or len(scratch) % DIGEST_BYTES:
        raise errors.UsageError(f"{len(scratch)} bytes are not one or more whole digests")
    root = bytearray(DIGEST_BYTES)
    status = lib.pyhash_fold_nodes(
        _name(kernel),
        ffi.from_buffer(scratch, require_writable=True),
        len(scratch) // DIGEST_BYTES,
        ffi.from_buffer(root, require_writable=True),
    )
    check(status)
    return bytes(root)


def hash_ranges(
    ranges: Sequence[Range],
    *,
    span_nodes: bool = True,
    file_digests: bool = False,
    threads: int = 1,
    others: int = 0,
    reader: str = "auto",
    kernel: str | None = None,
    progress: Progress | None = None,
    note: Callable[[str], None] | None = None,
) -> list[RangeDigest]:
    """Hash ranges of open files or of memory, over all of them at once.

    Args:
        ranges: What to hash. Descriptors stay the caller's and open.
        span_nodes: Compute the node of every span.
        file_digests: Compute each range's plain SHA-256 too; ranges must start at 0, and the
            longest should come first.
        threads: Threads of the engine, at least 1.
        others: Threads of other calls that hash meanwhile and share the memory for reading.
        reader: ``auto``, ``mmap``, ``buffered`` or ``direct``.
        kernel: Name, or None for the fastest as measured.
        progress: Called on the calling thread, about 20 times a second and once at the end, with
            the bytes hashed so far.
        note: Called at the end with each sentence of NOTES that applies.

    Returns:
        One result for each range, in their order.

    Raises:
        ReadError: The system refused a read, or a descriptor is no regular file.
        TruncatedError: A file ended before its range did.
        EngineError: Out of memory, or the kernel is unknown or not for this processor.
        UsageError: No such reader, or a range that makes no sense.
        KeyboardInterrupt: Ctrl-C; the engine has stopped.
    """
    if reader not in READERS:
        raise errors.UsageError(f"no reader {reader!r}; there are {', '.join(READERS)}")
    total = sum(item.end - item.start for item in ranges)
    request = _Request(ranges, span_nodes, file_digests)
    options = ffi.new("struct pyhash_options *")
    options.threads, options.others, options.reader = threads, others, READERS[reader]
    if kernel is None and total >= CALIBRATED_BYTES:
        options.kernel_for = request.hold_names(kernels_by_count())
    else:
        options.kernel = request.hold_names([kernel])[0] if kernel else ffi.NULL
    control = ffi.new("struct pyhash_control *")
    error = ffi.new("struct pyhash_error *")

    def call() -> int:
        return int(lib.pyhash_hash_ranges(request.ranges, len(ranges), options, control, error))

    status = _run(call, control, progress) if total >= INTERRUPTIBLE_BYTES else call()
    if status != lib.PYHASH_OK:
        raise_status(status, error, ranges)
    if progress:
        progress(int(control.bytes_done))
    for bit, text in NOTES.items():
        if note and control.notes & bit:
            note(text)
    return request.results()


class _Request:
    """The C view of a list of ranges, and the buffers that its pointers need kept alive."""

    def __init__(self, ranges: Sequence[Range], span_nodes: bool, file_digests: bool) -> None:
        counts = [_span_count(item) if span_nodes else 0 for item in ranges]
        self._counts = counts
        self._nodes = bytearray(DIGEST_BYTES * sum(counts))
        self._digests = bytearray(DIGEST_BYTES * len(ranges) if file_digests else 0)
        self.keep: list[Any] = []
        nodes = ffi.from_buffer("uint8_t[]", self._nodes)
        digests = ffi.from_buffer("uint8_t[]", self._digests)
        self.keep += [nodes, digests]
        self.ranges = ffi.new("struct pyhash_range[]", len(ranges))
        offset = 0
        for index, (item, count) in enumerate(zip(ranges, counts, strict=True)):
            target = self.ranges[index]
            target.start, target.end = item.start, item.end
            if isinstance(item.source, int):
                target.fd = item.source
            else:
                target.fd, target.memory = -1, self._memory(item)
            if item.into is not None:
                target.into = self._place(item)
            if span_nodes:
                target.span_nodes = nodes + offset
            if file_digests:
                target.file_digest = digests + DIGEST_BYTES * index
            offset += DIGEST_BYTES * count

    def _memory(self, item: Range) -> Any:
        try:
            view = ffi.from_buffer("uint8_t[]", item.source)
        except (TypeError, BufferError, ValueError) as error:
            raise errors.UsageError(f"not one contiguous buffer: {error}") from error
        if len(view) < item.end:
            raise errors.UsageError(f"{len(view)} bytes are fewer than the range's {item.end}")
        self.keep.append(view)
        return view

    def hold_names(self, names: Sequence[str]) -> Any:
        """Return C strings that live as long as this request."""
        strings = [_name(name) for name in names]
        array = ffi.new("char *[]", strings)
        self.keep += [*strings, array]
        return array

    def _place(self, item: Range) -> Any:
        try:
            view = ffi.from_buffer("uint8_t[]", item.into, require_writable=True)
        except (TypeError, BufferError, ValueError) as error:
            raise errors.UsageError(f"not one contiguous writable buffer: {error}") from error
        if len(view) != item.end - item.start:
            raise errors.UsageError(
                f"{len(view)} bytes are no place for the range's {item.end - item.start}"
            )
        self.keep.append(view)
        return view

    def results(self) -> list[RangeDigest]:
        """Cut the out-buffers into one result for each range."""
        found = []
        offset = 0
        all_nodes, digests = memoryview(self._nodes), memoryview(self._digests)
        for index, count in enumerate(self._counts):
            nodes = bytes(all_nodes[offset : offset + DIGEST_BYTES * count])
            digest = bytes(digests[DIGEST_BYTES * index : DIGEST_BYTES * (index + 1)])
            found.append(RangeDigest(nodes, digest or None))
            offset += DIGEST_BYTES * count
        return found


def _span_count(item: Range) -> int:
    return -(-(item.end - item.start) // SPAN_BYTES)


def _name(kernel: str | None) -> Any:
    return ffi.NULL if kernel is None else ffi.new("char[]", kernel.encode("utf-8"))


def _run(call: Callable[[], int], control: Any, progress: Progress | None) -> int:
    """Make the call on a thread of its own, so that this one can hear Ctrl-C."""
    begun: list[bool] = []
    over: list[bool] = []
    statuses: list[int] = []
    wake = threading.Lock()
    wake.acquire()

    def work() -> None:
        begun.append(True)
        try:
            statuses.append(call())
        finally:
            over.append(True)
            wake.release()

    # What is true stands in the lists, and the lock only ends a sleep early: Ctrl-C within
    # Thread.join makes a running thread count as ended (until Python 3.13), and within Event.wait
    # it can leave the event locked for ever.
    try:
        threading.Thread(target=work, name="pyhash-engine", daemon=True).start()
        while not over:
            wake.acquire(timeout=POLL_SECONDS)
            if progress:
                progress(int(control.bytes_done))
    finally:
        # Also when progress() raised: buffers must outlive the engine's use of them. A thread that
        # has not begun holds them itself, and will find that it need not.
        control.cancel = 1
        while begun and not over:
            wake.acquire(timeout=POLL_SECONDS)
    return statuses[0]
