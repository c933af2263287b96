# SPDX-License-Identifier: Apache-2.0
"""The engine's SIGBUS handler beside Python's: faulthandler, signal.signal, and nobody's.

Each case is a process of its own, since most are meant to end it.
"""

from __future__ import annotations

import signal

import pytest

from tests.native._child import run

# What every child has: a file that shrinks while it is hashed, and a page that nobody can have.
PREAMBLE = """
import faulthandler, mmap, os, signal, sys, tempfile, threading
from pyhash import errors
from pyhash.hashing import Options, hash_file

file = tempfile.NamedTemporaryFile(dir=os.environ.get("TMPDIR", "/tmp"))

def hash_shrinking(act=lambda: None):
    "Hash; as soon as it is under way, act and cut the file off."
    def progress(done, total):
        act()
        os.truncate(file.name, 5000)
    os.truncate(file.name, 64 << 30)
    try:
        hash_file(file.name, options=Options(threads=2, reader="mmap", progress=progress))
    except (errors.TruncatedError, errors.ChangedWhileReadError):
        print("refused", flush=True)

def touch_foreign():
    "Read a page of a mapping that is not the engine's and whose file is gone."
    with tempfile.TemporaryFile() as other:
        other.truncate(8192)
        view = mmap.mmap(other.fileno(), 8192, prot=mmap.PROT_READ)
        other.truncate(0)
        view[5000]

"""

SIGBUS = -signal.SIGBUS


def check(code: str, returncode: int, *, refused: int, traces: int) -> str:
    done = run(PREAMBLE + code)
    assert done.returncode == returncode, done.stderr
    assert done.stdout.count("refused") == refused
    assert done.stderr.count("Fatal Python error: Bus error") == traces
    return done.stdout


def test_nobody_else() -> None:
    check("hash_shrinking(); hash_shrinking()", 0, refused=2, traces=0)


def test_foreign_page_after_a_call() -> None:
    check("hash_shrinking(); touch_foreign()", SIGBUS, refused=1, traces=0)


def test_foreign_page_during_a_call() -> None:
    check("hash_shrinking(touch_foreign)", SIGBUS, refused=0, traces=0)


def test_faulthandler_before() -> None:
    check("faulthandler.enable(); hash_shrinking()", 0, refused=1, traces=0)


@pytest.mark.parametrize("act", ["touch_foreign()", "os.kill(os.getpid(), signal.SIGBUS)"])
def test_faulthandler_before_and_a_fault_after(act: str) -> None:
    check(f"faulthandler.enable(); hash_shrinking(); {act}", SIGBUS, refused=1, traces=1)


def test_faulthandler_before_and_a_fault_during_a_call() -> None:
    code = "faulthandler.enable(); hash_shrinking(touch_foreign)"
    check(code, SIGBUS, refused=0, traces=1)


# Acts while a call is under way, and ends that call without a fault.
DURING = """
class Enough(Exception):
    pass

def during_a_call(act):
    def act_and_stop():
        act()
        raise Enough
    try:
        hash_shrinking(act_and_stop)
    except Enough:
        pass

"""


@pytest.mark.parametrize("act", ["lambda: None", "touch_foreign"])
def test_faulthandler_enabled_during_a_call(act: str) -> None:
    """It then stands over ours for good, and ours over it with the next call."""
    code = f"""
during_a_call(faulthandler.enable)
hash_shrinking({act})
touch_foreign()
"""
    check(DURING + code, SIGBUS, refused=act != "touch_foreign", traces=1)


def test_faulthandler_disabled_during_a_call() -> None:
    code = """
faulthandler.enable()
during_a_call(faulthandler.disable)
hash_shrinking()
touch_foreign()
"""
    check(DURING + code, SIGBUS, refused=1, traces=0)


def test_faulthandler_enabled_and_disabled_again_and_again() -> None:
    code = """
for _ in range(5):
    during_a_call(faulthandler.enable)
    hash_shrinking()
    during_a_call(faulthandler.disable)
    hash_shrinking()
touch_foreign()
"""
    check(DURING + code, SIGBUS, refused=10, traces=0)


HANDLED = """
handled = []
signal.signal(signal.SIGBUS, lambda number, frame: handled.append(number))
hash_shrinking(lambda: handled or os.kill(os.getpid(), signal.SIGBUS))
os.kill(os.getpid(), signal.SIGBUS)
print("handled", len(handled), signal.getsignal(signal.SIGBUS) is not signal.SIG_DFL)
"""


def test_handler_of_python_is_called_and_stays() -> None:
    assert "handled 2 True" in check(HANDLED, 0, refused=1, traces=0)


def test_ignored_signal_stays_ignored() -> None:
    code = """
signal.signal(signal.SIGBUS, signal.SIG_IGN)
hash_shrinking(lambda: os.kill(os.getpid(), signal.SIGBUS))
os.kill(os.getpid(), signal.SIGBUS)
"""
    check(code, 0, refused=1, traces=0)


def test_blocked_signal() -> None:
    code = """
signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
hash_shrinking()
assert signal.SIGBUS in signal.pthread_sigmask(signal.SIG_BLOCK, ())
"""
    check(code, 0, refused=1, traces=0)


def test_calls_at_once() -> None:
    code = """
def often():
    for _ in range(5):
        hash_shrinking_own()

def hash_shrinking_own():
    with tempfile.NamedTemporaryFile() as own:
        own.truncate(64 << 30)
        def cut(done, total):
            os.truncate(own.name, 5000)
        try:
            hash_file(own.name, options=Options(threads=2, reader="mmap", progress=cut))
        except (errors.TruncatedError, errors.ChangedWhileReadError):
            print("refused", flush=True)

threads = [threading.Thread(target=often) for _ in range(3)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
touch_foreign()
"""
    check(code, SIGBUS, refused=15, traces=0)
