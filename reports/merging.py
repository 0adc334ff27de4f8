"""Several results as one: the parts of a run that was shared out, by scenario or by rule."""

import re
import sys
from collections import Counter
from collections.abc import Iterable, Sequence

import msgspec

from reports.results import Results, Scenario, summarise


def merge(runs: Sequence[Results]) -> Results:
    """The run whose parts these are (at least one). It was interrupted, strict, or did not reach its target, if that is
    so of one of them. `started` is the first's in time, `duration` the sum (seconds).

    Raises `ValueError` where a case is in two of them, or they are of different targets (the port aside, which may be
    a free one each time) or versions.
    """
    for what, said in (("target", _without_port), ("version", lambda run: run.version)):
        different = sorted({said(run) for run in runs})
        if len(different) > 1:
            raise ValueError(f"they are of different {what}s: {' and '.join(different[:2])}")
    counts = Counter(case.id for run in runs for case in run.cases)
    twice = [name for name, count in counts.items() if count > 1]
    if twice:
        raise ValueError(f"{twice[0]} is in two of them: parts of one run have no case in common")
    first = min(runs, key=lambda run: run.started)
    cases = tuple(case for run in runs for case in run.cases)
    scenarios: dict[str, Scenario] = {}
    for scenario in (scenario for run in runs for scenario in run.scenarios):
        scenarios.setdefault(scenario.name, scenario)
    return msgspec.structs.replace(
        first,
        duration=min(round(sum(run.duration for run in runs), 3), sys.float_info.max),
        interrupted=any(run.interrupted for run in runs),
        unreached=next((run.unreached for run in runs if run.unreached is not None), None),
        strict=any(run.strict for run in runs),
        assumptions=_once(run.assumptions for run in runs),
        unlocks=_once(run.unlocks for run in runs),
        scenarios=tuple(scenarios.values()),
        rules={name: rule for run in runs for name, rule in run.rules.items()},
        cases=cases,
        summary=summarise(cases),
    )


def _without_port(run: Results) -> str:
    return re.sub(r"(?<=://)([^/]*):\d+", r"\1", run.target)


def _once(lists: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(item for items in lists for item in items))
