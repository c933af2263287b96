# SPDX-License-Identifier: Apache-2.0
"""Files that go wrong while Python hashes them: the right error, and the interpreter lives.

The engine alone has tests/c/test_faults.c; here is what a caller of ``pyhash.hashing`` sees.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from pyhash import errors
from pyhash._native import READERS, Range, hash_ranges
from pyhash.hashing import Options, hash_file
from tests import reference
from tests.native._child import run
from tests.support import faults
from tests.support.loop_image import Unavailable, loop_image

SPAN = 1 << 20
# Hashing it takes so long that what happens at the first report of progress happens meanwhile.
LONG = 64 << 30
CHANGED = (errors.TruncatedError, errors.ChangedWhileReadError)


def sparse(path: Path, size: int) -> Path:
    with path.open("wb") as file:
        file.truncate(size)
    return path


def first_time(act: Callable[[], object]) -> Callable[[int, int], None]:
    """A callback for progress that acts at the first report and never again."""
    done: list[object] = []

    def progress(_: int, __: int) -> None:
        if not done:
            done.append(act())

    return progress


# --- files that change ----------------------------------------------------------------------------


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("new_size", [0, 5000, SPAN, 3 * SPAN + 77])
def test_file_that_shrinks(reader: str, new_size: int, tmp_path: Path) -> None:
    path = sparse(tmp_path / "weights", LONG)
    progress = first_time(lambda: os.truncate(path, new_size))
    with pytest.raises(CHANGED):
        hash_file(path, options=Options(threads=2, reader=reader, progress=progress))


SHRINKING = """
    import os, sys
    from pyhash import errors
    from pyhash.hashing import Options, hash_file

    path, reader = sys.argv[1:]
    for _ in range(3):
        os.truncate(path, 64 << 30)
        try:
            hash_file(path, options=Options(
                threads=2, reader=reader, progress=lambda done, total: os.truncate(path, 4097)))
        except (errors.TruncatedError, errors.ChangedWhileReadError) as error:
            print(type(error).__name__)
    print(hash_file(path).root.hex())
"""


@pytest.mark.parametrize("reader", READERS)
def test_process_outlives_it(reader: str, tmp_path: Path) -> None:
    path = sparse(tmp_path / "weights", 0)
    done = run(SHRINKING, path, reader)
    assert (done.returncode, done.stderr) == (0, "")
    *kinds, root = done.stdout.split()
    assert len(kinds) == 3
    assert root == reference.shard_root(bytes(4097)).hex()


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("size", [40 * SPAN, 1000])
def test_file_that_grows(reader: str, size: int, tmp_path: Path) -> None:
    path = sparse(tmp_path / "weights", size)
    progress = first_time(lambda: os.truncate(path, size + 1))
    with pytest.raises(errors.ChangedWhileReadError):
        hash_file(path, options=Options(reader=reader, progress=progress))


# --- what is no file ------------------------------------------------------------------------------


def test_what_is_no_regular_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe", Path("/dev/zero"), Path("/dev/null")):
        with pytest.raises(errors.ReadError):
            hash_file(path)


@pytest.mark.parametrize("name", ["/proc/self/mem", "/proc/version", "/proc/self/maps"])
def test_file_whose_size_is_a_lie(name: str) -> None:
    """The system says 0 bytes of these, and has more."""
    with pytest.raises(errors.CheckError):
        hash_file(name)


@pytest.mark.parametrize("reader", READERS)
def test_descriptors_that_are_no_file(reader: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe", Path("/dev/zero")):
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        with pytest.raises(errors.ReadError, match=r"the name.*not a regular file") as caught:
            hash_ranges([Range("the name", descriptor, 0, 10)], reader=reader)
        assert caught.value.path == "the name"
        os.close(descriptor)
        with pytest.raises(errors.ReadError, match="errno 9"):
            hash_ranges([Range("closed", descriptor, 0, 10)], reader=reader)


@pytest.mark.parametrize("reader", READERS)
def test_range_beyond_the_end(reader: str, tmp_path: Path) -> None:
    path = tmp_path / "weights"
    path.write_bytes(bytes(1000))
    with path.open("rb") as file:
        good = Range("good", file.fileno(), 0, 1000)
        bad = Range("bad", file.fileno(), 0, 1001)
        with pytest.raises(errors.TruncatedError, match=r"bad.*at byte 1000") as caught:
            hash_ranges([good, bad, good], reader=reader)
    assert (caught.value.path, caught.value.offset) == ("bad", 1000)
    assert caught.value.errno is None


# --- what the system refuses ----------------------------------------------------------------------

HASHING = """
    import sys
    from pyhash import errors
    from pyhash.hashing import Options, hash_file

    path, reader = sys.argv[1:]
    try:
        found = hash_file(path, file_digest=True, options=Options(threads=2, reader=reader))
    except errors.ReadError as error:
        print(type(error).__name__, error.errno, error.offset)
    else:
        print(found.root.hex(), found.file_digest.hex())
"""


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> faults.Shim:
    try:
        return faults.compile_shim(tmp_path_factory.mktemp("shim"))
    except RuntimeError as error:
        pytest.skip(str(error))


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "weights"
    path.write_bytes(bytes(range(256)) * (3 * SPAN // 256) + b"end")
    return path


def test_input_output_error(shim: faults.Shim, weights: Path) -> None:
    offset = SPAN + 4097
    env = shim.environment(faults.Fault("eio", weights, offset=offset))
    done = run(HASHING, weights, "buffered", env=env)
    assert done.stdout.split() == ["ReadError", "5", str(offset)]
    assert ("eio", offset) in shim.injected()


@pytest.mark.parametrize(
    ("kind", "length", "size"),
    [("short", 1, 20_000), ("short", 4097, 3_000_000), ("eintr", 0, 3_000_000)],
)
def test_short_and_interrupted_reads(
    kind: str, length: int, size: int, shim: faults.Shim, weights: Path
) -> None:
    data = (b"0123456789" * (size // 10 + 1))[:size]
    weights.write_bytes(data)
    env = shim.environment(faults.Fault(kind, weights, length=length))
    done = run(HASHING, weights, "buffered", env=env)
    wanted = [reference.shard_root(data).hex(), reference.sha256(data).hexdigest()]
    assert done.stdout.split() == wanted
    assert shim.injected()


@pytest.mark.parametrize("reader", READERS)
def test_lost_blocks_of_a_disk(reader: str, tmp_path: Path) -> None:
    """A real error of a real file system: EIO from reads, SIGBUS from mappings."""
    try:
        with loop_image(tmp_path) as image:
            path = image.root / "weights"
            path.write_bytes(bytes(range(256)) * (4 * SPAN // 256))
            image.lose_from(path, 2 * SPAN)
            done = run(HASHING, path, reader)
    except Unavailable as error:
        pytest.skip(str(error))
    assert (done.returncode, done.stderr) == (0, "")
    kind, errno, offset = done.stdout.split()
    assert (kind, errno) == ("ReadError", "5")
    assert 0 <= int(offset) < 4 * SPAN


# --- resources ------------------------------------------------------------------------------------


MANY_FILES = """
    import resource, sys
    from pyhash.hashing import Options, hash_checkpoint

    resource.setrlimit(resource.RLIMIT_NOFILE, (70, 70))
    for reader in sys.argv[2:]:
        print(hash_checkpoint(sys.argv[1], options=Options(reader=reader)).root.hex())
"""


def test_300_files_and_70_descriptors(tmp_path: Path) -> None:
    data = {f"{i:03}": b"%d," % i * i for i in range(300)}
    for name, content in data.items():
        (tmp_path / name).write_bytes(content)
    # Each file is a call of its own here, and each call of the direct reader makes its buffers.
    readers = [reader for reader in READERS if reader != "direct"]
    done = run(MANY_FILES, tmp_path, *readers)
    assert done.stdout.split() == [reference.checkpoint_root(data).hex()] * len(readers)


NO_THREADS = """
    import resource, sys
    from pathlib import Path
    from pyhash import errors
    from pyhash.hashing import Options, hash_file

    # Address space for the engine's own needs but not for the stacks of many threads.
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + (int(sys.argv[3]) << 20)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    try:
        found = hash_file(sys.argv[1], options=Options(threads=1000, reader=sys.argv[2]))
    except errors.EngineError as error:
        print(error)
    else:
        print(found.root.hex())
"""


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("mebibytes", [16, 200, 4096])
def test_memory_and_threads_that_the_system_refuses(
    reader: str, mebibytes: int, weights: Path
) -> None:
    os.truncate(weights, 30 * SPAN)
    done = run(NO_THREADS, weights, reader, mebibytes)
    right = reference.shard_root(weights.read_bytes()).hex()
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip() in (right, "out of memory")
    if mebibytes == 4096 or (reader, mebibytes) == ("mmap", 200):
        assert done.stdout.strip() == right


FILES_OF_NOBODY = """
    import os, resource, sys
    from pathlib import Path
    from pyhash._native import Range, hash_ranges

    threads = set()

    def watch(done):
        threads.add(len(os.listdir("/proc/self/task")))

    paths = sorted(Path(sys.argv[1]).iterdir())
    ranges = [
        Range(path.name, os.open(path, os.O_RDONLY), 0, path.stat().st_size) for path in paths
    ]
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + (200 << 20)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    found = hash_ranges(
        ranges, span_nodes=False, file_digests=True, threads=100, reader="mmap", progress=watch
    )
    print(max(threads))
    for one in found:
        print(one.file_digest.hex())
"""


def test_files_that_were_dealt_to_workers_that_never_began(tmp_path: Path) -> None:
    """Every worker is dealt files of its own at first; others must take those of the missing."""
    for number in range(200):
        (tmp_path / f"{number:03}").write_bytes(b"%03d" % number * (SPAN // 3 + number))
    done = run(FILES_OF_NOBODY, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    most, *digests = done.stdout.split()
    assert int(most) < 60, "all workers began: this test shows nothing"
    wanted = [
        reference.sha256(path.read_bytes()).hexdigest() for path in sorted(tmp_path.iterdir())
    ]
    assert digests == wanted
