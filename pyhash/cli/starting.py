# SPDX-License-Identifier: Apache-2.0
"""What ``pyhash run`` does: verifies, then becomes the command; and what a policy's rule with mode
``warn`` or ``off`` makes of a refusal.
"""

from __future__ import annotations

import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from pyhash import errors
from pyhash.cli import output
from pyhash.cli.answer import Answer, answer_for
from pyhash.cli.formats.text import refusal_lines
from pyhash.cli.guarantee_options import Comparison
from pyhash.cli.log_options import of_verified, recorded, signed_root, under_log
from pyhash.cli.receipt_options import leave_failed, open_start_receipt
from pyhash.cli.report import Report
from pyhash.cli.settings import Settings
from pyhash.cli.terminal_text import amount, printable
from pyhash.cli.trust import Trust

if TYPE_CHECKING:
    from pyhash import Verified
    from pyhash.access import AccessLog
    from pyhash.guarantees import Guarantee
    from pyhash.policy import Policy

# Python ignores these, and what is ignored stays so in the program that takes its place.
IGNORED_SIGNALS = (signal.SIGPIPE, signal.SIGXFSZ)


@dataclass(frozen=True, slots=True)
class Request:
    """What the options say."""

    settings: Settings
    trust: Trust
    comparison: Comparison
    least: str
    vsa: str | None
    vsa_key: str | None


def verify_and_start(
    request: Request,
    model: str,
    arguments: tuple[str, ...],
    access_log: AccessLog | None,
) -> NoReturn:
    """Put the command in the place of this process, behind a verification or a rule's waiver.

    Raises:
        PyhashError: It was not started.
    """
    from pyhash import gate
    from pyhash.policy import OFF, WARN

    settings, trust = request.settings, request.trust
    trust.check_given()
    gate.find_command(arguments)
    guarantee = request.comparison.guarantee_to_start_behind(request.least)
    policy = under_log(trust.policy_for(model), access_log)
    receipt = open_start_receipt(request.vsa, request.vsa_key, model, trust.signature, policy)
    if policy.mode == OFF:
        if receipt is not None:
            receipt.write_failed()
        reason = Answer("refused", "nothing was checked, because the rule's mode is off")
        recorded(access_log, "run", model, lambda: None, done=lambda _: {}, outcome="unverified")
        _start_unverified(settings, policy, model, arguments, reason)
    try:
        verified = recorded(
            access_log,
            "run",
            model,
            lambda: _verify(request, guarantee, policy, model),
            done=of_verified,
            claimed=signed_root(model, policy, trust.signature),
            outcome="begun",
        )
        if not settings.quiet and settings.format == "text":
            text = f"verified: {model}: {amount(verified.size)} in {verified.seconds:.1f} s"
            text += f" ({verified.guarantee})"
            output.write_stderr(f"{printable(text)}\n")
        gate.check_unchanged(verified)
    except errors.CancelledError:
        raise
    except (errors.VerificationError, errors.CheckError) as error:
        if policy.mode != WARN:
            leave_failed(receipt)
            raise
        if receipt is not None:
            receipt.write_failed()
        recorded(access_log, "run", model, lambda: None, done=lambda _: {}, outcome="unverified")
        _start_unverified(settings, policy, model, arguments, answer_for(error))
    if receipt is not None:
        receipt.write_passed(verified)
    _restore_signals()
    try:
        gate.start(verified, arguments, least=request.least)
    except errors.PyhashError:
        leave_failed(receipt)
        raise


def _verify(request: Request, guarantee: Guarantee, policy: Policy, model: str) -> Verified:
    from pyhash import verify

    with request.settings.hashing_options() as options:
        return verify(
            model, policy=policy, guarantee=guarantee, options=options, **request.trust.files()
        )


def _start_unverified(
    settings: Settings, policy: Policy, model: str, arguments: tuple[str, ...], reason: Answer
) -> NoReturn:
    """Say why this would have been refused, and that it starts all the same; --quiet or not."""
    from pyhash import gate

    waiver = policy.waive()
    text = f"{model} is UNVERIFIED; {arguments[0]} is started all the same, as {waiver.rule} says"
    if settings.format != "text":
        details = {"rule": waiver.rule, "mode": waiver.mode, "reason": reason.message}
        loud = Answer(
            "unverified", text, checkpoint=model, findings=reason.findings, details=details
        )
        Report("run", loud, settings, on_stdout=False).show()
    else:
        lines = [*refusal_lines(reason), printable(f"WARNING (mode {waiver.mode}): {text}")]
        output.write_stderr("".join(f"{line}\n" for line in lines))
    _restore_signals()
    gate.start_unverified(waiver, arguments)


def _restore_signals() -> None:
    for number in IGNORED_SIGNALS:
        signal.signal(number, signal.SIG_DFL)
