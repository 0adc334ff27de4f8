"""One run, one outcome, one line of words."""

import pytest

from reports.outcome import Outcome, Status, broken_rules, conforms, headline, outcome, status, worst
from reports.results import Case, Level, Results, Verdict


def case(
    verdict: Verdict, rule: str = "http.status", *, excused: str | None = None, scenario: str = "s"
) -> Case:
    return Case(
        id=f"{scenario}/{rule}",
        rule=rule,
        level=Level.MUST,
        scenario=scenario,
        verdict=verdict,
        excused=excused,
    )


def run(
    *cases: Case, interrupted: bool = False, unreached: str | None = None, strict: bool = False
) -> Results:
    return Results(
        target="t", seed=0, cases=cases, interrupted=interrupted, unreached=unreached, strict=strict
    )


PASS, FAIL, WARN = case(Verdict.PASS), case(Verdict.FAIL), case(Verdict.WARN, "http.cache-control")
ERROR, OPEN = case(Verdict.ERROR, "a.b"), case(Verdict.INCONCLUSIVE)


@pytest.mark.parametrize(
    ("results", "expected", "words"),
    [
        (run(PASS), Outcome.CONFORMS, "Conforms"),
        (run(PASS, WARN), Outcome.CONFORMS, "Conforms"),
        (run(PASS, OPEN), Outcome.CONFORMS, "Conforms"),  # decided in another scenario
        (
            run(PASS, case(Verdict.INCONCLUSIVE, "a.b"), case(Verdict.NOT_APPLICABLE, "a.b")),
            Outcome.CONFORMS,
            "Conforms, with 1 rule undecided",
        ),
        (run(PASS, WARN, strict=True), Outcome.BROKEN, "Does not conform: 1 rule broken"),
        (run(PASS, FAIL), Outcome.BROKEN, "Does not conform: 1 rule broken"),
        (run(FAIL, case(Verdict.FAIL, scenario="2")), Outcome.BROKEN, "Does not conform: 1 rule broken"),
        (run(FAIL, case(Verdict.FAIL, "x.y")), Outcome.BROKEN, "Does not conform: 2 rules broken"),
        (
            run(FAIL, ERROR),
            Outcome.BROKEN,
            "Does not conform: 1 rule broken, the harness failed in 1 case",
        ),
        (run(PASS, case(Verdict.FAIL, excused="issue 1")), Outcome.CONFORMS, "Conforms"),
        (
            run(case(Verdict.PASS, excused="issue 1")),
            Outcome.BROKEN,
            "Does not conform: 1 known failure passes now",
        ),
        (run(PASS, ERROR), Outcome.ERROR, "Not decided: the harness failed in 1 case"),
        (run(PASS, interrupted=True), Outcome.INTERRUPTED, "Interrupted"),
        (run(FAIL, interrupted=True), Outcome.INTERRUPTED, "Interrupted: 1 rule broken so far"),
        (run(unreached="refused"), Outcome.UNREACHED, "Not reached"),
        (run(FAIL, unreached="gone"), Outcome.UNREACHED, "Not reached: 1 rule broken before that"),
        (run(), Outcome.NOTHING_JUDGED, "Nothing was judged"),
        (run(OPEN, case(Verdict.NOT_APPLICABLE)), Outcome.NOTHING_JUDGED, "Nothing was judged"),
    ],
)
def test_what_a_run_comes_to(results: Results, expected: Outcome, words: str) -> None:
    assert (outcome(results), headline(results)) == (expected, words)
    assert conforms(results) is (expected is Outcome.CONFORMS)


def test_the_worst_verdict_stands_for_many() -> None:
    assert worst([Status.PASS, Status.NOT_APPLICABLE]) is Status.PASS
    assert worst([Status.PASS, Status.INCONCLUSIVE, Status.EXCUSED]) is Status.INCONCLUSIVE
    assert worst([Status.WARN, Status.ERROR, Status.FAIL]) is Status.FAIL


def test_every_verdict_has_a_status() -> None:
    assert {status(case(verdict)).value for verdict in Verdict} == {verdict.value for verdict in Verdict}


def test_broken_rules_are_named_once_in_the_order_in_which_they_broke() -> None:
    cases = case(Verdict.FAIL, "b.b"), case(Verdict.FAIL, "a.a"), case(Verdict.FAIL, "b.b", scenario="2")
    assert broken_rules(run(*cases, WARN)) == ("b.b", "a.a")
