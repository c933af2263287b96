# SPDX-License-Identifier: Apache-2.0
"""``pyhash verify``: checks a checkpoint, and says what holds, or what is wrong and where."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from pyhash.cli.answer import Answer
from pyhash.cli.command import PATH, answering
from pyhash.cli.log_options import (
    access_log_options,
    of_verified,
    recorded,
    signed_root,
    take_access_log,
    under_log,
)
from pyhash.cli.settings import Settings
from pyhash.cli.terminal_text import amount
from pyhash.cli.trust import take_trust, trust_options

if TYPE_CHECKING:
    from pyhash.policy import Policy

EXAMPLE = """\
pyhash verify my-model --key publisher.pub
pyhash verify my-model --policy /etc/pyhash/policy.toml"""


@answering("verify", example=EXAMPLE)
@click.argument("model", type=PATH)
@trust_options
@access_log_options
def command(settings: Settings, *, model: str, **parameters: Any) -> Answer:
    """Check every byte of MODEL, a directory or one file, against what a trusted key signed.

    Exit code 0: verified. 1: refused, the answer is no. 3: it could not be checked. Files that
    nobody signed are refused unless --ignore or the policy names them. A policy's mode changes
    nothing here: only run starts what does not verify, where a rule says so.
    """
    from pyhash import verify
    from pyhash.guarantees import MEANINGS
    from pyhash.merkle import format_root

    access_log = take_access_log(parameters)
    trust = take_trust(parameters)
    with settings.hashing_options() as options:
        policy = under_log(trust.policy_for(model), access_log)
        verified = recorded(
            access_log,
            "verify",
            model,
            lambda: verify(model, policy=policy, options=options, **trust.files()),
            done=of_verified,
            claimed=signed_root(model, policy, trust.signature),
        )
    root = None if verified.root is None else format_root(verified.root)
    count = len(verified.manifest.shards)
    rule, details = shown_policy(policy)
    return Answer(
        "verified",
        f"{model} is what a trusted key signed",
        summary=(
            f"verified   {model}",
            f"root       {root or 'none: signed by another tool'}",
            f"key        {verified.key_hint}",
            f"files      {count}, {amount(verified.size)} in {verified.seconds:.1f} s",
            f"guarantee  {verified.guarantee}: {MEANINGS[verified.guarantee]}",
            *rule,
        ),
        root=root,
        guarantee=verified.guarantee,
        key=verified.key_hint,
        files=count,
        bytes=verified.size,
        seconds=verified.seconds,
        held=tuple(shard.path for shard in verified.manifest.shards),
        details=details,
    )


def shown_policy(policy: Policy) -> tuple[tuple[str, ...], dict[str, Any]]:
    """Return the lines and the JSON keys about the rule of a policy file; nothing without one."""
    if not policy.rule:
        return (), {}
    lines = [f"policy     {policy.rule}"]
    if policy.mode != "enforce":
        lines.append(f"mode       {policy.mode}: run starts this even if it does not verify")
    return tuple(lines), {"rule": policy.rule, "mode": policy.mode}
