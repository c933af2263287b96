# SPDX-License-Identifier: Apache-2.0
"""MAIN PATH of fetching: bundle, publisher, policy; then tree file, spans, closure; then the name.

Nothing of a release is visible under its destination before all of it is verified.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace

from pyhash import errors, limits, opening, signed_bundle, signed_tree, tree_file
from pyhash.atomic import write_file
from pyhash.fetch import Network, TufTrust, open_source
from pyhash.findings import raise_findings
from pyhash.hashing import Options
from pyhash.locations import BUNDLE_NAME, OWN_NAMES, TREE_NAME
from pyhash.manifest import Manifest
from pyhash.merkle import format_root
from pyhash.policy import Policy, remember_release
from pyhash.pull import plan
from pyhash.pull.finding import Place, find_release, find_trusted_release, place_in_mirror
from pyhash.pull.history import fetch_history, history_names
from pyhash.pull.quarantine import Quarantine, quarantine_for
from pyhash.pull.transfer import BadSpan, Throttle, Transfer
from pyhash.verify_checkpoint import verify

CONNECTIONS = 8


@dataclass(frozen=True, slots=True)
class PullOptions:
    """How to fetch; never what is accepted.

    Attributes:
        network: How to reach the sources.
        connections: Requests at once.
        bytes_per_second: Cap on the rate of all of them together; None: none.
        hashing: How to hash; its progress is told bytes fetched, of bytes wanted.
    """

    network: Network = field(default_factory=Network)
    connections: int = CONNECTIONS
    bytes_per_second: int | None = None
    hashing: Options = field(default_factory=Options)


@dataclass(frozen=True, slots=True)
class PullResult:
    """What a pull came to.

    Attributes:
        destination: Where the release is now.
        manifest: What was signed.
        root: Checkpoint root, 32 bytes; None for a bundle made by another OMS tool.
        key_hint: The trusted key that signed.
        source: The preferred source.
        bytes_moved: Bytes of shards that came over the wire.
        bytes_kept: Bytes that an earlier pull had left and that hashed to what is signed.
        bad: Spans that a source gave with other bytes, each then had from somewhere.
        files: Files that were fetched.
        is_partial: Only a selection was fetched: the directory is no whole checkpoint.
        detail: What a person should know about the way it went; else empty.
    """

    destination: str
    manifest: Manifest
    root: bytes | None
    key_hint: str
    source: str
    bytes_moved: int
    bytes_kept: int
    bad: tuple[BadSpan, ...]
    files: int
    is_partial: bool
    detail: str


def pull(
    reference: str,
    destination: str | os.PathLike[str],
    policy: Policy,
    *,
    mirrors: Sequence[str] = (),
    release: str | None = None,
    tuf: TufTrust | None = None,
    only: Sequence[str] = (),
    cosignatures: Sequence[str | os.PathLike[str]] = (),
    options: PullOptions | None = None,
) -> PullResult:
    """Fetch a release and verify every byte of it; it appears whole, or not at all.

    May be called from several threads for several destinations. Interrupted or failed, it goes on
    from what had been verified when it is called again.

    Args:
        reference: A release, or the home of several: a directory, ``https://…``, ``s3://…``,
            ``hf://…`` or ``links://FILE``.
        destination: A path that nothing has yet.
        policy: Whom to trust; asked before the first byte of a shard is fetched.
        mirrors: Further references that the same release can be had from.
        release: The checkpoint root of the release in a home; None: its latest.
        tuf: Take the latest release of a home only by a pointer that TUF vouches for.
        only: Patterns of files, or names of tensors: fetch only these.
        cosignatures: Further bundles over the same statement; every one of them must hold.
        options: How to fetch.

    Raises:
        VerificationError: The bundle is not one that the policy accepts, or spans are bad in every
            source.
        FetchError: A source would not give it.
        CheckError: It could not be found out, or not be written.
        UsageError: The destination is taken, or a reference makes no sense.
        KeyboardInterrupt: Ctrl-C; what was verified is kept for the next call.
    """
    options = options or PullOptions()
    if tuf is not None and release is not None:
        raise errors.UsageError("a release by its root needs no pointer: give one of the two")
    policy.check_logged()
    target = os.fspath(destination)
    if os.path.lexists(target):
        raise errors.UsageError(f"{target}: is there already; pull to another path, or remove it")
    # What is remembered of releases is remembered under the destination, not the quarantine.
    policy = replace(policy, location=policy.location or os.path.abspath(target))
    with ExitStack() as stack:
        sources = []
        for one in (reference, *mirrors):
            sources.append(open_source(one, options.network))
            stack.callback(sources[-1].close)
        if tuf is None:
            first, bundle = find_release(sources[0], release)
        else:
            first, bundle = find_trusted_release(sources[0], tuf)
        where = f"{first.name}: {first.prefix}{BUNDLE_NAME}"
        manifest, key_hint = signed_bundle.check_signed(
            bundle, where, policy, location=target, cosignatures=cosignatures
        )
        quarantine = stack.enter_context(quarantine_for(target, bundle))
        write_file(quarantine.place(BUNDLE_NAME), bundle)
        fetch_history(first, manifest, bundle, policy, quarantine.path)
        places = [first, *(place_in_mirror(one, manifest) for one in sources[1:])]
        result = _fetch(
            places,
            quarantine,
            manifest,
            key_hint=key_hint,
            policy=policy,
            cosignatures=cosignatures,
            only=only,
            options=options,
        )
        remember_release(policy, target, manifest, int(time.time()))
        return result


def _fetch(
    places: list[Place],
    quarantine: Quarantine,
    manifest: Manifest,
    *,
    key_hint: str,
    policy: Policy,
    cosignatures: Sequence[str | os.PathLike[str]],
    only: Sequence[str],
    options: PullOptions,
) -> PullResult:
    transfer = Transfer(
        places,
        quarantine,
        options.network,
        Throttle(options.bytes_per_second),
        connections=options.connections,
        settle=quarantine.settle,
    )
    nodes, detail = _fetch_tree(places, quarantine, manifest)
    everything = plan.select_all(_sizes(places, manifest), nodes)
    selection, fetched = everything, dict[str, set[int]]()
    if only:
        if not nodes:
            raise errors.UsageError(f"a selection needs the tree file, and {detail}")
        selection, fetched = plan.select_some(everything, only, quarantine, transfer)
    kept = plan.take_stock(selection, quarantine, options.hashing)
    wanted = plan.missing(selection, kept)
    to_come = sum(one.end - one.start for one in wanted)
    quarantine.check_space(to_come)
    moved = transfer.bytes_moved
    transfer.fetch(wanted, _reporter(options.hashing, moved + to_come))
    own = _fetch_own(places[0], quarantine, policy, {one.path for one in manifest.shards})
    tree = [TREE_NAME] if nodes else []
    names = [BUNDLE_NAME, *tree, *own, *(one.path for one in selection)]
    quarantine.keep_only(names)
    if not only:
        _check_whole(quarantine, policy, cosignatures, bool(nodes), options.hashing)
    quarantine.publish(names)
    return PullResult(
        destination=quarantine.destination,
        manifest=manifest,
        root=manifest.root,
        key_hint=key_hint,
        source=places[0].name,
        bytes_moved=transfer.bytes_moved,
        bytes_kept=sum(
            plan.bytes_of(one, kept[one.path] - fetched.get(one.path, set())) for one in selection
        ),
        bad=tuple(transfer.bad),
        files=len(selection),
        is_partial=bool(only),
        detail=detail,
    )


def _sizes(places: list[Place], manifest: Manifest) -> list[tuple[str, int]]:
    """The path and size of every shard; where none is signed, the size that the source names."""
    first = places[0]
    return [
        (one.path, first.source.size_of(first.prefix + one.path) if one.size is None else one.size)
        for one in manifest.shards
    ]


def _reporter(options: Options, total: int) -> Callable[[int], None] | None:
    report = options.progress
    return None if report is None else lambda moved: report(moved, total)


def _fetch_tree(
    places: list[Place], quarantine: Quarantine, manifest: Manifest
) -> tuple[tuple[memoryview, ...], str]:
    """Fetch the tree file from the first place that has the right one."""
    if manifest.root is None:
        return (), "signed by another tool: files were compared whole, after they had arrived"
    limit = min(
        tree_file.tree_bytes(shard.size or 0 for shard in manifest.shards),
        limits.MAX_TREE_FILE_BYTES,
    )
    place = quarantine.place(TREE_NAME)
    for one in places:
        try:
            write_file(place, one.source.fetch_small(one.prefix + TREE_NAME, limit))
            return signed_tree.require_signed_nodes(manifest, place), ""
        except (errors.FetchError, errors.FormatError):
            continue
    if os.path.lexists(place):
        os.unlink(place)
    return (), (
        f"no source has a tree file ({TREE_NAME}) that fits {format_root(manifest.root)}: files"
        " were compared whole, after they had arrived"
    )


def _fetch_own(
    place: Place, quarantine: Quarantine, policy: Policy, signed: Collection[str]
) -> list[str]:
    """Fetch what else of ours lies beside the signed files; each is checked by whoever uses it.

    What the policy was asked about is there already and stays. What cannot be had is left out.
    """
    found = []
    for name in OWN_NAMES:
        if name in (BUNDLE_NAME, TREE_NAME, *signed):
            continue
        if name in history_names(policy):
            found += [name] if os.path.lexists(quarantine.place(name)) else []
            continue
        try:
            data = place.source.fetch_small(place.prefix + name, limits.MAX_PROVENANCE_FILE_BYTES)
        except (errors.FetchError, errors.LimitError):
            continue
        write_file(quarantine.place(name), data)
        found.append(name)
    return found


def _check_whole(
    quarantine: Quarantine,
    policy: Policy,
    cosignatures: Sequence[str | os.PathLike[str]],
    spans_compared: bool,
    options: Options,
) -> None:
    """Names, sizes and closure of all that has arrived; every byte too, unless each span was
    compared on its way.
    """
    if spans_compared:
        opened = opening.open_checkpoint(
            quarantine.path, policy, guarantee=None, cosignatures=cosignatures
        )
        raise_findings(opened.doubts)
    else:
        verify(quarantine.path, policy=policy, cosignatures=cosignatures, options=options)
