# SPDX-License-Identifier: Apache-2.0
"""Makes ``.venv-peer``: the reference tool of OpenSSF Model Signing, in an environment of its own.

The tool shares none of our dependencies, so that each side may have the versions it likes. Run
again, it does nothing while the stamp names what is wanted. It runs no test (peer.py does).

    python tests/support/make_peer_env.py
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
PEER_ENV = REPOSITORY / ".venv-peer"
STAMP = "stamp"

# pyOpenSSL: model-signing 1.1.1 imports it and does not declare it.
REQUIREMENTS = ("model-signing==1.1.1", "pyOpenSSL")


class PeerEnvError(RuntimeError):
    """The environment cannot be made; the message says why."""


def peer_program(environment: Path = PEER_ENV) -> Path:
    """Return where the tool's command lies in an environment, whether it exists or not."""
    return environment / "bin" / "model_signing"


def is_ready(environment: Path = PEER_ENV, requirements: tuple[str, ...] = REQUIREMENTS) -> bool:
    """Whether the environment holds what the requirements ask for."""
    stamp = environment / STAMP
    return (
        (environment / "bin" / "python").is_file()  # a link, broken when its Python is gone
        and peer_program(environment).is_file()
        and stamp.is_file()
        and stamp.read_text(encoding="utf-8") == _stamp_text(requirements)
    )


def make_peer_env(
    environment: Path = PEER_ENV, requirements: tuple[str, ...] = REQUIREMENTS
) -> bool:
    """Make the environment unless it is ready.

    Args:
        environment: Its directory; one that is not ready is removed first.
        requirements: What to install, as for pip.

    Returns:
        Whether anything was done.

    Raises:
        PeerEnvError: A step failed; nothing is left that looks ready.
    """
    if is_ready(environment, requirements):
        (environment / STAMP).touch()  # for make, which compares times
        return False
    if environment.exists():
        shutil.rmtree(environment)
    python = environment / "bin" / "python"
    _step("make a virtual environment", sys.executable, "-m", "venv", str(environment))
    install = (str(python), "-m", "pip", "install", "--quiet", *requirements)
    _step(f"install {' '.join(requirements)}", *install)
    _step("start the peer", str(peer_program(environment)), "--version")
    # Last, so that an environment that was interrupted half-way is never taken for a ready one.
    (environment / STAMP).write_text(_stamp_text(requirements), encoding="utf-8")
    return True


def _stamp_text(requirements: tuple[str, ...]) -> str:
    return "\n".join((*requirements, ""))


def _step(what: str, *command: str) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise PeerEnvError(f"cannot {what}: {error}") from error
    if done.returncode != 0:
        last = "\n".join((done.stdout + done.stderr).strip().splitlines()[-10:])
        raise PeerEnvError(f"cannot {what} (exit code {done.returncode}):\n{last}")


def main() -> None:
    """Make the environment and say so; exit code 1 where it cannot be made."""
    try:
        made = make_peer_env()
    except PeerEnvError as error:
        raise SystemExit(f"make_peer_env: {error}") from error
    print(f"{PEER_ENV}: {'made' if made else 'ready'}")


if __name__ == "__main__":
    main()
