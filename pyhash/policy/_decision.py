# SPDX-License-Identifier: Apache-2.0
"""What a policy requires of what was signed, requirement by requirement: met or not, and why.

The same list refuses (``check_requirements``) and explains (``pyhash policy check``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from pyhash.errors import PolicyError
from pyhash.frozen import frozen
from pyhash.manifest import Manifest, Release, format_time
from pyhash.merkle import format_root
from pyhash.policy._model import Policy

if TYPE_CHECKING:
    from pyhash.policy._memory import Remembered

# Clocks of publishers and verifiers differ; more than this is no difference but a wrong clock.
CLOCK_SKEW_SECONDS = 300


@frozen
class Requirement:
    """One thing that must hold.

    Attributes:
        name: Stable word: ``signatures``, ``root``, ``expiry``, ``clock``, ``release-name``,
            ``min-release``, ``max-age`` or ``remembered``.
        is_met: Whether it holds.
        message: What was found and what is wanted, for people.
    """

    name: str
    is_met: bool
    message: str


def judge(
    policy: Policy,
    manifest: Manifest,
    signers: int,
    *,
    now: int,
    remembered: Remembered | None = None,
) -> tuple[Requirement, ...]:
    """Hold a manifest whose signature has been checked against a policy. Pure, thread-safe.

    Args:
        policy: What is required.
        manifest: What was signed.
        signers: How many independent trusted signers signed it.
        now: This host's clock, in seconds since 1970.
        remembered: What was accepted here before; None: nothing, or nothing is remembered.

    Returns:
        Everything that is required, met or not. Raises nothing.
    """
    return (
        Requirement(
            "signatures",
            signers >= policy.signatures,
            f"{signers} independent trusted signers, and {policy.signatures} needed",
        ),
        *_root(policy, manifest),
        *_times(policy, manifest.release, now),
        *_counter(policy, manifest, remembered, now),
    )


def check_requirements(requirements: Sequence[Requirement], bundle_path: str) -> None:
    """Raise for the first requirement that is not met; return where all are.

    Args:
        requirements: What ``judge`` returned.
        bundle_path: For the message.

    Raises:
        PolicyError: One is not met.
    """
    unmet = [one.message for one in requirements if not one.is_met]
    if unmet:
        raise PolicyError(f"{bundle_path}: validly signed, but {'; and '.join(unmet)}")


def _root(policy: Policy, manifest: Manifest) -> Iterator[Requirement]:
    if not policy.roots:
        return
    found = "none" if manifest.root is None else format_root(manifest.root)
    wanted = " or ".join(format_root(root) for root in policy.roots)
    yield Requirement(
        "root",
        manifest.root in policy.roots,
        f"its root is {found}, and only {wanted} is accepted",
    )


def _times(policy: Policy, release: Release | None, now: int) -> Iterator[Requirement]:
    if release is not None:
        created = format_time(release.created)
        yield Requirement(
            "clock",
            release.created <= now + CLOCK_SKEW_SECONDS,
            f"it was signed at {created}, and this host's clock says {_clock(now)}",
        )
        if release.expires is not None:
            until = format_time(release.expires)
            yield Requirement(
                "expiry",
                now < release.expires,
                f"it expires at {until}, and this host's clock says {_clock(now)}",
            )
    if policy.max_age is None:
        return
    age = None if release is None else max(0, now - release.created)
    found = "it does not say when it was signed" if age is None else f"it is {_days(age)} old"
    yield Requirement(
        "max-age",
        age is not None and age <= policy.max_age,
        f"{found}, and at most {_days(policy.max_age)} are accepted",
    )


def _counter(
    policy: Policy, manifest: Manifest, remembered: Remembered | None, now: int
) -> Iterator[Requirement]:
    release = manifest.release
    counter = None if release is None else release.counter
    said = "it has no release counter" if counter is None else f"it is release {counter}"
    if policy.release_name is not None:
        name = None if release is None else release.name
        found = "no name" if name is None else f"the name {name!r}"
        yield Requirement(
            "release-name",
            name == policy.release_name,
            f"it is released under {found}, and only {policy.release_name!r} is accepted",
        )
    if policy.min_release is not None:
        yield Requirement(
            "min-release",
            counter is not None and counter >= policy.min_release,
            f"{said}, and at least {policy.min_release} is accepted",
        )
    if policy.state is None:
        return
    if remembered is None:
        yield Requirement(
            "remembered",
            counter is not None,
            f"{said}, and none was accepted here before; releases are remembered by counter",
        )
        return
    follows = remembered.is_followed_by(counter, manifest.root)
    yield Requirement(
        "remembered",
        follows,
        f"{said}, and release {remembered.counter} was accepted here before"
        + (", with another root" if counter == remembered.counter and not follows else ""),
    )
    yield Requirement(
        "clock",
        now >= remembered.checked - CLOCK_SKEW_SECONDS,
        f"this host's clock says {_clock(now)}, and it said {_clock(remembered.checked)} when a"
        " release was last accepted here",
    )


def _clock(now: int) -> str:
    try:
        return format_time(now)
    except (OverflowError, ValueError, OSError):
        return f"{now} seconds after 1970"


def _days(seconds: int) -> str:
    days, rest = divmod(seconds, 86_400)
    return f"{days} d {rest // 3600} h" if rest else f"{days} d"
