# SPDX-License-Identifier: Apache-2.0
"""The files of a checkpoint: listed once without following links, opened once, compared again.

What a file is (device, inode, size, times) is remembered when it is listed. A file that is
another one when it is opened, or after it was hashed, is refused, so a directory that somebody
changes meanwhile cannot be read as a mixture.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace

from pyhash import errors, limits, links
from pyhash.errors import Finding
from pyhash.frozen import frozen
from pyhash.paths import decode_name, encode_path

OPEN_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
KINDS = {
    stat.S_IFLNK: "symbolic link",
    stat.S_IFIFO: "named pipe",
    stat.S_IFSOCK: "socket",
    stat.S_IFCHR: "character device",
    stat.S_IFBLK: "block device",
}


@frozen
class Identity:
    """What makes a file the same file: it changes when the content is written to.

    One way of writing leaves it as it is: a store through a mapping that was made writable
    before, to a page that is dirty already (on tmpfs, any page). SECURITY.md says so too.

    Attributes:
        device, inode: Which file.
        size: Bytes.
        mtime_ns, ctime_ns: Last change of content and of anything, nanoseconds.
    """

    device: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int


@frozen
class CheckpointFile:
    """One regular file of a checkpoint.

    Attributes:
        path: Inside the checkpoint, ``/``-separated.
        identity: As it was when the directory was listed; of a link's target, where links are
            followed.
        target: Where the link at ``path`` ended; None: it is no link.
    """

    path: str
    identity: Identity
    target: str | None = None


@frozen
class Listing:
    """Everything below a checkpoint's directory, as it was at one time.

    Attributes:
        location: The directory, or the one file, as the caller named it.
        name: Its base name.
        is_single_file: The checkpoint is one file.
        files: Regular files, in byte order of their paths.
        strange: What can be no part of a checkpoint: links, pipes, devices, names that are not
            UTF-8.
        links_within: The directory that links to files may not leave; None: every link is strange.
    """

    location: str
    name: str
    is_single_file: bool
    files: tuple[CheckpointFile, ...]
    strange: tuple[Finding, ...]
    links_within: str | None = None


def list_checkpoint(
    location: str | os.PathLike[str],
    ignore: Callable[[str], bool],
    *,
    own: Collection[str] = (),
    links_within: str | os.PathLike[str] | None = None,
) -> Listing:
    """List a checkpoint without following links below it.

    Args:
        location: A directory, or one file.
        ignore: Whether a path inside the checkpoint is left out; of a directory, with everything
            below it.
        own: Paths of our own files. They are left out as long as they are regular files: a
            directory in the place of the tree file would hide whatever lies in it.
        links_within: A directory, such as the root of a cache: links to regular files inside it
            are files of the checkpoint. A link out of it, to a directory, or over more links than
            ``links.MAX_LEVELS`` is as strange as every link is without this.

    Raises:
        ReadError: It does not exist or cannot be read.
        LimitError: Too many files, or too deep.
    """
    text = os.fspath(location)
    root_of_links = None if links_within is None else os.path.realpath(links_within)
    with reading(text):
        status = os.stat(text)
        name = decode_name(os.path.basename(os.path.abspath(text)))
        if not stat.S_ISDIR(status.st_mode):
            if not stat.S_ISREG(status.st_mode):
                raise errors.ReadError(f"{text}: neither a directory nor a regular file", text)
            only = CheckpointFile(name, _identity(status))
            return Listing(text, name, True, (only,), ())
        walk = _Walk(text, ignore, own, root_of_links)
        root = os.open(text, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            walk.directory(root, "", 1)
        finally:
            os.close(root)
    walk.files.sort(key=lambda file: file.path.encode("utf-8"))
    walk.strange.sort(key=lambda finding: finding.path)
    return Listing(text, name, False, tuple(walk.files), tuple(walk.strange), root_of_links)


def subset(listing: Listing, chosen: tuple[CheckpointFile, ...]) -> Listing:
    """Return the listing with only some of its files. Raises nothing."""
    return replace(listing, files=chosen)


def check_there(location: str | os.PathLike[str]) -> None:
    """Refuse a path where there is nothing.

    Raises:
        ReadError: There is nothing, or it cannot be found out.
    """
    text = os.fspath(location)
    with reading(text):
        os.stat(text)


class _Walk:
    """One listing under way."""

    def __init__(
        self,
        location: str,
        ignore: Callable[[str], bool],
        own: Collection[str],
        links_within: str | None,
    ) -> None:
        self.location = location
        self.ignore = ignore
        self.own = own
        self.links_within = links_within
        self.files: list[CheckpointFile] = []
        self.strange: list[Finding] = []

    def directory(self, descriptor: int, prefix: str, depth: int) -> None:
        """List one open directory and, by descriptors only, those below it."""
        if depth > limits.MAX_PATH_DEPTH:
            raise errors.LimitError(
                f"{prefix}: deeper than {limits.MAX_PATH_DEPTH} directories", self.location
            )
        with os.scandir(descriptor) as entries:
            names = sorted(decode_name(entry.name) for entry in entries)
        for name in names:
            path = prefix + name
            if self.ignore(path):
                continue
            mode = self._entry(descriptor, name, path)
            if stat.S_ISDIR(mode):
                flags = OPEN_FLAGS | os.O_DIRECTORY
                child = os.open(encode_path(name), flags, dir_fd=descriptor)
                try:
                    self.directory(child, path + "/", depth + 1)
                finally:
                    os.close(child)

    def _entry(self, descriptor: int, name: str, path: str) -> int:
        """Take down one entry; returns its mode."""
        status = os.stat(encode_path(name), dir_fd=descriptor, follow_symlinks=False)
        kind = stat.S_IFMT(status.st_mode)
        if not _is_text(name):
            self._refuse(path, "a name that is not UTF-8")
            return 0
        if path in self.own:
            if kind != stat.S_IFREG:
                self._refuse(path, f"a {KINDS.get(kind, 'directory')} where a file of ours belongs")
            return 0
        if kind == stat.S_IFREG:
            self.files.append(CheckpointFile(path, _identity(status)))
        elif kind == stat.S_IFLNK and self.links_within is not None:
            self._link(path, self.links_within)
        elif kind != stat.S_IFDIR:
            advice = "; --links-within takes some links" if kind == stat.S_IFLNK else ""
            self._refuse(path, f"a {KINDS.get(kind, 'file of unknown kind')}", advice)
        if len(self.files) + len(self.strange) > limits.MAX_CHECKPOINT_FILES:
            raise errors.LimitError(
                f"{self.location}: more than {limits.MAX_CHECKPOINT_FILES} files", self.location
            )
        return status.st_mode

    def _link(self, path: str, root: str) -> None:
        """Take down a link to a file inside the root."""
        start = os.path.join(os.path.realpath(self.location), os.fsdecode(encode_path(path)))
        try:
            target = links.resolve_link(start, root)
        except errors.UnexpectedFileError as error:
            self._refuse(path, str(error))
            return
        status = os.stat(target, follow_symlinks=False)
        self.files.append(CheckpointFile(path, _identity(status), target))

    def _refuse(self, path: str, what: str, advice: str = "") -> None:
        shown = path.encode("utf-8", "backslashreplace").decode("utf-8")
        message = f"{what}: only regular files can be part of a checkpoint{advice}"
        self.strange.append(Finding("unexpected", shown, message))


@contextmanager
def open_files(listing: Listing, files: tuple[CheckpointFile, ...]) -> Iterator[list[int]]:
    """Open files of a listing, and close them at the end of the block.

    Yields:
        Descriptors, in the order of ``files``; each is the very file that was listed.

    Raises:
        ChangedWhileReadError: A file is not the one that was listed.
        ReadError: A file cannot be opened.
    """
    descriptors: list[int] = []
    try:
        root = _open_root(listing)
        try:
            for file in files:
                try:
                    descriptors.append(_open_one(listing, root, file))
                except (OSError, ValueError) as error:
                    raise _read_error(file.path, error) from error
                check_unchanged(file, descriptors[-1])
        finally:
            if root is not None:
                os.close(root)
        yield descriptors
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def check_unchanged(file: CheckpointFile, descriptor: int) -> None:
    """Refuse an open file that is no longer the one that was listed.

    Raises:
        ChangedWhileReadError: It is another one, or was written to.
    """
    now = os.fstat(descriptor)
    then = file.identity
    # Field by field: an Identity for each of 100,000 small files takes as long as reading them.
    if (
        now.st_size != then.size
        or now.st_mtime_ns != then.mtime_ns
        or now.st_ctime_ns != then.ctime_ns
        or now.st_ino != then.inode
        or now.st_dev != then.device
    ):
        finding = Finding("changed", file.path, "changed while it was being read")
        raise errors.ChangedWhileReadError(f"{file.path}: {finding.message}", (finding,))


def check_end(file: CheckpointFile, descriptor: int) -> None:
    """Refuse an open file that has bytes behind what its size says is its end.

    Files of /proc and of some FUSE file systems do; a loader would read them all.

    Raises:
        ReadError: It has some, or cannot be read there.
    """
    size = file.identity.size
    try:
        beyond = os.pread(descriptor, 1, size)
    except OSError as error:
        raise _read_error(file.path, error) from error
    if beyond:
        message = f"{file.path}: has more bytes than its size of {size} says"
        raise errors.ReadError(message, file.path, None, size)


def read_small(location: str | os.PathLike[str], limit: int) -> bytes:
    """Return the bytes of a small regular file.

    Raises:
        ReadError: It cannot be read, or is no regular file.
        LimitError: It has more than ``limit`` bytes.
    """
    text = os.fspath(location)
    with reading(text), open(text, "rb", opener=_open_regular) as file:
        # A file without end, or a huge sparse one, must not even be begun.
        if os.fstat(file.fileno()).st_size <= limit:
            data = file.read(limit + 1)
            if len(data) <= limit:
                return data
    raise errors.LimitError(f"{text}: more than {limit} bytes", text)


def read_at(path: str, descriptor: int) -> Callable[[int, int], bytes]:
    """Return a function that reads from an open file. Raises nothing.

    Args:
        path: For messages.
        descriptor: The open file; stays the caller's.

    Returns:
        (offset, length) -> exactly that many bytes. It raises ReadError when the system refuses,
        TruncatedError when the file ends before.
    """

    def read(offset: int, length: int) -> bytes:
        data = b""
        with reading(path):
            while len(data) < length:
                more = os.pread(descriptor, length - len(data), offset + len(data))
                if not more:
                    raise errors.TruncatedError(
                        f"{path}: ends at byte {offset + len(data)}", path, None, offset + len(data)
                    )
                data += more
        return data

    return read


def _open_regular(name: str, flags: int) -> int:
    descriptor = os.open(name, flags | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise errors.ReadError(f"{name}: not a regular file", name)
    return descriptor


def _open_root(listing: Listing) -> int | None:
    if listing.is_single_file:
        return None
    with reading(listing.location):
        return os.open(listing.location, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


def _open_one(listing: Listing, root: int | None, file: CheckpointFile) -> int:
    # A link in place of a directory on the way can only lead to another file, which the
    # comparison of identities refuses; O_NONBLOCK, so that a pipe in place of it cannot hang us.
    if root is None:
        return os.open(listing.location, OPEN_FLAGS & ~os.O_NOFOLLOW)
    if file.target is not None:
        return os.open(file.target, OPEN_FLAGS)
    return os.open(encode_path(file.path), OPEN_FLAGS, dir_fd=root)


def _identity(status: os.stat_result) -> Identity:
    return Identity(
        status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
    )


def _is_text(name: str) -> bool:
    """Whether a name that the system gave is UTF-8 (others come with lone surrogates)."""
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


@contextmanager
def reading(path: str) -> Iterator[None]:
    """Turn the system's errors into ReadError.

    Raises:
        ReadError: The block raised OSError, or ValueError as for a path with a NUL.
    """
    try:
        yield
    except (OSError, ValueError) as error:
        raise _read_error(path, error) from error


def _read_error(path: str, error: OSError | ValueError) -> errors.ReadError:
    if isinstance(error, OSError):
        return errors.ReadError(f"{path}: {error.strerror or error}", path, error.errno)
    return errors.ReadError(f"{path!r}: {error}", path)  # a NUL, which no path has
