# SPDX-License-Identifier: Apache-2.0
"""MAIN PATH of publishing: verify, then shards, tree file, bundle, pointer, in this order, so that
a reader sees a whole release or none. A release that is there is never written over.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, field

from pyhash import files, gate, limits
from pyhash.errors import PushError, UsageError
from pyhash.fetch import Network
from pyhash.hashing import Options
from pyhash.locations import BUNDLE_NAME, OWN_NAMES, TREE_NAME, places
from pyhash.policy import Policy
from pyhash.push._base import Target
from pyhash.push.targets import open_target
from pyhash.releases import POINTER_NAME, dump_pointer, release_prefix
from pyhash.verify_checkpoint import Verified, verify

UPLOADS = 4  # files at once
_POLL_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class PushOptions:
    """How to publish.

    Attributes:
        network: How to reach the target, and as whom.
        uploads: Files at once.
        dry_run: Verify, look what is there, and store nothing.
        latest: Let the pointer point to this release.
        hashing: How to verify; its progress is told bytes stored.
    """

    network: Network = field(default_factory=Network)
    uploads: int = UPLOADS
    dry_run: bool = False
    latest: bool = True
    hashing: Options = field(default_factory=Options)


@dataclass(frozen=True, slots=True)
class PushResult:
    """What a push came to.

    Attributes:
        target: Where the release is.
        root: Checkpoint root, 32 bytes.
        prefix: Where in the target it lies.
        key_hint: The trusted key that signed.
        stored: Paths that were stored, or with a dry run, would be.
        kept: Paths of shards that an earlier push had stored.
        bytes_stored: Bytes of ``stored``.
        was_there: The same release had been published before.
    """

    target: str
    root: bytes
    prefix: str
    key_hint: str
    stored: tuple[str, ...]
    kept: tuple[str, ...]
    bytes_stored: int
    was_there: bool


def push(
    path: str | os.PathLike[str],
    reference: str,
    policy: Policy,
    *,
    cosignatures: Sequence[str | os.PathLike[str]] = (),
    options: PushOptions | None = None,
) -> PushResult:
    """Verify a checkpoint and publish it as a release. May be called from several threads.

    Interrupted or failed, a reader sees nothing of it; called again, it goes on with the files that
    are missing.

    Args:
        path: A checkpoint that is signed.
        reference: The home of releases: a directory, ``s3://…``, or ``links://FILE``.
        policy: Whom to trust: what its readers would refuse is not published.
        cosignatures: Further bundles over the same statement; every one of them must hold.
        options: How to.

    Raises:
        VerificationError: The checkpoint is not one that the policy accepts.
        PushError: The target would not store it, or has this release with another bundle.
        UsageError: It was signed by another tool, whose bundles have no root to publish it under.
        CheckError: It could not be read.
        KeyboardInterrupt: Ctrl-C; nothing of it is visible.
    """
    options = options or PushOptions()
    target = open_target(reference, options.network)
    quiet = options.hashing
    verified = verify(
        path,
        policy=policy,
        cosignatures=cosignatures,
        options=Options(quiet.threads, quiet.reader, quiet.kernel),
    )
    if verified.root is None:
        raise UsageError(f"{path}: signed by another tool, without a checkpoint root; sign it here")
    prefix = release_prefix(verified.root)
    bundle_path, tree_path = places(path, None, None)
    bundle = files.read_small(bundle_path, limits.MAX_BUNDLE_BYTES)
    was_there = _is_there(target, prefix, bundle)
    wanted, kept = _missing(target, prefix, verified, was_there=was_there)
    small = [] if was_there else _small_files(path, tree_path)
    sizes = [_size(verified, one) for one in wanted]
    if not options.dry_run:
        jobs = [(prefix + one, _local(verified, one)) for one in wanted]
        _store(target, jobs, sizes, options)
        gate.check_unchanged(verified)
        _finish(target, prefix, small, bundle, verified.root, latest=options.latest)
    return PushResult(
        target=target.name,
        root=verified.root,
        prefix=prefix,
        key_hint=verified.key_hint,
        stored=tuple(wanted),
        kept=tuple(kept),
        bytes_stored=sum(sizes),
        was_there=was_there,
    )


def _is_there(target: Target, prefix: str, bundle: bytes) -> bool:
    found = target.read_small(prefix + BUNDLE_NAME, limits.MAX_BUNDLE_BYTES)
    if found is not None and found != bundle:
        raise PushError(
            f"{target.name}: {prefix}: this release is published with another bundle, and a"
            " release is never written over; sign the change as a new release",
            prefix,
            target.name,
        )
    return found is not None


def _missing(
    target: Target, prefix: str, verified: Verified, *, was_there: bool
) -> tuple[list[str], list[str]]:
    """Which shards are to be stored, and which an earlier push stored whole."""
    wanted: list[str] = []
    kept: list[str] = []
    for shard in verified.manifest.shards:
        there = was_there or target.size_of(prefix + shard.path) == shard.size
        (kept if there else wanted).append(shard.path)
    return wanted, kept


def _size(verified: Verified, path: str) -> int:
    return next(one.size or 0 for one in verified.manifest.shards if one.path == path)


def _local(verified: Verified, path: str) -> str:
    if verified.listing.is_single_file:
        return verified.location
    return os.path.join(verified.location, path)


def _small_files(path: str | os.PathLike[str], tree_path: str) -> list[tuple[str, str]]:
    """What is stored between shards and bundle: (name, file) of each of our other files."""
    own = [(TREE_NAME, tree_path)]
    if os.path.isdir(path):
        own += [
            (name, os.path.join(path, name))
            for name in OWN_NAMES
            if name not in (BUNDLE_NAME, TREE_NAME)
        ]
    return [(name, file) for name, file in own if os.path.isfile(file)]


def _store(
    target: Target, jobs: list[tuple[str, str]], sizes: list[int], options: PushOptions
) -> None:
    total = sum(sizes)
    report: Callable[[int, int], None] | None = options.hashing.progress
    pool = ThreadPoolExecutor(options.uploads, "pyhash-push")
    try:
        futures = {
            pool.submit(target.put_file, *job): size for job, size in zip(jobs, sizes, strict=True)
        }
        done_bytes, pending = 0, set(futures)
        while pending:
            done, pending = wait(pending, _POLL_SECONDS, FIRST_EXCEPTION)
            for future in done:
                future.result()
                done_bytes += futures[future]
            if report:
                report(done_bytes, total)
    finally:
        pool.shutdown(cancel_futures=True)


def _finish(
    target: Target,
    prefix: str,
    small: list[tuple[str, str]],
    bundle: bytes,
    root: bytes,
    *,
    latest: bool,
) -> None:
    for name, file in small:
        target.put_file(prefix + name, file)
    if not target.put_new(prefix + BUNDLE_NAME, bundle):
        # Somebody was faster; what he published is this very release, or nothing of ours.
        _is_there(target, prefix, bundle)
    if latest:
        target.put_over(POINTER_NAME, dump_pointer(root))
