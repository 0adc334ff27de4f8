"""The rules of the area order, on histories that are made up."""

import json
from collections.abc import Iterable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up import TASK, made_up, stream, terms

from conformance.config import Expect
from conformance.dialect import Dialect, Matcher, Scope
from conformance.history import History, Record, Terms
from conformance.rules import Judgement
from conformance.rules.order import RULES, increasing
from conformance.rules.order_gaps import no_gap
from conformance.rules.order_subscribers import subscribers_agree
from conformance.rules.order_unique import no_duplicate, unique_ids
from conformance.rules.rule import Rule
from conformance.wire import encode_comment, encode_event
from reports.outcome import plural

SHARED = terms(TASK, Expect(shared=True, resumable=True))
ALONE = terms(TASK)
REPLAYING = terms(TASK, Expect(shared=True, resumable=True, replay="all"))

Sent = tuple[float, bytes]


def event(id: object, text: str = "", type: str = "progress") -> bytes:
    """An event with this id (None: without one)."""
    data = json.dumps({"job": "j1", "text": text or f"step {id}"})
    return encode_event(data, type=type, id=None if id is None else str(id))


def sent(ids: Iterable[object], start: float = 0.0, pace: float = 0.1) -> list[Sent]:
    """One event for each id, `pace` seconds apart."""
    return [(start + index * pace, event(id)) for index, id in enumerate(ids)]


def judged(rule: Rule, *groups: list[Record], terms: Terms = ALONE, scenario: str = "subscribe") -> Judgement:
    return rule.judge(made_up(*groups, terms=terms, scenario=scenario))


def of(ids: Iterable[object], **others: object) -> list[Record]:
    return stream(sent(ids), **others)  # type: ignore[arg-type]  # the keywords of `stream`


# increasing


@pytest.mark.parametrize("ids", [[1, 2, 3], [10, 20, 30], [5, 6, 9], ["007", "8"], [0, 1]])
def test_numbers_that_increase_are_right(ids: Sequence[object]) -> None:
    judgement = judged(increasing, of(ids))
    assert judgement.verdict == "conforms"
    assert judgement.reason == plural(len(ids) - 1, "step")


def test_a_number_that_goes_back_is_named_with_its_place() -> None:
    judgement = judged(increasing, of([1, 2, 4, 3, 5]))
    assert judgement.verdict == "broken"
    assert len(judgement.findings) == 1, "3 came after 4; 5 after 3 is no further fault"
    assert judgement.reason == "event 3 came after event 4 on connection a"
    (evidence,) = judgement.findings[0].evidence
    assert (evidence.expected, evidence.actual, evidence.time) == ("more than 4", "3", 0.3)
    assert evidence.offset == sum(len(data) for _, data in sent([1, 2, 4]))


def test_the_same_number_twice_does_not_increase() -> None:
    assert judged(increasing, of([1, 2, 2, 3])).reason == "event 2 came again after event 2 on connection a"


def test_every_connection_counts_for_itself() -> None:
    resumed = of([2, 3, 4], name="a-2", at=1.0, sent=[("last-event-id", "1")])
    assert judged(increasing, of([1, 2, 3], how="reset"), resumed).verdict == "conforms"


def test_names_are_no_numbers() -> None:
    judgement = judged(increasing, of(["01HZX", "01HZW", "01HZA"]))
    assert judgement.verdict == "not-applicable"
    assert "01HZ" in judgement.reason


@pytest.mark.parametrize("ids", [[], [1], [None, None], [1, None]])
def test_less_than_two_numbers_show_nothing(ids: Sequence[object]) -> None:
    assert judged(increasing, of(ids)).verdict == "inconclusive"


def test_events_without_a_number_and_heartbeats_do_not_count() -> None:
    pieces = [*sent([1, 2]), (0.3, encode_comment(" beat")), (0.4, event(None)), (0.5, event(3))]
    assert judged(increasing, stream(pieces)).reason == "2 steps"


def test_a_number_in_the_data() -> None:
    dialect = Dialect(sequence="/seq")
    pieces = [(0.1, encode_event(json.dumps({"seq": seq}))) for seq in (1, 2, 4, 3)]
    assert judged(increasing, stream(pieces), terms=terms(dialect)).verdict == "broken"
    text = [(0.1, encode_event(json.dumps({"seq": str(seq)}))) for seq in (8, 9, 10, 11)]
    assert judged(increasing, stream(text), terms=terms(dialect)).verdict == "conforms", "10 follows 9"


def test_numbers_that_nobody_can_count_with_are_names() -> None:
    huge = [(0.1, encode_event(f'{{"seq": {seq}}}')) for seq in ("1" * 400, "2" * 400, "1e300", "0.5")]
    held = terms(Dialect(sequence="/seq"))
    for rule in (increasing, no_gap):
        assert judged(rule, stream(huge), terms=held).verdict == "not-applicable"


def test_on_a_bus_each_stream_counts_for_itself() -> None:
    dialect = Dialect(sequence="/seq", stream="/session")
    pieces = [
        (0.1, encode_event(json.dumps({"seq": seq, "session": name})))
        for name, seq in [("x", 1), ("y", 1), ("x", 2), ("y", 2), ("y", 3)]
    ]
    assert judged(increasing, stream(pieces), terms=terms(dialect)).reason == "3 steps"
    assert judged(increasing, stream(pieces), terms=terms(Dialect(sequence="/seq"))).verdict == "broken"


def test_only_the_events_in_scope_are_judged() -> None:
    dialect = Dialect(sequence="/seq", scope=Scope(pointer="/session", equals="{job}"))
    pieces = [
        (0.1, encode_event(json.dumps({"seq": seq, "session": name})))
        for name, seq in [("j1", 1), ("j2", 9), ("j1", 2)]
    ]
    assert judged(increasing, stream(pieces), terms=terms(dialect)).reason == "1 step"


# no-gap


def test_every_step_the_same_is_no_gap() -> None:
    for ids in ([1, 2, 3, 4], [10, 20, 30, 40], [7, 8, 9]):
        assert judged(no_gap, of(ids)).verdict == "conforms"


def test_a_gap_in_a_stream_that_counts_for_itself() -> None:
    judgement = judged(no_gap, of([1, 2, 3, 5, 6, 7]))
    assert judgement.reason == "on connection a 5 follows 3: the numbers begin at 1 and 4 of 5 steps are 1"
    assert judged(no_gap, of([10, 20, 30, 50, 60])).verdict == "broken"
    assert judged(no_gap, of([0, 1, 2, 4])).verdict == "broken"


@pytest.mark.parametrize(
    "ids",
    [
        [1001, 1002, 1003, 1005, 1006],  # a counter that other streams share
        [1700000000123, 1700000000240, 1700000001007],  # times
        [1, 3, 4, 9, 11],
        [1, 2, 4],
        [2, 4, 6, 8, 9, 11, 13],
    ],
)
def test_a_jump_alone_is_no_gap(ids: Sequence[int]) -> None:
    judgement = judged(no_gap, of(ids))
    assert judgement.verdict == "inconclusive"
    assert "jump" in judgement.reason


def test_a_jump_is_right_where_all_events_came() -> None:
    held = terms(TASK, Expect(events=5))
    assert judged(no_gap, of([1, 2, 3, 5, 6]), terms=held).verdict == "conforms"


def test_a_gap_where_the_count_says_so() -> None:
    held = terms(TASK, Expect(events=6))
    pieces = [*sent([101, 102, 103, 105]), (0.5, event(106, type="complete"))]
    judgement = judged(no_gap, stream(pieces), terms=held)
    assert judgement.reason.endswith(
        "the stream completed with 5 events of the 6 that expect.events declares"
    )


def test_a_gap_where_another_subscriber_got_what_is_missing() -> None:
    both = of([501, 502, 506, 510]), of([501, 502, 506, 508, 510], name="b")
    judgement = judged(no_gap, *both, terms=SHARED)
    assert judgement.reason == "on connection a 510 follows 506: another connection got 508"
    assert len(judgement.findings) == 1


def test_no_gap_where_another_subscriber_made_the_same_jump() -> None:
    both = of([501, 502, 506, 510]), of([502, 506, 510], name="late", at=0.15)
    assert judged(no_gap, *both, terms=SHARED).verdict == "conforms"


def test_streams_that_are_not_shared_are_not_compared() -> None:
    both = of([501, 502, 506, 510]), of([501, 502, 506, 508, 510], name="b")
    assert judged(no_gap, *both, terms=ALONE).verdict == "inconclusive"


def test_what_comes_in_another_order_is_not_missing() -> None:
    assert judged(no_gap, of([1, 2, 4, 3, 5, 6])).verdict == "conforms"


def test_what_came_in_another_order_than_on_another_connection_is_not_missing() -> None:
    both = of([1, 2, 4, 3, 5]), of([1, 2, 3, 4, 5], name="b")
    assert judged(no_gap, *both, terms=SHARED).verdict == "conforms", "the order is order.increasing's"


def test_a_cut_is_no_gap() -> None:
    resumed = of([6, 7, 8], name="a-2", at=1.0, sent=[("last-event-id", "3")])
    assert judged(no_gap, of([1, 2, 3], how="reset"), resumed).verdict == "conforms", (
        "resume.no-gap has its say"
    )


def test_names_have_no_gaps() -> None:
    assert judged(no_gap, of(["x", "y", "z"])).verdict == "not-applicable"
    assert judged(no_gap, of([1])).verdict == "inconclusive"


# no-duplicate


def test_an_event_that_comes_twice() -> None:
    judgement = judged(no_duplicate, of([1, 2, 3, 2, 4]))
    assert judgement.reason == "event 2 came twice on connection a, at 0.100 s and at 0.300 s"
    assert [evidence.time for evidence in judgement.findings[0].evidence] == [0.1, 0.3]


def test_an_event_that_comes_again_on_another_connection_is_no_duplicate() -> None:
    again = of([2, 3], name="a-2", at=1.0, sent=[("last-event-id", "1")])
    assert judged(no_duplicate, of([1, 2]), again).verdict == "conforms"


def test_equal_content_without_a_name_is_no_duplicate() -> None:
    pieces = [(0.1, event(None, "the")), (0.2, event(None, "the"))]
    assert judged(no_duplicate, stream(pieces)).verdict == "inconclusive"


def test_an_id_need_not_name_an_event_where_nobody_resumes() -> None:
    for rule in (no_duplicate, unique_ids):
        judgement = judged(rule, of([1, 1, 1]), terms=terms(Dialect()))
        assert judgement.verdict == "not-applicable"
        assert "expect.resumable" in judgement.reason


def test_an_empty_id_names_nothing() -> None:
    reset = [(0.1, b"id\ndata: again\n\n"), (0.2, b"id\ndata: again\n\n"), (0.3, event(1))]
    held = terms(Dialect(), Expect(resumable=True))
    assert judged(no_duplicate, stream(reset), terms=held).reason == "1 event"


def test_heartbeats_may_repeat_the_last_id() -> None:
    dialect = Dialect(heartbeat=(Matcher(event="ping"),))
    ping = encode_event("{}", type="ping", id="2")
    pieces = [*sent([1, 2]), (0.5, ping), (1.0, ping)]
    for rule in (no_duplicate, unique_ids):
        held = terms(dialect, Expect(resumable=True))
        assert judged(rule, stream(pieces), terms=held).verdict == "conforms"


# unique-ids


def test_an_id_that_names_two_events_on_one_connection() -> None:
    judgement = judged(unique_ids, stream([(0.1, event(7, "one")), (0.2, event(7, "two"))]))
    assert judgement.reason == "id 7 names two different events on connection a"
    assert len(judgement.findings[0].evidence) == 2


def test_ids_that_start_anew_with_each_connection() -> None:
    again = [(1.0 + index, event(index, f"later {index}")) for index in (1, 2, 3)]
    resumed = stream(again, name="a-2", at=1.0, sent=[("last-event-id", "3")])
    for held in (SHARED, terms(TASK, Expect(resumable=True))):
        judgement = judged(unique_ids, of([1, 2, 3], how="reset"), resumed, terms=held)
        assert judgement.reason == "id 1 names two different events on connections a and a-2"


def test_a_second_delivery_may_say_that_it_is_one() -> None:
    again = [
        (1.0, encode_event('{"job": "j1", "text": "step 2", "replayed": true}', type="progress", id="2"))
    ]
    assert (
        judged(unique_ids, of([1, 2]), stream(again, name="a-2", at=1.0), terms=SHARED).verdict == "conforms"
    )


def test_a_second_delivery_may_be_stamped_anew() -> None:
    def stamped(at: str) -> bytes:
        return encode_event(json.dumps({"text": "one", "timestamp": at}), type="progress", id="1")

    first = stream([(0.1, stamped("2025-11-04T00:57:05Z"))])
    late = stream([(1.0, stamped("2025-11-04T00:58:05Z"))], name="b", at=1.0)
    assert judged(unique_ids, first, late, terms=SHARED).verdict == "conforms"


def test_one_detail_that_another_delivery_changes_is_no_other_event() -> None:
    again = stream([(1.0, event(2, "step 2, again"))], name="b", at=1.0)
    assert judged(unique_ids, of([1, 2, 3]), again, terms=SHARED).verdict == "conforms"


def test_another_type_is_another_event() -> None:
    other = stream([(1.0, event(1, "step 1", type="complete"))], name="b", at=1.0)
    assert judged(unique_ids, of([1, 2]), other, terms=SHARED).verdict == "broken"


def test_two_streams_may_use_the_same_ids() -> None:
    other = stream(
        [(index, event(index, "other")) for index in (1, 2, 3)],
        name="b",
        url="http://127.0.0.1:8000/jobs/j2/events",
        names={"job": "j2"},
    )
    assert judged(unique_ids, of([1, 2, 3]), other, terms=SHARED).verdict == "conforms"


def test_streams_without_ids() -> None:
    assert judged(unique_ids, of([None, None])).verdict == "not-applicable"


# subscribers-agree


def agreed(one: list[Record], other: list[Record], terms: Terms = SHARED) -> Judgement:
    return judged(subscribers_agree, one, other, terms=terms, scenario="two-subscribers")


def test_two_subscribers_that_get_the_same() -> None:
    assert agreed(of([1, 2, 3, 4]), of([1, 2, 3, 4], name="b")).reason == "4 events in common"


def test_a_late_subscriber_sees_the_rest() -> None:
    late = stream(sent([4, 5, 6], 0.35), name="late", at=0.32)
    assert agreed(of([1, 2, 3, 4, 5, 6]), late).verdict == "conforms"
    judgement = agreed(of([1, 2, 3, 4, 5, 6]), late, REPLAYING)
    assert judgement.reason == "late never got event 1, event 2, event 3, which a got"


def test_a_subscriber_that_resumes_is_not_told_what_it_has_seen() -> None:
    resumed = stream(sent([3, 4], 0.25), name="b-2", at=0.2, sent=[("last-event-id", "2")])
    assert agreed(of([1, 2, 3, 4]), resumed, REPLAYING).verdict == "conforms"


def test_an_event_that_only_one_of_them_got() -> None:
    judgement = agreed(of([1, 2, 3, 4]), of([1, 2, 4], name="b"))
    assert judgement.reason == "b never got event 3, which a got"
    (evidence,) = judgement.findings[0].evidence
    assert (evidence.connection, evidence.time) == ("a", 0.2)


def test_another_order() -> None:
    judgement = agreed(of([1, 2, 3, 4]), of([1, 3, 2, 4], name="b"))
    assert judgement.verdict == "broken"
    assert "the other way round" in judgement.reason


def test_events_after_one_of_them_left_are_not_missing() -> None:
    for how in ("dropped", "reset", "truncated", "complete"):
        gone = of([1, 2], name="b", how=how)
        assert agreed(of([1, 2, 3, 4]), gone).verdict == "conforms", how


def test_the_last_event_is_missing_for_one_who_stayed() -> None:
    stayed = of([1, 2, 3], name="b", how="complete", ended=2.0)
    assert agreed(of([1, 2, 3, 4]), stayed).reason == "b never got event 4, which a got"
    watched = of([1, 2, 3], name="b", how="watched", ended=0.9)
    assert agreed(of([1, 2, 3, 4]), watched).verdict == "conforms", "it may have come within limits.delivery"


def test_what_is_told_to_each_in_other_words_is_not_missing() -> None:
    here = [(0.1, event(1)), (0.2, event(2, "you are one of 1")), (0.3, event(3))]
    there = [(0.1, event(1)), (0.2, event(2, "you are one of 2")), (0.3, event(3))]
    assert agreed(stream(here), stream(there, name="b")).reason == "2 events in common"
    said = [(0.1, event(1)), (0.2, event(2, "bye, one of 1"))]
    to_other = [(0.1, event(1)), (0.2, event(2, "bye, one of 2"))]
    left = stream(said, ended=2.0), stream(to_other, name="b", ended=2.0)
    assert agreed(*left).reason == "1 event in common"


def test_words_that_come_again_and_again_do_not_confuse() -> None:
    words = ["to", "be", "or", "not", "to", "be", "that", "is", "the", "question", "whether", "tis", "nobler"]
    pieces = [(0.1 * index, encode_event(word)) for index, word in enumerate(words)]
    late = [(time, data) for time, data in pieces if time > 0.25]
    held = terms(Dialect(), Expect(shared=True))
    assert agreed(stream(pieces), stream(late, name="b", at=0.25), held).verdict == "conforms"


def test_a_greeting_in_common_does_not_tell_where_the_stream_stood() -> None:
    hello = event(None, "hello", "ready")
    whole = stream([(0.0, hello), *sent([1, 2, 3, 4], 0.1)], ended=0.7)
    late = stream([(0.35, hello), *sent([4], 0.4)], name="b", at=0.35)
    assert agreed(whole, late).verdict == "conforms"
    back = stream([(1.0, hello), *sent([3, 4], 1.0)], name="b-2", at=1.0, sent=[("last-event-id", "2")])
    assert agreed(whole, back, REPLAYING).verdict == "conforms"
    nothing = stream([(0.6, hello)], name="b", at=0.6, ended=2.0)
    assert agreed(whole, nothing).verdict == "conforms"
    there = stream([(0.0, hello), *sent([2, 3, 4], 0.2)], name="b")
    assert agreed(whole, there).reason == "b never got event 1, which a got"
    losing = stream([(0.15, hello), *sent([2], 0.2), *sent([4], 0.4)], name="b", at=0.15)
    assert agreed(whole, losing).reason == "b never got event 3, which a got"


def test_nothing_in_common() -> None:
    assert agreed(of([1, 2]), of([3, 4], name="b")).verdict == "inconclusive"
    assert agreed(of([1, 2]), of([3], name="a-2")).verdict == "inconclusive", "one subscriber, twice"


def test_one_who_comes_after_all_is_over_is_promised_nothing() -> None:
    first = of([1, 2, 3], ended=0.5)
    after = stream(sent([3], 1.0), name="late", at=1.0)
    assert judged(subscribers_agree, first, after, terms=SHARED).verdict == "not-applicable"
    judgement = judged(subscribers_agree, first, after, terms=REPLAYING)
    assert judgement.reason == "late never got event 1, event 2, which a got"


# all of them


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_responses_that_are_no_event_stream_are_not_judged(rule: Rule) -> None:
    html = (("content-type", "text/html"),)
    for group in (of([1, 3, 2], headers=html), of([1, 3, 2], status=404), of([], status=204)):
        assert judged(rule, group, terms=SHARED).verdict == "not-applicable"
    nothing = stream(how="refused", status=0, detail="connection refused")
    judgement = judged(rule, nothing, terms=SHARED)
    assert (judgement.verdict, judgement.reason) == ("inconclusive", "no response (connection refused)")


PIECES = st.lists(st.integers(min_value=1, max_value=40), min_size=1, max_size=60)


def chunked(body: bytes, sizes: Sequence[int]) -> History:
    """The body in pieces of these sizes, over and over, all on one connection beside a whole one."""
    pieces: list[Sent] = []
    at = 0
    while at < len(body):
        size = sizes[len(pieces) % len(sizes)]
        pieces.append((0.001 * len(pieces), body[at : at + size]))
        at += size
    whole = stream([(0.0, body)], name="b", ended=9.0)
    return made_up(stream(pieces, ended=9.0), whole, terms=SHARED, scenario="two-subscribers")


@given(ids=st.lists(st.integers(min_value=0, max_value=6), min_size=2, max_size=8), sizes=PIECES)
def test_the_way_in_which_bytes_are_cut_changes_no_verdict(ids: list[int], sizes: list[int]) -> None:
    body = b"".join(event(id) for id in ids)
    for rule in RULES:
        cut, whole = rule.judge(chunked(body, sizes)), rule.judge(chunked(body, [len(body)]))
        assert (cut.verdict, len(cut.findings)) == (whole.verdict, len(whole.findings)), rule.name


@given(
    count=st.integers(min_value=3, max_value=30),
    step=st.integers(min_value=1, max_value=100),
    start=st.integers(min_value=0, max_value=10**12),
    joins=st.integers(min_value=0, max_value=29),
)
def test_no_rule_complains_of_a_log_with_an_even_step(count: int, step: int, start: int, joins: int) -> None:
    ids = [start + step * index for index in range(count)]
    late = stream(sent(ids[joins:], 0.1 * joins), name="late", at=0.1 * joins)
    history = made_up(of(ids), late, terms=SHARED, scenario="late-subscriber")
    for rule in RULES:
        assert rule.judge(history).verdict != "broken", rule.name


# correct servers that look strange


@pytest.mark.parametrize(
    "body",
    [
        b"".join(event(id) for id in (1, 2, 3)).replace(b"\n", b"\r\n"),
        b"".join(event(id) for id in (1, 2, 3)).replace(b"\n", b"\r"),
        b"".join(event(id).replace(b": ", b":", 2) for id in (1, 2, 3)),
        b"".join(event(id) + b":" + b" " * 2048 + b"\n\n" for id in (1, 2, 3)),
        b"".join(b"id: %d\nevent: progress\ndata: one\ndata: two %d\n\n" % (id, id) for id in (1, 2, 3)),
        b"\xef\xbb\xbfretry: 100\n\n" + b"".join(event(id) for id in (1, 2, 3)),
    ],
    ids=["crlf", "cr", "no-space", "padding", "multi-line", "bom-and-retry"],
)
def test_strange_but_right(body: bytes) -> None:
    half = len(body) // 2
    pieces = [(0.1, body[:half]), (0.2, body[half:])]
    history = made_up(stream(pieces), stream(pieces, name="b"), terms=SHARED, scenario="two-subscribers")
    for rule in RULES:
        assert rule.judge(history).verdict == "conforms", rule.name
