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
from reports import results as report
from reports.results import Case, Results
from reports.timeline import Timeline

_SUMMARIES = {scenario.name: scenario.summary for scenario in SCENARIOS}


@dataclass(frozen=True)
class Run:
    """What a run brought: the histories by scenario, the results, and a picture for each scenario."""

    histories: Mapping[str, History]
    results: Results
    timelines: Mapping[str, Timeline]


def put_together(
    histories: Mapping[str, History],
    cases: Sequence[Case],
    rules: Sequence[Rule],
    *,
    target: str,
    seed: int,
    started: float,
    duration: float,
    interrupted: bool = False,
) -> Run:
    """The run that these histories and cases are. `started`: seconds since the epoch; `duration`: seconds."""
    judged = {case.rule for case in cases}
    results = Results(
        target=target,
        seed=seed,
        started=datetime.fromtimestamp(started, UTC).isoformat(timespec="seconds"),
        duration=round(duration, 3),
        version=__version__,
        interrupted=interrupted,
        assumptions=next((history.terms.assumed for history in histories.values()), ()),
        unlocks=unlocks(rules, histories),
        scenarios=tuple(
            report.Scenario(
                name=name,
                summary=_SUMMARIES.get(history.scenario, ""),
                duration=round(history.duration, 3),
                figures=figures(history),
            )
            for name, history in histories.items()
        ),
        rules={rule.name: rule.info for rule in rules if rule.name in judged},
        cases=tuple(cases),
        summary=report.summarise(cases),
    )
    return Run(histories, results, {name: picture(history) for name, history in histories.items()})


def judge_recorded(files: Mapping[str, History], rules: Sequence[Rule]) -> Run:
    """What recorded histories (file name to history) come to, judged now."""
    histories: dict[str, History] = {}
    cases: list[Case] = []
    for file, history in on_assumed_terms(files).items():
        name, count = history.scenario, 2
        while name in histories:
            name, count = f"{history.scenario}-{count}", count + 1
        histories[name] = history
        cases += judge(history, rules, file=file, name=name)
    began = [history.began for history in histories.values()]
    return put_together(
        histories,
        cases,
        rules,
        target=", ".join(dict.fromkeys(each.target for each in began)),
        seed=began[0].seed if began else 0,
        started=min((each.at for each in began), default=0.0),
        duration=sum(history.duration for history in histories.values()),
    )
