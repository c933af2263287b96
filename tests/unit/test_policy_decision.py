# SPDX-License-Identifier: Apache-2.0
"""What a policy requires of what was signed: each requirement at its edge, met and not met."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from _statements import OURS

from pyhash.errors import PolicyError
from pyhash.manifest import Release
from pyhash.merkle import format_root
from pyhash.policy import Policy, Remembered, check_requirements, judge
from pyhash.signing.ecdsa import generate_key

KEYS = tuple(generate_key().public_key for _ in range(3))
POLICY = Policy(KEYS)
NOW = 1_800_000_000
DAY = 86_400


def unmet(
    release: Release | None,
    *,
    signers: int = 1,
    now: int = NOW,
    remembered: Remembered | None = None,
    root: bytes | None = OURS.root,
    **fields: Any,
) -> list[str]:
    """Names of the requirements that are not met; what is raised must say the same."""
    manifest = replace(OURS, release=release, root=root)
    policy = replace(POLICY, **fields)
    found = judge(policy, manifest, signers, now=now, remembered=remembered)
    names = [one.name for one in found if not one.is_met]
    if names:
        with pytest.raises(PolicyError, match=r"^b: validly signed, but ") as caught:
            check_requirements(found, "b")
        for one in found:
            assert (one.message in str(caught.value)) == (not one.is_met)
    else:
        check_requirements(found, "b")
    return names


def test_nothing_is_required_but_a_signature() -> None:
    assert unmet(None) == []
    assert unmet(None, signers=0) == ["signatures"]
    names = [one.name for one in judge(POLICY, OURS, 1, now=NOW)]
    assert names == ["signatures"]


@pytest.mark.parametrize(("signers", "wanted", "is_met"), [(1, 2, False), (2, 2, True), (3, 2, 1)])
def test_signatures(signers: int, wanted: int, is_met: bool) -> None:
    assert unmet(None, signers=signers, signatures=wanted) == ([] if is_met else ["signatures"])


def test_roots() -> None:
    assert OURS.root is not None
    assert unmet(None, roots=(OURS.root,)) == []
    assert unmet(None, roots=(bytes(32), OURS.root)) == []
    assert unmet(None, roots=(bytes(32),)) == ["root"]
    assert unmet(None, roots=(bytes(32),), root=None) == ["root"]
    (_, found) = judge(replace(POLICY, roots=(bytes(32),)), OURS, 1, now=NOW)
    assert format_root(OURS.root) in found.message
    assert f"only {format_root(bytes(32))} is accepted" in found.message


def test_expiry_counts_whatever_the_policy_says() -> None:
    release = Release(NOW - DAY, expires=NOW)
    assert unmet(release, now=NOW - 1) == []
    assert unmet(release, now=NOW) == ["expiry"]
    assert unmet(release, now=NOW + 10 * DAY) == ["expiry"]


def test_signed_in_the_future() -> None:
    """Then one of two clocks is wrong, and nothing can be said about expiry."""
    assert unmet(Release(NOW)) == []
    assert unmet(Release(NOW + 300)) == []
    assert unmet(Release(NOW + 301)) == ["clock"]


def test_age() -> None:
    assert unmet(Release(NOW - DAY), max_age=DAY) == []
    assert unmet(Release(NOW - DAY - 1), max_age=DAY) == ["max-age"]
    assert unmet(Release(NOW + 100), max_age=1) == []
    assert unmet(None, max_age=DAY) == ["max-age"]
    assert unmet(Release(NOW - DAY)) == []


def test_least_release() -> None:
    assert unmet(Release(NOW, 7), min_release=7) == []
    assert unmet(Release(NOW, 8), min_release=7) == []
    assert unmet(Release(NOW, 6), min_release=7) == ["min-release"]
    assert unmet(Release(NOW), min_release=0) == ["min-release"]
    assert unmet(None, min_release=0) == ["min-release"]
    assert unmet(Release(NOW, 0), min_release=0) == []


def test_release_name() -> None:
    named = Release(NOW, 1, name="acme/x")
    assert unmet(named, release_name="acme/x") == []
    assert unmet(named, release_name="acme/X") == ["release-name"]
    assert unmet(Release(NOW, 1), release_name="acme/x") == ["release-name"]
    assert unmet(None, release_name="acme/x") == ["release-name"]
    assert unmet(named) == []


def test_remembered() -> None:
    before = Remembered(7, OURS.root, NOW - DAY)
    memory = {"remembered": before, "state": "/s"}
    assert unmet(Release(NOW, 8), **memory) == []
    assert unmet(Release(NOW, 7), **memory) == []
    assert unmet(Release(NOW, 6), **memory) == ["remembered"]
    assert unmet(Release(NOW), **memory) == ["remembered"]
    assert unmet(None, **memory) == ["remembered"]


def test_another_root_is_said_only_where_there_is_one() -> None:
    policy = replace(POLICY, state="/s")
    for counter, root, said in ((6, b"\1" * 32, False), (7, b"\1" * 32, True), (7, None, False)):
        manifest = replace(OURS, release=Release(NOW, counter))
        memory = Remembered(7, root, NOW)
        found = judge(policy, manifest, 1, now=NOW, remembered=memory)
        (message,) = [one.message for one in found if one.name == "remembered"]
        assert message.endswith(", with another root") == said
        assert f"it is release {counter}" in message


def test_nothing_remembered_yet() -> None:
    assert unmet(Release(NOW, 0), state="/s") == []
    assert unmet(Release(NOW), state="/s") == ["remembered"]
    assert unmet(None, state="/s") == ["remembered"]
    assert unmet(None) == []


def test_the_same_counter_for_other_bytes() -> None:
    other = Remembered(7, b"\1" * 32, NOW)
    assert unmet(Release(NOW, 7), remembered=other, state="/s") == ["remembered"]
    assert unmet(Release(NOW, 8), remembered=other, state="/s") == []
    unknown = Remembered(7, None, NOW)
    assert unmet(Release(NOW, 7), remembered=unknown, state="/s") == []
    assert unmet(Release(NOW, 7), remembered=other, state="/s", root=None) == ["remembered"]


def test_clock_that_went_backwards() -> None:
    before = Remembered(7, OURS.root, NOW)
    release = Release(NOW - 10 * DAY, 7)
    assert unmet(release, remembered=before, state="/s", now=NOW - 300) == []
    assert unmet(release, remembered=before, state="/s", now=NOW - 301) == ["clock"]


def test_messages_say_what_was_found_and_what_is_wanted() -> None:
    manifest = replace(OURS, release=Release(NOW - 2 * DAY, 3, NOW - DAY))
    policy = replace(POLICY, min_release=5, max_age=DAY, release_name="n", state="/s")
    memory = Remembered(3, b"\1" * 32, NOW)
    with pytest.raises(PolicyError) as caught:
        check_requirements(judge(policy, manifest, 1, now=NOW, remembered=memory), "model.sig")
    text = str(caught.value)
    assert "expires at 2027-01-14T08:00:00Z" in text
    assert "clock says 2027-01-15T08:00:00Z" in text
    assert "it is 2 d old, and at most 1 d are accepted" in text
    assert "it is released under no name, and only 'n' is accepted" in text
    assert "it is release 3, and at least 5 is accepted" in text
    assert "release 3 was accepted here before, with another root" in text


def test_clock_beyond_what_can_be_written() -> None:
    assert unmet(Release(NOW), now=1 << 62) == []
    assert unmet(Release(NOW, expires=NOW + 1), now=1 << 62) == ["expiry"]
    assert unmet(Release(NOW), now=-(1 << 62)) == ["clock"]
    with pytest.raises(PolicyError, match="1 d 1 h old"):
        check_requirements(
            judge(
                replace(POLICY, max_age=DAY),
                replace(OURS, release=Release(NOW - DAY - 3600)),
                1,
                now=NOW,
            ),
            "b",
        )
