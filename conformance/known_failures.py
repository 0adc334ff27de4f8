"""The list of known failures: what is excused, why, and what may come off the list.

```toml
[[failure]]
case = "resume-after-cut/resume.*"   # or: rule = "http.cache-control"; * matches anything
reason = "no replay yet, see issue 12"
```
"""

import tomllib
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated

import msgspec

from conformance.files import read_small
from reports.results import Case, Verdict

_FAILED = frozenset({Verdict.FAIL, Verdict.WARN})
_UNDECIDED = frozenset({Verdict.INCONCLUSIVE, Verdict.ERROR})


class KnownFailuresError(ValueError):
    """The file is not a list of known failures; the message names the file and the entry."""


class KnownFailure(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An entry: which cases, by case id or by rule, and the reason to excuse them."""

    reason: Annotated[str, msgspec.Meta(min_length=1)]
    case: str | None = None
    rule: str | None = None

    def matches(self, case: Case) -> bool:
        """Whether this entry lists the case."""
        return (self.case is None or fnmatchcase(case.id, self.case)) and (
            self.rule is None or fnmatchcase(case.rule, self.rule)
        )


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    failure: tuple[KnownFailure, ...] = ()


def load_known_failures(path: Path) -> tuple[KnownFailure, ...]:
    """The entries of a file. Raises `KnownFailuresError`, or `OSError` where it cannot be read."""
    try:
        tree = tomllib.loads(read_small(path).decode("utf-8"))
    except ValueError as error:  # a number of too many digits too, and what is not UTF-8
        raise KnownFailuresError(f"{path}: not TOML: {error}") from error
    except RecursionError as error:
        raise KnownFailuresError(f"{path}: nested too deeply") from error
    try:
        listed = msgspec.convert(tree, _File).failure
    except msgspec.ValidationError as error:
        raise KnownFailuresError(
            f'{path}: {error}. An entry looks like: [[failure]] rule = "http.cache-control", reason = "..."'
        ) from error
    for number, entry in enumerate(listed, 1):
        if entry.case is None and entry.rule is None:
            raise KnownFailuresError(f"{path}: entry {number} names neither a case nor a rule")
    return listed


def excuse(cases: Iterable[Case], listed: Sequence[KnownFailure]) -> tuple[Case, ...]:
    """The cases, those that are listed and fail with the reason that excuses them.

    An entry that excuses nothing any more, because all its cases that were to be judged pass, marks those: the list
    must not rot. Where one of them came to no decision, it may be the one that fails, so nothing is marked.
    """
    cases = tuple(cases)
    reasons: dict[str, str] = {}
    for entry in listed:
        matched = [case for case in cases if entry.matches(case)]
        failed = [case for case in matched if case.verdict in _FAILED]
        undecided = any(case.verdict in _UNDECIDED for case in matched)
        stale = [case for case in matched if case.verdict is Verdict.PASS and not undecided]
        for case in failed or stale:
            reasons.setdefault(case.id, entry.reason)
    return tuple(
        msgspec.structs.replace(case, excused=reasons[case.id]) if case.id in reasons else case
        for case in cases
    )


def unmatched(cases: Iterable[Case], listed: Iterable[KnownFailure]) -> tuple[KnownFailure, ...]:
    """Entries that list no case of this run."""
    cases = tuple(cases)
    return tuple(entry for entry in listed if not any(entry.matches(case) for case in cases))
