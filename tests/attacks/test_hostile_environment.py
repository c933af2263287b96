# SPDX-License-Identifier: Apache-2.0
"""No environment variable, and nothing in the working directory, makes a no into a yes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.attacks._stage import REPOSITORY, Finished, Stage
from tests.support import mutations as do

SWITCHES = (
    "ALLOW_UNSIGNED",
    "CHECK",
    "CLOSURE",
    "DEBUG",
    "DISABLE",
    "IGNORE",
    "INSECURE",
    "KERNEL",
    "KEY",
    "KEYS",
    "NO_VERIFY",
    "OFF",
    "SIGNATURE",
    "SKIP",
    "SKIP_VERIFY",
    "STRICT",
    "TREE",
    "TRUST_ALL",
    "VERIFY",
)
ENVIRONMENTS: dict[str, dict[str, str]] = {
    "switched_off": {f"PYHASH_{name}": "0" for name in SWITCHES},
    "switched_on": {f"PYHASH_{name}": "1" for name in SWITCHES},
    "paths": {f"PYHASH_{name}": "*" for name in SWITCHES},
    "run_options": {
        "PYHASH_RUN_KEY": "attacker.pub",
        "PYHASH_RUN_IGNORE": "evil.py",
        "PYHASH_VERIFY_IGNORE": "evil.py",
    },
    "completion": {"_PYHASH_COMPLETE": "bash_source"},
    "completion_of_module": {"_PYTHON__M_PYHASH_COMPLETE": "bash_complete", "COMP_WORDS": "x"},
    "optimized": {"PYTHONOPTIMIZE": "2"},
    "no_locale": {"LC_ALL": "C", "LANG": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "latin_1": {"PYTHONIOENCODING": "latin-1:strict"},
    "no_home": {"HOME": "/nonexistent", "TMPDIR": "/nonexistent", "XDG_CACHE_HOME": "/dev/null"},
    "openssl": {"OPENSSL_CONF": "/dev/null", "OPENSSL_ia32cap": "0", "SSL_CERT_FILE": "/dev/null"},
    "interactive": {"PYTHONINSPECT": "1", "PYTHONFAULTHANDLER": "1"},
}


def _run(stage: Stage, environment: dict[str, str], *, directory: Path = REPOSITORY) -> Finished:
    """A process of its own, from the start of the interpreter on."""
    started = stage.home / "started"
    line = ["run", "--key", stage.trusted, stage.model, "--", "touch", started]
    done = subprocess.run(
        [sys.executable, "-m", "pyhash", *map(str, line)],
        cwd=directory,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    was_started = started.exists()
    started.unlink(missing_ok=True)
    assert was_started is (done.returncode == 0), done.stderr
    return Finished(done.returncode, repr(done.stdout), repr(done.stderr))


@pytest.mark.parametrize("name", ["switched_off", "optimized", "no_locale", "interactive"])
def test_process_of_its_own(name: str, stage: Stage) -> None:
    assert _run(stage, ENVIRONMENTS[name]).code == 0
    do.flip_byte(stage.model / do.ACCENTED, 0)
    assert _run(stage, ENVIRONMENTS[name]).code == 1


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_refused(name: str, stage: Stage) -> None:
    environment = {**os.environ, **ENVIRONMENTS[name]}
    started = stage.home / "started"
    line = ("run", "--key", stage.trusted, stage.model, "--", "touch", started)
    finished = stage.commands.run(*line, directory=stage.home, environment=environment)
    assert finished.code == 0
    assert started.exists()
    started.unlink()
    do.add_file(stage.model / "evil.py")
    finished = stage.commands.run(*line, directory=stage.home, environment=environment)
    assert finished.code == 1
    assert "evil.py" in finished.stderr
    assert not started.exists()


def test_kernel_and_reader_change_nothing(stage: Stage) -> None:
    do.flip_byte(stage.model / do.SHARD_1, -1)
    for options in (
        ("--reader", "mmap"),
        ("--reader", "buffered"),
        ("--reader", "direct"),
        ("--kernel", "portable"),
        ("--threads", "7"),
        ("--quiet",),
        ("--format", "json"),
    ):
        finished, started = stage.run(*options)
        assert (finished.code, started) == (1, False)


def test_files_of_the_working_directory(stage: Stage) -> None:
    """The checkpoint as working directory, with what an attacker would like to be read there."""
    for name in ("pyhash.toml", ".pyhash", "pyproject.toml", "policy.json", "sitecustomize.cfg"):
        do.add_file(stage.model / name, b'{"ignore": ["*"], "keys": ["../attacker.pub"]}')
    finished = stage.commands.run(
        "run", "--key", stage.trusted, ".", "--", "true", directory=stage.model
    )
    assert finished.code == 1
    assert "pyhash.toml" in finished.stderr
