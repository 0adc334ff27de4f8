"""Each fault on a link, by example. Times are seconds since the connection was accepted."""

import pytest
from link_driver import BORN, Fed, drive, make_link

from fault_injection.faults import (
    AtBytes,
    AtTime,
    AtTrigger,
    Bandwidth,
    Blackhole,
    Buffer,
    Disconnect,
    Ending,
    Latency,
    Plan,
    Refuse,
    Slice,
    SlowClose,
)
from fault_injection.link import Reset, Send, SendEof, UnknownTriggerError, refusal


class AfterByte:
    """A trigger: right after the n-th byte of this value."""

    def __init__(self, value: bytes, count: int = 1) -> None:
        self._value = value
        self._left = count

    def feed(self, data: bytes) -> int | None:
        for index in range(len(data)):
            if data[index : index + 1] == self._value:
                self._left -= 1
                if not self._left:
                    return index + 1
        return None


def newlines(argument: str | int | None) -> AfterByte:
    if not isinstance(argument, int):
        raise ValueError(f"lines: how many? not {argument!r}")
    return AfterByte(b"\n", argument)


LINES = {"lines": newlines}


def test_without_faults_everything_passes_at_once_as_it_came() -> None:
    out = drive(make_link(), [Fed(0, b"ab"), Fed(1, b"c"), Fed(1, b"up", "upstream"), Fed(2, "fin")])
    assert out.actions == [
        (0, Send("downstream", b"ab")),
        (1, Send("downstream", b"c")),
        (1, Send("upstream", b"up")),
        (2, SendEof("downstream")),
    ]
    assert not out.link.over


def test_a_link_is_over_when_both_directions_ended() -> None:
    out = drive(make_link(), [Fed(0, "fin"), Fed(1, b"x", "upstream"), Fed(2, "fin", "upstream")])
    assert [action for _, action in out.actions] == [
        SendEof("downstream"),
        Send("upstream", b"x"),
        SendEof("upstream"),
    ]
    assert out.link.over


def test_a_reset_is_passed_on_and_ends_everything() -> None:
    out = drive(make_link(), [Fed(0, b"a"), Fed(0, "rst"), Fed(0, b"b"), Fed(0, b"c", "upstream")])
    assert [action for _, action in out.actions] == [Send("downstream", b"a"), Reset()]
    assert out.link.over


def test_a_link_that_is_over_keeps_nothing_of_what_still_comes() -> None:
    link = make_link(Latency(delay=5), Disconnect(when=AtTime(1)))
    out = drive(link, [Fed(2, b"late"), Fed(3, b"later")])
    assert (out.data(), link.backlog("downstream"), link.next_time()) == (b"", 0, None)


def test_bytes_after_their_end_are_a_mistake_of_the_caller() -> None:
    link = make_link()
    link.receive_eof("downstream", BORN)
    with pytest.raises(ValueError, match="after their end"):
        link.receive("downstream", b"x", BORN)


def test_latency_delays_bytes_and_end_and_keeps_their_distance() -> None:
    out = drive(make_link(Latency(delay=0.5)), [Fed(0, b"a"), Fed(0.2, b"b"), Fed(1, "fin")])
    assert out.sent() == [(0.5, b"a"), (0.7, b"b")]
    assert out.eof() == [1.5]
    assert [fired.detail for fired in out.fired()] == ["first chunk delayed by 0.5 s"]


def test_jitter_keeps_order_and_stays_in_its_bounds() -> None:
    chunks = [bytes([n]) for n in range(100)]
    out = drive(
        make_link(Latency(delay=1.0, jitter=1.0)), [Fed(n / 100, chunk) for n, chunk in enumerate(chunks)]
    )
    assert [data for _, data in out.sent()] == chunks
    delays = [at - n / 100 for n, (at, _) in enumerate(out.sent())]
    assert min(delays) > -1e-9
    assert max(delays) < 2.0 + 1e-9
    assert max(delays) - min(delays) > 0.3


def test_bandwidth_is_a_steady_rate_in_small_pieces() -> None:
    out = drive(make_link(Bandwidth(bytes_per_second=1000)), [Fed(0, bytes(3000)), Fed(0.5, "fin")])
    passed = 0
    for at, data in out.sent():
        passed += len(data)
        assert passed == pytest.approx(at * 1000, abs=1)
        assert len(data) <= 20
    assert out.eof() == [pytest.approx(3.0)]


def test_bandwidth_saves_up_nothing_while_idle() -> None:
    out = drive(make_link(Bandwidth(bytes_per_second=10)), [Fed(0, b"a"), Fed(100, b"b")])
    assert out.sent() == [(0.1, b"a"), (100.1, b"b")]


def test_slice_cuts_and_spaces_pieces() -> None:
    out = drive(make_link(Slice(size=2, gap=0.1)), [Fed(0, b"abcde"), Fed(0, "fin")])
    assert out.sent() == [(0, b"ab"), (0.1, b"cd"), (0.2, b"e")]
    assert out.eof() == [0.2]


def test_slice_sizes_vary_within_bounds() -> None:
    out = drive(make_link(Slice(size=5, variation=4)), [Fed(0, bytes(500))])
    sizes = [len(data) for _, data in out.sent()][:-1]
    assert set(sizes) == set(range(1, 10))


def test_buffer_lets_whole_blocks_go_and_the_rest_at_the_end() -> None:
    out = drive(make_link(Buffer(size=4)), [Fed(0, b"abc"), Fed(1, b"defghij"), Fed(9, "fin")])
    assert out.sent() == [(1, b"abcdefgh"), (9, b"ij")]
    assert out.eof() == [9]
    assert [(fired.time - BORN, fired.detail) for fired in out.fired()] == [
        (0, "holds its first 3 bytes back")
    ]


def test_buffer_holds_a_byte_no_longer_than_it_may() -> None:
    out = drive(make_link(Buffer(size=4, flush_after=1.0)), [Fed(0, b"a"), Fed(0.6, b"b"), Fed(3, b"c")])
    assert out.sent() == [(1.0, b"ab"), (4.0, b"c")]


def test_a_byte_that_stays_behind_a_block_is_held_from_when_it_came() -> None:
    out = drive(make_link(Buffer(size=4, flush_after=1.0)), [Fed(0, b"abc"), Fed(0.6, b"de")])
    assert out.sent() == [(0.6, b"abcd"), (1.6, b"e")]


def test_buffer_loses_what_it_holds_when_the_sender_resets() -> None:
    out = drive(make_link(Buffer(size=4)), [Fed(0, b"abc"), Fed(1, "rst")])
    assert (out.data(), out.resets()) == (b"", [1])


@pytest.mark.parametrize("offset", [1, 4, 5, 7])
def test_disconnect_cuts_exactly_at_the_byte(offset: int) -> None:
    link = make_link(Disconnect(when=AtBytes(offset)))
    out = drive(link, [Fed(0, b"abcd"), Fed(1, b"efgh"), Fed(2, b"ijkl"), Fed(3, "fin")])
    assert out.data() == b"abcdefgh"[:offset]
    assert out.eof("downstream") == out.eof("upstream") == [0 if offset <= 4 else 1]
    assert out.fired()[0].detail == f"cut after {offset} bytes"
    assert out.link.over


def test_disconnect_at_no_bytes_waits_for_the_first_which_does_not_pass() -> None:
    out = drive(make_link(Disconnect(when=AtBytes(0))), [Fed(3, b"abcd")])
    assert (out.data(), out.eof()) == (b"", [3])


@pytest.mark.parametrize("how", ["fin", "rst"])
def test_disconnect_at_a_time(how: Ending) -> None:
    link = make_link(Disconnect(when=AtTime(1.5), how=how))
    out = drive(link, [Fed(1, b"a"), Fed(1, b"u", "upstream"), Fed(1.5, b"b"), Fed(2, b"c")])
    assert (out.data(), out.data("upstream")) == (b"a", b"u")
    assert out.eof() == out.eof("upstream") == ([1.5] if how == "fin" else [])
    assert out.resets() == ([1.5] if how == "rst" else [])
    assert out.link.over


def test_disconnect_at_a_time_also_ends_a_half_closed_connection() -> None:
    out = drive(make_link(Disconnect(when=AtTime(2))), [Fed(1, "fin")])
    assert (out.eof("downstream"), out.eof("upstream")) == ([1], [2])


def test_disconnect_where_a_trigger_says_in_the_middle_of_a_chunk() -> None:
    link = make_link(Disconnect(when=AtTrigger("lines", 2)), triggers=LINES)
    out = drive(link, [Fed(0, b"a\nb"), Fed(1, b"c\nd\n")])
    assert out.data() == b"a\nbc\n"
    assert out.eof() == [1]


def test_each_connection_and_fault_has_a_trigger_of_its_own() -> None:
    faults = (
        Disconnect(when=AtTrigger("lines", 2)),
        Disconnect(when=AtTrigger("lines", 2), direction="upstream"),
    )
    for _ in range(2):
        link = make_link(*faults, triggers=LINES)
        out = drive(link, [Fed(0, b"1\n"), Fed(0, b"1\n", "upstream"), Fed(1, b"2\n3\n", "upstream")])
        assert (out.data("downstream"), out.data("upstream")) == (b"1\n", b"1\n2\n")


def test_an_unknown_trigger_is_named_and_so_are_the_known_ones() -> None:
    with pytest.raises(UnknownTriggerError, match=r"'events'.*knows: lines"):
        make_link(Disconnect(when=AtTrigger("events", 3)), triggers=LINES)
    with pytest.raises(ValueError, match="how many"):
        make_link(Disconnect(when=AtTrigger("lines")), triggers=LINES)


def test_a_trigger_that_answers_nonsense_is_an_error() -> None:
    class Wrong:
        def feed(self, data: bytes) -> int:
            return len(data) + 1

    link = make_link(Disconnect(when=AtTrigger("wrong")), triggers={"wrong": lambda _: Wrong()})
    with pytest.raises(ValueError, match="answered 3 for a chunk of 2 bytes"):
        link.receive("downstream", b"ab", BORN)


def test_disconnect_after_latency_loses_what_is_under_way_and_before_it_does_not() -> None:
    latency, cut = Latency(delay=1.0), Disconnect(when=AtTime(1.5))
    feeds = [Fed(0, b"a"), Fed(1, b"b")]
    out = drive(make_link(latency, cut), feeds)
    assert (out.sent(), out.eof(), out.eof("upstream")) == ([(1, b"a")], [1.5], [1.5])
    out = drive(make_link(cut, latency), feeds)
    assert (out.sent(), out.eof(), out.eof("upstream")) == ([(1, b"a"), (2, b"b")], [2.5], [2.5])


def test_blackhole_swallows_bytes_and_the_end_for_ever() -> None:
    out = drive(make_link(Blackhole(when=AtBytes(3))), [Fed(0, b"abcde"), Fed(1, b"f"), Fed(2, "fin")])
    assert (out.data(), out.eof(), out.link.over) == (b"abc", [], False)
    assert [fired.detail for fired in out.fired()] == ["begins after 3 bytes"]


def test_a_blackholed_connection_is_over_when_both_senders_ended() -> None:
    link = make_link(Blackhole(when=AtTime(0)))
    out = drive(link, [Fed(1, "rst"), Fed(2, b"x", "upstream"), Fed(3, "fin", "upstream")])
    assert (out.data("upstream"), out.eof("upstream"), out.eof("downstream")) == (b"x", [3], [3])
    assert out.link.over


def test_blackhole_for_a_while_keeps_the_end() -> None:
    link = make_link(Blackhole(when=AtTime(1), duration=2))
    out = drive(link, [Fed(0, b"a"), Fed(1, b"b"), Fed(2.9, b"c"), Fed(2.95, "fin")])
    assert (out.sent(), out.eof()) == ([(0, b"a")], [3])
    assert [(fired.time - BORN, fired.detail) for fired in out.fired()] == [
        (1, "begins after 1 bytes"),
        (3, "over, 2 bytes swallowed"),
    ]


def test_blackhole_for_a_while_passes_what_comes_later() -> None:
    link = make_link(Blackhole(when=AtTrigger("lines", 1), duration=2), triggers=LINES)
    out = drive(link, [Fed(0, b"a\nb\n"), Fed(1, b"c\n"), Fed(2, b"d\n")])
    assert out.sent() == [(0, b"a\n"), (2, b"d\n")]


def test_slow_close_delays_the_end_only() -> None:
    out = drive(make_link(SlowClose(delay=2.0)), [Fed(0, b"a"), Fed(1, "fin")])
    assert (out.sent(), out.eof()) == ([(0, b"a")], [3])


def test_slow_close_also_delays_the_end_that_a_fault_makes() -> None:
    out = drive(make_link(Disconnect(when=AtTime(1)), SlowClose(delay=2.0)), [])
    assert (out.eof("downstream"), out.eof("upstream")) == ([3], [3])


def test_a_fault_hits_only_its_direction() -> None:
    out = drive(make_link(Latency(delay=1, direction="upstream")), [Fed(0, b"d"), Fed(0, b"u", "upstream")])
    assert (out.sent("downstream"), out.sent("upstream")) == ([(0, b"d")], [(1, b"u")])


def test_a_fault_hits_only_its_connections() -> None:
    for connection, expected in enumerate([b"a", b"a", b"abc"]):
        link = make_link(Disconnect(when=AtBytes(1), connections=2), connection=connection)
        assert drive(link, [Fed(0, b"abc")]).data() == expected


def test_fired_names_the_fault_by_its_place_in_the_plan() -> None:
    faults = (Refuse(duration=1), Latency(delay=1, direction="upstream"), Disconnect(when=AtTime(2)))
    (fired,) = drive(make_link(*faults), []).fired()
    assert (fired.fault_index, fired.fault, fired.time) == (2, faults[2], BORN + 2)


def test_a_slow_link_wants_no_more_until_it_has_drained() -> None:
    link = make_link(Bandwidth(bytes_per_second=64 * 1024))
    link.receive("downstream", bytes(64 * 1024), BORN)
    assert (link.full("downstream"), link.full("upstream"), link.backlog("downstream")) == (
        True,
        False,
        65536,
    )
    link.advance(BORN + 0.5)
    assert not link.full("downstream")
    assert link.backlog("downstream") == pytest.approx(32 * 1024, rel=0.1)


def test_a_long_line_holds_much_but_not_anything() -> None:
    link = make_link(Latency(delay=1))
    link.receive("downstream", bytes(500_000), BORN)
    assert not link.full("downstream")
    link.receive("downstream", bytes(1_000_000), BORN)
    assert link.full("downstream")
    link.advance(BORN + 1)
    assert not link.full("downstream")


def test_a_buffer_always_wants_more_however_large_it_is() -> None:
    link = make_link(Buffer(size=10_000_000))
    link.receive("downstream", bytes(9_999_999), BORN)
    assert not link.full("downstream")


def test_refuse_counts_time_from_the_first_attempt() -> None:
    plan = Plan((Latency(delay=1), Refuse(duration=2)))
    assert [bool(refusal(plan, since, attempt)) for attempt, since in enumerate([0, 1.9, 2])] == [
        True,
        True,
        False,
    ]
    assert refusal(plan, 0, 0) == (1, plan.faults[1])


def test_refuse_counts_attempts() -> None:
    plan = Plan((Refuse(connections=2),))
    assert [bool(refusal(plan, 0, attempt)) for attempt in range(4)] == [True, True, False, False]
