# SPDX-License-Identifier: Apache-2.0
"""``pyhash verify``: checks a checkpoint, and says what holds, or what is wrong and where."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from pyhash.cli.answer import Answer
from pyhash.cli.command import PATH, answering
from pyhash.cli.guarantee_options import asked_option, guarantee_options, take_comparison
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
from pyhash.cli.unsigned_list import compare, list_options
from pyhash.errors import UsageError

if TYPE_CHECKING:
    from pyhash import Verified
    from pyhash.policy import Policy

EXAMPLE = """\
pyhash verify my-model --key publisher.pub
pyhash verify my-model --policy /etc/pyhash/policy.toml
pyhash verify my-model --key publisher.pub --sample 5%"""


@answering("verify", example=EXAMPLE)
@click.argument("model", type=PATH)
@list_options
@trust_options
@guarantee_options
@asked_option
@access_log_options
def command(
    settings: Settings, *, model: str, source: str | None, ignore_missing: bool, **parameters: Any
) -> Answer:
    """Check every byte of MODEL, a directory or one file, against what a trusted key signed.

    Exit code 0: verified. 1: refused, the answer is no. 3: it could not be checked. Files that
    nobody signed are refused unless --ignore or the policy names them. A policy's mode changes
    nothing here: only run starts what does not verify, where a rule says so. The options that
    verify less than every byte now name the weaker guarantee in the report.

    With --from, MODEL is compared with a list that nobody signed. That finds damage and proves no
    publisher: the result is "matches", never "verified".
    """
    if source is not None or ignore_missing:
        taken = {name: parameters.pop(name) for name in ("ignore", "links_within")}
        if source is None or any(parameters.values()):
            raise UsageError(
                "--from compares with an unsigned list: it takes --ignore, --ignore-missing and"
                " --links-within, and nothing about signatures"
            )
        return compare(settings, model, source, ignore_missing=ignore_missing, **taken)
    from pyhash import verify
    from pyhash.guarantees import MEANINGS
    from pyhash.merkle import format_root

    access_log = take_access_log(parameters)
    guarantee = take_comparison(parameters).guarantee(parameters.pop("least"))
    trust = take_trust(parameters)
    with settings.hashing_options() as options:
        policy = under_log(trust.policy_for(model), access_log)
        verified = recorded(
            access_log,
            "verify",
            model,
            lambda: verify(
                model, policy=policy, guarantee=guarantee, options=options, **trust.files()
            ),
            done=of_verified,
            claimed=signed_root(model, policy, trust.signature),
        )
    root = None if verified.root is None else format_root(verified.root)
    count = len(verified.manifest.shards)
    rule, details = shown_policy(policy)
    return Answer(
        "verified",
        _message(model, verified.guarantee),
        summary=(
            f"verified   {model}",
            f"root       {root or 'none: signed by another tool'}",
            f"key        {verified.key_hint}",
            f"files      {count}, {amount(verified.size)} hashed in {verified.seconds:.1f} s",
            f"guarantee  {verified.guarantee}: {MEANINGS[verified.guarantee]}",
            *([f"compared   {verified.detail}"] if verified.detail else []),
            *rule,
        ),
        root=root,
        guarantee=verified.guarantee,
        key=verified.key_hint,
        files=count,
        bytes=verified.size,
        seconds=verified.seconds,
        held=_held(verified),
        details={"detail": verified.detail, **dict(verified.details), **details},
    )


def _held(verified: Verified) -> tuple[str, ...]:
    """Files that the answer holds for as a whole: of a sample, those that were named and hashed."""
    if verified.guarantee == "sampled":
        named = dict(verified.details).get("whole_files", [])
        return tuple(named) if isinstance(named, list) else ()
    return tuple(shard.path for shard in verified.manifest.shards)


def _message(model: str, guarantee: str) -> str:
    from pyhash.guarantees import MEANINGS, is_at_least

    if is_at_least(guarantee, "content"):
        return f"{model} is what a trusted key signed"
    return f"{model} is signed by a trusted key; {MEANINGS[guarantee]}"


def shown_policy(policy: Policy) -> tuple[tuple[str, ...], dict[str, Any]]:
    """Return the lines and the JSON keys about the rule of a policy file; nothing without one.

    Raises nothing.
    """
    if not policy.rule:
        return (), {}
    lines = [f"policy     {policy.rule}"]
    if policy.mode != "enforce":
        lines.append(f"mode       {policy.mode}: run starts this even if it does not verify")
    return tuple(lines), {"rule": policy.rule, "mode": policy.mode}
