# SPDX-License-Identifier: Apache-2.0
"""What a policy's rule requires, line by line, as ``pyhash policy check`` shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyhash.policy import Policy

YES, NO, UNKNOWN = "yes", "no", "unknown"

Line = tuple[str, str, str]  # what is looked at; YES, NO or UNKNOWN; what was found


def rule_lines(policy: Policy) -> list[Line]:
    """Return what the rule requires, before anything is looked at. Raises nothing."""
    lines = [("rule", YES, policy.rule or "none: the keys of the command line")]
    if policy.mode != "enforce":
        text = f"{policy.mode}: run starts this even if it is refused; verify refuses it"
        lines.append(("mode", YES, text))
    lines += [("signer", YES, f"trusted: {key.hint}") for key in policy.keys]
    lines += [("ignore", YES, f"may be there unsigned: {path}") for path in policy.ignore]
    if policy.guarantee is not None:
        only = ", which verify and run never give: they refuse, and only loading with pyhash passes"
        text = f"{policy.guarantee} at least{only if policy.guarantee == 'loaded' else ''}"
        lines.append(("guarantee", YES, text))
    return [*lines, *_history_lines(policy)]


def _history_lines(policy: Policy) -> list[Line]:
    """What the rule wants to lie beside the checkpoint; whether it does is looked at later."""
    lines: list[Line] = []
    if policy.require_log:
        lines.append(("require-log", YES, "every access must be recorded: --log DIR"))
    if policy.log is not None:
        text = f"the bundle must be in {policy.log.key.name}"
        if policy.log.threshold:
            text += f", co-signed by {policy.log.threshold} of {len(policy.log.witnesses)}"
        lines.append(("log", YES, text))
    needs = policy.provenance
    if needs is not None:
        keys = {key.hint: None for key in needs.all_keys()}
        lines += [("provenance", YES, f"may state a step: {hint}") for hint in keys]
        required = needs.required_steps
        lines += [("provenance", YES, f"must have taken place: {one}") for one in required]
        parents = "any" if needs.allow_unknown_parents else str(len(needs.known_parents))
        lines.append(("provenance", YES, f"may be without a statement: {parents} parents"))
        if needs.datasets is not None:
            lines.append(("provenance", YES, f"{len(needs.datasets)} data sets are accepted"))
    return lines
