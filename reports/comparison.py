"""Runs side by side, rule by rule, and what has changed from an earlier one to a later one. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from itertools import groupby

import msgspec

from reports.outcome import SEVERITY, Status, conforms, plural, status
from reports.results import Case, Level, Results, RuleInfo


class Cell(msgspec.Struct, frozen=True):
    """What one run says of one rule. `counts` are its cases by status, worst first; `told` is what the first of the
    decisive cases says: a finding, or a reason."""

    status: Status
    counts: tuple[tuple[Status, int], ...]
    told: str


class Row(msgspec.Struct, frozen=True):
    """One rule in all runs; None where a run did not judge it."""

    rule: str
    level: Level
    info: RuleInfo | None
    cells: tuple[Cell | None, ...]

    @property
    def differs(self) -> bool:
        """Whether something is wrong in one run that is not wrong in another. Between a rule that passed and one that
        could not be judged there is no difference to tell."""
        said = {None if cell is None else cell.status for cell in self.cells}
        return len(said) > 1 and not said <= {None, Status.PASS, Status.INCONCLUSIVE, Status.NOT_APPLICABLE}

    @property
    def worst(self) -> Status:
        return min(
            (cell.status for cell in self.cells if cell is not None),
            key=SEVERITY.index,
            default=Status.NOT_APPLICABLE,
        )


class Direction(StrEnum):
    """What has become of a case, from the earlier run to the later one; the most urgent first."""

    BROKEN = "broken now"
    ERROR = "the harness fails now"
    WARNS = "warns now"
    UNJUDGED = "not judged any more"
    STILL = "broken as before"
    STILL_WARNS = "warns as before"
    MENDED = "mended"
    JUDGED = "judged now, and passed"


class Change(msgspec.Struct, frozen=True):
    """A case that changed, or that is broken as before. None: the run did not have it."""

    direction: Direction
    was: Case | None
    now: Case | None

    @property
    def case(self) -> Case:
        """The later one, if there is one."""
        case = self.now or self.was
        assert case is not None
        return case

    @property
    def told(self) -> str:
        """What the case says: its first finding, or its reason; "" where it has gone."""
        if self.now is None:
            return ""
        return self.now.findings[0].message if self.now.findings else self.now.reason


class Run(msgspec.Struct, frozen=True):
    """A run under the name that it has in the comparison."""

    label: str
    results: Results


class Comparison(msgspec.Struct, frozen=True):
    """Runs side by side: all rules by area; and what has changed from the first to the second, where that was asked
    for."""

    runs: tuple[Run, ...]
    areas: tuple[tuple[str, tuple[Row, ...]], ...]
    changes: tuple[Change, ...] | None = None

    @property
    def by_direction(self) -> tuple[tuple[Direction, tuple[Change, ...]], ...]:
        """The changes, those of one direction together, the most urgent first."""
        groups = groupby(self.changes or (), key=lambda change: change.direction)
        return tuple((direction, tuple(found)) for direction, found in groups)

    @property
    def is_good(self) -> bool:
        """Whether nothing got worse, or, without changes, whether all runs conform."""
        if self.changes is not None:
            return not got_worse(self.changes, strict=self.runs[-1].results.strict) and not lost_sight(
                self.changes, self.runs[-1].results
            )
        return all(conforms(run.results) for run in self.runs)

    @property
    def headline(self) -> str:
        """The comparison in one line. Holds no text that a peer sent."""
        if self.changes is None:
            good = sum(conforms(run.results) for run in self.runs)
            return f"{good} of {plural(len(self.runs), 'run')} {'conforms' if good == 1 else 'conform'}"
        counts = Counter(change.direction for change in self.changes)
        told = [_TOLD[each].format(plural(counts[each], "case")) for each in _TOLD if counts[each]]
        if told:
            return ", ".join(told)
        still = counts[Direction.STILL]
        return (
            f"Nothing got worse; {plural(still, 'case')} broken as before" if still else "Nothing has changed"
        )


_TOLD = {
    Direction.BROKEN: "{} broken now",
    Direction.ERROR: "the harness fails in {} now",
    Direction.WARNS: "{} with a new warning",
    Direction.UNJUDGED: "{} not judged any more",
    Direction.MENDED: "{} mended",
}
_BAD = frozenset({Status.FAIL, Status.ERROR, Status.WARN})
_GOOD = frozenset({Status.PASS, Status.STALE})
_OPEN = frozenset({Status.INCONCLUSIVE, Status.NOT_APPLICABLE, Status.ERROR})
_DIRECTIONS = {
    Status.FAIL: Direction.BROKEN,
    Status.ERROR: Direction.ERROR,
    Status.WARN: Direction.WARNS,
}


def compare(runs: Sequence[Run]) -> Comparison:
    """The runs side by side."""
    return Comparison(tuple(runs), side_by_side([run.results for run in runs]))


def compare_with_earlier(earlier: Run, later: Run) -> Comparison:
    """The later run beside the earlier one, and what has changed."""
    found = changes(earlier.results, later.results)
    return Comparison((earlier, later), side_by_side([earlier.results, later.results]), found)


def side_by_side(runs: Sequence[Results]) -> tuple[tuple[str, tuple[Row, ...]], ...]:
    """All rules that any run knows, by area, in the order in which they are met."""
    rules = {name: rule for run in reversed(runs) for name, rule in run.rules.items()}
    by_rule = [_by_rule(run.cases) for run in runs]
    names = dict.fromkeys(
        [*(name for run in runs for name in run.rules), *(n for each in by_rule for n in each)]
    )
    areas: dict[str, list[Row]] = {}
    for name in names:
        judged = [each.get(name) for each in by_rule]
        level = next((cases[0].level for cases in judged if cases), None)
        if level is not None:
            cells = tuple(_cell(cases) if cases else None for cases in judged)
            areas.setdefault(name.partition(".")[0], []).append(Row(name, level, rules.get(name), cells))
    return tuple((area, tuple(rows)) for area, rows in areas.items())


def changes(earlier: Results, later: Results) -> tuple[Change, ...]:
    """The cases that are not as they were, and those that are still broken; the most urgent first."""
    was, now = _worst_by_id(earlier.cases), _worst_by_id(later.cases)
    found = [
        Change(direction, was.get(each), now.get(each))
        for each in dict.fromkeys([*now, *was])
        if (direction := _direction(was.get(each), now.get(each))) is not None
    ]
    return tuple(sorted(found, key=lambda change: tuple(Direction).index(change.direction)))


def got_worse(found: Iterable[Change], *, strict: bool = False) -> bool:
    """Whether something broke that was not broken before; `strict`: a warning counts, too."""
    worse = {Direction.BROKEN, Direction.WARNS} if strict else {Direction.BROKEN}
    return any(change.direction in worse for change in found)


def lost_sight(found: Iterable[Change], later: Results) -> bool:
    """Whether a rule that was judged is judged in no scenario any more, or the harness fails where it did not: what was
    not observed is not passed."""
    judged = {case.rule for case in later.cases if status(case) not in _OPEN}
    return any(
        change.direction is Direction.ERROR
        or (change.direction is Direction.UNJUDGED and change.case.rule not in judged)
        for change in found
    )


def _direction(was: Case | None, now: Case | None) -> Direction | None:
    before = None if was is None else status(was)
    after = None if now is None else status(now)
    if after in _BAD:
        if before in {after, Status.EXCUSED}:
            return Direction.STILL_WARNS if after is Status.WARN else Direction.STILL
        return _DIRECTIONS[after]
    if after in _GOOD:
        if before in _BAD or before is Status.EXCUSED:
            return Direction.MENDED
        return None if before in _GOOD else Direction.JUDGED
    if after is Status.EXCUSED:
        return None
    return Direction.UNJUDGED if before in _BAD | _GOOD else None


def _worst_by_id(cases: Iterable[Case]) -> dict[str, Case]:
    """No two cases of a run have one id; of a file where two have, the worse one counts."""
    ordered = sorted(cases, key=lambda case: SEVERITY.index(status(case)), reverse=True)
    return {case.id: case for case in ordered}


def _by_rule(cases: Iterable[Case]) -> Mapping[str, Sequence[Case]]:
    found: dict[str, list[Case]] = {}
    for case in cases:
        found.setdefault(case.rule, []).append(case)
    return found


def _cell(cases: Sequence[Case]) -> Cell:
    counted = Counter(status(case) for case in cases)
    counts = tuple((kind, counted[kind]) for kind in SEVERITY if kind in counted)
    kind = _of_rule(counted)
    first = next(case for case in cases if status(case) is kind)
    return Cell(kind, counts, first.findings[0].message if first.findings else first.reason)


def _of_rule(counted: Mapping[Status, int]) -> Status:
    """What the cases of one rule come to: what is broken, else what was decided, else that nothing was."""
    order = (Status.FAIL, Status.STALE, Status.ERROR, Status.WARN, Status.EXCUSED, Status.PASS, *SEVERITY)
    return next(kind for kind in order if kind in counted)
