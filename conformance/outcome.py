"""Puts together what a run comes to: results, and a picture for each scenario."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from conformance import __version__
from conformance.figures import figures
from conformance.history import History
from conformance.judging import judge, on_assumed_terms
from conformance.picture import picture
from conformance.rules import Rule
from conformance.scenarios import SCENARIOS
from conformance.unlocks import unlocks
from conformance.unreached import is_served, unreached
from reports import results as report
from reports.results import Case, Results, Verdict
from reports.timeline import Timeline

_SUMMARIES = {scenario.name: scenario.summary for scenario in SCENARIOS}


@dataclass(frozen=True)
class Run:
    """What a run brought: the histories by scenario, the results, and a picture for each scenario."""

    histories: Mapping[str, History]
    results: Results
    timelines: Mapping[str, Timeline]


@dataclass(frozen=True)
class Examined:
    """A history with all that is made of it."""

    history: History
    cases: tuple[Case, ...]
    figures: dict[str, str]
    timeline: Timeline


def examine(
    history: History, rules: Sequence[Rule], *, file: str | None = None, name: str | None = None
) -> Examined:
    """Judge a history, measure it, draw it. See `judge` for `file` and `name`.

    What the rules derive from the records can be many times their size, so it is derived in a copy that is
    gone afterwards.
    """
    copy = History(history.records, history.cut)
    return Examined(history, tuple(judge(copy, rules, file=file, name=name)), figures(copy), picture(copy))


def put_together(
    examined: Mapping[str, Examined],
    rules: Sequence[Rule],
    *,
    target: str,
    seed: int,
    started: float,
    duration: float,
    interrupted: bool = False,
) -> Run:
    """The run that these scenarios make. `started`: seconds since the epoch; `duration`: seconds."""
    histories = {name: each.history for name, each in examined.items()}
    causes = {rule.name for rule in rules if rule.always}
    cases = sorted(
        (case for each in examined.values() for case in each.cases),
        key=lambda case: not (case.rule in causes and case.verdict is Verdict.FAIL),
    )  # what explains all that follows is told first
    judged = {case.rule for case in cases}
    why = unreached(histories.values())
    if is_served(histories.values()) and any(case.verdict is Verdict.FAIL for case in cases):
        why = None  # the rules say what is wrong
    results = Results(
        target=target,
        seed=seed,
        started=datetime.fromtimestamp(started, UTC).isoformat(timespec="seconds"),
        duration=round(duration, 3),
        version=__version__,
        interrupted=interrupted,
        unreached=why,
        assumptions=next((history.terms.assumed for history in histories.values()), ()),
        unlocks=unlocks(rules, histories),
        scenarios=tuple(
            report.Scenario(
                name=name,
                summary=_summary(each.history),
                duration=round(each.history.duration, 3),
                figures={} if _was_skipped(each.history) else each.figures,
            )
            for name, each in examined.items()
        ),
        rules={rule.name: rule.info for rule in rules if rule.name in judged},
        cases=tuple(cases),
        summary=report.summarise(cases),
    )
    pictures = {name: each.timeline for name, each in examined.items() if each.timeline.lanes}
    return Run(histories, results, pictures)


def _was_skipped(history: History) -> bool:
    return history.concluded is not None and history.concluded.outcome == "skipped"


def _summary(history: History) -> str:
    summary = _SUMMARIES.get(history.scenario, "")
    concluded = history.concluded
    if concluded is None or concluded.outcome == "done":
        return summary
    how = "Not driven" if concluded.outcome == "skipped" else "Not driven to its end"
    return f"{summary} {how}: {concluded.reason}."


def judge_recorded(files: Mapping[str, History], rules: Sequence[Rule]) -> Run:
    """What recorded histories (file name to history) come to, judged now."""
    examined: dict[str, Examined] = {}
    for file, history in on_assumed_terms(files).items():
        name, count = history.scenario, 2
        while name in examined:
            name, count = f"{history.scenario}-{count}", count + 1
        examined[name] = examine(history, rules, file=file, name=name)
    began = [each.history.began for each in examined.values()]
    return put_together(
        examined,
        rules,
        target=", ".join(dict.fromkeys(each.target for each in began)),
        seed=began[0].seed if began else 0,
        started=min((each.at for each in began), default=0.0),
        duration=sum(each.history.duration for each in examined.values()),
    )
