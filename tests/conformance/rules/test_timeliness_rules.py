"""The rules of the area timeliness, on histories that are made up."""

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up import EVENT_STREAM, TASK, TYPED, WALL, answered, made_up, stream, terms

from conformance.config import Expect, Limits
from conformance.dialect import Dialect, Matcher
from conformance.history import History, Record, Terms
from conformance.history.stalls import stall_mark
from conformance.rules import Judgement
from conformance.rules.rule import Rule
from conformance.rules.timeliness import RULES, first_event, heartbeat
from conformance.rules.timeliness_bursts import no_burst
from conformance.rules.timeliness_delivery import delivery, not_held_by_one
from conformance.rules.timeliness_subscribers import subscribers_agree
from conformance.wire import encode_comment, encode_event
from fault_injection.faults import AtBytes, Buffer, Disconnect, Latency, Plan

TIMED = terms(TASK, limits=Limits(first_event=2, silence=3, delivery=1))
UNTIMED = terms(TYPED, limits=Limits(first_event=2, silence=3, delivery=1))
SHARED = terms(TASK, Expect(shared=True), Limits(delivery=1))
REMOTE = "https://stream.example"
SLOW = Plan((Latency(delay=5),))

Sent = tuple[float, bytes]


def stamp(made: float) -> str:
    """A timestamp, `made` seconds after the run began."""
    return datetime.fromtimestamp(WALL + made, UTC).isoformat(timespec="microseconds")


def event(made: float, id: int = 1, *, at: object = None, type: str = "progress") -> bytes:
    """An event that was made then; `at` is its timestamp, if it says something else."""
    data = {"job": "j1", "step": id, "timestamp": stamp(made) if at is None else at}
    return encode_event(json.dumps(data), type=type, id=str(id))


def live(moments: Iterable[tuple[float, float]], **others: object) -> list[Record]:
    """A stream with one event for each (made, arrived)."""
    pieces = [(arrived, event(made, index)) for index, (made, arrived) in enumerate(moments, 1)]
    return stream(sorted(pieces, key=lambda piece: piece[0]), **others)  # type: ignore[arg-type]  # see `stream`


def typed(type: str, text: str = "") -> bytes:
    return encode_event(json.dumps({"type": type, "text": text}))


def judged(rule: Rule, *groups: list[Record], terms: Terms = TIMED, **others: object) -> Judgement:
    return rule.judge(made_up(*groups, terms=terms, **others))  # type: ignore[arg-type]  # see `made_up`


# first-event


def test_the_first_event_comes_soon() -> None:
    judgement = judged(first_event, live([(1.5, 1.5), (9, 9)]))
    assert (judgement.verdict, judgement.reason) == ("conforms", "1 first event")


def test_the_first_event_comes_late() -> None:
    judgement = judged(first_event, live([(2.5, 2.5)], at=0.25))
    assert judgement.verdict == "broken"
    assert judgement.reason == (
        "the first event on connection a came 2.250 s after the request; limits.first_event is 2 s"
    )
    assert judgement.findings[0].evidence[0].time == 2.5


def test_on_a_real_clock_a_machine_may_stall() -> None:
    late = live([(2.2, 2.2)])
    assert judged(first_event, late, clock="real").verdict == "conforms"
    assert judged(first_event, late, clock="virtual").verdict == "broken"
    assert judged(first_event, live([(2.5, 2.5)]), clock="real").verdict == "broken"


def test_a_heartbeat_is_no_first_event() -> None:
    pieces = [(0.1, typed("heartbeat")), (2.5, typed("delta"))]
    assert judged(first_event, stream(pieces), terms=UNTIMED).verdict == "broken"


def test_work_that_says_nothing_at_all() -> None:
    judgement = judged(first_event, stream(how="timeout", ended=60.0))
    assert "had not come after 60.000 s" in judgement.reason
    assert judged(first_event, stream(how="dropped", ended=1.0)).verdict == "inconclusive"


def test_an_endless_stream_may_have_nothing_to_say() -> None:
    endless = terms(TASK, Expect(terminates=False), Limits(first_event=2))
    for held in (endless, terms(limits=Limits(first_event=2))):
        assert judged(first_event, stream(how="watched", ended=5.0), terms=held).verdict == "inconclusive"


def test_a_late_subscriber_may_have_to_wait_unless_all_is_replayed() -> None:
    early = live([(0.1, 0.1), (5.0, 5.0)])
    late = stream([(5.0, event(5.0, 2))], name="late", at=1.0)
    assert judged(first_event, early, late).reason == "1 first event"
    replaying = terms(TASK, Expect(replay="all"), Limits(first_event=2))
    judgement = judged(first_event, early, late, terms=replaying)
    assert "the first event on connection late came 4.000 s after" in judgement.reason
    resumed = stream([(5.0, event(5.0, 2))], name="a-2", at=1.0, sent=[("last-event-id", "1")])
    assert judged(first_event, early, resumed, terms=replaying).verdict == "conforms"
    assert judged(first_event, resumed).verdict == "not-applicable"
    alone = stream([(5.0, event(5.0, 2))], name="b", at=1.0, sent=[("last-event-id", "1")], names={})
    assert judged(first_event, alone).verdict == "not-applicable"


def test_the_link_answers_for_what_it_holds() -> None:
    one = event(0.5)
    held = stream([(5.5, one)], relayed=[(0.5, one)])
    assert judged(first_event, held, plan=SLOW).verdict == "conforms"
    assert judged(first_event, stream([(5.5, one)]), plan=SLOW).verdict == "inconclusive"
    assert judged(first_event, stream([(1.5, one)]), plan=SLOW).verdict == "conforms", "late or not, in time"
    slow_server = stream([(8.0, one)], relayed=[(3.0, one)])
    assert judged(first_event, slow_server, plan=SLOW).verdict == "broken"


# delivery


def test_events_that_come_when_they_are_made() -> None:
    judgement = judged(delivery, live([(1, 1.1), (2, 2.2), (3, 3.9)]))
    assert judgement.reason == "3 live events, the latest 0.900 s after its timestamp"


def test_events_that_come_late() -> None:
    judgement = judged(delivery, live([(1, 1.1), (2, 3.25), (3, 4.5)]))
    assert judgement.reason == (
        "2 of 3 live events were late on connection a: event 3 by 1.500 s; limits.delivery is 1 s"
    )
    assert [evidence.actual for evidence in judgement.findings[0].evidence] == ["1.500 s", "1.250 s"]


def test_what_is_replayed_is_old_by_right() -> None:
    joined = stream([(5.0, event(1, 1)), (5.0, event(2, 2)), (6.0, event(6, 3))], at=5.0)
    assert judged(delivery, joined).reason.startswith("1 live event")
    only_old = stream([(5.0, event(1, 1)), (5.0, event(2, 2))], at=5.0)
    assert judged(delivery, only_old).verdict == "inconclusive"


def test_who_answers_for_a_late_event() -> None:
    pieces = [(6.0, event(1, 1)), (7.0, event(2, 2))]
    by_link = stream(pieces, relayed=[(1.0, event(1, 1)), (2.0, event(2, 2))])
    assert judged(delivery, by_link, plan=SLOW).verdict == "conforms"
    by_server = stream(pieces, relayed=[(4.0, event(1, 1)), (5.0, event(2, 2))])
    assert "by 3.000 s when it reached the link, so the server held it" in (
        judged(delivery, by_server, plan=SLOW).reason
    )
    assert judged(delivery, stream(pieces), plan=SLOW, link="toxiproxy").verdict == "inconclusive"


def test_a_server_whose_clock_is_ahead() -> None:
    def ahead(lags: Sequence[float]) -> list[Record]:
        return live([(1 + index + 100, 1 + index + lag) for index, lag in enumerate(lags)])

    judgement = judged(delivery, ahead([0.1, 0.2, 0.9]))
    assert judgement.verdict == "conforms"
    assert "clock is at least 99.900 s ahead" in judgement.reason
    assert judged(delivery, ahead([0.1, 0.2, 1.5])).verdict == "broken"


def test_a_server_whose_clock_or_zone_is_behind() -> None:
    behind = live([(index - 3600, index + 0.1) for index in range(1, 6)])
    judgement = judged(delivery, behind)
    assert judgement.verdict == "conforms"
    assert "3600.100 s behind" in judgement.reason
    zone = [(index, event(0, index, at=stamp(index - 7200)[:19])) for index in range(1, 6)]
    assert judged(delivery, stream(zone)).verdict == "conforms"


def test_a_constant_lag_is_the_servers_only_where_the_clocks_are_one() -> None:
    late_all_alike = live([(index, index + 2.5) for index in range(1, 6)])
    assert judged(delivery, late_all_alike, clock="real").verdict == "broken"
    judgement = judged(delivery, late_all_alike, clock="real", target=REMOTE)
    assert judgement.verdict == "inconclusive"
    assert "run the harness on the server's machine" in judgement.reason


def test_on_another_machine_lags_are_compared_with_the_fastest() -> None:
    lags = live([(1.02, 1.52), (2.03, 2.63), (3.01, 5.51)])
    judgement = judged(delivery, lags, clock="real", target=REMOTE)
    assert "event 3 by 2.000 s than the fastest" in judgement.reason
    close = live([(1.02, 1.52), (2.03, 2.63), (3.01, 3.71)])
    assert judged(delivery, close, clock="real", target=REMOTE).verdict == "conforms"


def test_a_date_may_deny_that_the_clocks_are_one() -> None:
    denies = (*EVENT_STREAM, ("date", "Tue, 14 Nov 2023 22:13:10 GMT"))  # ten seconds before the run began
    behind = live([(index, index + 2.5) for index in range(1, 6)], headers=denies)
    assert judged(delivery, behind, clock="real").verdict == "inconclusive"
    agrees = (*EVENT_STREAM, ("date", "Tue, 14 Nov 2023 22:13:20 GMT"))
    late = live([(index, index + 2.5) for index in range(1, 6)], headers=agrees)
    assert judged(delivery, late, clock="real").verdict == "broken"
    nonsense = live([(1, 3.5)], headers=(*EVENT_STREAM, ("date", "soon")))
    assert judged(delivery, nonsense, clock="real").verdict == "broken"


@pytest.mark.parametrize("spelled", [int, lambda time: stamp(time - WALL)[:19] + "Z"], ids=["epoch", "iso"])
def test_whole_seconds_are_no_lag(spelled: object) -> None:
    assert callable(spelled)
    pieces = [(index + 0.9, event(0, index, at=spelled(WALL + index))) for index in (1, 2, 3, 4)]
    pieces += [(6.9, event(0, 5, at=spelled(WALL + 5)))]
    assert judged(delivery, stream(pieces)).verdict == "conforms", "it may have been made just before 6"
    pieces += [(9.1, event(0, 6, at=spelled(WALL + 7)))]
    assert judged(delivery, stream(pieces)).verdict == "broken"


def test_events_without_a_timestamp() -> None:
    assert judged(delivery, stream([(1.0, typed("delta"))])).verdict == "inconclusive"
    assert judged(delivery, stream([(1.0, typed("delta"))]), terms=UNTIMED).reason == (
        "needs dialect.timestamp in the configuration"
    )


@pytest.mark.parametrize("rule", [delivery, not_held_by_one], ids=lambda rule: rule.name)
def test_a_timestamp_that_a_preset_leaves_to_the_server_may_be_missing(rule: Rule) -> None:
    started, finished = ({"type": f"RUN_{word}", "runId": "r"} for word in ("STARTED", "FINISHED"))
    agui = terms(Dialect(preset="ag-ui"))
    untimed = [(1.0, encode_event(json.dumps(started))), (2.0, encode_event(json.dumps(finished)))]
    judgement = judged(rule, stream(untimed), terms=agui)
    assert judgement.verdict == "not-applicable"
    assert judgement.reason == "no event carries a timestamp at /timestamp, which ag-ui leaves to the server"
    assert judged(rule, stream([], ended=3.0), terms=agui).verdict == "inconclusive"  # nothing was seen
    own = terms(Dialect(preset="ag-ui", timestamp="/at"))  # who names one sends one
    assert judged(rule, stream(untimed), terms=own).verdict == "inconclusive"


def test_events_together_that_lack_a_timestamp_are_said_to() -> None:
    together = [(5.0, typed("STEP_STARTED", str(index))) for index in range(9)]
    judgement = judged(no_burst, stream(together), terms=terms(Dialect(preset="ag-ui")))
    assert judgement.verdict == "inconclusive"
    assert "without timestamps (dialect.timestamp)" in judgement.reason


def test_a_timestamp_that_may_be_missing_is_judged_where_it_is_sent() -> None:
    sent = [(made, {"type": "STEP_STARTED", "timestamp": (WALL + made) * 1000}) for made in (1.0, 2.0)]
    late = [(at, encode_event(json.dumps(data))) for at, (_, data) in zip((1.1, 9.0), sent, strict=True)]
    assert judged(delivery, stream(late), terms=terms(Dialect(preset="ag-ui"))).verdict == "broken"


# no-burst, by timestamps


def test_a_burst_is_told_from_a_fast_producer() -> None:
    held = live([(0.1 * index, 0.8) for index in range(1, 9)])
    judgement = judged(no_burst, held)
    assert judgement.reason.startswith(
        "8 of 8 live events on connection a were made over 0.700 s and came within 0"
    )
    assert "a buffer of at least" in judgement.reason
    fast = live([(0.79 + 0.001 * index, 0.8) for index in range(1, 9)])
    assert judged(no_burst, fast).verdict == "conforms"


def test_bursts_in_the_middle_count_where_they_are_longer_than_the_limit() -> None:
    bursts = live([(0.5 * index, 0.5 * (index // 4 * 4 + 4)) for index in range(1, 17)])
    assert judged(no_burst, bursts).verdict == "broken"
    batched = live([(0.1 * index, 0.1 * (index // 4 * 4 + 4)) for index in range(1, 17)])
    assert judged(no_burst, batched).verdict == "conforms", "a server may collect for 0.4 s"


def test_a_replay_bursts_by_right() -> None:
    replayed = [(9.0, event(index, index)) for index in range(1, 9)]
    lived = [(9.0 + index, event(9.0 + index, 8 + index)) for index in range(1, 5)]
    assert judged(no_burst, stream(replayed + lived, at=9.0)).verdict == "conforms"
    assert judged(no_burst, stream(replayed, at=9.0)).verdict == "inconclusive"


def test_a_burst_behind_the_link_is_the_links() -> None:
    made = [(0.1 * index, event(0.1 * index, index)) for index in range(1, 9)]
    plan = Plan((Buffer(size=4096),))
    burst = [(0.9, data) for _, data in made]
    assert judged(no_burst, stream(burst, relayed=made), plan=plan).verdict == "conforms"
    assert judged(no_burst, stream(burst, relayed=burst), plan=plan).verdict == "broken"
    assert judged(no_burst, stream(burst), plan=plan).verdict == "inconclusive"


def test_coarse_timestamps_tell_no_burst() -> None:
    pieces = [(3.0, event(0, index, at=int(WALL + index / 4))) for index in range(2, 7)]
    judgement = judged(no_burst, stream(pieces))
    assert judgement.verdict == "inconclusive"
    assert "in steps of 1 s" in judgement.reason


# no-burst, by bytes


def blocks(body: bytes, size: int, moments: Sequence[float]) -> list[Sent]:
    """The body in blocks of one size, one at each moment; the last moment is for all that is left."""
    cuts = [body[size * index : size * (index + 1)] for index in range(len(moments) - 1)]
    return [*zip(moments, [*cuts, body[size * len(cuts) :]], strict=True)]


DELTAS = b"".join(typed("delta", f"{index} and so on") for index in range(200)) + typed("done")


def test_events_torn_at_equal_distances_with_pauses_show_a_buffer() -> None:
    judgement = judged(no_burst, stream(blocks(DELTAS, 4096, [3.0, 6.0, 9.0])), terms=UNTIMED)
    assert judgement.verdict == "broken"
    assert "a buffer of about 4096 bytes" in judgement.reason
    at_edges = [(3.0 * (index // 40 + 1), typed("delta", str(index))) for index in range(200)]
    assert judged(no_burst, stream(at_edges), terms=UNTIMED).verdict == "inconclusive", (
        "a producer may do that"
    )


def test_a_slow_network_tears_at_unequal_distances() -> None:
    pieces = [(3.0, DELTAS[:1000]), (4.0, DELTAS[1000:4200]), (5.0, DELTAS[4200:6000]), (6.0, DELTAS[6000:])]
    assert judged(no_burst, stream(pieces), terms=UNTIMED).verdict == "inconclusive"


def in_blocks(size: int, at: float) -> list[Sent]:
    """All deltas in blocks of one size, a millisecond apart."""
    return blocks(DELTAS, size, [at + 0.001 * index for index in range(-(-len(DELTAS) // size))])


def test_a_stream_that_comes_at_its_end_in_equal_blocks() -> None:
    judgement = judged(no_burst, stream(in_blocks(2048, 5.0), ended=5.01), terms=UNTIMED)
    assert judgement.verdict == "broken"
    assert "after 5.000 s of silence" in judgement.reason
    assert "about 2048 bytes" in judgement.reason


def test_a_late_subscriber_gets_what_there_is_at_once() -> None:
    early = stream([(1.0, typed("delta"))], how="watched", ended=20.0)
    late = stream(in_blocks(2048, 15.0), name="late", at=10.0, ended=15.01)
    assert judged(no_burst, early, late, terms=UNTIMED).verdict == "inconclusive"
    back = stream(in_blocks(2048, 5.0), sent=[("last-event-id", "7")], names={}, ended=5.01)
    assert judged(no_burst, back, terms=UNTIMED).verdict == "inconclusive"


def test_two_events_that_wait_together_make_no_burst() -> None:
    padded = b"".join(typed("delta", str(index)) + encode_comment(" " * 1900) for index in range(12))
    large = b"".join(typed("delta", str(index) * 950) for index in range(10, 22))
    for pairs in (padded, large):
        judgement = judged(no_burst, stream(blocks(pairs, 4096, [1.0, 2, 3, 4, 5, 6])), terms=UNTIMED)
        assert judgement.verdict == "conforms"


@pytest.mark.parametrize(
    ("pieces", "how", "ended"),
    [
        (in_blocks(2048, 0.1), "complete", 0.11),  # no silence: a fast producer
        (in_blocks(2048, 5.0), "watched", 5.01),  # not its end
        (in_blocks(2048, 5.0), "complete", 9.0),  # not at its end
        (in_blocks(1448, 5.0), "complete", 5.01),  # packets of the network
        ([(5.0, DELTAS)], "complete", 5.01),  # one piece: one write
        ([(5.0, typed("delta", str(index))) for index in range(9)], "complete", 5.01),
    ],
    ids=["fast", "not-the-end", "not-at-the-end", "packets", "one-write", "many-writes"],
)
def test_what_a_fast_producer_does_too_is_no_burst(pieces: list[Sent], how: str, ended: float) -> None:
    history = made_up(stream(pieces, how=how, ended=ended), terms=UNTIMED)  # type: ignore[arg-type]  # a How
    judgement = no_burst.judge(history)
    assert judgement.verdict == "inconclusive"
    assert "dialect.timestamp" in judgement.reason


def test_heartbeats_that_come_together_were_held() -> None:
    beats = encode_comment(" beat") * 3
    assert "3 heartbeats came at once" in (
        judged(no_burst, stream([(45.0, beats + typed("done"))]), terms=UNTIMED).reason
    )
    quick = [(time, typed("delta", str(time))) for time in (0.1, 0.2, 0.3)] + [(0.4, beats)]
    assert judged(no_burst, stream(quick), terms=UNTIMED).verdict == "conforms", "nothing was silent before"
    spread = [(15.0 * index, encode_comment(" beat")) for index in (1, 2, 3)]
    assert judged(no_burst, stream(spread), terms=UNTIMED).verdict == "inconclusive"
    padding = (encode_comment(" " * 2048) + typed("delta")) * 3
    assert judged(no_burst, stream([(3.0, padding)]), terms=UNTIMED).verdict == "inconclusive"
    prelude = b": this is\n: a welcome\n: in lines\n\n"
    assert (
        judged(no_burst, stream([(3.0, prelude + typed("delta") * 3)]), terms=UNTIMED).verdict
        == "inconclusive"
    )


def test_events_that_come_one_by_one() -> None:
    apart = [(0.5 * index, typed("delta", str(index))) for index in range(1, 9)]
    assert judged(no_burst, stream(apart), terms=UNTIMED).verdict == "conforms"
    assert judged(no_burst, stream(apart[:2]), terms=UNTIMED).verdict == "inconclusive"
    assert judged(no_burst, stream(apart), terms=UNTIMED, plan=SLOW).verdict == "inconclusive"


# not-held-by-one


def test_events_that_wait_for_the_next_one() -> None:
    made = [0.503, 1.011, 1.207, 2.019, 2.111, 3.013, 3.501]
    held = live([*zip(made, [*made[1:], 3.501], strict=True)])
    judgement = judged(not_held_by_one, held)
    assert judgement.verdict == "broken"
    assert "the next one was made 0.902 s after it" in judgement.reason
    assert judged(not_held_by_one, held, clock="real", target=REMOTE).verdict == "broken"
    assert judged(not_held_by_one, live([(time, time) for time in made])).verdict == "conforms"


def test_another_clock_hides_no_waiting() -> None:
    made = [0.503, 1.011, 1.207, 2.019, 2.111, 3.013, 3.501]
    held = live([(time - 50, after) for time, after in zip(made, [*made[1:], 3.501], strict=True)])
    assert judged(not_held_by_one, held, clock="real", target=REMOTE).verdict == "broken"
    prompt = live([(time + 50, time) for time in made])
    assert judged(not_held_by_one, prompt, clock="real", target=REMOTE).verdict == "conforms"


def test_an_even_pace_hides_it_where_clocks_may_differ() -> None:
    even = live([(index + 0.017, index + 1.017) for index in range(1, 8)])
    for target in ("http://127.0.0.1", REMOTE):
        judgement = judged(not_held_by_one, even, clock="real", target=target)
        assert judgement.verdict == "inconclusive"
        assert "may be chance" in judgement.reason


def test_a_constant_lag_is_no_waiting() -> None:
    made = [0.503, 1.011, 1.207, 2.019, 2.111, 3.013, 3.501]
    assert judged(not_held_by_one, live([(time, time + 0.4) for time in made])).verdict == "conforms"


def test_a_burst_is_no_waiting() -> None:
    burst = live([(0.1 * index, 0.9) for index in range(1, 9)])
    assert judged(not_held_by_one, burst).verdict == "inconclusive"


def test_every_second_event_that_waits_is_in_doubt() -> None:
    in_pairs = live([(index, index + index % 2) for index in range(1, 11)])
    assert judged(not_held_by_one, in_pairs).verdict == "inconclusive"


def test_lags_that_only_grow_with_the_gaps_are_no_waiting() -> None:
    made = [0.503, 0.801, 1.303, 1.702, 2.304, 2.651, 3.103]
    grown = [(time, time + 1.4 * (after - time)) for time, after in pairwise(made)]
    assert judged(not_held_by_one, live(grown)).verdict == "inconclusive"
    few = live([(1.011, 2.019), (2.019, 2.111), (2.111, 3.013), (3.013, 3.013)])
    assert judged(not_held_by_one, few).verdict == "inconclusive", "three may be a stall"


def test_too_few_events_show_nothing() -> None:
    assert judged(not_held_by_one, live([(1, 1), (2, 2)])).verdict == "inconclusive"
    assert judged(not_held_by_one, live([(1, 1), (1.01, 1.01), (1.02, 1.02), (1.03, 1.03)])).verdict == (
        "inconclusive"
    )
    assert judged(not_held_by_one, stream([(1.0, typed("delta"))])).verdict == "inconclusive"


def separated(joint: float, newline: bytes = b"\n") -> list[Sent]:
    """Six events a second apart, the empty line after each `joint` seconds after it, with the next one."""
    whole = [typed("delta", str(index)).replace(b"\n", newline) for index in range(6)]
    pieces: list[Sent] = []
    for index, data in enumerate(whole):
        pieces.append((index + 1.0, data.removesuffix(newline)))
        pieces.append((index + 1.0 + joint, newline))
    return sorted(pieces, key=lambda piece: piece[0])


@pytest.mark.parametrize("newline", [b"\n", b"\r\n", b"\r"])
def test_the_empty_line_that_comes_with_the_next_event(newline: bytes) -> None:
    judgement = judged(not_held_by_one, stream(separated(0.999, newline)), terms=UNTIMED)
    assert judgement.verdict == "broken"
    assert "for 5 of 6 events, by up to 0.999 s, with what follows" in judgement.reason


@pytest.mark.parametrize("newline", [b"\n", b"\r\n", b"\r"])
def test_an_empty_line_that_comes_alone_is_tcps(newline: bytes) -> None:
    judgement = judged(not_held_by_one, stream(separated(0.2, newline)), terms=UNTIMED)
    assert judgement.reason == "needs dialect.timestamp in the configuration to tell when an event was made"


def test_bytes_that_the_link_cut_anew_are_not_the_servers() -> None:
    pieces = separated(0.999)
    relayed = [(time, typed("delta", str(index))) for index, time in enumerate(range(1, 7))]
    assert judged(not_held_by_one, stream(pieces, relayed=relayed), terms=UNTIMED, plan=SLOW).verdict == (
        "not-applicable"
    )
    assert judged(not_held_by_one, stream(pieces), terms=UNTIMED, plan=SLOW).verdict == "not-applicable"
    assert (
        judged(not_held_by_one, stream(pieces, relayed=pieces), terms=UNTIMED, plan=SLOW).verdict == "broken"
    )


# heartbeat


def test_a_silence_without_a_heartbeat() -> None:
    judgement = judged(heartbeat, live([(1, 1), (6, 6), (7, 7)]))
    assert judgement.reason == (
        "nothing came on connection a for 5.000 s, from 1.000 s to 6.000 s; limits.silence is 3 s"
    )


def test_a_silence_with_heartbeats() -> None:
    beats = [(time, encode_comment(" beat")) for time in (3.0, 5.5, 8.0)]
    carried = stream([(1.0, event(1, 1)), *beats, (9.0, event(9, 2))])
    assert judged(heartbeat, carried).reason == "1 silence longer than 3 s, carried by heartbeats"


def test_where_it_was_never_silent_heartbeats_are_not_needed() -> None:
    brief = live([(1, 1), (2, 2)])
    assert judged(heartbeat, brief).verdict == "not-applicable"
    assert judged(heartbeat, brief, scenario="long-silence").verdict == "inconclusive"


def test_a_timer_may_be_a_little_late() -> None:
    beats = [(3.1 * count, encode_comment()) for count in (1, 2, 3)]
    assert judged(heartbeat, stream(beats)).verdict == "conforms"


def test_silence_at_the_beginning_and_at_the_end_counts() -> None:
    assert judged(heartbeat, stream([(9.0, event(9))])).reason.startswith(
        "nothing came on connection a for 9.000"
    )
    assert judged(heartbeat, stream([(1.0, event(1))], how="watched", ended=9.0)).verdict == "broken"
    assert judged(heartbeat, stream(how="watched", ended=9.0)).verdict == "broken"


def test_after_the_completion_a_stream_may_be_silent() -> None:
    done = [(1.0, event(1, 1)), (2.0, event(2, 2, type="complete"))]
    assert judged(heartbeat, stream(done, how="timeout", ended=9.0)).verdict == "not-applicable"
    endless = terms(TASK, Expect(terminates=False), Limits(silence=3))
    assert judged(heartbeat, stream(done, how="watched", ended=9.0), terms=endless).verdict == "broken"


def test_behind_a_link_nobody_saw_when_the_response_began_and_ended() -> None:
    plan = Plan((Buffer(size=4096),))
    beat = [(4.0, encode_comment(" beat"))]
    behind = stream(beat, relayed=beat, how="watched", ended=9.0)
    assert judged(heartbeat, behind, plan=plan).verdict == "not-applicable"
    assert judged(heartbeat, stream(beat, how="watched", ended=9.0)).verdict == "broken"


def test_heartbeats_after_the_completion_need_not_come() -> None:
    done = [(1.0, event(1, 1, type="complete")), (9.0, encode_comment(" still here"))]
    assert judged(heartbeat, stream(done, ended=9.0)).verdict == "not-applicable"


def test_what_counts_as_a_heartbeat() -> None:
    comments = [(2.5 * count, encode_comment(" beat")) for count in range(1, 4)]
    pings = terms(Dialect(heartbeat=(Matcher(event="ping"),)), limits=Limits(silence=3))
    assert judged(heartbeat, stream(comments), terms=pings).verdict == "broken"
    undeclared = terms(limits=Limits(silence=3))
    assert judged(heartbeat, stream(comments), terms=undeclared).verdict == "conforms"
    newlines = [(2.5 * count, b"\n") for count in range(1, 4)]
    assert judged(heartbeat, stream(newlines), terms=undeclared).verdict == "conforms", "bytes keep it alive"


def test_a_silence_of_the_link_is_not_the_servers() -> None:
    beats = [
        (0.5, event(0.5, 1)),
        (2.5, encode_comment(" beat")),
        (5.0, encode_comment(" beat")),
        (7, event(7, 2)),
    ]
    late = [(9.0, data) for _, data in beats]
    plan = Plan((Buffer(size=4096),))
    assert judged(heartbeat, stream(late, relayed=beats), plan=plan).verdict == "conforms"
    silent = [(1.0, beats[0][1]), (9.0, beats[1][1])]
    assert judged(heartbeat, stream(silent, relayed=silent), plan=plan).verdict == "broken"
    assert judged(heartbeat, stream(silent), plan=plan).verdict == "inconclusive"
    cut = Plan((Disconnect(when=AtBytes(10)),))
    assert judged(heartbeat, stream(silent), plan=cut).verdict == "broken", "a cut delays nothing"


# subscribers-agree


def agreed(*groups: list[Record], **others: object) -> Judgement:
    return judged(subscribers_agree, *groups, terms=SHARED, scenario="two-subscribers", **others)


def both(lag: float, **others: object) -> list[Record]:
    """Subscriber b, who gets three events `lag` seconds after they were made."""
    return live([(time, time + lag) for time in (1, 2, 3)], name="b", **others)


def test_two_monitors_hear_the_same_at_the_same_time() -> None:
    judgement = agreed(live([(1, 1), (2, 2), (3, 3)]), both(0.5))
    assert judgement.reason == "3 events in common, at most 0.500 s apart"


def test_a_monitor_that_lags_is_named() -> None:
    judgement = agreed(live([(1, 1), (2, 2), (3, 3)]), both(1.5))
    assert judgement.reason == (
        "b got 3 of 3 events later than a, event 1 by 1.500 s (limits.delivery is 1 s); the lag arises in the "
        "server, or in what stands in front of it"
    )
    other_way = agreed(live([(1, 3), (2, 4), (3, 5)]), both(0.0))
    assert other_way.reason.startswith("a got 3 of 3 events later than b, event 1 by 2.000 s")


def relayed(lag: float) -> list[Sent]:
    return [(time + lag, event(time, time)) for time in (1, 2, 3)]


@pytest.mark.parametrize(
    ("at_link", "fired", "verdict", "where"),
    [
        (1.4, False, "broken", "the lag arises in the server"),
        (0.1, False, "broken", "the lag arises in the client"),
        (0.1, True, "conforms", "the lag arises in the link, by our own doing"),
    ],
)
def test_where_the_lag_arises(at_link: float, fired: bool, verdict: str, where: str) -> None:
    plan = Plan((Latency(delay=1.4, connections=1),))
    fast = live([(1, 1), (2, 2), (3, 3)], relayed=relayed(0.0))
    slow = both(1.5, relayed=relayed(at_link), fired=[(1.0, plan.faults[0])] if fired else [])
    judgement = agreed(fast, slow, plan=plan)
    assert judgement.verdict == verdict
    assert judgement.reason.endswith(where)


def test_what_was_replayed_to_a_late_one_is_not_compared() -> None:
    early = live([(1, 1), (2, 2), (3, 3), (8, 8)])
    late = stream(
        [(6.0, event(time, time)) for time in (1, 2, 3)] + [(8.1, event(8, 4))], name="late", at=5.5
    )
    assert agreed(early, late).reason.startswith("1 event in common, at most 0.100 s")
    assert agreed(early, stream([(6.0, event(1, 1))], name="late", at=5.5)).verdict == "inconclusive"


def test_a_session_on_a_bus_whose_monitor_reads_late() -> None:
    """The agent event bus: the orchestrator leaves at session.idle, the monitor still shows events."""
    bus = terms(Dialect(preset="agent-bus"), Expect(shared=True, terminates=False), Limits(delivery=1))

    def event(type: str, part: int = 0) -> bytes:
        return encode_event(json.dumps({"type": type, "properties": {"sessionID": "ses_1", "part": part}}))

    said = [(2.0 * part, event("message.part.updated", part)) for part in range(1, 5)]
    said.append((10.0, event("session.idle")))
    buffered = [(10.5, data) for _, data in said]
    orchestrator = stream(said, how="dropped", ended=10.0)
    monitor = stream(buffered, name="monitor", how="watched", ended=15.0, relayed=said)
    history = made_up(
        stream(said, how="dropped", ended=10.0, relayed=said), monitor, terms=bus, scenario="two-subscribers"
    )
    judgement = subscribers_agree.judge(history)
    assert "monitor got 4 of 5 events later than a" in judgement.reason
    assert "by 8.500 s" in judgement.reason
    assert judgement.reason.endswith("the lag arises in the client")
    unseen = made_up(orchestrator, stream(buffered, name="monitor"), terms=bus, scenario="two-subscribers")
    assert "the lag arises in the server, or in what" in subscribers_agree.judge(unseen).reason


# all of them


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_responses_that_are_no_event_stream_are_not_judged(rule: Rule) -> None:
    held = terms(TASK, Expect(shared=True))
    html = live([(1, 9)], headers=(("content-type", "text/html"),))
    assert judged(rule, html, terms=held).reason == "the response is no event stream"
    assert judged(rule, live([(1, 9)], status=503), terms=held).verdict == "not-applicable"
    assert judged(rule, stream(how="timeout", status=0, ended=9.0), terms=held).verdict == "inconclusive"
    assert rule.timing


LAGS = st.lists(st.floats(min_value=0.0, max_value=0.005), min_size=3, max_size=12)
STALLS = st.dictionaries(
    st.integers(min_value=0, max_value=11), st.floats(min_value=0.0, max_value=0.2), max_size=4
)
GAPS = st.lists(st.floats(min_value=0.0, max_value=2.0), min_size=3, max_size=12)


@given(
    lags=LAGS,
    stalls=STALLS,
    gaps=GAPS,
    skew=st.floats(min_value=-100_000, max_value=100_000),
    remote=st.booleans(),
    digits=st.sampled_from([0, 3, 6]),
)
def test_no_clock_and_no_stall_makes_a_prompt_server_guilty(
    lags: list[float],
    stalls: dict[int, float],
    gaps: list[float],
    skew: float,
    remote: bool,
    digits: int,
) -> None:
    """Stalls of 0.2 s at any four events, a server's clock that is wrong by anything, coarse timestamps."""
    pieces: list[Sent] = []
    made = arrived = 0.0
    timespec = {0: "seconds", 3: "milliseconds", 6: "microseconds"}[digits]
    for index, (lag, gap) in enumerate(zip(lags, gaps, strict=False), 1):
        made += gap
        arrived = max(arrived, made + lag + stalls.get(index - 1, 0.0))
        says = datetime.fromtimestamp(WALL + made + (skew if remote else 0.0), UTC).isoformat(
            timespec=timespec
        )
        pieces.append((arrived, event(0, index, at=says)))
    held = terms(TASK, limits=Limits(first_event=30, silence=30, delivery=1))
    history = made_up(
        stream(pieces), terms=held, clock="real", target=REMOTE if remote else "http://localhost:8000"
    )
    for rule in (delivery, no_burst, not_held_by_one, first_event, heartbeat):
        judgement = rule.judge(history)
        assert judgement.verdict != "broken", (rule.name, judgement.reason)


@given(cuts=st.lists(st.integers(min_value=1, max_value=200), min_size=1, max_size=40))
def test_cut_bytes_that_come_together_make_nobody_guilty(cuts: list[int]) -> None:
    """However a network cuts what was written at once."""
    pieces: list[Sent] = []
    for index in range(1, 7):
        data, at = event(index, index), 0
        for cut in cuts:
            pieces.append((index + 0.0001 * len(pieces), data[at : at + cut]))
            at += cut
        pieces.append((index + 0.0001 * len(pieces), data[at:]))
    history = made_up(stream([piece for piece in pieces if piece[1]]), terms=TIMED)
    for rule in (delivery, no_burst, not_held_by_one, first_event):
        assert rule.judge(history).verdict == "conforms", rule.name


def test_what_is_late_no_longer_than_the_harness_stalled_is_in_doubt() -> None:
    late = live([(1.013, 3.013), (2.017, 4.017), (3.019, 5.019)])
    calm = judged(delivery, late, clock="real")
    assert calm.verdict == "broken"
    busy = judged(delivery, late, [stall_mark(3.0, 0.5)], clock="real")
    assert busy.verdict == "inconclusive"
    assert busy.reason.startswith(calm.reason)
    assert "the harness itself stalled for 0.500 s" in busy.reason
    assert judged(delivery, late, [stall_mark(3.0, 0.15)], clock="real").verdict == "broken"
    prompt = live([(1.013, 1.013), (2.017, 2.017)])
    assert judged(delivery, prompt, [stall_mark(3.0, 5.0)], clock="real").verdict == "conforms"


def test_a_stall_is_no_burst() -> None:
    together = live([(0.1017 * index, 0.82) for index in range(1, 9)])
    assert judged(no_burst, together, clock="real").verdict == "broken"
    assert judged(no_burst, together, [stall_mark(0.8, 0.6)], clock="real").verdict == "inconclusive"


def history_of_a_quiet_start() -> History:
    return made_up(answered("start"), live([(1, 1), (2, 2)], at=0.1), terms=TIMED)


def test_requests_that_are_no_stream_are_left_alone() -> None:
    assert delivery.judge(history_of_a_quiet_start()).verdict == "conforms"
