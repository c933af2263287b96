# SPDX-License-Identifier: Apache-2.0
"""Install the project in all four ways, each into a new environment, and try it.

`pip install .` and `pip install -e .`, isolated and with `--no-build-isolation`; then build a wheel
and see that it is one for the stable ABI. Run by `make install-check`.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TRY = "import pyhash; print(pyhash.format_root(pyhash.hash_buffer(b'abc').root))"
# What `--no-build-isolation` expects to find.
BUILD_REQUIRES = ["setuptools>=64", "wheel", "cffi>=1.16"]


def run(*command: object, cwd: Path | None = None) -> str:
    """Run a command; its output, or the end."""
    words = [str(word) for word in command]
    result = subprocess.run(words, cwd=cwd, capture_output=True, text=True, check=False)
    if result.returncode:
        sys.exit(f"{' '.join(words)}\n{result.stdout}{result.stderr}")
    return result.stdout


def main() -> None:
    """Try every way of installing."""
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        # A clean copy, so that no built file of this checkout helps.
        names = run("git", "ls-files", cwd=ROOT).splitlines()
        for name in names:
            target = place / "source" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, target)
        for editable in (False, True):
            for isolated in (True, False):
                environment = place / f"venv-{editable}-{isolated}"
                run(sys.executable, "-m", "venv", environment)
                pip = [environment / "bin/python", "-m", "pip", "--quiet"]
                flags = ["--editable"] if editable else []
                if not isolated:
                    run(*pip, "install", *BUILD_REQUIRES)
                    flags.insert(0, "--no-build-isolation")
                run(*pip, "install", *flags, place / "source", cwd=place)
                root = run(environment / "bin/python", "-c", TRY, cwd=place).strip()
                run(environment / "bin/pyhash", "--help", cwd=place)
                print(f"install {' '.join(map(str, flags)) or '(plain)'}: {root}")
        run(sys.executable, "-m", "venv", place / "wheel")
        run(
            place / "wheel/bin/python",
            "-m",
            "pip",
            "--quiet",
            "wheel",
            "--no-deps",
            "-w",
            place / "dist",
            place / "source",
        )
        (wheel,) = (place / "dist").glob("*.whl")
        if "-cp311-abi3-" not in wheel.name:
            sys.exit(f"not an abi3 wheel: {wheel.name}")
        print(f"wheel {wheel.name}")


if __name__ == "__main__":
    main()
