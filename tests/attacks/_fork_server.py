# SPDX-License-Identifier: Apache-2.0
"""A process that becomes ``pyhash`` again and again: imports once, forks for each command line.

Each line of standard input is a JSON object with ``arguments``, ``directory``, ``environment``
and ``output`` (two files to write to); the answer is one line, the exit code. The child runs
``pyhash.__main__.main`` and may put a real program in its place.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import sys
from typing import Any

PRELOADED = (
    "cryptography.hazmat.backends.openssl.backend",
    "cryptography.hazmat.primitives.asymmetric.ec",
    "cryptography.hazmat.primitives.serialization",
    "pyhash.cli.group",
    "pyhash.cli.run",
    "pyhash.gate",
)


def _become(request: dict[str, Any]) -> int:
    from pyhash.__main__ import main

    os.chdir(request["directory"])
    os.environ.clear()
    os.environ.update(request["environment"])
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    for number, name in enumerate(request["output"], 1):
        os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), number)
    sys.argv = ["pyhash", *request["arguments"]]
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    return code


def serve() -> None:
    """Answer requests until standard input ends."""
    for module in PRELOADED:
        importlib.import_module(module)
    gc.freeze()  # what is here now is shared with every child, and stays so
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            try:
                code = _become(json.loads(line))
            except BaseException:  # noqa: BLE001 - a copy of the server must not live on
                code = 99
            os._exit(code)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    serve()
