"""One who reads nothing for a while, on made-up histories: what it was owed, what it got, and what may be cut."""

import json

import pytest
from made_up import TASK, made_up, stream, terms

from conformance.config import Expect, Limits
from conformance.history import Chunk, How, Mark, Record, Terms
from conformance.rules.rule import Judgement, Rule
from conformance.rules.slow_reader import completion_not_dropped, nothing_dropped

ALL = (*range(1, 10), "complete")
TERMS = terms(TASK, Expect(shared=True, resumable=True), Limits(completion=5, silence=1))
NOT_RESUMABLE = terms(TASK, Expect(shared=True), Limits(completion=5, silence=1))


def event(number: int | str, size: int = 20_000) -> str:
    """An event of the reference, `size` bytes long: ten of them are more than lies in the buffers between."""
    place, kind = (10, "complete") if number == "complete" else (number, "progress")
    told = json.dumps({"seq": place, "job": "j1", "type": kind, "timestamp": 1.0, "note": "x" * size})
    return f"id: {place}\nevent: {kind}\ndata: {told}\n\n"


def slow(*pieces: tuple[float, int | str], how: How = "complete", ended: float = 3.0) -> list[Record]:
    """One who gets these events, reads nothing from 0.1 s on, and reads on at 2 s."""
    records = stream([(at, event(number)) for at, number in pieces], name="slow", how=how, ended=ended)
    return [
        *records,
        Mark(time=0.1, what="stalled", exchange="slow"),
        Mark(time=2.0, what="reading on", exchange="slow"),
    ]


def back(*pieces: tuple[float, int | str], status: int = 200) -> list[Record]:
    came = [(at, event(number)) for at, number in pieces]
    return stream(
        came, name="slow-2", subscriber="slow", at=3.2, status=status, sent=[("last-event-id", "4")]
    )


def swift(*numbers: int | str, last: float = 2.5) -> list[Record]:
    """One who gets these events, most of them while the other one does not read."""
    times = [0.2 + 0.15 * place for place in range(len(numbers) - 1)]
    return stream(
        [(at, event(n)) for at, n in zip([*times, last], numbers, strict=True)], name="swift", at=0.15
    )


def judged(rule: Rule, *groups: list[Record], on: Terms = TERMS) -> Judgement:
    return rule.check(made_up(*groups, terms=on, scenario="stalled-reader"))


LATE = [(2.1, number) for number in ALL]


def test_who_reads_late_and_gets_everything_is_content() -> None:
    for rule in (nothing_dropped, completion_not_dropped):
        assert judged(rule, slow(*LATE), swift(*ALL)).verdict == "conforms"


def test_what_was_dropped_in_between_is_named() -> None:
    found = judged(nothing_dropped, slow(*[each for each in LATE if each[1] not in {4, 5}]), swift(*ALL))
    assert found.verdict == "broken"
    assert found.reason == "slow, who read nothing for 1.9 s, never got event 4, event 5, which swift got"


def test_who_is_cut_off_and_comes_back_for_the_rest_has_lost_nothing() -> None:
    cut = slow(*LATE[:4], how="truncated")
    for rule in (nothing_dropped, completion_not_dropped):
        assert judged(rule, cut, back(*[(3.3, each) for each in ALL[4:]]), swift(*ALL)).verdict == "conforms"
    lost = judged(nothing_dropped, cut, back(*[(3.3, each) for each in ALL[6:]]), swift(*ALL))
    assert lost.reason.endswith("never got event 5, event 6, which swift got")


def test_what_is_said_to_each_alone_is_not_missed() -> None:
    """A greeting before the first event in common, and one who came later, or got more."""
    greeted = [*swift(*ALL), Chunk.of(0.16, "swift", b"id: hello-swift\ndata: {}\n\n")]
    assert judged(nothing_dropped, slow(*LATE), greeted).verdict == "conforms"
    assert judged(nothing_dropped, slow(*LATE), swift(*ALL[3:])).verdict == "conforms"


def test_what_a_connection_is_told_without_a_name_is_not_missed_where_events_have_one() -> None:
    beats = [Chunk.of(at, "swift", f"event: ping\ndata: {at}\n\n".encode()) for at in (0.5, 0.9)]
    assert judged(nothing_dropped, slow(*LATE), [*swift(*ALL), *beats]).verdict == "conforms"


def test_what_is_set_anew_at_each_delivery_makes_no_other_event() -> None:
    lagging = [
        Chunk.of(each.time, each.exchange, each.data.replace(b'"note": "x', b'"lag": 1, "note": "x'))
        if isinstance(each, Chunk)
        else each
        for each in swift(*ALL)
    ]
    assert judged(nothing_dropped, slow(*LATE), lagging).verdict == "conforms"


def test_one_who_is_forgotten_has_lost_all_that_came_after() -> None:
    found = judged(nothing_dropped, slow(*LATE[:4], how="timeout", ended=9.0), swift(*ALL))
    assert found.verdict == "broken"
    assert "never got event 5, event 6, event 7, event 8, event 9 and 1 more" in found.reason


@pytest.mark.parametrize(
    ("records", "on", "verdict"),
    [
        (slow(*LATE[:4], how="timeout", ended=9.0), TERMS, "broken"),  # forgotten, with its response open
        (slow(*LATE[:4]), NOT_RESUMABLE, "broken"),  # ended as if that were all
        (
            slow(*LATE[:4], how="truncated"),
            NOT_RESUMABLE,
            "inconclusive",
        ),  # it hears that something is missing
        ([*slow(*LATE[:4], how="reset"), *back(status=404)], TERMS, "broken"),
        ([*slow(*LATE[:4], how="reset"), *back((3.3, "complete"))], TERMS, "conforms"),
    ],
)
def test_the_completion_comes_late_or_when_it_comes_back(
    records: list[Record], on: Terms, verdict: str
) -> None:
    found = judged(completion_not_dropped, records, swift(*ALL), on=on)
    assert found.verdict == verdict, found.reason
    if verdict == "broken":
        assert "was not told of the completion, which swift got" in found.reason


@pytest.mark.parametrize(
    ("groups", "why"),
    [
        ([swift(*ALL)], "nobody was slow"),
        ([stream(name="slow"), swift(*ALL)], "nobody was slow"),
        ([slow(*LATE), swift(*ALL[:-1])], "beside the one who did not read, swift "),
        ([slow((0.05, 1), *LATE[1:]), swift(1, 2, "complete")], "which may all lie in the buffers between"),
    ],
)
def test_what_was_not_seen_is_not_passed(groups: list[list[Record]], why: str) -> None:
    for rule in (nothing_dropped, completion_not_dropped):
        found = judged(rule, *groups)
        assert found.verdict == "inconclusive"
        assert why in found.reason
