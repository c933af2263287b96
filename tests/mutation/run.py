# SPDX-License-Identifier: Apache-2.0
"""Runs the tests of a module against every mutant of it, and lists those that nobody noticed.

    python tests/mutation/run.py RESULT.json [MODULE...]

``tested_by.py`` says which tests belong to which module. They are collected once and run once
without any mutant. Each mutant is then put in the place of its function in a fork, and those tests
that run the function run until one fails, the likeliest first. A mutant that is in no function is
imported in the place of the whole module, in a process of its own, before the tests that run any
function of the module.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(REPOSITORY), str(Path(__file__).resolve().parent)]

import operators  # noqa: E402
from covering import LinesByTest  # noqa: E402
from replacing import MutatedModule, lines_of, replace_function  # noqa: E402
from tested_by import OF_EVERY_MODULE, TESTS  # noqa: E402

LIMIT_SECONDS = 180  # of one mutant: one that never ends is noticed, too
LIMIT_OF_ONE_TEST_SECONDS = 30
_LOOK_SECONDS = 0.01
_UNNOTICED = 97  # not 0: that is what a program ends in that a mutant of the gate started
KILLED, SURVIVED, ENDLESS = "killed", "survived", "endless"


def main(result: Path, names: Sequence[str]) -> None:
    """Run every mutant of the modules; write the result after each module."""
    os.chdir(REPOSITORY)
    for name in names or TESTS:
        _run_mutants_of(name, result)


def _run_mutants_of(name: str, result: Path) -> None:
    began = time.monotonic()
    path = REPOSITORY / "pyhash" / f"{name}.py"
    mutants = list(operators.mutants(path.read_text("utf-8")))
    answers = dict.fromkeys(range(len(mutants)), SURVIVED)
    in_functions = {number: one for number, one in enumerate(mutants) if one.function}
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "answers"
        if _in_fork(lambda: _run_functions(name, in_functions, report)) != SURVIVED:
            raise SystemExit(f"{name}: its tests fail without any mutant")
        noted = json.loads(report.read_text())
        answers |= {int(key): value for key, value in noted["answers"].items()}
    others = {number: one for number, one in enumerate(mutants) if not one.function}
    answers |= _run_modules(name, path, others, noted["tests"])
    found = json.loads(result.read_text()) if result.exists() else {}
    found[name] = {
        **{answer: sum(one == answer for one in answers.values()) for answer in _ANSWERS},
        "seconds": round(time.monotonic() - began),
        "survivors": [
            f"{mutant.line}: {mutant.change}"
            for number, mutant in enumerate(mutants)
            if answers[number] == SURVIVED
        ],
    }
    result.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", "utf-8")


_ANSWERS = (KILLED, ENDLESS, SURVIVED)


class _FewExamples:
    """Fewer than the suite has, and any time for each: what these notice, the suite does."""

    def pytest_configure(self) -> None:
        import hypothesis

        hypothesis.settings.register_profile("mutation", max_examples=25, deadline=None)
        hypothesis.settings.load_profile("mutation")


def _run_functions(name: str, mutants: dict[int, operators.Mutant], report: Path) -> int:
    """Collect the tests of a module once, then run them against each mutant in a fork."""
    answers: dict[int, str] = {}
    tests: list[str] = []  # that run any line of any function

    class Plugin(_FewExamples):
        def pytest_runtestloop(self, session: pytest.Session) -> bool:
            module = importlib.import_module(_dotted(name))  # which may not be needed before a test
            lines, seconds = _run_unchanged(name, session)
            noticed = [0] * len(session.items)
            tests.extend(session.items[number].nodeid for number in lines.in_functions())
            for number, mutant in mutants.items():
                order = lines.for_mutant(mutant.line, lines_of(module, mutant.function), noticed)

                def work(mutant: operators.Mutant = mutant, order: list[int] = order) -> int:
                    replace_function(module, mutant.function, mutant.source)
                    return _run_items(session, order, basetemp)

                answers[number] = _in_fork(work, 5 * seconds + 10)
                if answers[number] == KILLED and (by := _noticed_by(basetemp)) is not None:
                    noticed[by] += 1
                _empty(Path(basetemp))
            return True

    with tempfile.TemporaryDirectory() as basetemp:
        options = ["-q", "-p", "no:cacheprovider", f"--basetemp={basetemp}/t"]
        code = pytest.main([*options, *_paths(TESTS[name])], plugins=[Plugin()])
    report.write_text(json.dumps({"answers": answers, "tests": tests}))
    return int(code)  # of the loop above alone, in which nothing fails: not of any test


def _run_unchanged(name: str, session: pytest.Session) -> tuple[LinesByTest, float]:
    """Run the collected tests without a mutant, in a fork; returns who runs what, and how long."""
    lines = LinesByTest(str(REPOSITORY / "pyhash" / f"{name}.py"))
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        notes = Path(folder) / "lines"

        def work() -> int:
            for number, item in enumerate(session.items):
                with lines.watching(number):
                    item.config.hook.pytest_runtest_protocol(item=item, nextitem=None)
                if session.testsfailed:
                    return 1
            notes.write_text(json.dumps({key: list(one) for key, one in lines.lines.items()}))
            return 0

        if _in_fork(work) != SURVIVED:
            os._exit(1)  # said by the process that waits for this one
        found = json.loads(notes.read_text())
    lines.lines.update({int(key): set(one) for key, one in found.items()})
    return lines, time.monotonic() - began


def _run_items(session: pytest.Session, order: Sequence[int], notes: str) -> int:
    """Run the collected tests in an order until one fails, and note which."""
    for number in order:
        # A busy machine can make a test late, and so fail: what notices a mutant does so twice.
        if _fails(session, number) and _fails(session, number):
            (Path(notes) / "noticed").write_text(str(number))
            return 1
    return 0


def _fails(session: pytest.Session, number: int) -> bool:
    item, before = session.items[number], session.testsfailed
    if isinstance(item, pytest.Function):
        item._initrequest()  # as if it had not run yet
    # Of this process's own time, which a busy machine does not stretch; the signal ends it.
    signal.setitimer(signal.ITIMER_PROF, LIMIT_OF_ONE_TEST_SECONDS)
    item.config.hook.pytest_runtest_protocol(item=item, nextitem=None)
    session.shouldstop = session.shouldfail = False
    return session.testsfailed > before


def _noticed_by(notes: str) -> int | None:
    path = Path(notes) / "noticed"
    if not path.exists():
        return None
    number = int(path.read_text())
    path.unlink()
    return number


def _run_modules(
    name: str, path: Path, mutants: dict[int, operators.Mutant], tests: Sequence[str]
) -> dict[int, str]:
    """Run tests of a module against each mutant of it as a whole."""
    answers: dict[int, str] = {}
    noticed: Counter[str] = Counter(tests)  # those that have noticed more come earlier
    with tempfile.TemporaryDirectory() as notes:
        run = partial(_run_module, name, path, noticed=noticed, tests=tests, notes=notes)
        if mutants and _in_fork(partial(run, path.read_text("utf-8"))) != SURVIVED:
            raise SystemExit(f"{name}: its tests fail without any mutant")
        for number, mutant in mutants.items():
            work = partial(run, mutant.source)
            answers[number] = _in_fork(work)
            if answers[number] == KILLED:
                answers[number] = _in_fork(work)  # twice, as above
            if (note := Path(notes) / "noticed").exists():
                noticed[note.read_text()] += 1
                note.unlink()
    return answers


def _run_module(
    name: str, path: Path, source: str, *, noticed: Counter[str], tests: Sequence[str], notes: str
) -> int:
    """Run tests from the start with other source for one module, and note which one fails."""

    class Plugin(_FewExamples):
        def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
            if tests:  # else the module has no function, and any test may use what it has
                run = {nodeid.partition("[")[0] for nodeid in tests}
                always = tuple(_paths(OF_EVERY_MODULE))
                items[:] = [
                    item
                    for item in items
                    if item.nodeid.partition("[")[0] in run or item.nodeid.startswith(always)
                ]
            items.sort(key=lambda item: -noticed[item.nodeid])

        def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
            if report.failed:
                (Path(notes) / "noticed").write_text(report.nodeid)

    sys.meta_path.insert(0, MutatedModule(_dotted(name), source, path))
    with tempfile.TemporaryDirectory() as basetemp:
        options = ["-x", "-q", "-p", "no:cacheprovider", f"--basetemp={basetemp}/t"]
        found = _paths((*OF_EVERY_MODULE, *TESTS[name]))
        return int(pytest.main([*options, *found], plugins=[Plugin()]))


def _in_fork(work: Callable[[], int], limit_seconds: float = LIMIT_SECONDS) -> str:
    """Do something in a silent fork; whatever is raised there counts as noticed."""
    child = os.fork()
    if child == 0:
        os.setpgid(0, 0)
        code = 1
        try:
            _silence()
            code = _UNNOTICED if work() == 0 else 1
        finally:
            os._exit(code)
    # Counted in looks and not by the clock: this process may be stopped, and the fork with it.
    for _ in range(int(limit_seconds / _LOOK_SECONDS) if os.getpid() != _MAIN else 1 << 30):
        finished, status = os.waitpid(child, os.WNOHANG)
        if finished:
            code = os.waitstatus_to_exitcode(status)
            return (
                SURVIVED if code == _UNNOTICED else ENDLESS if code == -signal.SIGPROF else KILLED
            )
        time.sleep(_LOOK_SECONDS)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return ENDLESS


_MAIN = os.getpid()


def _silence() -> None:
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)


def _empty(directory: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        for path in (directory / "t").iterdir():
            shutil.rmtree(path, ignore_errors=True)


def _paths(tests: Sequence[str]) -> list[str]:
    return [f"tests/{one}" for one in tests]


def _dotted(name: str) -> str:
    return f"pyhash.{name.replace('/', '.')}".removesuffix(".__init__")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
