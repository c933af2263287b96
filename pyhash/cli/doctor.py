# SPDX-License-Identifier: Apache-2.0
"""``pyhash doctor``: what this machine can do, measured, and what is installed."""

from __future__ import annotations

import platform
import sys
from importlib import metadata

import click

from pyhash import __version__
from pyhash.cli.answer import Answer
from pyhash.cli.command import PATH, answering
from pyhash.cli.network import network_of, network_options
from pyhash.cli.settings import Settings
from pyhash.cli.terminal_text import amount

LIBRARIES = ("cffi", "click", "cryptography", "rich", "blake3", "xxhash")


@answering(
    "doctor",
    example="pyhash doctor\npyhash doctor --store s3://models/llama --credentials reader.toml",
)
@click.option("--store", metavar="URL", help="Try what a reader's credential can do there.")
@click.option(
    "--known",
    default="latest.json",
    show_default=True,
    metavar="PATH",
    help="With --store: something that is there.",
)
@click.option(
    "--writer", type=PATH, metavar="FILE", help="With --store: a writer's credential file."
)
@click.option(
    "--claim",
    "claims",
    multiple=True,
    type=click.Choice(("versioning", "object-lock")),
    help="With --store: this is said to be on. Repeatable.",
)
@network_options
def command(
    settings: Settings,
    *,
    store: str | None,
    known: str,
    writer: str | None,
    claims: tuple[str, ...],
    credentials: str | None,
    ca: str | None,
    proxy: str | None,
) -> Answer:
    """Show what this machine can do; with --store, prove what a reader can do in a store.

    Without --store: the version, each kernel with its measured rate, threads, readers, libraries.

    A kernel's name is the processor feature that it needs and how many chunks it hashes at once.
    Rates are of one thread on data in cache, the fastest first: the one that is used.
    """
    if store is not None:
        from pyhash.cli.store_check import check

        return check(
            store,
            network_of(credentials, ca, proxy),
            known,
            None if writer is None else network_of(writer, ca, proxy),
            claims,
        )
    return _machine(settings)


def _machine(settings: Settings) -> Answer:
    from pyhash import _native

    with settings.hashing_options() as options:
        threads = options.thread_count()
    rates = {kernel.name: round(rate) for kernel, rate in _native.measure_kernels()}
    unsupported = [kernel.name for kernel in _native.kernels() if not kernel.supported]
    kernels = [*rates.items(), *((name, None) for name in unsupported)]
    libraries = {name: _version(name) for name in LIBRARIES}
    python = f"{platform.python_implementation()} {platform.python_version()}"
    width = max(len(name) for name, _ in kernels)
    return Answer(
        "ok",
        f"pyhash {__version__}",
        lines=(
            f"pyhash     {__version__}",
            f"python     {python}",
            f"machine    {sys.platform} {platform.machine()}",
            f"threads    {threads}",
            f"readers    {', '.join(_native.READERS)}",
            "kernels",
            *(
                f"  {name.ljust(width)}  {'not on this processor' if rate is None else _rate(rate)}"
                for name, rate in kernels
            ),
            "libraries",
            *(f"  {name}  {version or 'not installed'}" for name, version in libraries.items()),
        ),
        details={
            "python": python,
            "machine": platform.machine(),
            "platform": sys.platform,
            "threads": threads,
            "readers": list(_native.READERS),
            "kernels": [{"name": name, "bytes_per_second": rate} for name, rate in kernels],
            "libraries": libraries,
        },
    )


def _rate(rate: int) -> str:
    return f"{amount(rate)}/s"


def _version(library: str) -> str | None:
    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        return None
