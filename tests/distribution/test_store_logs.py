# SPDX-License-Identifier: Apache-2.0
"""Access logs of stores, read strictly, and held against what clients have recorded."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyhash import errors
from pyhash.log.events import AccessEvent
from pyhash.store.access_records import KINDS, AccessRecord, read_records
from pyhash.store.policies import KINDS as POLICY_KINDS
from pyhash.store.policies import ROLES, Home, write_policy
from pyhash.store.reconciling import reconcile

ROOT = "ab" * 32
KEY = f"llama/releases/{ROOT}/model.safetensors"
AT = datetime(2026, 11, 25, 2, 0, tzinfo=UTC)

# Amazon S3 User Guide, "Amazon S3 server access log format", with a key of ours.
S3_LINE = (
    "79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be amzn-s3-demo-bucket"
    " [25/Nov/2026:02:00:00 +0000] 192.0.2.3 arn:aws:iam::123456789012:user/reader"
    f" 3E57427F3EXAMPLE REST.GET.OBJECT {KEY}"
    f' "GET /{KEY}?x=\\"y\\" HTTP/1.1" 206 - 113 - 7 - "-" "S3Console/0.4" -'
)
S3_LISTING = (
    "79a59d amzn-s3-demo-bucket [25/Nov/2026:02:00:01 +0000] 192.0.2.3 - 3E57427F REST.GET.BUCKET -"
    ' "GET /amzn-s3-demo-bucket?list-type=2 HTTP/1.1" 403 AccessDenied 113 - 7 - "-" "curl" -'
)
NGINX_LINE = (
    f'192.0.2.3 - - [25/Nov/2026:03:00:00 +0100] "GET /{KEY}?md5=x&expires=1 HTTP/1.1" 206 1048576'
    ' "-" "pyhash"'
)
SEAWEED_LINE = (
    '{"bucket":"models","key":"' + KEY + '","operation":"REST.GET.OBJECT","remote_ip":"192.0.2.3",'
    '"requester":"reader","status":206,"time":1795572000}'
)


def record(**fields: object) -> AccessRecord:
    usual = AccessRecord(AT, "GET", KEY, "reader", "192.0.2.3", 206, 1)
    return replace(usual, **fields)  # type: ignore[arg-type]


def event(**fields: object) -> AccessEvent:
    usual = AccessEvent(
        operation="pull",
        outcome="done",
        at="2026-11-25T02:10:00Z",
        user="ops",
        uid=1000,
        host="gpu-1",
        credential="reader",
        root=f"pyhash-v1:{ROOT}",
        location="s3://models/llama",
    )
    return replace(usual, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "line", "expected"),
    [
        ("s3", S3_LINE, record(requester="arn:aws:iam::123456789012:user/reader")),
        (
            "s3",
            S3_LISTING,
            record(at=AT + timedelta(seconds=1), method="LIST", key="", requester=None, status=403),
        ),
        ("nginx", NGINX_LINE, record(requester=None)),
        ("seaweedfs", SEAWEED_LINE, record(at=datetime.fromtimestamp(1795572000, UTC))),
    ],
)
def test_a_line_of_each(kind: str, line: str, expected: AccessRecord) -> None:
    assert list(read_records([line + "\n", "\n", "# comment\n"], kind, "log")) == [expected]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("line", ["x", "[]", "{}", '{"time":"x"}', "a b c", S3_LINE[:80], "\x00"])
def test_lines_that_are_none(kind: str, line: str) -> None:
    with pytest.raises(errors.FormatError, match="line 2"):
        list(read_records(["# comment", line], kind, "log"))


@pytest.mark.parametrize("kind", KINDS)
def test_line_without_end(kind: str) -> None:
    with pytest.raises(errors.FormatError, match="more than 65536 bytes"):
        list(read_records(["x" * 65537], kind, "log"))


@given(line=st.text(), kind=st.sampled_from(list(KINDS)))
def test_any_line_is_a_record_or_an_error(line: str, kind: str) -> None:
    try:
        for one in read_records([line], kind, "log"):
            assert isinstance(one, AccessRecord)
    except errors.FormatError:
        pass


def reasons(records: list[AccessRecord], events: list[AccessEvent], **how: object) -> list[str]:
    return [one.reason for one in reconcile(records, events, **how)]  # type: ignore[arg-type]


def test_explained() -> None:
    assert reasons([record()], [event()]) == []
    pointer = record(key="llama/latest.json")
    assert reasons([pointer], [event()]) == []
    assert reasons([record(method="PUT")], [event(operation="push")]) == []
    arn = record(requester="arn:aws:iam::123456789012:user/reader")
    assert reasons([arn], [event()]) == []
    assert reasons([record(requester="AIDA")], [event()], names={"reader": "AIDA"}) == []


@pytest.mark.parametrize(
    ("one", "events", "reason"),
    [
        (record(), [], "no client recorded anything"),
        (record(), [event(root=f"pyhash-v1:{'cd' * 32}")], "no client recorded anything"),
        (record(), [event(root=None)], "no client recorded anything"),
        (record(method="PUT"), [event()], "no client recorded a push"),
        (record(method="DELETE"), [event()], "no client recorded a push"),
        (record(method="LIST"), [event()], "LIST is no part of"),
        (record(key="llama/other"), [event()], "not a file of a release"),
        (record(at=AT - timedelta(hours=9)), [event()], "not at that time"),
        (record(at=AT + timedelta(hours=1)), [event()], "not at that time"),
        (record(requester="mallory"), [event()], "recorded by reader, seen from mallory"),
        (record(), [event(operation="verify")], "no client recorded anything"),
    ],
)
def test_unexplained(one: AccessRecord, events: list[AccessEvent], reason: str) -> None:
    (found,) = reconcile([one], events)
    assert reason in found.reason
    assert not found.was_refused


def test_refused_attempts_are_told_apart() -> None:
    (found,) = reconcile([record(status=403)], [])
    assert found.was_refused


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("kind", POLICY_KINDS)
def test_policies_name_their_home_and_nothing_wider(kind: str, role: str) -> None:
    import json

    text = write_policy(kind, role, Home("models", "llama"))
    assert text == write_policy(kind, role, Home("models", "llama"))
    if kind == "nginx":
        assert ("location /llama/" in text) == (role == "reader")
        assert "ssl_protocols TLSv1.2 TLSv1.3;" in text
        return
    found = json.loads(text)
    if kind == "seaweedfs":
        (identity,) = found["identities"]
        assert all(action.endswith(":models/llama/*") for action in identity["actions"])
        return
    allowed = [one for one in found["Statement"] if one["Effect"] == "Allow"]
    actions = {action for one in allowed for action in one["Action"]}
    writes = {"s3:PutObject", "s3:AbortMultipartUpload"}
    assert (actions & writes == writes) == (role == "writer")
    assert not any("Delete" in action or "*" in action for action in actions)
    assert ("s3:GetObject" in actions) == (role != "auditor")
    (tls,) = (one for one in found["Statement"] if one["Sid"] == "PyhashOnlyTls")
    assert (tls["Effect"], tls["Action"]) == ("Deny", "s3:*")


def test_policies_for_odd_names() -> None:
    for bucket, prefix in (
        ("a", ""),
        ("Models", ""),
        ("models", "a b"),
        ("models", "../x"),
        ('m"', ""),
    ):
        with pytest.raises(errors.UsageError):
            Home(bucket, prefix)
    with pytest.raises(errors.UsageError, match="there are"):
        write_policy("azure", "reader", Home("models"))
