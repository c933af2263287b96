# SPDX-License-Identifier: Apache-2.0
"""``pyhash health serve``: verifies, then answers probes for as long as it runs."""

from __future__ import annotations

import signal
import time
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

import click

from pyhash import errors
from pyhash.cli import output
from pyhash.cli.answer import Answer
from pyhash.cli.command import PATH, answering
from pyhash.cli.guarantee_options import guarantee_options, least_option, take_comparison
from pyhash.cli.receipt_options import (
    check_receipt_options,
    leave_failed,
    open_start_receipt,
    start_receipt_options,
)
from pyhash.cli.settings import Settings
from pyhash.cli.terminal_text import printable
from pyhash.cli.trust import Trust, take_trust, trust_options

if TYPE_CHECKING:
    from pyhash import Verified
    from pyhash.guarantees import Guarantee
    from pyhash.health.state import Health
    from pyhash.policy import Policy


@answering(
    "health serve",
    example="pyhash health serve my-model --key publisher.pub --port 9400 --file /run/health",
    on_stdout=False,
)
@click.argument("model", type=PATH)
@click.option("--host", default="127.0.0.1", show_default=True, metavar="ADDRESS")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Default: a free one.")
@click.option("--file", "path", type=PATH, metavar="FILE", help="For exec probes: health check.")
@click.option(
    "--every",
    type=click.FloatRange(min=0.1, max=3600),
    default=5.0,
    show_default=True,
    metavar="SECONDS",
    help="How old a look at the files may be.",
)
@trust_options
@guarantee_options
@least_option
@start_receipt_options
def command(
    settings: Settings,
    *,
    model: str,
    host: str,
    port: int,
    path: str | None,
    every: float,
    least: str,
    vsa: str | None,
    vsa_key: str | None,
    **parameters: Any,
) -> Answer:
    """Verify MODEL, then answer /livez, /readyz, /metrics and / until Ctrl-C.

    Ready only while every file is the one that was verified; once one is not, never again: start
    anew. What does not verify is not served: 1, or 3 when it is not known.
    """
    from pyhash.health import probe_file
    from pyhash.health.server import serving
    from pyhash.health.state import Health
    from pyhash.locations import inside

    check_receipt_options(vsa, vsa_key)
    guarantee = take_comparison(parameters).guarantee_to_start_behind(least)
    trust = take_trust(parameters)
    if path is not None:
        if inside(model, path) is not None:
            raise errors.UsageError(f"{path}: lies inside the checkpoint {model}")
        probe_file.remove_probe_file(path)
    policy = trust.policy_for(model)
    policy.check_logged()
    signal.signal(signal.SIGTERM, _stop)
    health = Health(every)
    with serving(health, host, port) as actual:
        receipt = open_start_receipt(vsa, vsa_key, model, trust.signature, policy)
        try:
            verified = _verify(settings, trust, guarantee, policy, model)
            health.hold(verified)
            if health.error is not None:
                raise health.error
        except (errors.VerificationError, errors.CheckError):
            leave_failed(receipt)
            raise
        if receipt is not None:
            receipt.write_passed(verified)
        if not settings.quiet:
            output.write_stderr(printable(f"serving: {model}: http://{host}:{actual}") + "\n")
        try:
            _watch(health, path, every)
        except KeyboardInterrupt:
            return Answer("ok", f"{model}: stopped")
        finally:
            if path is not None:
                probe_file.remove_probe_file(path)


def _verify(
    settings: Settings, trust: Trust, guarantee: Guarantee, policy: Policy, model: str
) -> Verified:
    from pyhash import verify

    with settings.hashing_options() as options:
        return verify(model, policy=policy, guarantee=guarantee, options=options, **trust.files())


def _watch(health: Health, path: str | None, every: float) -> NoReturn:
    """Look again and again, and say so in the file; a loss is told to people once."""
    from pyhash.health.probe_file import write_probe_file

    is_told = False
    while True:
        snapshot = health.snapshot()
        if path is not None:
            write_probe_file(path, snapshot)
        if health.error is not None and not is_told:
            is_told = True
            output.write_stderr(printable(f"not ready: {health.error}") + "\n")
        time.sleep(every)


def _stop(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt
