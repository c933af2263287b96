# SPDX-License-Identifier: Apache-2.0
"""Least-privilege policies for writer, reader and auditor, in the words of each store.

Pure text from parameters; applying it is the operator's. A reader gets objects by name and can
neither list nor write; a writer stores and cannot delete or replace what is locked; an auditor
lists and reads metadata and logs, and no weights.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass

from pyhash.errors import UsageError

ROLES = ("writer", "reader", "auditor")
_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_PREFIX = re.compile(r"[A-Za-z0-9._/-]*")


@dataclass(frozen=True, slots=True)
class Home:
    """The home of releases that a policy is about.

    Attributes:
        bucket: The bucket, or for nginx the host name.
        prefix: Of its keys, without a ``/`` at either end; empty: the whole bucket.

    Raises:
        UsageError: Characters that could mean something in a policy.
    """

    bucket: str
    prefix: str = ""

    def __post_init__(self) -> None:
        if _NAME.fullmatch(self.bucket) is None:
            raise UsageError(f"{self.bucket!r} is no name of a bucket or host")
        if _PREFIX.fullmatch(self.prefix) is None or ".." in self.prefix:
            raise UsageError(f"{self.prefix!r} is no prefix that a policy can be written for")

    @property
    def below(self) -> str:
        """The prefix with a ``/`` behind it, or nothing. Raises nothing."""
        return f"{self.prefix}/" if self.prefix else ""


def write_policy(kind: str, role: str, home: Home) -> str:
    """Return the text of one policy.

    Args:
        kind: A name of ``KINDS``.
        role: One of ``ROLES``.
        home: What it is about.

    Raises:
        UsageError: No such kind or role.
    """
    if kind not in KINDS or role not in ROLES:
        raise UsageError(f"there are {', '.join(KINDS)} and {', '.join(ROLES)}")
    return KINDS[kind](role, home)


_AWS_ACTIONS = {
    "writer": ["s3:PutObject", "s3:AbortMultipartUpload", "s3:GetObject"],
    "reader": ["s3:GetObject"],
    "auditor": ["s3:GetObjectAttributes", "s3:GetObjectRetention", "s3:GetObjectVersion"],
}
_AWS_BUCKET_ACTIONS = {
    "writer": [],
    "reader": [],
    "auditor": [
        "s3:ListBucket",
        "s3:ListBucketVersions",
        "s3:GetBucketVersioning",
        "s3:GetBucketObjectLockConfiguration",
        "s3:GetBucketLogging",
    ],
}


def _aws(role: str, home: Home) -> str:
    """An identity policy of AWS, with plain http denied whoever asks."""
    bucket = f"arn:aws:s3:::{home.bucket}"
    objects = f"{bucket}/{home.below}*"
    statements: list[dict[str, object]] = [
        {
            "Sid": f"Pyhash{role.capitalize()}Objects",
            "Effect": "Allow",
            "Action": _AWS_ACTIONS[role],
            "Resource": objects if role != "auditor" else [objects],
        }
    ]
    if _AWS_BUCKET_ACTIONS[role]:
        statements.append(
            {
                "Sid": "PyhashAuditorBucket",
                "Effect": "Allow",
                "Action": _AWS_BUCKET_ACTIONS[role],
                "Resource": bucket,
            }
        )
    statements.append(
        {
            "Sid": "PyhashOnlyTls",
            "Effect": "Deny",
            "Action": "s3:*",
            "Resource": [bucket, f"{bucket}/*"],
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        }
    )
    if role == "writer":
        statements.append(
            {
                "Sid": "PyhashReleasesStay",
                "Effect": "Deny",
                "Action": [
                    "s3:DeleteObject",
                    "s3:DeleteObjectVersion",
                    "s3:BypassGovernanceRetention",
                    "s3:PutBucketVersioning",
                    "s3:PutLifecycleConfiguration",
                ],
                "Resource": [bucket, f"{bucket}/*"],
            }
        )
    return json.dumps({"Version": "2012-10-17", "Statement": statements}, indent=2) + "\n"


_SEAWEEDFS_ACTIONS = {"writer": ["Read", "Write"], "reader": ["Read"], "auditor": ["List"]}


def _seaweedfs(role: str, home: Home) -> str:
    """An identity of SeaweedFS, to be put into the file of ``-s3.config``."""
    where = f"{home.bucket}/{home.below}*" if home.prefix else home.bucket
    identity = {
        "name": f"pyhash-{role}",
        "credentials": [{"accessKey": "REPLACE_ME", "secretKey": "REPLACE_ME"}],
        "actions": [f"{action}:{where}" for action in _SEAWEEDFS_ACTIONS[role]],
    }
    return json.dumps({"identities": [identity]}, indent=2) + "\n"


_NGINX_HEAD = """\
# For pyhash: TLS only, read only, signed links only. Put it into the http block, and the secret
# (at least 32 random characters, as in the file for pyhash share --nginx-secret) where it says so.
server {{
    listen 443 ssl;
    server_name {host};
    ssl_certificate     /etc/nginx/tls/cert.pem;
    ssl_certificate_key /etc/nginx/tls/key.pem;
    ssl_protocols TLSv1.2 TLSv1.3;
    server_tokens off;
    root /srv/pyhash;
    autoindex off;
    disable_symlinks on;
"""
_NGINX_READER = """\
    access_log /var/log/nginx/pyhash.log combined;

    location /{below} {{
        limit_except GET {{ deny all; }}
        secure_link $arg_md5,$arg_expires;
        secure_link_md5 "$secure_link_expires$uri REPLACE_ME";
        if ($secure_link = "") {{ return 403; }}
        if ($secure_link = "0") {{ return 410; }}
        types {{ }}
        default_type application/octet-stream;
        gzip off;
        add_header Cache-Control "private, no-transform";
    }}

    location / {{ return 404; }}
}}
"""
_NGINX_NOBODY = """\
    # nginx gives nobody but readers anything: a {role} works on the files themselves, as a user of
    # the host whom the directory belongs to (writer), or who may read {log} (auditor).
    location / {{ return 404; }}
}}
"""


def _nginx(role: str, home: Home) -> str:
    """A server of nginx that gives a reader signed links, and others nothing."""
    head = _NGINX_HEAD.format(host=home.bucket)
    if role == "reader":
        return head + _NGINX_READER.format(below=home.below)
    return head + _NGINX_NOBODY.format(role=role, log="/var/log/nginx/pyhash.log")


KINDS: dict[str, Callable[[str, Home], str]] = {
    "aws": _aws,
    "seaweedfs": _seaweedfs,
    "nginx": _nginx,
}
