"""What the HTML report shows and where, as data: the matrix, the rules that are broken, the reasons."""

import re
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import TypeVar

import msgspec

from reports.outcome import SEVERITY, Status, status, worst
from reports.picture import draw
from reports.results import Case, Finding, Results, RuleInfo, Scenario
from reports.shapes import Picture
from reports.timeline import Timeline

WORDS = {
    Status.FAIL: "broken",
    Status.STALE: "known failure passes",
    Status.ERROR: "harness error",
    Status.WARN: "warning",
    Status.INCONCLUSIVE: "inconclusive",
    Status.EXCUSED: "excused",
    Status.PASS: "passed",
    Status.NOT_APPLICABLE: "not applicable",
}

_Key = TypeVar("_Key", bound=Hashable)

_EVIDENCE_IN_ALL = 400
_EVIDENCE_IN_ONE = 4


class Judged(msgspec.Struct, frozen=True):
    """A case with the place where it is told. `findings` are those shown, `more` is how many are not."""

    case: Case
    status: Status
    anchor: str
    scenario_anchor: str
    short: str  # the rule's name without its area
    findings: tuple[Finding, ...]
    more: int


class Broken(msgspec.Struct, frozen=True):
    """A rule with all the cases of one status."""

    name: str
    anchor: str
    status: Status
    info: RuleInfo | None
    level: str
    cases: tuple[Judged, ...]


class Reason(msgspec.Struct, frozen=True):
    """Cases that were not judged for the same reason: rules, each with its scenarios."""

    text: str
    status: Status
    count: int
    rules: tuple[tuple[str, tuple[Judged, ...]], ...]


class Cell(msgspec.Struct, frozen=True):
    """A scenario's cases of one area."""

    anchor: str
    status: Status
    count: int
    total: int
    words: str
    cases: tuple[Judged, ...]


class Shown(msgspec.Struct, frozen=True):
    """A scenario with all its cases by area, worst first."""

    anchor: str
    info: Scenario
    status: Status | None
    counts: tuple[tuple[Status, int], ...]
    faults: tuple[str, ...]
    history: str | None
    areas: tuple[tuple[str, Cell], ...]
    picture: Picture | None


class Page(msgspec.Struct, frozen=True):
    """All that the HTML page shows, in the order in which it does."""

    counts: tuple[tuple[Status, int], ...]
    scenarios: tuple[Shown, ...]
    matrix: tuple[tuple[str, tuple[Cell | None, ...]], ...]
    broken: tuple[tuple[Status, tuple[Broken, ...]], ...]
    excused: tuple[Judged, ...]
    reasons: tuple[Reason, ...]


class _Anchors:
    """Readable ids that are stable from run to run, and never two alike."""

    def __init__(self) -> None:
        self._taken: Counter[str] = Counter()

    def __call__(self, *parts: str) -> str:
        name = "-".join(re.sub(r"[^a-z0-9.]+", "-", part[:80].lower()).strip("-.") or "x" for part in parts)
        self._taken[name] += 1
        return name if self._taken[name] == 1 else f"{name}--{self._taken[name]}"


def build(results: Results, timelines: Mapping[str, Timeline]) -> Page:
    """Sort a run's cases into the places where the report tells them."""
    anchors = _Anchors()
    names = {s.name: s for s in results.scenarios}
    for name in [*(case.scenario for case in results.cases), *timelines]:
        names.setdefault(name, Scenario(name=name, summary=""))
    places = {name: anchors("scenario", name) for name in names}
    judged = _judged(results.cases, places, anchors)
    areas = list(
        dict.fromkeys([*(name.partition(".")[0] for name in results.rules), *(c.area for c in results.cases)])
    )
    cells: dict[tuple[str, str], Cell] = {}
    for (scenario, area), cases in _sorted_into(judged, lambda j: (j.case.scenario, j.case.area)).items():
        cells[scenario, area] = _cell(cases, anchors("cases", scenario, area))
    by_scenario = _sorted_into(judged, lambda j: j.case.scenario)
    shown = tuple(
        Shown(
            anchor=places[name],
            info=info,
            status=worst(j.status for j in by_scenario[name]) if name in by_scenario else None,
            counts=_counts(by_scenario.get(name, [])),
            faults=tuple(dict.fromkeys(fault for j in by_scenario.get(name, []) for fault in j.case.faults)),
            history=next((j.case.history for j in by_scenario.get(name, []) if j.case.history), None),
            areas=tuple((area, cells[name, area]) for area in areas if (name, area) in cells),
            picture=draw(timelines[name]) if name in timelines else None,
        )
        for name, info in names.items()
    )
    columns = [name for name in names if name in by_scenario]
    matrix = [(area, tuple(cells.get((name, area)) for name in columns)) for area in areas]
    return Page(
        counts=_counts(judged),
        scenarios=shown,
        matrix=tuple(row for row in matrix if any(row[1])),
        broken=_broken(results, judged, anchors),
        excused=tuple(j for j in judged if j.status is Status.EXCUSED),
        reasons=_reasons(judged),
    )


def _judged(cases: Sequence[Case], places: Mapping[str, str], anchors: _Anchors) -> list[Judged]:
    telling = sum(1 for case in cases if case.findings)
    limit = max(1, min(_EVIDENCE_IN_ONE, _EVIDENCE_IN_ALL // max(telling, 1)))
    return [
        Judged(
            case=case,
            status=status(case),
            anchor=anchors("case", case.scenario, case.rule),
            scenario_anchor=places[case.scenario],
            short=case.rule.partition(".")[2] or case.rule,
            findings=tuple(Finding(f.message, f.evidence[:limit]) for f in case.findings[:limit]),
            more=max(len(case.findings) - limit, 0),
        )
        for case in cases
    ]


def _sorted_into(judged: Iterable[Judged], key: Callable[[Judged], _Key]) -> dict[_Key, list[Judged]]:
    """Those with the same key together, in the order in which the keys are met."""
    found: dict[_Key, list[Judged]] = {}
    for one in judged:
        found.setdefault(key(one), []).append(one)
    return found


def _counts(judged: Iterable[Judged]) -> tuple[tuple[Status, int], ...]:
    found = Counter(one.status for one in judged)
    return tuple((kind, found[kind]) for kind in SEVERITY if kind in found)


def _cell(cases: Sequence[Judged], anchor: str) -> Cell:
    counts = _counts(cases)
    kind, count = counts[0]
    words = ", ".join(f"{number} {WORDS[status]}" for status, number in counts)
    ordered = sorted(cases, key=lambda one: SEVERITY.index(one.status))
    return Cell(anchor, kind, count, len(cases), words, tuple(ordered))


def _broken(
    results: Results, judged: Sequence[Judged], anchors: _Anchors
) -> tuple[tuple[Status, tuple[Broken, ...]], ...]:
    sections: list[tuple[Status, tuple[Broken, ...]]] = []
    for kind in (Status.FAIL, Status.STALE, Status.ERROR, Status.WARN):
        by_rule = _sorted_into((one for one in judged if one.status is kind), lambda one: one.case.rule)
        rules = tuple(
            Broken(
                name=name,
                anchor=anchors("rule", name),
                status=kind,
                info=results.rules.get(name),
                level=cases[0].case.level.value,
                cases=tuple(cases),
            )
            for name, cases in by_rule.items()
        )
        if rules:
            sections.append((kind, rules))
    return tuple(sections)


def _reasons(judged: Sequence[Judged]) -> tuple[Reason, ...]:
    """What was not judged, by reason: what is inconclusive first, and the most common reason first."""
    open_ = [one for one in judged if one.status in (Status.INCONCLUSIVE, Status.NOT_APPLICABLE)]
    by_reason = _sorted_into(open_, lambda one: (one.status, one.case.reason))
    reasons = [
        Reason(
            text=text or "no reason was given",
            status=kind,
            count=len(cases),
            rules=tuple(
                (rule, tuple(found)) for rule, found in _sorted_into(cases, lambda one: one.case.rule).items()
            ),
        )
        for (kind, text), cases in by_reason.items()
    ]
    return tuple(sorted(reasons, key=lambda one: (SEVERITY.index(one.status), -one.count)))
