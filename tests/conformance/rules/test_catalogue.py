"""No rule without its breaker: every rule fails on its specimens and passes on the reference."""

import pytest
import trio

from conformance.explore.visits import NAME as EXPLORE
from conformance.history import History
from conformance.judging import judge_by
from conformance.races import RACES
from conformance.rules import RULES, Rule
from conformance.scenarios import SCENARIOS
from conformance.specimens import REFERENCE, SPECIMEN, SPECIMENS, Specimen, examine
from fault_injection.virtual import VirtualNetwork

RULE = {rule.name: rule for rule in RULES}


async def _history(specimen: Specimen, scenario: str | None = None) -> History:
    with trio.fail_after(600):  # of virtual time
        return await examine(specimen, VirtualNetwork(), scenario=scenario)


def test_names_are_unique_and_name_scenarios_that_exist() -> None:
    assert len(RULE) == len(RULES)
    assert len({specimen.name for specimen in (REFERENCE, *SPECIMENS)}) == 1 + len(SPECIMENS)
    scenarios = {EXPLORE, *(scenario.name for scenario in SCENARIOS)}
    for rule in RULES:
        assert rule.scenarios, rule.name
        assert set(rule.scenarios) <= scenarios, rule.name


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_every_rule_has_a_specimen_that_breaks_it(rule: Rule) -> None:
    if EXPLORE in rule.scenarios:  # tests/conformance/explore/test_explore_races.py shows that it is caught
        assert any(race.breaks == (rule.name,) for race in RACES), f"{rule.name} has no race"
    else:
        assert any(rule.name in specimen.breaks for specimen in SPECIMENS), f"{rule.name} has no specimen"


@pytest.mark.parametrize(
    "specimen",
    [each for each in SPECIMENS if not each.process],  # of the others test_matrix.py has the tests
    ids=lambda specimen: specimen.name,
)
async def test_a_specimen_is_caught_by_the_rules_it_breaks(
    specimen: Specimen, autojump_clock: object
) -> None:
    history = await _history(specimen)
    assert history.concluded is not None
    assert history.concluded.outcome == "done", history.concluded
    for name in specimen.breaks:
        judgement = judge_by(history, RULE[name])
        assert judgement.verdict == "broken", (name, judgement)
        assert judgement.findings


@pytest.mark.parametrize("scenario", [scenario.name for scenario in SCENARIOS])
async def test_the_reference_breaks_nothing(scenario: str, autojump_clock: object) -> None:
    history = await _history(REFERENCE, scenario)
    assert history.concluded is not None
    assert history.concluded.outcome in {"done", "skipped"}, history.concluded
    verdicts = {rule.name: judge_by(history, rule) for rule in RULES if history.scenario in rule.scenarios}
    wrong = {name: each for name, each in verdicts.items() if each.verdict in {"broken", "inconclusive"}}
    assert not wrong


@pytest.mark.parametrize(
    ("specimen", "scenario"),
    [
        ("live-only", "late-subscriber"),
        ("live-only", "completion-while-away"),
        ("keeping-its-lock", "resume-after-cut"),
    ],
)
async def test_a_reason_is_a_sentence_and_no_chain_of_colons(
    specimen: str, scenario: str, autojump_clock: object
) -> None:
    history = await _history(SPECIMEN[specimen], scenario)
    judgements = [judge_by(history, rule) for rule in RULES if history.scenario in rule.scenarios]
    reasons = {each.reason for each in judgements if each.verdict == "inconclusive"}
    assert reasons
    assert not [reason for reason in reasons if reason.count(": ") > 1]
