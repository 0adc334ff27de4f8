"""The rules of shutting down, on made-up histories: an exit, what is left, and what became of the streams."""

import msgspec
import pytest
from made_up import EVENT_STREAM, TASK, made_up, marked, stream, terms

from conformance.config import Expect, Limits
from conformance.history import (
    HARNESS_LEFT,
    HARNESS_LOOKED,
    LOOKED_AFTER,
    NOT_STARTED_AGAIN,
    PORT_TAKEN,
    SIGNALLED,
    Exited,
    History,
    Left,
    Record,
    Terms,
)
from conformance.rules import shutdown, shutdown_client, shutdown_streams
from conformance.rules.rule import Judgement, Rule

TERMS = terms(TASK, Expect(resumable=True), Limits(shutdown=5), also=["target.command"])
ASKED = 1.0


def asked(signal: str = "SIGTERM") -> list[Record]:
    return marked(SIGNALLED, ASKED, signal)


def exited(code: int | None = 0, at: float = 2.0, signal: str = "SIGTERM") -> list[Record]:
    looked = marked(LOOKED_AFTER, at + 0.1) if code is not None else []
    return [*asked(signal), Exited(time=at, signal=signal, code=code), *looked]


def shut_down(*groups: list[Record], on: Terms = TERMS) -> History:
    return made_up(*groups, terms=on, scenario="shutdown", clock="real")


def judged(rule: Rule, *groups: list[Record], on: Terms = TERMS) -> Judgement:
    return rule.judge(shut_down(*groups, on=on))


def event(number: int, *, ids: bool = True, kind: str = "progress") -> str:
    id_line = f"id: {number}\n" if ids else ""
    return f'event: {kind}\n{id_line}data: {{"seq": {number}}}\n\n'


BEGUN = [(0.5, event(1)), (0.9, event(2))]


@pytest.mark.parametrize(("at", "verdict"), [(1.1, "conforms"), (5.99, "conforms"), (6.01, "broken")])
def test_an_exit_is_in_time_within_the_limit(at: float, verdict: str) -> None:
    assert judged(shutdown.exits, exited(at=at)).verdict == verdict


def test_a_server_that_is_still_there_has_not_exited() -> None:
    judgement = judged(shutdown.exits, exited(None, at=6.5))
    assert judgement.verdict == "broken"
    assert judgement.reason == "the server was still there 5.5 s after SIGTERM (limits.shutdown: 5 s)"


def is_late(*groups: list[Record]) -> str:
    return judged(shutdown.exits, *groups, exited(None, at=6.5)).reason.partition("(limits.shutdown: 5 s)")[2]


def test_what_a_late_server_may_wait_for_is_said() -> None:
    here = stream(BEGUN, name="open", ended=6.5, how="dropped")
    gone = stream(BEGUN, name="open", ended=1.2)
    stalled = stream(BEGUN, name="stalled", ended=6.6, how="dropped")
    heeded = stream(name="newcomer", at=1.3, status=0, how="refused")
    assert is_late(here, heeded) == "; by then it had not ended open"
    assert is_late(here, stalled, heeded) == (
        "; by then it had not ended open; stalled, which reads nothing, may hold them up"
    )
    watched = stream(BEGUN, name="open", ended=4.0, how="watched")
    assert is_late(watched, stalled, heeded) == (
        "; it had not ended open when the time to watch an endless stream was over"
    )
    assert "it may wait for who does not read (stalled)" in is_late(gone, stalled, heeded)
    served = stream(BEGUN, name="newcomer", at=1.3)
    assert "it may not heed it at all" in is_late(gone, stalled, served)
    assert is_late(stream(BEGUN, name="open", ended=0.95), heeded) == ""


@pytest.mark.parametrize("rule", [shutdown.exits, shutdown.no_orphans, shutdown_streams.streams_ended])
def test_a_record_that_stops_before_the_exit_does_not_say_that_nobody_asked(rule: Rule) -> None:
    judgement = judged(rule, asked())
    assert judgement.verdict in {"inconclusive", "not-applicable"}
    assert "not asked" not in judgement.reason


@pytest.mark.parametrize("rule", [*shutdown.RULES, *shutdown_streams.STREAM_RULES])
def test_nothing_is_said_of_a_server_that_was_not_asked_to_end(rule: Rule) -> None:
    verdict = judged(rule, stream(BEGUN, subscriber="open")).verdict
    assert verdict == ("not-applicable" if rule is shutdown_streams.refuses_new else "inconclusive")


@pytest.mark.parametrize("rule", [shutdown.exit_code, shutdown.no_orphans, shutdown.port_released])
def test_what_only_an_exit_shows_is_open_without_one(rule: Rule) -> None:
    judgement = judged(rule, exited(None, at=6.5))
    assert judgement.verdict == "inconclusive"
    assert "shutdown.exits has its say" in judgement.reason


@pytest.mark.parametrize(
    ("signal", "code", "verdict"),
    [
        ("SIGTERM", 0, "conforms"),
        ("SIGTERM", -15, "conforms"),
        ("SIGTERM", 143, "conforms"),
        ("SIGINT", -2, "conforms"),
        ("SIGINT", 130, "conforms"),
        ("SIGTERM", 1, "broken"),
        ("SIGTERM", -2, "broken"),
        ("SIGTERM", -11, "broken"),
        ("SIGINT", -15, "broken"),
        ("SIGINT", 143, "broken"),
    ],
)
def test_the_exit_code_is_0_or_the_signals(signal: str, code: int, verdict: str) -> None:
    judgement = judged(shutdown.exit_code, exited(code, signal=signal))
    assert judgement.verdict == verdict
    if code == -11:
        assert judgement.reason == "after SIGTERM the server ended with signal 11"


def test_a_process_that_is_left_is_an_orphan() -> None:
    left: list[Record] = [Left(time=2.5, kind="process", name="x", detail="process 7: worker")]
    judgement = judged(shutdown.no_orphans, exited(), left)
    assert judgement.verdict == "broken"
    assert judgement.findings[0].evidence[0].actual == "process 7: worker"
    assert judged(shutdown.no_orphans, exited()).verdict == "conforms"


def test_what_an_application_in_this_process_left_is_no_orphan() -> None:
    left: list[Record] = [Left(time=2.5, kind="task", name="x")]
    assert judged(shutdown.no_orphans, exited(), left).verdict == "conforms"


@pytest.mark.parametrize("what", [PORT_TAKEN, NOT_STARTED_AGAIN])
def test_a_port_that_is_taken_is_not_released(what: str) -> None:
    assert judged(shutdown.port_released, exited(), marked(what, 3.0, "why")).verdict == "broken"
    assert judged(shutdown.port_released, exited()).verdict == "conforms"


@pytest.mark.parametrize(
    ("how", "verdict"), [("complete", "conforms"), ("truncated", "broken"), ("reset", "broken")]
)
def test_a_stream_that_was_open_is_ended_properly(how: str, verdict: str) -> None:
    open_then = stream(BEGUN, name="open", ended=1.2, how=how)  # type: ignore[arg-type]  # one of How's
    assert judged(shutdown_streams.streams_ended, open_then, exited()).verdict == verdict


@pytest.mark.parametrize("name", ["stalled", "newcomer"])
def test_who_does_not_read_or_came_later_may_be_cut_off(name: str) -> None:
    cut = stream(BEGUN, name=name, ended=1.2, how="reset")
    whole = stream(BEGUN, name="open", ended=1.2)
    assert judged(shutdown_streams.streams_ended, whole, cut, exited()).verdict == "conforms"


def test_a_stream_that_was_over_before_is_not_one_that_was_open() -> None:
    over = stream(BEGUN, name="open", ended=0.95, how="truncated")
    judgement = judged(shutdown_streams.streams_ended, over, exited())
    assert judgement.verdict == "inconclusive"
    assert judgement.reason == "no stream was open when the server was asked to end"


def test_a_stream_that_the_harness_ended_by_killing_the_server_is_no_finding() -> None:
    cut = stream(BEGUN, name="open", ended=6.6, how="truncated")
    judgement = judged(
        shutdown_streams.streams_ended, cut, exited(None, at=6.5), marked("server killed", 6.55)
    )
    assert judgement.verdict == "inconclusive"


def test_what_is_no_event_stream_is_not_looked_at() -> None:
    page = stream(BEGUN, name="open", ended=1.2, headers=[("content-type", "text/html")], how="truncated")
    assert judged(shutdown_streams.streams_ended, page, exited()).verdict == "not-applicable"


@pytest.mark.parametrize(
    ("body", "resumable", "verdict"),
    [
        (BEGUN, True, "conforms"),  # ids: the client comes back by itself
        (BEGUN, None, "conforms"),
        (BEGUN, False, "broken"),  # ids that lead nowhere
        ([(0.5, event(1, ids=False))], True, "inconclusive"),  # it may greet
        ([(0.5, event(1, ids=False))], False, "broken"),
        ([(0.5, event(1, ids=False)), (0.6, event(2, ids=False))], True, "broken"),
        ([(0.5, event(1, ids=False)), (0.6, event(2))], True, "conforms"),
        ([(0.5, event(1, ids=False)), (1.1, event(2, ids=False, kind="error"))], True, "conforms"),
        ([(0.5, event(1, ids=False)), (1.1, event(2, ids=False, kind="stream_end"))], True, "conforms"),
        ([(0.5, event(1, ids=False)), (1.1, event(2, ids=False, kind="complete"))], False, "conforms"),
    ],
)
def test_an_end_is_told_or_can_be_resumed_from(
    body: list[tuple[float, str]], resumable: bool | None, verdict: str
) -> None:
    on = terms(TASK, Expect(resumable=resumable), Limits(shutdown=5), also=["target.command"])
    ended = stream(body, name="open", ended=1.2)
    assert judged(shutdown_streams.ending_told, ended, exited(), on=on).verdict == verdict


def test_where_who_comes_back_says_its_last_sequence_no_id_is_missed() -> None:
    numbered = msgspec.structs.replace(TASK, sequence="/seq")
    ended = stream([(0.5, event(1, ids=False)), (0.6, event(2, ids=False))], name="open", ended=1.2)
    for also, verdict in (
        (["expect.resumable", "target.resume"], "conforms"),
        (["expect.resumable"], "broken"),
    ):
        on = terms(numbered, Expect(resumable=True), Limits(shutdown=5), also=["target.command", *also])
        assert judged(shutdown_streams.ending_told, ended, exited(), on=on).verdict == verdict


def test_of_a_stream_that_was_cut_off_it_is_not_asked_what_it_told() -> None:
    cut = stream(BEGUN, name="open", ended=1.2, how="truncated")
    assert judged(shutdown_streams.ending_told, cut, exited()).verdict == "not-applicable"


def newcomer(how: str, ended: float, *, connected: bool = True, status: int = 0) -> list[Record]:
    records = stream(name="newcomer", at=1.3, ended=ended, how=how, status=status, headers=EVENT_STREAM)  # type: ignore[arg-type]  # one of How's
    return records if connected else [each for each in records if type(each).__name__ != "Connected"]


def test_a_newcomer_may_be_refused_or_answered_and_not_forgotten() -> None:
    rule = shutdown_streams.refuses_new
    assert judged(rule, exited()).verdict == "not-applicable"
    assert judged(rule, newcomer("refused", 1.3, connected=False), exited()).verdict == "conforms"
    assert judged(rule, newcomer("complete", 1.4, status=503), exited()).verdict == "conforms"
    assert (
        judged(rule, newcomer("reset", 1.6), exited()).verdict == "not-applicable"
    )  # a race that nobody wins
    forgotten = judged(rule, newcomer("reset", 4.3), exited(at=4.3))
    assert forgotten.verdict == "broken"
    assert forgotten.reason == "a connection was accepted during the shutdown and got no answer in 3 s"


def test_the_harness_leaves_nothing_behind() -> None:
    rule = shutdown_client.client_leaves_nothing
    looked = marked(HARNESS_LOOKED, 3.0, "connection, task")
    read = stream(BEGUN, name="open")
    assert judged(rule, read).verdict == "inconclusive"
    assert judged(rule, read, looked).verdict == "conforms"
    broken = judged(rule, read, marked(HARNESS_LEFT, 2.9, "the thread x"), looked)
    assert (broken.verdict, broken.reason) == ("broken", "the harness left the thread x behind")
