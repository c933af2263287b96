# SPDX-License-Identifier: Apache-2.0
"""MAIN PATH of repairing: bundle, publisher, policy; tree file; damage; spans; the whole again.

What is written has been compared with what a trusted key signed before. What nobody signed is
reported and left where it is.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace

from pyhash import errors, files, hashing, opening, signed_bundle, signed_tree
from pyhash.atomic import write_file
from pyhash.errors import Finding
from pyhash.fetch import Network, open_source
from pyhash.hashing import Options
from pyhash.locations import TREE_NAME, check_keys_outside, inside, places
from pyhash.manifest import Manifest
from pyhash.policy import Policy, check_requirements
from pyhash.pull.finding import Place, place_in_mirror
from pyhash.pull.transfer import BadSpan, Throttle, Transfer, Wanted
from pyhash.repair.stock import Damage, find_damage
from pyhash.repair.target import Mended, Target, work_name
from pyhash.span_hashing import runs_of

CONNECTIONS = 8


@dataclass(frozen=True, slots=True)
class RepairOptions:
    """How to repair; never what is accepted.

    Attributes:
        network: How to reach the sources.
        connections: Requests at once.
        bytes_per_second: Cap on the rate of all of them together; None: none.
        hashing: How to hash; its progress is told bytes hashed, then bytes fetched.
        dry_run: Only find out what would be fetched: nothing is fetched but a missing tree file,
            and nothing is written.
    """

    network: Network = field(default_factory=Network)
    connections: int = CONNECTIONS
    bytes_per_second: int | None = None
    hashing: Options = field(default_factory=Options)
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class TakenSpan:
    """A span that was written.

    Attributes:
        source: Where it came from.
        path: Which shard.
        start, end: Which bytes.
    """

    source: str
    path: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class RepairResult:
    """What a repair came to.

    Attributes:
        manifest: What was signed.
        key_hint: The trusted key that signed.
        damage: The shards that were not what was signed.
        mended: Those of them that are now; all of them, but in a dry run none.
        taken: Which spans were written, and where each came from.
        bad: Spans that a source gave with other bytes, each then had from somewhere.
        tree_source: Where the tree file was taken from; empty: it was whole.
        remaining: What still keeps the checkpoint from being accepted: files that nobody signed,
            or what is signed leads a loader elsewhere. Not touched.
        size: Bytes of all shards.
    """

    manifest: Manifest
    key_hint: str
    damage: tuple[Damage, ...]
    mended: tuple[Mended, ...]
    taken: tuple[TakenSpan, ...]
    bad: tuple[BadSpan, ...]
    tree_source: str
    remaining: tuple[Finding, ...]
    size: int

    @property
    def is_whole(self) -> bool:
        """Whether every file is what was signed, and nothing else is there. Raises nothing."""
        return not self.remaining and len(self.mended) == len(self.damage)


def repair(
    path: str | os.PathLike[str],
    sources: Sequence[str],
    policy: Policy,
    *,
    signature: str | os.PathLike[str] | None = None,
    tree: str | os.PathLike[str] | None = None,
    cosignatures: Sequence[str | os.PathLike[str]] = (),
    options: RepairOptions | None = None,
) -> RepairResult:
    """Mend a checkpoint; called again after it was interrupted, it goes on.

    Every signed file is hashed once; of what differs, each span is fetched, compared with the
    signed tree and only then written; every mended shard is hashed whole once more.

    Args:
        path: A directory, or one file.
        sources: Where copies are: as for ``pull``. The first is preferred.
        policy: Whom to trust; asked before anything is hashed, fetched or written.
        signature: The bundle; None: its usual place. It must be whole: nothing can be mended by a
            bundle that is not verified.
        tree: The tree file; None: its usual place. Damaged or missing, it is fetched and written.
        cosignatures: Further bundles over the same statement; every one of them must hold.
        options: How to repair.

    Raises:
        VerificationError: The bundle is not one that the policy accepts, something else than a
            file is in a shard's place, or spans are bad in every source. What was mended by then
            stays mended.
        FetchError: No source would give a span.
        CheckError: It could not be found out, or not be written.
        UsageError: No source, another repair is under way, or nothing at the path.
        KeyboardInterrupt: Ctrl-C; what was mended stays mended.
    """
    options = options or RepairOptions()
    if not sources:
        raise errors.UsageError("name at least one place that has a copy: --from")
    files.check_there(path)
    check_keys_outside(path, policy.files)
    bundle_path, tree_path = places(path, signature, tree)
    signed = signed_bundle.inspect_signed(
        bundle_path, policy, location=path, cosignatures=cosignatures
    )
    check_requirements(signed.requirements, bundle_path)
    manifest = signed.manifest
    if manifest.root is None:
        raise errors.FormatError(
            f"{bundle_path}: made by another tool, which signs no trees: single spans cannot be"
            " compared; pull the checkpoint again",
            bundle_path,
        )
    ours = (bundle_path, tree_path, *(os.fspath(one) for one in cosignatures))
    with ExitStack() as stack:
        stack.enter_context(_locked(path))
        found = [_open(stack, one, manifest, options) for one in sources]
        nodes, tree_source = _nodes(manifest, tree_path, found, write=not options.dry_run)
        listing = _list(path, manifest, policy, ours)
        damage = find_damage(manifest, nodes, listing, options.hashing)
        target = Target(listing, _directory(path), work_name(manifest.root))
        mended, taken, bad = _mend(damage, found, target, options)
    remaining = _remaining(
        path, policy, damage, mended, signature=signature, tree=tree, cosignatures=cosignatures
    )
    if options.dry_run:
        # What an interrupted repair has left goes with the next one that is no rehearsal.
        work = f"{work_name(manifest.root)}/"
        remaining = tuple(one for one in remaining if not one.path.startswith(work))
    return RepairResult(
        manifest=manifest,
        key_hint=signed.key_hint,
        damage=tuple(damage),
        mended=mended,
        taken=taken,
        bad=bad,
        tree_source=tree_source,
        remaining=remaining,
        size=sum(shard.size or 0 for shard in manifest.shards),
    )


def _open(stack: ExitStack, reference: str, manifest: Manifest, options: RepairOptions) -> Place:
    source = open_source(reference, options.network)
    stack.callback(source.close)
    return place_in_mirror(source, manifest)


def _directory(path: str | os.PathLike[str]) -> str:
    text = os.fspath(path)
    return text if os.path.isdir(text) else os.path.dirname(os.path.realpath(text))


@contextmanager
def _locked(path: str | os.PathLike[str]) -> Iterator[None]:
    """Keep a second repair of the same checkpoint away. The directory itself is what is locked."""
    with files.reading(os.fspath(path)):
        lock = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise errors.UsageError(
                f"{os.fspath(path)}: another repair of it is under way, or its file system has no"
                f" locks ({error.strerror})"
            ) from error
        yield
    finally:
        os.close(lock)


def _nodes(
    manifest: Manifest, tree_path: str, found: Sequence[Place], *, write: bool
) -> tuple[tuple[memoryview, ...], str]:
    """Return the signed span nodes: from the tree file here, or from the first source that has
    the right one, which then takes its place.
    """
    try:
        return signed_tree.require_signed_nodes(manifest, tree_path), ""
    except errors.CheckError as error:
        reason = error
    for one in found:
        where = f"{one.name}: {one.prefix}{TREE_NAME}"
        try:
            data = one.source.fetch_small(one.prefix + TREE_NAME, signed_tree.tree_limit(manifest))
            nodes = signed_tree.fold_tree(manifest, data, where)
        except (errors.FetchError, errors.FormatError):
            continue
        if write:
            write_file(tree_path, data)
        return nodes, one.name
    raise errors.FetchError(
        f"{reason}; and no source has a tree file that folds to the signed roots", tree_path
    )


def _list(
    path: str | os.PathLike[str], manifest: Manifest, policy: Policy, ours: Sequence[str]
) -> files.Listing:
    """List what is there; refuse when a link or device is where a signed file belongs, or above
    it: what is written must not go elsewhere.
    """
    ignored = (*opening.ignored_paths(manifest, policy), work_name(manifest.root or b""))
    own = opening.own_paths(manifest, [inside(path, name) for name in ours])
    listing = files.list_checkpoint(path, hashing.ignorer(ignored), own=own)
    signed = {shard.path for shard in manifest.shards}
    above = {path[:at] for path in signed for at in range(len(path)) if path[at] == "/"}
    in_the_way = [one for one in listing.strange if one.path in signed | above]
    if in_the_way:
        first = in_the_way[0]
        raise errors.UnexpectedFileError(
            f"{first.path}: {first.message}; remove it first", tuple(in_the_way)
        )
    return listing


def _mend(
    damage: Sequence[Damage], found: Sequence[Place], target: Target, options: RepairOptions
) -> tuple[tuple[Mended, ...], tuple[TakenSpan, ...], tuple[BadSpan, ...]]:
    if options.dry_run:
        return (), (), ()
    taken: list[TakenSpan] = []
    lock = threading.Lock()

    def note(source: str, path: str, start: int, end: int) -> None:
        with lock:
            taken.append(TakenSpan(source, path, start, end))

    transfer = Transfer(
        found,
        target,
        options.network,
        Throttle(options.bytes_per_second),
        connections=options.connections,
        taken=note,
    )
    quiet = replace(options.hashing, progress=None)
    total = sum(one.bytes_wanted for one in damage)
    mended = []
    goes_on = target.is_work_there()
    try:
        # First all of them: a rename changes the other names of a file, which is no change of
        # content.
        missing = [target.prepare(one, quiet) for one in damage]
        # Then shard by shard: one that is done is whole and durable, whatever becomes of the next.
        for one, spans in zip(damage, missing, strict=True):
            runs = runs_of(spans, one.size)
            wanted = [Wanted(one.path, one.size, run.start, run.end, one.nodes) for run in runs]
            transfer.fetch(wanted, _reporter(options.hashing, total))
            mended.append(target.finish(one, quiet))
    except errors.PyhashError:
        if not taken and not goes_on:  # nothing that another try would be glad of
            with suppress(errors.PyhashError):
                target.remove_work()
        raise
    target.remove_work()
    taken.sort(key=lambda span: (span.path, span.start))
    return tuple(mended), tuple(taken), tuple(transfer.bad)


def _reporter(options: Options, total: int) -> Callable[[int], None] | None:
    report = options.progress
    return None if report is None else lambda moved: report(min(moved, total), total)


def _remaining(
    path: str | os.PathLike[str],
    policy: Policy,
    damage: Sequence[Damage],
    mended: Sequence[Mended],
    *,
    signature: str | os.PathLike[str] | None,
    tree: str | os.PathLike[str] | None,
    cosignatures: Sequence[str | os.PathLike[str]],
) -> tuple[Finding, ...]:
    """Steps 1 to 4 of verifying once more, over all that is there now."""
    try:
        opened = opening.open_checkpoint(
            path,
            policy,
            guarantee=None,
            signature=signature,
            tree=tree,
            cosignatures=cosignatures,
        )
    except errors.VerificationError as error:
        if not error.findings:
            raise
        unmended = {one.path for one in damage} - {one.path for one in mended}
        return tuple(one for one in error.findings if one.path not in unmended)
    return opened.doubts


def damaged_runs(damage: Damage) -> tuple[tuple[int, int], ...]:
    """Return the byte ranges of a shard's damaged spans, joined. Raises nothing."""
    return tuple((run.start, run.end) for run in runs_of(damage.spans, damage.size))
