# SPDX-License-Identifier: Apache-2.0
"""MAIN PATH. Load a checkpoint so that the model gets the very bytes that were checked.

Steps 1 to 4 are those of verifying. Then each file, or each part of one that is asked for, is read
once into memory of this process and hashed there; headers are parsed from those bytes, and nothing
is handed out before everything that was asked for has passed.
"""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import InitVar, dataclass
from typing import Any, NoReturn, TypeAlias

from pyhash import errors, formats, hashing
from pyhash.access import AccessLog
from pyhash.findings import raise_findings
from pyhash.loading._recorded import Recording, recording
from pyhash.loading._slices import Slices, Want, read_tensors
from pyhash.loading._source import GUARANTEE, Source, dropping
from pyhash.loading._views import Tensor
from pyhash.manifest import Manifest
from pyhash.opening import Opened, given_policy, open_checkpoint
from pyhash.policy import Policy, PolicyFile
from pyhash.signing import Identity

_SEAL = object()

Only: TypeAlias = Collection[str] | Mapping[str, Slices | None]


@dataclass(frozen=True, slots=True, eq=False)
class Loaded:
    """Bytes of a checkpoint in this process's memory, all of them verified there.

    Attributes:
        location: The checkpoint as the caller named it.
        manifest: What was signed.
        root: Checkpoint root, 32 bytes; None for a bundle made by another OMS tool.
        guarantee: ``loaded``: the bytes handed out were hashed where they are.
        key_hint: The trusted key that signed: SHA-256 of its public PEM, hex.
        signers: Everybody trusted who signed, each once.
        tensors: Every tensor that was asked for, by name.
        files: Content of every file that was asked for whole, by path.
        metadata: The headers' own pairs, by path.
        size: Bytes read and hashed.
        seconds: Wall time.
    """

    location: str
    manifest: Manifest
    root: bytes | None
    guarantee: str
    key_hint: str
    signers: tuple[Identity, ...]
    tensors: Mapping[str, Tensor]
    files: Mapping[str, memoryview]
    metadata: Mapping[str, Mapping[str, str]]
    size: int
    seconds: float
    _seal: InitVar[object]

    def __post_init__(self, _seal: object) -> None:
        if _seal is not _SEAL:
            raise errors.UsageError("only pyhash.load makes a Loaded")

    def __reduce__(self) -> NoReturn:
        raise errors.UsageError("a Loaded cannot be copied or stored; load again")

    def numpy(self) -> dict[str, Any]:
        """Return every tensor as an array of numpy, which is a view.

        Raises:
            DependencyError: numpy or ml_dtypes is not installed.
        """
        return {name: tensor.numpy() for name, tensor in self.tensors.items()}

    def torch(self) -> dict[str, Any]:
        """Return every tensor as one of torch, which is a view.

        Raises:
            DependencyError: torch is not installed.
            FormatError: Numbers in the other byte order than this machine's.
        """
        return {name: tensor.torch() for name, tensor in self.tensors.items()}


def load(
    path: str | os.PathLike[str],
    *,
    keys: Sequence[str | os.PathLike[str]] = (),
    policy: Policy | PolicyFile | None = None,
    signature: str | os.PathLike[str] | None = None,
    tree: str | os.PathLike[str] | None = None,
    cosignatures: Sequence[str | os.PathLike[str]] = (),
    ignore: Sequence[str] = (),
    root: str | None = None,
    only: Only | None = None,
    paths: Collection[str] | None = None,
    log: AccessLog | None = None,
    options: hashing.Options | None = None,
) -> Loaded:
    """Load a checkpoint, or parts of it, verified in the memory that is handed out, or raise.

    Memory: what is asked for and at most 64 MiB, and the headers. May be called from several
    threads.

    Args:
        path: A directory, or one file.
        keys: Public keys to trust, PEM files; any one may have signed.
        policy: Instead of ``keys``, ``ignore`` and ``root``. Whatever its mode is, it is enforced.
        signature: The bundle; None: ``model.sig`` in the directory, or beside a file, ``.sig``.
        cosignatures: Further bundles over the same statement, for a policy that wants several
            signers; every one of them must hold.
        ignore: Paths inside the checkpoint that may be there unsigned.
        root: The only checkpoint root to accept; None: any.
        tree: The tree file; None: beside the bundle. Only needed with ``only``, and to say where
            damage is.
        only: Names of tensors; or names with a slice for each of their first dimensions, None for
            all of it. None: every file, whole.
        paths: Files inside the checkpoint to look at; None: all. Needed where two files hold
            tensors of the same name.
        log: Where this access is recorded (``pyhash.access.open_access_log``), also when it is
            refused; what cannot be recorded is not handed out. None: nowhere, which a policy
            with ``require-log`` refuses.
        options: How to read and hash.

    Returns:
        What was asked for.

    Raises:
        VerificationError: No; nothing was handed out. ``findings`` say which file, which bytes and
            which tensors.
        CheckError: The answer could not be found out; for example, no tree file with ``only``; or
            the access could not be recorded.
        UsageError: Neither keys nor a policy, no such tensor or file, a bad slice.
        KeyboardInterrupt: Ctrl-C; no answer.
    """
    began = time.monotonic()
    policy = given_policy(path, policy, keys, ignore, root)
    with recording(log, path, policy, signature) as record:
        source = open_source(  # 1, 2, 3, 4
            path,
            record.policy,
            signature=signature,
            tree=tree,
            cosignatures=cosignatures,
            options=options,
        )
        with dropping():
            parts = _load(source, record, paths, only)
    opened = source.opened
    return Loaded(
        location=opened.location,
        manifest=opened.manifest,
        root=opened.manifest.root,
        guarantee=GUARANTEE,
        key_hint=opened.key_hint,
        signers=opened.signers,
        tensors=parts.tensors,
        files=parts.files,
        metadata=parts.metadata,
        size=source.bytes_read,
        seconds=time.monotonic() - began,
        _seal=_SEAL,
    )


def open_source(
    path: str | os.PathLike[str],
    policy: Policy,
    *,
    signature: str | os.PathLike[str] | None,
    tree: str | os.PathLike[str] | None = None,
    cosignatures: Sequence[str | os.PathLike[str]] = (),
    options: hashing.Options | None,
) -> Source:
    """Steps 1 to 4, for a policy that this guarantee is enough for.

    Raises:
        VerificationError, CheckError: As ``open_checkpoint``.
    """
    opened = open_checkpoint(
        path,
        policy,
        guarantee=GUARANTEE,
        signature=signature,
        tree=tree,
        cosignatures=cosignatures,
    )
    return Source(opened, options or hashing.Options())


def chosen_files(opened: Opened, paths: Collection[str] | None) -> list[int]:
    """Return which files of the listing are meant.

    Raises:
        UsageError: One of the paths is no signed file of this checkpoint.
    """
    index_of = {file.path: index for index, file in enumerate(opened.listing.files)}
    if paths is None:
        return list(index_of.values())
    if isinstance(paths, str):
        raise errors.UsageError("give paths as a list, not as one string")
    unknown = sorted(set(paths) - index_of.keys())
    if unknown:
        raise errors.UsageError(f"{unknown[0]}: no signed file of {opened.location}")
    return sorted(index_of[path] for path in paths)


def _load(
    source: Source, record: Recording, paths: Collection[str] | None, only: Only | None
) -> _Parts:
    """Steps 5 to 7; what is returned has been recorded."""
    indexes = chosen_files(source.opened, paths)
    parts = _load_whole(source, indexes) if only is None else _load_parts(source, indexes, only)
    source.remember()
    record.done(source, () if paths is None or only is not None else sorted(paths))
    return parts


class _Parts:
    """What is being put together: see ``Loaded`` for the three."""

    def __init__(self) -> None:
        self.tensors: dict[str, Tensor] = {}
        self.files: dict[str, memoryview] = {}
        self.metadata: dict[str, dict[str, str]] = {}


def _load_whole(source: Source, indexes: list[int]) -> _Parts:
    parts = _Parts()
    parts.files = read_files(source, indexes)
    for path, data in parts.files.items():
        layout = layout_of(data, path)
        for tensor in _tensors(layout, data, path):
            _add(parts, tensor)
        if layout.header_end:
            parts.metadata[path] = dict(layout.metadata)
    return parts


def read_files(source: Source, indexes: Sequence[int] | None = None) -> dict[str, memoryview]:
    """Steps 5 to 7 for whole files: their verified content by path.

    Args:
        source: The checkpoint.
        indexes: Of the files in the listing; None: all.

    Raises:
        VerificationError, CheckError: As ``Source.whole``, or what is signed leads elsewhere.
    """
    listed = source.opened.listing.files
    chosen = range(len(listed)) if indexes is None else indexes
    contents = source.whole(chosen)
    raise_findings(source.opened.doubts)
    return {listed[index].path: data for index, data in zip(chosen, contents, strict=True)}


def read_checkpoint(
    path: str | os.PathLike[str],
    policy: Policy,
    *,
    signature: str | os.PathLike[str] | None,
    log: AccessLog | None,
    options: hashing.Options | None = None,
) -> dict[str, memoryview]:
    """All steps for every file: verified content by path; remembered and recorded.

    Args:
        path: The checkpoint.
        policy: Whom to trust.
        signature: The bundle; None: its usual place.
        log: As of ``load``.
        options: How to read and hash.

    Raises:
        VerificationError, CheckError: As ``load``.
    """
    with recording(log, path, policy, signature) as record:
        source = open_source(path, record.policy, signature=signature, options=options)
        with dropping():
            return _read_all(source, record)


def _read_all(source: Source, record: Recording) -> dict[str, memoryview]:
    contents = read_files(source)
    source.remember()
    record.done(source)
    return contents


def tensors_in_file(path: str, data: memoryview) -> list[Tensor]:
    """Return the tensors of a file whose verified bytes are in memory, as views of them.

    Raises:
        FormatError: It is of a known format and breaks its rules, whoever signed it.
    """
    return _tensors(layout_of(data, path), data, path)


def _tensors(layout: formats.Layout, data: memoryview, path: str) -> list[Tensor]:
    big = _is_big_endian(layout, bytes(data[:8]))
    return [
        Tensor(one.name, one.dtype, one.shape, data[one.start : one.end], path, big)
        for one in layout.tensors
    ]


def layout_of(data: memoryview, path: str) -> formats.Layout:
    """Return the layout of a file whose verified bytes are in memory.

    Raises:
        FormatError: It is of a known format and breaks its rules, whoever signed it.
    """

    def read_at(offset: int, length: int) -> bytes:
        return bytes(data[offset : offset + length])

    return formats.layout_of(read_at, len(data), path)


def _load_parts(source: Source, indexes: list[int], only: Only) -> _Parts:
    """The same for the spans of some tensors and of the headers."""
    raise_findings(source.opened.doubts)
    if isinstance(only, str):
        raise errors.UsageError("give names of tensors as a list, not as one string")
    slices = dict(only) if isinstance(only, Mapping) else dict.fromkeys(only)
    parts = _Parts()
    path_of = [file.path for file in source.opened.listing.files]
    wants: dict[str, Want] = {}
    for want in _find(source, indexes, parts):
        name = want.tensor.name
        if name not in slices:
            continue
        if name in wants:
            raise _twice(name, path_of[want.index], path_of[wants[name].index])
        wants[name] = Want(want.index, want.tensor, slices[name] or (), want.big_endian)
    unknown = sorted(slices.keys() - wants.keys())
    if unknown:
        raise errors.UsageError(f"{source.opened.location}: no tensor {unknown[0]!r}")
    for tensor in read_tensors(source, wants.values(), path_of):
        _add(parts, tensor)
    return parts


def _find(source: Source, indexes: list[int], parts: _Parts) -> Iterator[Want]:
    """Every tensor of these files, by their verified headers and in order of their bytes."""
    for index in indexes:
        path = source.opened.listing.files[index].path
        if not formats.has_tensors(path):
            continue
        layout = source.layout(index)
        big = _is_big_endian(layout, source.reader(index)(0, 8))
        parts.metadata[path] = dict(layout.metadata)
        for tensor in layout.tensors:
            yield Want(index, tensor, (), big)


def _is_big_endian(layout: formats.Layout, head: bytes) -> bool:
    """Only GGUF comes in both orders: its version, a small number, says in which."""
    return layout.format == "gguf" and head[4:5] == b"\0"


def _add(parts: _Parts, tensor: Tensor) -> None:
    other = parts.tensors.setdefault(tensor.name, tensor)
    if other is not tensor:
        raise _twice(tensor.name, tensor.path, other.path)


def _twice(name: str, path: str, other: str) -> errors.UsageError:
    return errors.UsageError(
        f"tensor {name!r} is in {other} and in {path}: say with paths which files are meant"
    )
