"""Several results as one: the parts of a run that was shared out, by scenario or by rule."""

from collections import Counter
from collections.abc import Iterable, Sequence

import msgspec

from reports.results import Results, Scenario, summarise


def merge(runs: Sequence[Results]) -> Results:
    """The run whose parts these are (at least one). It was interrupted, or strict, if one of them was; it reached its
    target if one of them did. `started` is the first's in time, `duration` the sum (seconds).

    Raises `ValueError` where a case is in two of them.
    """
    counts = Counter(case.id for run in runs for case in run.cases)
    twice = [name for name, count in counts.items() if count > 1]
    if twice:
        raise ValueError(f"{twice[0]} is in two of them: parts of one run have no case in common")
    first = min(runs, key=lambda run: run.started)
    cases = tuple(case for run in runs for case in run.cases)
    scenarios: dict[str, Scenario] = {}
    for scenario in (scenario for run in runs for scenario in run.scenarios):
        scenarios.setdefault(scenario.name, scenario)
    unreached = [run.unreached for run in runs]
    return msgspec.structs.replace(
        first,
        duration=round(sum(run.duration for run in runs), 3),
        interrupted=any(run.interrupted for run in runs),
        unreached=None if None in unreached else unreached[0],
        strict=any(run.strict for run in runs),
        assumptions=_once(run.assumptions for run in runs),
        unlocks=_once(run.unlocks for run in runs),
        scenarios=tuple(scenarios.values()),
        rules={name: rule for run in runs for name, rule in run.rules.items()},
        cases=cases,
        summary=summarise(cases),
    )


def _once(lists: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(item for items in lists for item in items))
