# SPDX-License-Identifier: Apache-2.0
"""``pyhash policy check``: which rule a checkpoint falls under, what it would be told, and why."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from pyhash import errors
from pyhash.cli.answer import Answer, answer_for
from pyhash.cli.command import PATH, answering
from pyhash.cli.policy_lines import NO, UNKNOWN, YES, Line, rule_lines
from pyhash.cli.settings import Settings
from pyhash.cli.trust import Trust, take_trust, trust_options

if TYPE_CHECKING:
    from pyhash.policy import Policy

EXAMPLE = "pyhash policy check my-model --policy /etc/pyhash/policy.toml"


@answering("check", example=EXAMPLE)
@click.argument("model", type=PATH)
@trust_options
def check(settings: Settings, *, model: str, **parameters: Any) -> Answer:
    """Say which rule of a policy MODEL falls under, what that requires, and whether it is met.

    No byte of a weight is read: what is accepted here can still be refused by verify. Exit code 0:
    nothing stands against it. 1: it would be refused. 3: that could not be found out.
    """
    trust = take_trust(parameters)
    policy = trust.policy_for(model)
    lines = list(rule_lines(policy))
    failure = _look(lines, trust, policy, model)
    details = {
        "rule": policy.rule or None,
        "mode": policy.mode,
        "requirements": [
            {"name": name, "answer": found, "message": message} for name, found, message in lines
        ],
    }
    shown = tuple(f"{found:8}{name:14}{message}" for name, found, message in lines)
    if failure is None and all(found == YES for _, found, _ in lines):
        text = f"nothing stands against {model}; its bytes were not compared"
        return Answer("accepted", text, lines=(*shown, text), details=details)
    if failure is None:
        failure = Answer("refused", f"{model} is not what the policy accepts")
    return Answer(
        failure.result,
        failure.message,
        lines=shown,
        advice=failure.advice,
        findings=failure.findings,
        details=details,
    )


def _look(lines: list[Line], trust: Trust, policy: Policy, model: str) -> Answer | None:
    """Add a line for each requirement; return the answer of the step that raised, if one did."""
    from pyhash.history import check_history
    from pyhash.locations import places
    from pyhash.opening import open_checkpoint
    from pyhash.signed_bundle import Signed, inspect_signed

    found: list[Signed] = []

    def signature() -> None:
        bundle_path, _ = places(model, trust.signature, trust.tree)
        signed = inspect_signed(
            bundle_path, policy, location=model, cosignatures=trust.cosignatures
        )
        by = ", ".join(f"{one.name} ({one.kind})" for one in signed.signers)
        lines.append(("signature", YES, f"by {by}"))
        lines.extend(
            (one.name, YES if one.is_met else NO, one.message) for one in signed.requirements
        )
        found.append(signed)

    def history() -> None:
        bundle_path, _ = places(model, trust.signature, trust.tree)
        met = check_history(policy, found[0].manifest, found[0].payload, model, bundle_path)
        lines.extend((one.name, YES, one.message) for one in met)

    def files() -> None:
        # Looking is no access: the line about require-log says what every access needs.
        unlogged = replace(policy, require_log=False)
        opened = open_checkpoint(model, unlogged, guarantee=None, **trust.files())
        count = len(opened.listing.files)
        lines.append(("files", YES, f"{count}, with the signed names and sizes"))

    failure = _step(lines, "signature", signature)
    for name, work in (("history", history), ("files", files)):
        if failure is None and all(answer == YES for _, answer, _ in lines):
            failure = _step(lines, name, work)
    return failure


def _step(lines: list[Line], name: str, work: Callable[[], None]) -> Answer | None:
    try:
        work()
    except errors.VerificationError as error:
        lines.append((name, NO, str(error)))
        return answer_for(error)
    except errors.CheckError as error:
        lines.append((name, UNKNOWN, str(error)))
        return answer_for(error)
    return None


command = click.Group(
    "policy",
    commands=[check],
    help="Explain what a policy file requires.",
    epilog=f"\b\nExample:\n  {EXAMPLE}",
    no_args_is_help=False,
)
