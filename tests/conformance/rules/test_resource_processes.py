"""Leaks that only a look at the server's process shows: specimens in processes of their own, on sockets."""

import pytest

from conformance.history import History
from conformance.judging import judge_by
from conformance.rules import RULES
from conformance.rules.resource_leaks import STORM
from conformance.specimens import REFERENCE, SPECIMENS, Specimen, examine_process
from reports.results import Level

RULE = {rule.name: rule for rule in RULES if STORM in rule.scenarios}


def broken(history: History) -> set[str]:
    assert history.concluded is not None
    assert history.concluded.outcome == "done", history.concluded
    return {
        name
        for name, rule in RULE.items()
        if rule.level is Level.MUST and judge_by(history, rule).verdict == "broken"
    }


@pytest.mark.parametrize(
    "specimen", [each for each in SPECIMENS if each.process], ids=lambda specimen: specimen.name
)
async def test_a_leak_is_found_and_nothing_else(specimen: Specimen) -> None:
    history = await examine_process(specimen)
    assert set(specimen.breaks) & set(RULE) <= broken(history) <= {*specimen.breaks, *specimen.implies}


async def test_the_reference_gives_everything_back() -> None:
    history = await examine_process(REFERENCE, scenario=STORM)
    verdicts = {name: judge_by(history, rule).verdict for name, rule in RULE.items()}
    assert verdicts == dict.fromkeys(RULE, "conforms")
    assert history.duration < 5  # 0.7 s on an idle machine
