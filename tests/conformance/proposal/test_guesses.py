"""What made-up streams speak for, and what they do not: the cases that no usual server shows."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

import pytest

from conformance.dialect import Matcher
from conformance.history import Began, Chunk, Concluded, Ended, Head, History, How, Record, Requested, history
from conformance.proposal import Entry, propose

WALL = 1_700_000_000.0

Body = Sequence[tuple[float, str]]  # when each piece arrived (seconds), and what


def stream(
    who: str, at: float, body: Body, how: How = "complete", end: float | None = None, last: str | None = None
) -> list[Record]:
    """One request at this time, and what came of it; it ended (seconds) with the last piece, unless told otherwise."""
    headers = (("content-type", "text/event-stream"),)
    end = max([at, *(time for time, _ in body)]) if end is None else end
    asked = Requested(
        time=at, exchange=who, purpose="stream", method="GET", url="http://h/e", subscriber=who, last_event_id=last
    )  # fmt: skip
    return [
        asked,
        Head(time=at, exchange=who, status=200, headers=headers),
        *(Chunk.of(time, who, text.encode()) for time, text in body),
        Ended(time=end, exchange=who, how=how),
    ]


def seen(*streams: Iterable[Record]) -> History:
    return history([Began(at=WALL), *(record for each in streams for record in each), Concluded(time=100)])


def guessed(*streams: Iterable[Record]) -> dict[str, Any]:
    return {entry.name: entry.value for entry in propose(seen(*streams)).guesses}


def entry(name: str, *streams: Iterable[Record]) -> Entry:
    (found,) = [entry for entry in propose(seen(*streams)).entries if entry.name == name]
    return found


def why(name: str, *streams: Iterable[Record]) -> str:
    """The reason for which this key is a comment."""
    found = entry(name, *streams)
    assert not found.guessed
    return found.reason


def ticks(numbers: Iterable[int], late: float = 0.0, kind: str = "message") -> list[tuple[float, str]]:
    """Events that come a second apart, each at its number."""
    return [(number + late, f"event: {kind}\ndata: event {number}\n\n") for number in numbers]


def of(data: Iterable[Any], step: float = 1.0) -> list[tuple[float, str]]:
    return [(step * at, f"data: {json.dumps(each)}\n\n") for at, each in enumerate(data, 1)]


DONE = "event: done\ndata: {}\n\n"
READ = stream("first", 0, ticks(range(1, 11)), "watched", 10.5)


def joined(body: Body, at: float = 2.5) -> list[Record]:
    return stream("second", at, body, "watched", 10.5)


def test_two_who_hear_the_same_at_the_same_moments_share_a_stream() -> None:
    found = guessed(READ, joined(ticks(range(3, 11))))
    assert found == {"expect.shared": True, "expect.replay": "none"}


@pytest.mark.parametrize(
    ("heard", "reason"),
    [
        (ticks([3, 4, 6, 7, 8, 9, 10]), "missed 1 of 8 events that came meanwhile"),
        (sorted([*ticks(range(3, 11)), (5.2, "data: mine\n\n")]), "was told 1 event that the first one was not"),
        ([(7 - time if time < 5 else time, text) for time, text in ticks(range(3, 11))], "in another order"),
        (ticks(range(3, 11), late=0.3), "not at the same moment (0.300 s apart)"),
        (ticks([3, 4, 4, 5, 6, 7, 8, 9, 10]), "some events are the same as others"),
        (ticks(range(3, 11), kind="other"), "was told other events meanwhile"),
        ([], "was told other events meanwhile"),
    ],
)  # fmt: skip
def test_where_a_second_subscriber_hears_something_else_nothing_is_shared(heard: Body, reason: str) -> None:
    assert reason in why("expect.shared", READ, joined(sorted(heard, key=lambda piece: piece[0])))


def test_two_who_come_together_do_not_tell_one_stream_from_two() -> None:
    assert "came at the same moment" in why("expect.shared", READ, joined(ticks(range(1, 11)), at=0.1))


def test_too_few_events_are_no_sign_of_sharing() -> None:
    first = stream("first", 0, ticks([1, 2, 6]), "watched", 10.5)
    assert "came 1 event, too few to compare: --duration looks longer" in why(
        "expect.shared", first, joined(ticks([6]))
    )


def test_a_stream_that_is_over_and_not_told_again_needs_another_one_for_a_run() -> None:
    body = [*ticks(range(1, 8)), (8.0, DONE)]
    second = stream("second", 2.5, body[2:])
    found = entry("expect.replay", stream("first", 0, body), second)
    assert (found.value, found.guessed) == ("none", True)
    assert found.reason.endswith("the stream is over now, so a run needs target.start, which begins another")
    assert "target.start" not in entry("expect.replay", READ, joined(ticks(range(3, 11)))).reason


def test_what_nobody_keeps_for_ever_is_no_promise_of_all() -> None:
    late = [(2.5, text) for _, text in ticks([1, 2])]
    second = joined([*late, *ticks(range(3, 11))])
    assert "of a stream without end nobody keeps all" in why("expect.replay", READ, second)
    part = joined([late[1], *ticks(range(3, 11))])
    assert why("expect.replay", READ, part) == (
        "of 2 events that were told before it came, a late subscriber was told 1"
    )


def finishing(how: How = "complete", end: float = 4.1, said: str = DONE) -> list[Record]:
    return stream("first", 0, [*ticks([1, 2, 3]), (4.0, said)], how, end)


def test_a_response_that_ends_with_the_work_terminates() -> None:
    found = entry("expect.terminates", finishing())
    assert (found.guessed, found.reason) == (True, "the response ended 0.100 s after the completion")


@pytest.mark.parametrize("how", ["watched", "timeout", "dropped", "truncated", "reset"])
def test_one_that_was_not_seen_to_end_properly_may_not(how: How) -> None:
    assert not entry("expect.terminates", finishing(how)).guessed
    assert not entry("dialect.completion", finishing(how)).guessed


def test_an_end_that_was_cut_after_the_completion_of_a_preset_is_no_end() -> None:
    start = {"type": "RUN_STARTED", "runId": "1"}
    whole = of([start, {"type": "STEP"}, {"type": "RUN_FINISHED", "runId": "1"}])
    assert guessed(stream("first", 0, whole))["expect.terminates"] is True
    cut = stream("first", 0, whole, "truncated")
    assert entry("dialect.preset", cut).guessed
    assert not entry("expect.terminates", cut).guessed


def test_an_end_that_nearly_came_too_late_is_not_promised() -> None:
    assert "which is late: limits.close is 5 s" in why("expect.terminates", finishing(end=7.0))


def test_two_that_do_not_agree_on_their_end_promise_none() -> None:
    second = stream("second", 0.5, [*ticks([1, 2, 3]), (4.0, DONE)], "timeout", 9.0)
    assert "the second did not" in why("expect.terminates", finishing(), second)
    other = stream("second", 0.5, ticks([1, 2, 3]))
    assert "the first stream ended in it, and another one did not" in why(
        "dialect.completion", finishing(), other
    )


def test_work_that_failed_says_nothing_of_how_many_events_there_are() -> None:
    start = {"type": "RUN_STARTED", "runId": "1"}
    failed = of([start, {"type": "STEP"}, {"type": "RUN_ERROR", "message": "no"}])
    again = stream("second", 4, [(time + 4, text) for time, text in failed])
    assert "until the failure" in why("expect.events", stream("first", 0, failed), again)


@pytest.mark.parametrize(
    ("last", "matcher"),
    [
        ("event: result\ndata: {}\n\n", Matcher(event="result")),
        ('data: {"status": "over"}\n\n', Matcher(pointer="/status", equals="over")),
    ],
)
def test_what_is_unlike_the_others_is_proposed_as_the_completion_and_not_declared(
    last: str, matcher: Matcher
) -> None:
    found = entry("dialect.completion", finishing(said=last))
    assert (found.value, found.guessed) == ((matcher,), False)
    assert "is it the completion?" in found.reason


@pytest.mark.parametrize(
    ("values", "sequence", "sure"),
    [
        ([{"seq": 5}, {"seq": 6}, {"seq": 7}], "/seq", True),
        ([{"meta": {"event_id": each}} for each in (1, 2, 3)], "/meta/event_id", True),
        ([{"a/b~c": 1}, {"a/b~c": 2}, {"a/b~c": 3}], "/a~1b~0c", False),  # is it a number of events?
        ([{"floor": 1}, {"floor": 2}, {"floor": 3}], "/floor", False),
        ([{"n": 1}, {"n": 2}], "id", False),
        ([{"n": 1}, {"n": 2}, {"n": 4}], "id", False),
        ([{"n": 1}, {"n": 2}, {"m": 3}], "id", False),
        ([{"seq": 1_700_000_000 + second} for second in range(4)], "id", False),  # a clock counts by one, too
        ([{"x" * 100: 1}, {"x" * 100: 2}, {"x" * 100: 3}], "id", False),  # as no honest server names it
        ([{"seq": True}, {"seq": 2}, {"seq": 3}], "id", False),
    ],
)  # fmt: skip
def test_what_counts_by_one_and_is_named_so_is_the_sequence(
    values: list[Any], sequence: str, sure: bool
) -> None:
    found = entry("dialect.sequence", stream("first", 0, of(values)))
    assert (found.value, found.guessed) == (sequence, sure)


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        ([WALL + at + 0.25 for at in range(4)], ""),
        ([(WALL + at + 0.25) * 1000 for at in range(4)], ""),
        ([WALL + at for at in range(4)], "in whole seconds"),
        ([WALL + at - 3600.25 for at in range(4)], "no event came when it says"),
        (
            [WALL + 0.25] * 4,
            "no field of the data reads as the time",
        ),  # that of the request, not of the event
        (["soon", "later", "now", "then"], "no field of the data reads as the time"),
    ],
)
def test_a_time_is_one_of_the_events_where_they_come_when_it_says(made: list[Any], reason: str) -> None:
    body = [(at + 0.3, f"data: {json.dumps({'ts': each})}\n\n") for at, each in enumerate(made)]
    found = entry("dialect.timestamp", stream("first", 0, body))
    assert found.guessed is (reason == "")
    assert reason in found.reason


def test_an_id_that_names_several_events_brings_nobody_back() -> None:
    body = [(at, f"id: 7\ndata: event {at}\n\n") for at in (1.0, 2.0, 3.0)]
    back = stream("back", 4, [(4.1, body[2][1])], last="7")
    assert why("expect.resumable", stream("first", 0, body), back) == "the id 7 names several events"


def test_who_comes_back_and_is_told_nothing_has_not_been_resumed() -> None:
    body = [(float(at), f"id: {at}\ndata: event {at}\n\n") for at in (1, 2, 3)]
    back = stream("back", 4, [], "watched", 9, last="2")
    assert "was told nothing in 5.00 s" in why("expect.resumable", stream("first", 0, body), back)
    told = stream("back", 4, [(4.1, body[2][1])], last="2")
    assert guessed(stream("first", 0, body), told)["expect.resumable"] is True


def test_where_there_is_no_stream_nothing_is_proposed() -> None:
    page: list[Record] = [
        Requested(exchange="first", purpose="stream", method="GET", url="http://h/", subscriber="first"),
        Head(exchange="first", status=200, headers=(("content-type", "text/html"),)),
        Chunk.of(0.1, "first", b"data: x\n\n"),
        Ended(time=1, exchange="first", how="complete"),
    ]
    assert propose(seen(page)).entries == ()
    assert propose(seen()).entries == ()
