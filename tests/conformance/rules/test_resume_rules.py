"""The rules of the area resume: what comes after coming back, on histories that are made up."""

import json
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up import made_up, stream
from made_up_tasks import CUT, Pieces, event, judged, on, sent

from conformance.config import Expect
from conformance.dialect import Dialect, Matcher
from conformance.history import How, Record, Terms
from conformance.rules import Judgement
from conformance.rules.resume import no_duplicate, no_gap
from conformance.rules.resume_return import came_back
from conformance.wire import encode_event
from fault_injection.faults import Fault, Plan

RESUMED = on(Expect(resumable=True))
WITNESSED = on(Expect(resumable=True, shared=True))
UNNUMBERED = Dialect(completion=(Matcher(event="complete"),), end=())


def counted(events: int, dialect: Dialect | None = None) -> Terms:
    expect = Expect(resumable=True, events=events)
    return on(expect) if dialect is None else on(expect, dialect)


def of(ids: Sequence[object], at: float, last: str = "") -> Pieces:
    """An event for each id (None: without one), 0.1 s apart; the last one completes if `last` says so."""
    pieces: Pieces = []
    for place, id in enumerate(ids):
        type = last if last and place == len(ids) - 1 else "progress"
        data = json.dumps({"job": "j1", "text": f"text of {id} {type}"})
        pieces.append(
            (round(at + 0.1 * place, 3), encode_event(data, type=type, id=None if id is None else str(id)))
        )
    return pieces


def cut(pieces: Pieces, **others: Any) -> list[Record]:
    """A connection that the link cut."""
    return stream(pieces, how="truncated", fired=[(pieces[-1][0] if pieces else 0.0, CUT)], **others)


def back(pieces: Pieces, id: object, **others: Any) -> list[Record]:
    """The connection with which the subscriber came back."""
    asked = [] if id is None else [("Last-Event-ID", str(id).encode().decode("latin-1"))]
    given: dict[str, Any] = {"name": "a-2", "at": 1.0, "sent": asked}
    return stream(pieces, **given | others)


def resumed(
    had: Sequence[object], got: Sequence[object], terms: Terms = RESUMED
) -> tuple[Judgement, Judgement]:
    """What no-gap and no-duplicate say of a subscriber that had these ids, and got those when it came back."""
    groups = cut(of(had, 0.1)), back(of(got, 1.1, "complete"), had[-1])
    gap = judged(no_gap, *groups, terms=terms, scenario="resume-after-cut")
    return gap, judged(no_duplicate, *groups, terms=terms, scenario="resume-after-cut")


# no-gap, by the numbers of the stream


@pytest.mark.parametrize(
    ("had", "got", "gap", "again"),
    [
        ([1, 2, 3], [4, 5, 6], "conforms", "conforms"),
        ([1, 2, 3], [5, 6, 7], "broken", "conforms"),
        ([1, 2, 3], [1, 2, 3, 4, 5], "conforms", "broken"),
        ([1, 2, 3], [3, 4, 5], "conforms", "broken"),
        ([1, 2, 3], [1, 2], "inconclusive", "broken"),
        ([10, 20, 30], [40, 50], "conforms", "conforms"),
        ([10, 20, 30], [60, 70], "broken", "conforms"),
        ([17, 23, 41], [50, 77], "inconclusive", "conforms"),  # ids that several streams share
        ([17, 18, 19], [23, 24], "inconclusive", "conforms"),
        ([1], [3], "inconclusive", "conforms"),
        ([1], [2], "conforms", "conforms"),
        (["x1", "x2"], ["x3", "x4"], "inconclusive", "conforms"),
        (["x1", "x2"], ["x2", "x3"], "inconclusive", "broken"),
    ],
)
def test_numbers_tell_what_is_missing_and_what_came_again(
    had: Sequence[object], got: Sequence[object], gap: str, again: str
) -> None:
    found = resumed(had, got)
    assert [each.verdict for each in found] == [gap, again]


def test_what_is_missing_is_named() -> None:
    gap, _ = resumed([1, 2, 3], [6, 7])
    assert gap.reason == "a-2 came back with Last-Event-ID '3' and never got event 4, event 5"
    first, second = gap.findings[0].evidence
    assert (first.connection, second.connection) == ("a", "a-2")
    assert second.expected == "what comes after event 3"
    assert second.actual == "event 6 (progress)"


def test_what_came_again_is_named() -> None:
    _, start = resumed([1, 2, 3], [1, 2, 3, 4])
    assert start.reason == (
        "a-2 came back with Last-Event-ID '3' and was sent everything from the start again (event 1, event 2, event 3)"
    )
    _, one = resumed([1, 2, 3], [3, 4])
    assert one.reason == "a-2 came back with Last-Event-ID '3' and was sent event 3 again"


@given(cut_after=st.integers(1, 6), lost=st.integers(0, 2), again=st.integers(0, 3))
def test_whatever_is_lost_or_sent_again_is_found(cut_after: int, lost: int, again: int) -> None:
    had = list(range(1, cut_after + 1))
    got = list(range(max(1, cut_after + 1 + lost - again * (not lost)), 11))
    gap, duplicate = resumed(had, got)
    assert gap.verdict == ("broken" if lost else "conforms")
    assert duplicate.verdict == ("broken" if again and not lost else "conforms")


# no-gap, by a witness and by the count


def witnessed(
    had: Sequence[object], got: Sequence[object], seen: Sequence[object], **others: Any
) -> Judgement:
    witness = stream(of(seen, 0.05, "complete"), name="witness")
    left = stream(of(had, 0.1), how="dropped")
    return judged(
        no_gap,
        witness,
        left,
        back(of(got, 1.1, "complete"), had[-1], **others),
        terms=WITNESSED,
        scenario="completion-while-away",
    )


def test_a_witness_knows_what_is_missing() -> None:
    assert witnessed(["x", "q"], ["m", "z"], ["x", "q", "m", "z"]).verdict == "conforms"
    judgement = witnessed(["x", "q"], ["z"], ["x", "q", "m", "z"])
    assert judgement.verdict == "broken"
    assert judgement.reason == "a-2 came back with Last-Event-ID 'q' and never got event m, which witness got"


def test_a_witness_of_a_stream_that_is_not_shared_saw_another_one() -> None:
    witness = stream(of(["x", "q", "m", "z"], 0.05, "complete"), name="witness")
    groups = witness, cut(of(["x", "q"], 0.1)), back(of(["z"], 1.1, "complete"), "q")
    for terms, verdict in ((WITNESSED, "broken"), (RESUMED, "inconclusive")):
        assert judged(no_gap, *groups, terms=terms, scenario="resume-after-cut").verdict == verdict


def test_a_witness_is_believed_over_the_numbers() -> None:
    assert witnessed([1, 2], [7, 8], [1, 2, 7, 8]).verdict == "conforms"


def test_a_return_that_was_cut_as_well_is_judged_as_far_as_it_came() -> None:
    left = stream(of(["x"], 0.1), how="dropped")
    witness = stream(of(["x", "q", "m", "z"], 0.05, "complete"), name="witness")
    for got, verdict in ((["q"], "conforms"), (["m"], "broken")):
        again = back(of(got, 1.1), "x", how="truncated")
        judged_ = judged(no_gap, witness, left, again, terms=WITNESSED, scenario="completion-while-away")
        assert judged_.verdict == verdict


def test_a_witness_who_came_later_has_not_seen_the_place() -> None:
    assert witnessed(["x", "q"], ["m", "z"], ["m", "z"]).verdict == "inconclusive"


@pytest.mark.parametrize(
    ("had", "got", "events", "verdict"),
    [
        (["x", "q"], ["m", "z"], 4, "conforms"),
        (["x", "q"], ["m", "z"], 5, "broken"),
        (["x", "q"], ["q", "m", "z"], 4, "conforms"),
        (["x", "q"], ["m", "z"], 3, "inconclusive"),
        ([17, 23], [41, 50], 4, "conforms"),
        ([1, 2, 3], [7, 8], 5, "conforms"),  # numbers that jump, but all events are there
    ],
)
def test_the_count_of_events_tells_too(
    had: Sequence[object], got: Sequence[object], events: int, verdict: str
) -> None:
    assert resumed(had, got, terms=counted(events))[0].verdict == verdict


# ids


def test_events_without_ids_cannot_be_resumed() -> None:
    numbered = on(Expect(resumable=True), msgspec.structs.replace(UNNUMBERED, sequence="/seq"))
    pieces: Pieces = [(0.1 * place, event(None, seq=place)) for place in (1, 2, 3)]
    groups = cut(pieces), back([(1.1, event(None, "complete", seq=4))], None)
    gap = judged(no_gap, *groups, terms=numbered, scenario="resume-after-cut")
    assert gap.verdict == "broken"
    assert gap.reason == (
        "the events carry no id field, so the subscriber had nothing to resume with; "
        "there is one in the data, at /seq, but no client looks there"
    )
    again = judged(no_duplicate, *groups, terms=numbered, scenario="resume-after-cut")
    assert again == Judgement("not-applicable", "the subscriber had no id to come back with")


@pytest.mark.parametrize(
    ("block", "said"),
    [
        ('data: {"eventId": 7}\n\n', "there is one in the data, at /eventId"),
        ("data: words\n\n", "the events carry no id field, so the subscriber had nothing to resume with"),
        ("id: 1\0\ndata: words\n\n", "the ids hold a NULL, so clients ignore them"),
    ],
)
def test_the_reason_why_there_is_no_id_is_named(block: str, said: str) -> None:
    judgement = judged(
        no_gap, cut([(0.1, block)]), back([], None), terms=RESUMED, scenario="resume-after-cut"
    )
    assert judgement.verdict == "broken"
    assert said in judgement.reason


def test_the_declared_sequence_is_pointed_to() -> None:
    numbered = on(Expect(resumable=True), msgspec.structs.replace(UNNUMBERED, sequence="/meta/place"))
    had = cut([(0.1, event(None, seq=1, meta={"place": 1}))])
    judgement = judged(no_gap, had, back([], None), terms=numbered, scenario="resume-after-cut")
    assert "there is one in the data, at /meta/place" in judgement.reason


@pytest.mark.parametrize(("first", "said"), [(3, "conforms"), (5, "broken")])
def test_whole_numbers_count_also_where_they_are_written_with_a_point(first: int, said: str) -> None:
    numbered = on(Expect(resumable=True), msgspec.structs.replace(UNNUMBERED, sequence="/seq"))

    def of_place(place: int) -> bytes:
        return encode_event(json.dumps({"seq": float(place)}), type="progress", id=f"id-{place}")

    had: Pieces = [(0.1 * place, of_place(place)) for place in (1, 2)]
    got: Pieces = [(1 + 0.1 * place, of_place(place)) for place in range(first, 8)]
    judgement = judged(no_gap, cut(had), back(got, "id-2"), terms=numbered)
    assert judgement.verdict == said
    assert said == "conforms" or "never got event 3, event 4" in judgement.reason


def test_an_empty_id_resets_the_last_event_id() -> None:
    had: Pieces = [*of([1, 2], 0.1), (0.3, 'id:\ndata: {"text": "snapshot"}\n\n')]
    groups = cut(had), back(of([4], 1.1, "complete"), None)
    lost = judged(no_gap, *groups, terms=counted(5), scenario="resume-after-cut")
    assert lost.verdict == "broken"
    assert lost.reason.startswith(
        "a-2 came back without an id (an empty id had reset it) and never got 1 of the 5"
    )
    assert judged(no_gap, *groups, terms=counted(4), scenario="resume-after-cut").verdict == "conforms"


def test_events_behind_the_last_id_may_come_again() -> None:
    had = cut([*of([1, 2], 0.1), *of([None], 0.3)])
    again = back([*of([None], 1.1), *of([3], 1.2, "complete")], 2)
    assert judged(no_duplicate, had, again, terms=RESUMED, scenario="resume-after-cut").verdict == "conforms"


def test_an_id_that_came_in_a_block_without_data_counts() -> None:
    primed = cut([(0.1, "id: start\n\n")])
    rest = back(of(["x", "y"], 1.1, "complete"), "start")
    assert (
        judged(no_duplicate, primed, rest, terms=RESUMED, scenario="resume-after-cut").verdict == "conforms"
    )
    later = cut([*of(["x"], 0.1), (0.2, "id: y\n\n")])
    again = back(of(["x", "z"], 1.1, "complete"), "y")
    assert judged(no_duplicate, later, again, terms=RESUMED, scenario="resume-after-cut").verdict == "broken"


def test_several_events_may_share_an_id() -> None:
    had = cut([(0.1, event(1, text="x")), (0.2, event(1, text="y")), (0.3, event(2, text="z"))])
    rest = back([(1.1, event(2, text="another of the second")), (1.2, event(3, "complete"))], 2)
    assert judged(no_duplicate, had, rest, terms=RESUMED, scenario="resume-after-cut").verdict == "conforms"
    more: Pieces = [(1.1, event(2, text="m")), (1.15, event(2, text="n")), (1.2, event(3, "complete"))]
    assert judged(no_duplicate, had, back(more, 2), terms=RESUMED).verdict == "conforms"
    first = cut([(0.1, event(1, text="x"))])
    second = back([(1.1, event(1, text="y")), (1.2, event(2, "complete"))], 1)
    assert (
        judged(no_duplicate, first, second, terms=RESUMED, scenario="resume-after-cut").verdict == "conforms"
    )


def test_an_id_beyond_ascii_is_known_again() -> None:
    _, again = resumed(["é1", "é2"], ["é2", "é3"])
    assert again.verdict == "broken"
    assert "Last-Event-ID 'é2'" in again.reason


# what is no return


@pytest.mark.parametrize(
    ("groups", "reason"),
    [
        ([stream(sent("progress", "complete"))], "the stream was over before the connection was"),
        ([stream(sent("progress"), ended=0.3)], "the subscriber did not come back: a was ended at 0.300 s"),
        ([cut(sent("progress"))], "the subscriber did not come back: a was cut by the link"),
        ([stream(status=0, how="refused", detail="nobody listens")], "no response (nobody listens)"),
        (
            [cut(sent("progress")), back([], 1, status=404)],
            "no event came after it had come back: a-2 was answered",
        ),
    ],
    ids=["over", "not cut", "stayed away", "refused", "404"],
)
def test_where_nobody_came_back_nothing_is_judged(groups: list[list[Record]], reason: str) -> None:
    for rule in (no_gap, no_duplicate):
        judgement = judged(rule, *groups, terms=RESUMED, scenario="resume-after-cut")
        assert judgement.verdict == "inconclusive"
        assert judgement.reason.startswith(reason)


def test_a_stream_that_ended_before_the_cut_is_no_return_where_its_end_is_unknown() -> None:
    unknown = on(Expect(resumable=True), Dialect(end=()))
    groups = stream(sent("progress"), ended=0.3), back(sent("progress", at=1.0), 1)
    judgement = judged(no_gap, *groups, terms=unknown, scenario="resume-after-cut")
    assert judgement == Judgement("inconclusive", "the connection was not cut: a ended as complete")
    came = came_back(made_up(*groups, terms=RESUMED, scenario="subscribe", plan=Plan()))
    assert isinstance(came, tuple)
    assert came[0].asked == "1"


def test_without_the_promise_to_resume_nothing_is_judged() -> None:
    for expect in (Expect(), Expect(resumable=False)):
        judgement = judged(no_gap, cut(sent("progress")), terms=on(expect), scenario="resume-after-cut")
        assert judgement == Judgement("not-applicable", "needs expect.resumable in the configuration")


# who comes back, sees the completion, and is gone before the end marker


@pytest.mark.parametrize(
    ("how", "severing", "verdict"),
    [
        ("complete", [], "broken"),  # the server ended the response: the marker was due
        ("dropped", [], "conforms"),  # the subscriber left: it cannot have it
        ("truncated", [(1.5, CUT)], "conforms"),  # the link cut it off
    ],
)
def test_an_end_marker_is_due_to_who_stays(
    how: How, severing: list[tuple[float, Fault]], verdict: str
) -> None:
    first = cut(sent("progress", "progress"))
    returned = back(sent("progress", "complete", at=1.0, first=3), 2, how=how, fired=severing, ended=1.5)
    witness = stream(sent("progress", "progress", "progress", "complete", "stream_end"), name="witness")
    gap = judged(no_gap, first, returned, witness, terms=WITNESSED, scenario="resume-after-cut")
    assert gap.verdict == verdict, gap
    if verdict == "broken":
        assert "never got event 5, which witness got" in gap.reason


def test_an_event_before_the_completion_is_due_to_who_leaves_too() -> None:
    first = cut(sent("progress"))
    returned = back(sent("complete", at=1.0, first=3), 1, how="dropped")
    witness = stream(sent("progress", "progress", "complete", "stream_end"), name="witness")
    gap = judged(no_gap, first, returned, witness, terms=WITNESSED, scenario="resume-after-cut")
    assert gap.verdict == "broken"
    assert "never got event 2, which witness got" in gap.reason
