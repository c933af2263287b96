# SPDX-License-Identifier: Apache-2.0
"""Policy files: TOML, read strictly. docs/policy.md describes every key.

Anything that is not understood makes the whole file unusable: a misspelt key must not be a check
that is left out.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from pyhash import limits
from pyhash.errors import FormatError, PolicyError, PolicyFileError, UsageError
from pyhash.merkle import parse_root
from pyhash.policy._model import ENFORCE, Policy
from pyhash.policy._patterns import check_pattern, is_match, name_of
from pyhash.policy._signers import SIGNER_KEYS, load_signers
from pyhash.policy._trusted_files import check_trusted_directory, read_trusted
from pyhash.strict_json import show

if TYPE_CHECKING:
    from pyhash.log.checkpoint import TrustedLog
    from pyhash.provenance.requirements import Requirements

VERSION = 1
LEAST_GUARANTEE = "content"  # unless a rule says otherwise

T = TypeVar("T")

_FILE_KEYS = ("version", "state", "rule")
_DURATION = re.compile(r"([1-9][0-9]{0,5})([hdwy])")
_UNIT_SECONDS = {"h": 3600, "d": 86_400, "w": 7 * 86_400, "y": 365 * 86_400}


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of a policy file.

    Attributes:
        pattern: Which names it is for, see ``_patterns``.
        policy: What it requires.
    """

    pattern: str
    policy: Policy


@dataclass(frozen=True, slots=True)
class PolicyFile:
    """A policy file that has been read. Immutable, thread-safe. ``read`` makes it.

    Attributes:
        location: The file.
        rules: Its rules, in order.
    """

    location: str
    rules: tuple[Rule, ...]

    @classmethod
    def read(cls, location: str | os.PathLike[str]) -> PolicyFile:
        """Read a policy file, and every key that it names.

        Args:
            location: The file. Paths in it are relative to its directory.

        Returns:
            The rules.

        Raises:
            PolicyFileError: It cannot be read, others could change it, or it is not understood.
            KeyFileError: A key that it names cannot be read or must not be used.
            DependencyError: A rule needs a library that is not installed.
        """
        name = os.fspath(location)
        return cls(name, _load(read_trusted(name, limits.MAX_POLICY_BYTES), name))

    def for_checkpoint(self, path: str | os.PathLike[str], state: str | None = None) -> Policy:
        """Return what the first rule that fits a checkpoint's name requires.

        Args:
            path: The checkpoint, as whoever wants it calls it. It need not be there.
            state: Directory to remember releases in where the rule names none; None: as the rule
                says.

        Returns:
            The policy for this checkpoint and no other.

        Raises:
            PolicyError: No rule is for it, so that nobody is trusted to sign it.
            UsageError: The rule names another directory to remember releases in.
        """
        name = name_of(path)
        for rule in self.rules:
            if is_match(rule.pattern, name):
                return rule.policy.located(name, state)
        raise PolicyError(
            f"{self.location}: no rule is for {name}, so that nobody is trusted to sign it"
        )


def _load(data: bytes, source: str) -> tuple[Rule, ...]:
    import tomllib  # here, as most processes read no policy file

    try:
        document = tomllib.loads(data.decode("utf-8"))
    except RecursionError:
        raise PolicyFileError(f"{source}: nested too deeply", source) from None
    except ValueError as error:  # TOML, UTF-8, and numbers of too many digits
        raise PolicyFileError(f"{source}: not TOML: {error}", source) from None
    top = _Table(document, source, source, _FILE_KEYS)
    version = top.need("version", _integer)
    if version != VERSION:
        top.refuse(f"version is {version}; this program reads version {VERSION}")
    base = os.path.dirname(os.path.abspath(source))
    state = top.take("state", _string)
    if state is not None:
        state = os.path.join(base, state)
        check_trusted_directory(state)
    tables = top.need("rule", _tables)
    if not 0 < len(tables) <= limits.MAX_POLICY_RULES:
        top.refuse(f"{len(tables)} rules, and from 1 to {limits.MAX_POLICY_RULES} are read")
    return tuple(
        _load_rule(table, number, base, source, state) for number, table in enumerate(tables, 1)
    )


_RULE_KEYS = (
    "name",
    "mode",
    "signatures",
    "roots",
    "ignore",
    "guarantee",
    "min-release",
    "max-age",
    "release-name",
    "remember",
    "require-log",
    "log",
    "provenance",
)


def _load_rule(
    fields: dict[str, Any], number: int, base: str, source: str, state: str | None
) -> Rule:
    where = f"{source}: rule {number}"
    table = _Table(fields, where, source, (*_RULE_KEYS, *SIGNER_KEYS))
    pattern = table.need("name", _string)
    where = f"rule {number} ({show(pattern)}) of {source}"
    try:
        check_pattern(pattern)
        keys, files = load_signers(fields, base)
        log, provenance, more = _load_history(table, base)
        policy = Policy(
            keys,
            ignore=tuple(table.take("ignore", _strings) or ()),
            roots=tuple(parse_root(root) for root in table.take("roots", _filled_strings) or ()),
            signatures=table.take("signatures", _integer, 1),
            min_release=table.take("min-release", _integer),
            max_age=table.take("max-age", parse_duration),
            release_name=table.take("release-name", _filled_string),
            guarantee=table.take("guarantee", _string, LEAST_GUARANTEE),
            mode=table.take("mode", _string, ENFORCE),
            state=_remember(table, state),
            rule=where,
            files=(source, *files, *more),
            require_log=table.take("require-log", _boolean, False),
            log=log,
            provenance=provenance,
        )
    except (UsageError, FormatError) as error:
        table.refuse(str(error))
    return Rule(pattern, policy)


def _load_history(
    table: _Table, base: str
) -> tuple[TrustedLog | None, Requirements | None, tuple[str, ...]]:
    """Return what the log and the lineage must be like, and the files that say so."""
    logged, stated = table.take("log", _table), table.take("provenance", _table)
    if logged is None and stated is None:
        return None, None, ()
    from pyhash.policy._history import load_log, load_provenance

    log, files = (None, ()) if logged is None else load_log(logged, base)
    if stated is None:
        return log, None, files
    provenance, more = load_provenance(stated, base, log)
    return log, provenance, (*files, *more)


def _remember(table: _Table, state: str | None) -> str | None:
    if not table.take("remember", _boolean, False):
        return None
    if state is None:
        table.refuse("remember needs a directory: state, at the top of the file")
    return state


class _Table:
    """One table of the file: takes values by key, and refuses keys that nobody takes."""

    def __init__(
        self, fields: dict[str, Any], where: str, source: str, known: Sequence[str]
    ) -> None:
        self._fields, self._where, self._source = fields, where, source
        for key in fields:
            if key not in known:
                self.refuse(f"unknown key {show(key)}; there are {', '.join(known)}")

    def refuse(self, message: str) -> NoReturn:
        raise PolicyFileError(f"{self._where}: {message}", self._source)

    def need(self, key: str, read: Callable[[Any], T]) -> T:
        if key not in self._fields:
            self.refuse(f"{key} is missing")
        value: T = self.take(key, read)
        return value

    def take(self, key: str, read: Callable[[Any], T], default: Any = None) -> Any:
        if key not in self._fields:
            return default
        try:
            return read(self._fields[key])
        except ValueError as error:
            self.refuse(f"{key} must be {error}")


def _string(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("a string")
    return value


def _filled_string(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("a string that is not empty")
    return value


def _integer(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError("an integer")
    return value


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("true or false")
    return value


def _strings(value: Any) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise ValueError("an array of strings")
    return value


def _filled_strings(value: Any) -> list[str]:
    """An empty list of what is accepted would read as "any"."""
    if not value:
        raise ValueError("an array of strings that is not empty")
    return _strings(value)


def _table(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError("a table")
    return value


def _tables(value: Any) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise ValueError("tables, each under [[rule]]")
    return value


def parse_duration(value: Any) -> int:
    """Return the seconds of a duration like ``90d``: hours, days, weeks, years of 365 days. Pure.

    Args:
        value: The text.

    Raises:
        ValueError: It is none; the message says what it should be.
    """
    found = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError('a number and a unit (h, d, w or y), like "90d"')
    return int(found[1]) * _UNIT_SECONDS[found[2]]
