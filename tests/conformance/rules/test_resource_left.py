"""What an application in this process leaves behind, in made-up histories: each verdict, with its reason."""

import pytest
from made_up import made_up, marked, stream

from conformance.history import Left, Record
from conformance.rules import Judgement, Rule
from conformance.rules.resource import ERROR, SHUT_DOWN, generators_left, no_errors, tasks_left
from reports.results import Level, Verdict

STREAM = stream([(0.1, "data: 1\n\n")])
UNANSWERED = stream(status=0, how="dropped")
DOWN = marked(SHUT_DOWN, 5.0)


def left(kind: str, name: str, *, owner: str = "") -> list[Record]:
    return [
        Left(
            time=5.0,
            kind=kind,
            name=name,
            created_at="shop.py:7 in events",
            owner=owner,
            detail=f"{name} waits",
        )
    ]


def judged(rule: Rule, *groups: list[Record]) -> Judgement:
    return rule.judge(made_up(*groups, scenario="explore"))


@pytest.mark.parametrize("rule", [tasks_left, generators_left, no_errors], ids=lambda rule: rule.name)
def test_of_a_server_elsewhere_nothing_is_known(rule: Rule) -> None:
    judgement = judged(rule, STREAM)
    assert judgement.verdict == "not-applicable"
    assert "--app" in judgement.reason


@pytest.mark.parametrize("rule", [tasks_left, generators_left], ids=lambda rule: rule.name)
def test_where_no_stream_was_answered_nothing_is_said(rule: Rule) -> None:
    judgement = judged(rule, UNANSWERED, DOWN)
    assert (judgement.verdict, judgement.reason) == ("inconclusive", "no stream was answered")


def test_what_gives_everything_back_conforms() -> None:
    verdicts = [judged(rule, STREAM, DOWN) for rule in (tasks_left, generators_left, no_errors)]
    assert [(each.verdict, each.reason) for each in verdicts] == [
        ("conforms", "1 stream that left no tasks behind"),
        ("conforms", "1 stream that left no generators behind"),
        ("conforms", "1 call of the application"),
    ]


@pytest.mark.parametrize("kind", ["task", "call", "connection"])
def test_what_lives_on_is_named_with_its_line(kind: str) -> None:
    judgement = judged(tasks_left, STREAM, DOWN, left(kind, "produce"))
    assert judgement.verdict == "broken"
    (finding,) = judgement.findings
    assert finding.message == f"{kind} produce is left after the shutdown, created at shop.py:7 in events"
    assert finding.evidence[0].actual == "produce waits"
    assert judged(generators_left, STREAM, DOWN, left(kind, "produce")).verdict == "conforms"


def test_each_thing_that_is_left_is_a_finding() -> None:
    judgement = judged(tasks_left, STREAM, DOWN, left("task", "one"), left("task", "two"))
    assert len(judgement.findings) == 2


def test_a_generator_is_another_matter() -> None:
    groups = (STREAM, DOWN, left("generator", "body", owner="starlette"))
    assert judged(generators_left, *groups).verdict == "broken"
    assert judged(tasks_left, *groups).verdict == "conforms"


def test_a_task_that_a_library_keeps_for_itself_is_told_and_no_finding() -> None:
    kept = left("task", "_shutdown_watcher", owner="sse_starlette")
    judgement = judged(tasks_left, STREAM, DOWN, kept)
    assert judgement.verdict == "conforms"
    assert judgement.reason == "1 stream that left no tasks behind, but for those of sse_starlette"
    assert judged(tasks_left, STREAM, DOWN, kept, left("task", "mine")).verdict == "broken"


def test_an_error_of_the_application_warns() -> None:
    error = marked(ERROR, 0.2, "GET /events: raised KeyError: 'job'")
    judgement = judged(no_errors, STREAM, error, DOWN)
    assert judgement.reason == "GET /events: raised KeyError: 'job'"
    assert judgement.findings[0].evidence[0].time == 0.2
    assert no_errors.level is Level.SHOULD
    assert judgement.at(no_errors.level) is Verdict.WARN
