# SPDX-License-Identifier: Apache-2.0
"""Statements that must be refused: each a good one with one change, or text that is not JSON.

See reference_refused.py for what the fields of a vector mean.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import reference as ref
from reference_recipes import Json
from reference_refused import RULES, vector
from reference_samples import (
    changed,
    compact,
    foreign_statement,
    nested,
    oms_statement,
    own_statement,
    released,
    sealed,
    set_note,
    set_release,
)

Change = Callable[[Json], object]


def put(place: str, value: Any) -> Change:
    """A change that sets one field; a place is like ``predicate resources 0 name``."""

    def change(statement: Any) -> None:
        *way, last = (int(part) if part.isdigit() else part for part in place.split(" "))
        for part in way:
            statement = statement[part]
        statement[last] = value

    return change


def drop(place: str) -> Change:
    def change(statement: Any) -> None:
        *way, last = (int(part) if part.isdigit() else part for part in place.split(" "))
        for part in way:
            statement = statement[part]
        del statement[last]

    return change


def note(field: str, value: Any) -> Change:
    return lambda statement: set_note(statement, field, value)


def rename(*names: str) -> Change:
    """Give the first resources other names; their roots are made to fit afterwards."""

    def change(statement: Json) -> None:
        for resource, name in zip(statement["predicate"]["resources"], names, strict=False):
            resource["name"] = name

    return change


SERIALIZATION, RESOURCES = "predicate serialization", "predicate resources"
SUBJECT, DIGEST = "subject 0", "subject 0 digest"
NOTE = f"{RESOURCES} 1 annotations pyhash-v1"
NOTES, RELEASED = f"{SUBJECT} annotations", f"{SUBJECT} annotations pyhash-release"
ROOT = "ab" * 32

# Name, rule, change. The roots are made to fit again, so that only one thing is wrong.
SEALED_AGAIN: list[tuple[str, str, Change]] = [
    ("type-missing", "S1", drop("_type")),
    ("unknown-field", "S1", put("extra", 1)),
    ("type-v0.1", "S2", put("_type", "https://in-toto.io/Statement/v0.1")),
    ("type-null", "S2", put("_type", None)),
    ("predicate-type-unknown", "S3", put("predicateType", "https://slsa.dev/provenance/v1")),
    ("predicate-type-later", "S3", put("predicateType", ref.OWN_TYPE[:-1] + "2")),
    ("predicate-type-v1.1", "S3", put("predicateType", "https://model_signing/signature/v1.1")),
    ("predicate-type-array", "S3", put("predicateType", [ref.OMS_TYPE])),
    ("predicate-field-missing", "S6", drop(SERIALIZATION)),
    ("predicate-field-unknown", "S6", put("predicate pyhash-v1", {})),
    ("method-unknown", "S7", put(f"{SERIALIZATION} method", "shards")),
    ("method-missing", "S7", drop(f"{SERIALIZATION} method")),
    ("single-dot", "P3", lambda s: (rename(".")(s), resources(s).__delitem__(slice(1, None)))),
    ("serialization-unknown-field", "S7", put(f"{SERIALIZATION} shard_size", 1_000_000)),
    ("serialization-array", "S7", put(SERIALIZATION, [])),
    ("ignore-paths-string", "S8", put(f"{SERIALIZATION} ignore_paths", ".git")),
    ("ignore-paths-number", "S8", put(f"{SERIALIZATION} ignore_paths", [1])),
    ("ignore-paths-outside", "P3", put(f"{SERIALIZATION} ignore_paths", ["../x"])),
    ("ignore-paths-absolute", "P2", put(f"{SERIALIZATION} ignore_paths", ["/x"])),
    ("ignore-paths-everything", "P3", put(f"{SERIALIZATION} ignore_paths", ["."])),
    ("signed-and-ignored", "S14", put(f"{SERIALIZATION} ignore_paths", ["weights.bin"])),
    ("signed-below-ignored", "S14", put(f"{SERIALIZATION} ignore_paths", ["a"])),
    ("same-name-twice", "L3", rename("a.b", "a.b")),
    ("path-absolute", "P2", rename("/etc/passwd")),
    ("path-outside", "P3", rename("../weights.bin")),
    ("path-dot", "P3", rename(".")),
    ("path-empty", "P2", rename("")),
    ("path-nul", "P4", rename("a\0b")),
    ("path-too-long", "P5", rename("x" * 4097)),
    ("path-too-deep", "P6", rename("d/" * 64 + "d")),
    ("file-is-directory", "L4", rename("weights.bin/below")),
    ("size-too-large", "L5", note("size", ref.MAX_SHARD_BYTES + 1)),
]  # fmt: skip

# The roots stay as they were.
UNSEALED: list[tuple[str, str, Change]] = [
    ("no-resources", "L1", put(RESOURCES, [])),
    ("resources-object", "S9", put(RESOURCES, {})),
    ("resource-string", "S9", put(f"{RESOURCES} 1", "a.b")),
    ("name-missing", "S9", drop(f"{RESOURCES} 1 name")),
    ("name-number", "S9", put(f"{RESOURCES} 1 name", 1)),
    ("predicate-array", "S6", put("predicate", [])),
    ("subject-object", "S4", put("subject", {})),
    ("no-subject", "S4", put("subject", [])),
    ("two-subjects", "S4", lambda s: s["subject"].append(dict(s["subject"][0]))),
    ("subject-name-missing", "S4", drop(f"{SUBJECT} name")),
    ("subject-name-empty", "S4", put(f"{SUBJECT} name", "")),
    ("subject-name-null", "S4", put(f"{SUBJECT} name", None)),
    ("subject-digest-string", "S5", put(DIGEST, ROOT)),
    ("root-upper-case", "S5", lambda s: upper(s["subject"][0]["digest"], "pyhash-v1")),
    ("root-with-prefix", "S5", put(f"{DIGEST} pyhash-v1", "pyhash-v1:" + ROOT)),
    ("root-short", "S5", put(f"{DIGEST} pyhash-v1", ROOT[:-2])),
    ("root-empty", "S5", put(f"{DIGEST} pyhash-v1", "")),
    ("root-null", "S5", put(f"{DIGEST} pyhash-v1", None)),
    ("root-of-something-else", "S13", put(f"{DIGEST} pyhash-v1", ROOT)),
    ("shard-root-changed", "S13", note("root", ROOT)),
    ("size-changed", "S13", note("size", 65538)),
    ("paths-swapped", "S13", rename("a.b", "a b")),
    ("size-missing", "S10", drop(f"{NOTE} size")),
    ("root-missing", "S10", drop(f"{NOTE} root")),
    ("annotation-unknown-field", "S10", put(f"{NOTE} mode", 420)),
    ("annotation-string", "S10", put(NOTE, ROOT)),
    ("annotation-null", "S10", put(NOTE, None)),
    ("annotations-array", "S10", put(f"{RESOURCES} 1 annotations", [])),
    ("size-negative", "S10", note("size", -1)),
    ("size-true", "S10", note("size", True)),
    ("size-float", "S10", note("size", 65537.0)),
    ("size-string", "S10", note("size", "65537")),
    ("size-null", "S10", note("size", None)),
    ("size-beyond-json", "J5", note("size", 2**53)),
    ("size-beyond-64-bits", "J5", note("size", 2**64 + 65537)),
    ("shard-root-upper-case", "S10", lambda s: upper(note_of(s), "root")),
    ("shard-root-with-prefix", "S10", note("root", "pyhash-v1:" + ROOT)),
    ("shard-root-short", "S10", note("root", ROOT[:-1])),
    ("shard-root-not-hex", "S10", note("root", "zz" * 32)),
    ("shard-root-number", "S10", note("root", 7)),
]
ONLY_OMS: list[tuple[str, str, Change]] = [
    ("oms-root-missing", "S5", drop(f"{DIGEST} sha256")),
    ("one-level-too-deep", "J6", put(f"{RESOURCES} 0 annotations deep", nested(60))),
    ("oms-root-changed", "S12", put(f"{DIGEST} sha256", ROOT)),
    ("oms-root-upper-case", "S5", lambda s: upper(s["subject"][0]["digest"], "sha256")),
    ("file-digest-changed", "S12", put(f"{RESOURCES} 1 digest", ROOT)),
    ("resources-reordered", "S12", lambda s: s["predicate"]["resources"].reverse()),
    ("file-digest-missing", "S9", drop(f"{RESOURCES} 1 digest")),
    ("file-digest-upper-case", "S9", lambda s: upper(s["predicate"]["resources"][1], "digest")),
    ("file-digest-of-sha512", "S9", put(f"{RESOURCES} 1 digest", ROOT * 2)),
    ("algorithm-missing", "S9", drop(f"{RESOURCES} 1 algorithm")),
    ("algorithm-blake3", "S9", put(f"{RESOURCES} 1 algorithm", "blake3")),
    ("algorithm-spelled-otherwise", "S9", put(f"{RESOURCES} 1 algorithm", "SHA-256")),
    ("hash-type-blake3", "S7", put(f"{SERIALIZATION} hash_type", "blake3")),
    ("hash-type-missing", "S7", drop(f"{SERIALIZATION} hash_type")),
    ("allow-symlinks-string", "S7", put(f"{SERIALIZATION} allow_symlinks", "false")),
    ("allow-symlinks-number", "S7", put(f"{SERIALIZATION} allow_symlinks", 0)),
    ("allow-symlinks-missing", "S7", drop(f"{SERIALIZATION} allow_symlinks")),
    ("annotations-missing-on-one", "S11", drop(f"{RESOURCES} 1 annotations")),
    ("annotation-missing-on-one", "S11", put(f"{RESOURCES} 1 annotations", {"other": 1})),
    ("root-missing-in-subject", "S11", drop(f"{DIGEST} pyhash-v1")),
    ("root-only-in-subject", "S11", lambda s: [r.pop("annotations") for r in resources(s)]),
]  # fmt: skip
ONLY_OWN: list[tuple[str, str, Change]] = [
    ("oms-root-there", "S5", put(f"{DIGEST} sha256", ROOT)),
    ("subject-root-missing", "S5", drop(f"{DIGEST} pyhash-v1")),
    ("subject-unknown-field", "S4", put(f"{SUBJECT} note", {})),
    ("subject-annotations-empty", "S15", put(f"{SUBJECT} annotations", {})),
    ("subject-annotations-unknown", "S15", put(f"{SUBJECT} annotations", {"origin": "x"})),
    ("release-and-unknown", "S15", lambda s: (set_release(s), put(f"{NOTES} origin", "x")(s))),
    ("file-digest-there", "S9", put(f"{RESOURCES} 1 digest", ROOT)),
    ("algorithm-there", "S9", put(f"{RESOURCES} 1 algorithm", "sha256")),
    ("annotations-missing", "S9", drop(f"{RESOURCES} 1 annotations")),
    ("annotation-missing", "S10", put(f"{RESOURCES} 1 annotations", {})),
    ("annotations-unknown", "S10", put(f"{RESOURCES} 1 annotations other", 1)),
    ("ignore-paths-missing", "S7", drop(f"{SERIALIZATION} ignore_paths")),
    ("hash-type-there", "S7", put(f"{SERIALIZATION} hash_type", "sha256")),
    ("method-of-oms", "S7", put(f"{SERIALIZATION} method", "files")),
]
# Of a release in the subject's annotations, which is a good one before the change.
RELEASES: list[tuple[str, Change]] = [
    ("not-an-object", put(f"{NOTES} pyhash-release", "12")),
    ("null", put(f"{NOTES} pyhash-release", None)),
    ("unknown-field", put(f"{RELEASED} channel", "stable")),
    ("created-missing", drop(f"{RELEASED} created")),
    ("created-number", put(f"{RELEASED} created", 1_795_595_400)),
    ("created-null", put(f"{RELEASED} created", None)),
    ("created-with-offset", put(f"{RELEASED} created", "2026-11-25T08:30:00+00:00")),
    ("created-without-zone", put(f"{RELEASED} created", "2026-11-25T08:30:00")),
    ("created-with-fraction", put(f"{RELEASED} created", "2026-11-25T08:30:00.5Z")),
    ("created-in-small-letters", put(f"{RELEASED} created", "2026-11-25t08:30:00z")),
    ("created-with-space", put(f"{RELEASED} created", "2026-11-25 08:30:00Z")),
    ("created-with-newline", put(f"{RELEASED} created", "2026-11-25T08:30:00Z\n")),
    ("created-in-other-digits", put(f"{RELEASED} created", "\u0662026-11-25T08:30:00Z")),
    ("created-before-1970", put(f"{RELEASED} created", "1969-12-31T23:59:59Z")),
    ("created-in-year-0", put(f"{RELEASED} created", "0000-01-01T00:00:00Z")),
    ("created-on-no-day", put(f"{RELEASED} created", "2026-02-29T08:30:00Z")),
    ("created-on-day-0", put(f"{RELEASED} created", "2026-11-00T08:30:00Z")),
    ("created-at-24", put(f"{RELEASED} created", "2026-11-25T24:00:00Z")),
    ("created-in-leap-second", put(f"{RELEASED} created", "2016-12-31T23:59:60Z")),
    ("expires-when-created", put(f"{RELEASED} expires", "2026-11-25T08:30:00Z")),
    ("expires-before-created", put(f"{RELEASED} expires", "2026-11-25T08:29:59Z")),
    ("expires-date-only", put(f"{RELEASED} expires", "2027-02-28")),
    ("expires-null", put(f"{RELEASED} expires", None)),
    ("counter-negative", put(f"{RELEASED} counter", -1)),
    ("counter-string", put(f"{RELEASED} counter", "12")),
    ("counter-float", put(f"{RELEASED} counter", 12.0)),
    ("counter-true", put(f"{RELEASED} counter", True)),
    ("counter-null", put(f"{RELEASED} counter", None)),
    ("name-empty", put(f"{RELEASED} name", "")),
    ("name-number", put(f"{RELEASED} name", 1)),
    ("name-too-long", put(f"{RELEASED} name", "\u65e5" * 85 + "xy")),
    ("annotations-array", put(NOTES, [])),
    ("annotations-null", put(NOTES, None)),
]
# Of fs-verity digests in every resource, which are good ones before the change.
SEAL = f"{RESOURCES} 1 annotations pyhash-verity"
SEALS: list[tuple[str, str, Change]] = [
    ("missing-on-one", "S16", drop(SEAL)),
    ("string", "S16", put(SEAL, ROOT)),
    ("null", "S16", put(SEAL, None)),
    ("empty", "S16", put(SEAL, {})),
    ("unknown-field", "S16", put(f"{SEAL} salt", "00")),
    ("digest-null", "S16", put(f"{SEAL} digest", None)),
    ("digest-upper-case", "S16", put(f"{SEAL} digest", ROOT.upper())),
    ("digest-short", "S16", put(f"{SEAL} digest", ROOT[:-2])),
    ("digest-with-prefix", "S16", put(f"{SEAL} digest", "sha256:" + ROOT)),
]
ONLY_FOREIGN: list[tuple[str, str, Change]] = [
    ("dot-among-others", "P3", rename(".")),
    ("oms-root-missing", "S5", drop(f"{DIGEST} sha256")),
    ("path-outside", "P3", rename("../../x")),
    ("same-name-twice", "L3", rename("a.b")),
]


def resources(statement: Json) -> list[Json]:
    return statement["predicate"]["resources"]


def note_of(statement: Json) -> Json:
    return resources(statement)[1]["annotations"]["pyhash-v1"]


def upper(where: Json, field: str) -> None:
    where[field] = where[field].upper()


# Changes of the text of the OMS statement: what to look for, what to put there.
REPLACED: list[tuple[str, str, str, str]] = [
    ("something-behind-the-end", "J2", '"model.tree"]}}}', '"model.tree"]}}}x'),
    ("comma-behind-last", "J2", "}}}", "},}}"),
    ("comment", "J2", "{", "/* */{"),
    ("nan", "J2", '"size":65537', '"size":NaN'),
    ("infinity", "J2", '"size":65537', '"size":Infinity'),
    ("hexadecimal", "J2", '"size":65537', '"size":0x10001'),
    ("leading-zero", "J2", '"size":65537', '"size":065537'),
    ("leading-plus", "J2", '"size":65537', '"size":+65537'),
    ("single-quotes", "J2", '"weights.bin"', "'weights.bin'"),
    ("raw-newline-in-string", "J2", "tiny-model", "tiny\nmodel"),
    ("same-key-twice", "J3", '"size":65537', '"size":65537,"size":65537'),
    ("same-key-twice-escaped", "J3", '"size":65537', '"size":65537,"siz\\u0065":1'),
    ("payload-type-twice", "J3", '"_type"', '"predicateType":"x","_type"'),
    ("half-surrogate", "J4", "tiny-model", "tiny\\ud83d"),
    ("low-surrogate-first", "J4", "tiny-model", "tiny\\ude00\\ud83d"),
    ("half-surrogate-in-path", "J4", "weights.bin", "weights\\udc80"),
    ("size-above-floats", "J5", '"size":65537', '"size":1e400'),
    ("size-of-many-digits", "J5", '"size":65537', '"size":' + "9" * 5000),
    ("size-with-exponent", "S10", '"size":65537', '"size":65537e0'),
    ("size-minus-zero", "S10", '"size":0', '"size":-0'),
    ("key-in-other-case", "S1", '"predicateType"', '"PredicateType"'),
]
WHOLE: list[tuple[str, str, str]] = [
    ("nothing", "J2", ""),
    ("only-space", "J2", "  \n"),
    ("only-brace", "J2", "{"),
    ("two-values", "J2", "{}{}"),
    ("null", "S1", "null"),
    ("array", "S1", "[]"),
    ("empty-object", "S1", "{}"),
    ("deep-array", "J6", "[" * 65 + "]" * 65),
    ("deep-object", "J6", '{"a":' * 65 + "1" + "}" * 65),
    ("deep-and-unfinished", "J6", "[" * 100_000),
]


def statements() -> list[Json]:
    oms, own, foreign = (
        ("oms", oms_statement),
        ("own", own_statement),
        ("foreign", foreign_statement),
    )
    found = []
    for table, kinds, make in (
        (SEALED_AGAIN, (oms, own), changed),
        (UNSEALED, (oms, own), spoiled),
        (ONLY_OMS, (oms,), spoiled),
        (ONLY_OWN, (own,), spoiled),
        (ONLY_FOREIGN, (foreign,), changed),
    ):
        found += [
            vector(f"{kind}-{name}", rule, RULES[rule], payload=compact(make(start, change)))
            for name, rule, change in table
            for kind, start in kinds
        ]
    for kind, make in (oms, own, foreign):
        found += [
            vector(f"{kind}-release-{name}", "S15", RULES["S15"], payload=compact(statement))
            for name, change in RELEASES
            for statement in (spoiled(lambda make=make: released(make), change),)
        ]
    for kind, make in (oms, own):
        found += [
            vector(f"{kind}-sealed-{name}", rule, RULES[rule], payload=compact(statement))
            for name, rule, change in SEALS
            for statement in (spoiled(lambda make=make: sealed(make), change),)
        ]
    without = compact(sealed(foreign_statement))
    found.append(vector("foreign-sealed", "S16", RULES["S16"], payload=without))
    found.append(
        vector(
            *("oms-release-counter-beyond-json", "J5", RULES["J5"]),
            payload=compact(released(oms_statement, counter=2**53)),
        )
    )
    good = compact(oms_statement())
    for name, rule, old, new in REPLACED:
        found.append(vector(name, rule, RULES[rule], payload=good.replace(old, new, 1)))
    found += [vector(name, rule, RULES[rule], payload=payload) for name, rule, payload in WHOLE]
    for name, data in not_utf_8(good.encode("utf-8")):
        found.append(vector(name, "J1", RULES["J1"], payload_hex=data.hex()))
    return found


def spoiled(make: Callable[[], Json], change: Change) -> Json:
    statement = make()
    change(statement)
    return statement


def not_utf_8(good: bytes) -> list[tuple[str, bytes]]:
    return [
        ("byte-order-mark", b"\xef\xbb\xbf" + good),
        ("utf-16", good.decode("utf-8").encode("utf-16")),
        ("latin-1", good.replace(b"tiny-model", b"tiny-mod\xe8l")),
        ("raw-surrogate", good.replace(b"tiny-model", b"tiny-\xed\xa0\xbd")),
        ("overlong", good.replace(b"weights.bin", b"weights\xc0\xafbin")),
        ("behind-the-end", good + b"\xff"),
    ]
