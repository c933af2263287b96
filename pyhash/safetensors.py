# SPDX-License-Identifier: Apache-2.0
"""``load_file`` and ``safe_open`` with the interface of the safetensors package, verified.

A file is part of a signed checkpoint: the directory that it stands in, or itself where its bundle
stands beside it. The safetensors package is not needed. Importing this module loads neither numpy
nor torch.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from types import EllipsisType, TracebackType
from typing import Any, Self, TypeAlias

from pyhash import errors, formats, hashing
from pyhash.access import AccessLog
from pyhash.findings import raise_findings
from pyhash.loading import (
    Source,
    Tensor,
    Want,
    dropping,
    framework_name,
    layout_of,
    load,
    open_source,
    read_tensors,
    recording,
)
from pyhash.locations import BUNDLE_SUFFIX
from pyhash.opening import given_policy
from pyhash.policy import Policy, PolicyFile

__all__ = ["load_file", "safe_open"]

CPU = "cpu"
Index: TypeAlias = int | slice | EllipsisType


def load_file(
    filename: str | os.PathLike[str],
    device: str | int = CPU,
    *,
    framework: str = "numpy",
    keys: Sequence[str | os.PathLike[str]] = (),
    policy: Policy | PolicyFile | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    signature: str | os.PathLike[str] | None = None,
    root: str | None = None,
    log: AccessLog | None = None,
    options: hashing.Options | None = None,
) -> dict[str, Any]:
    """Load every tensor of one file, or raise; may be called from several threads.

    Args:
        filename: A safetensors file of a signed checkpoint.
        device: Where torch is to put the tensors, after they were verified.
        framework: ``numpy`` (also ``np``) or ``torch`` (also ``pt``).
        keys: Public keys to trust, PEM files; any one may have signed.
        policy: Instead of ``keys`` and ``root``.
        checkpoint: The checkpoint that the file is part of; None: the directory it stands in, or
            the file itself where ``filename`` + ``.sig`` is its bundle.
        signature: The bundle; None: its usual place.
        root: The only checkpoint root to accept; None: any.
        log: As of ``pyhash.load``.
        options: How to read and hash.

    Returns:
        Tensors by name: views of one verified buffer, writable.

    Raises:
        VerificationError: No; nothing was handed out.
        CheckError: The answer could not be found out.
        UsageError: Neither keys nor a policy, or the file is not part of the checkpoint.
    """
    where, path = _place(filename, checkpoint)
    loaded = load(
        where,
        keys=keys,
        policy=policy,
        signature=signature,
        root=root,
        paths=[path],
        log=log,
        options=options,
    )
    return {
        name: _on(tensor.to(framework), device, framework)
        for name, tensor in loaded.tensors.items()
    }


class safe_open:  # noqa: N801 - the name that programs import
    """Open one safetensors file and give verified tensors as they are asked for.

    Each call reads the spans of what it is asked for and compares them with the signed tree. Where
    there is no tree file, the whole file is read and verified when it is opened. May be used from
    several threads.
    """

    def __init__(
        self,
        filename: str | os.PathLike[str],
        framework: str,
        device: str | int = CPU,
        *,
        keys: Sequence[str | os.PathLike[str]] = (),
        policy: Policy | PolicyFile | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        signature: str | os.PathLike[str] | None = None,
        tree: str | os.PathLike[str] | None = None,
        root: str | None = None,
        log: AccessLog | None = None,
        options: hashing.Options | None = None,
    ) -> None:
        """Check the signature, names and sizes, and verify the header.

        Args:
            filename: A safetensors file of a signed checkpoint.
            framework: ``numpy`` (also ``np``) or ``pt`` (also ``torch``).
            device: Where torch is to put the tensors.
            keys: Public keys to trust, PEM files; any one may have signed.
            policy: Instead of ``keys`` and ``root``.
            checkpoint: As of ``load_file``.
            signature: The bundle; None: its usual place.
            tree: The tree file; None: its usual place.
            root: The only checkpoint root to accept; None: any.
            log: As of ``pyhash.load``. That the file was opened is recorded, as ``begun``, and
                each refusal; not every tensor that is read.
            options: How to read and hash.

        Raises:
            VerificationError: No.
            CheckError: The answer could not be found out.
            UsageError: As ``load_file``, or an unknown framework.
        """
        self._framework = framework_name(framework)
        self._device = device
        where, path = _place(filename, checkpoint)
        policy = given_policy(where, policy, keys, (), root)
        self._recording = partial(recording, log, where, policy, signature)
        with self._recording() as record:
            source = open_source(
                where, record.policy, signature=signature, tree=tree, options=options
            )
            raise_findings(source.opened.doubts)
            self._paths = [file.path for file in source.opened.listing.files]
            if path not in self._paths:
                raise errors.UsageError(f"{path}: no signed file of {os.fspath(where)}")
            self._index = self._paths.index(path)
            self._source: Source | None = source
            with dropping():
                self._whole, self._layout = _header(source, self._index, path)
            source.remember()
            record.done(source, [path], outcome="begun")
        self._tensors = {tensor.name: tensor for tensor in self._layout.tensors}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Let go of everything that was kept; tensors that were handed out stay."""
        self._source, self._whole = None, None

    def keys(self) -> list[str]:
        """Return the names of the tensors, sorted. Raises nothing."""
        return sorted(self._tensors)

    def offset_keys(self) -> list[str]:
        """Return the names of the tensors in order of their bytes. Raises nothing."""
        return list(self._tensors)

    def metadata(self) -> dict[str, str] | None:
        """Return the header's own pairs, None where it has none. Raises nothing."""
        return dict(self._layout.metadata) or None

    def get_tensor(self, name: str) -> Any:
        """Return one tensor.

        Args:
            name: Its name.

        Raises:
            UsageError: No such tensor, or the file was closed.
            VerificationError: Its bytes are not the signed ones, or the file is another one now.
            CheckError: They could not be read.
        """
        return self._get(name, ())

    def get_tensors(self) -> dict[str, Any]:
        """Return every tensor.

        Raises:
            UsageError, VerificationError, CheckError: As ``get_tensor``.
        """
        return {name: self.get_tensor(name) for name in self._tensors}

    def get_slice(self, name: str) -> Slice:
        """Return something that reads parts of one tensor when it is indexed.

        Args:
            name: Its name.

        Raises:
            UsageError: No such tensor.
        """
        return Slice(self, self._find(name))

    def _find(self, name: str) -> formats.TensorRange:
        if name not in self._tensors:
            raise errors.UsageError(f"{self._paths[self._index]}: no tensor {name!r}")
        return self._tensors[name]

    def _get(self, name: str, slices: Sequence[slice]) -> Any:
        tensor = self._find(name)
        if self._source is None:
            raise errors.UsageError(f"{self._paths[self._index]}: was closed")
        if self._whole is not None:
            data = self._whole[tensor.start : tensor.end]
            path = self._paths[self._index]
            whole = Tensor(tensor.name, tensor.dtype, tensor.shape, data, path)
            return _on(whole.to(self._framework)[tuple(slices)], self._device, self._framework)
        with self._recording(), dropping():
            want = Want(self._index, tensor, slices)
            (found,) = read_tensors(self._source, [want], self._paths)
        return _on(found.to(self._framework), self._device, self._framework)


class Slice:
    """Parts of one tensor: only the spans of what it is indexed with are read."""

    def __init__(self, file: safe_open, tensor: formats.TensorRange) -> None:
        self._file = file
        self._tensor = tensor

    def get_shape(self) -> list[int]:
        """Return the dimensions of the whole tensor. Raises nothing."""
        return list(self._tensor.shape)

    def get_dtype(self) -> str:
        """Return the format's own name of the element type. Raises nothing."""
        return self._tensor.dtype

    def __getitem__(self, wanted: Index | tuple[Index, ...]) -> Any:
        """Read what numpy or torch would give for the same index: integers, slices, an ellipsis."""
        indexes = _all_dimensions(wanted, self._tensor)
        bounds: list[slice] = []
        rest: list[Any] = []
        for one, dimension in zip(indexes, self._tensor.shape, strict=False):
            if isinstance(one, int):
                at = one + dimension if one < 0 else one
                if not 0 <= at < dimension:
                    raise IndexError(f"{self._tensor.name}: no index {one} in {dimension}")
                bounds.append(slice(at, at + 1))
                rest.append(0)
            else:
                start, end, step = one.indices(dimension)
                if step < 1:
                    raise errors.UsageError(f"{self._tensor.name}: a step of {step}")
                bounds.append(slice(start, max(start, end)))
                rest.append(slice(None, None, step))
        return self._file._get(self._tensor.name, bounds)[tuple(rest)]


def _header(source: Source, index: int, path: str) -> tuple[memoryview | None, formats.Layout]:
    """The layout of a file; without a tree file also its content, which then is read whole."""
    if source.has_tree():
        return None, source.layout(index)
    (whole,) = source.whole([index])
    return whole, layout_of(whole, path)


def _all_dimensions(
    wanted: Index | tuple[Index, ...], tensor: formats.TensorRange
) -> list[int | slice[Any, Any, Any]]:
    indexes = wanted if isinstance(wanted, tuple) else (wanted,)
    if sum(one is Ellipsis for one in indexes) > 1 or len(indexes) > len(tensor.shape) + 1:
        raise IndexError(f"{tensor.name}: too many indexes for {len(tensor.shape)} dimensions")
    found: list[int | slice[Any, Any, Any]] = []
    for one in indexes:
        if isinstance(one, EllipsisType):
            found += [slice(None)] * (len(tensor.shape) - len(indexes) + 1)
        elif isinstance(one, (int, slice)):
            found.append(one)
        else:
            raise errors.UsageError(f"{tensor.name}: indexes are integers and slices, not {one!r}")
    if len(found) > len(tensor.shape):
        raise IndexError(f"{tensor.name}: too many indexes for {len(tensor.shape)} dimensions")
    return found


def _on(tensor: Any, device: str | int, framework: str) -> Any:
    if device == CPU:
        return tensor
    if framework_name(framework) == "numpy":
        raise errors.UsageError(f"numpy has no device {device!r}")
    return tensor.to(device)


def _place(
    filename: str | os.PathLike[str], checkpoint: str | os.PathLike[str] | None
) -> tuple[str | os.PathLike[str], str]:
    """The checkpoint that a file is part of, and its path in there."""
    name = os.fspath(filename)
    if checkpoint is not None and os.path.isdir(checkpoint):
        return checkpoint, os.path.relpath(name, checkpoint)
    if checkpoint is not None or os.path.exists(name + BUNDLE_SUFFIX):
        return name, os.path.basename(name)
    return os.path.dirname(name) or ".", os.path.basename(name)
