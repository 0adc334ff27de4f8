"""Faults that understand event streams: where they act, under any chunking, through the embedded proxy."""

import random
from itertools import pairwise

import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from conformance.dialect import Dialect, Matcher
from conformance.triggers import triggers
from conformance.wire import Decoder, Event
from fault_injection.faults import AtTrigger, Disconnect, Plan
from fault_injection.link import Fired
from fault_injection.network import Address
from fault_injection.observer import Observer
from fault_injection.proxy import open_proxy
from fault_injection.virtual import VirtualNetwork

DIALECT = Dialect(completion=(Matcher(event="complete"),), failure=(Matcher(event="error"),))
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
REQUEST = b"POST /jobs HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n{}"

BLOCKS = st.sampled_from(
    (
        b"data: one\n\n",
        b"id: 7\r\ndata: two\r\n\r\n",
        b"data\n\n",
        b"event: complete\ndata: {}\n\n",
        b"data: a\rdata: b\r\r",
        b": a heartbeat that is longer than a few bytes\n\n",
        b":\n\n",
        b":\n",
        b"data: x\n: a comment inside\ndata: y\n\n",
        "data: é€😀\n\n".encode(),
    )
)
STREAMS = st.lists(BLOCKS, min_size=1, max_size=8).map(b"".join)


def response(body: bytes, sizes: list[int]) -> bytes:
    """The response, chunked into pieces of these sizes; without sizes it ends with the connection."""
    if not sizes:
        return HEAD + b"\r\n" + body
    coded, at = b"", 0
    while at < len(body):
        for size in sizes:
            if piece := body[at : at + size]:
                coded += b"%x;note\r\n" % len(piece) + piece + b"\r\n"
            at += size
    return HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + coded + b"0\r\n\r\n"


def passed(name: str, argument: int | None, data: bytes, at: list[int]) -> bytes | None:
    """The raw bytes before the cut, or None where the trigger never acts."""
    trigger = triggers(DIALECT)[name](argument)
    before = b""
    for start, end in pairwise([0, *sorted(min(each, len(data)) for each in at), len(data)]):
        if (index := trigger.feed(data[start:end])) is not None:
            assert 0 <= index <= end - start
            return before + data[start : start + index]
        before += data[start:end]
    return None


def body_of(raw: bytes, sizes: list[int]) -> bytes:
    """The body in the raw bytes of `response`, as far as they go."""
    coded = raw.partition(b"\r\n\r\n")[2]
    if not sizes:
        return coded
    body = b""
    while coded:
        line, _, coded = coded.partition(b"\r\n")
        size = int(line.partition(b";")[0], 16)
        body, coded = body + coded[:size], coded[size:].removeprefix(b"\r\n")
    return body


def events(body: bytes) -> list[Event]:
    return [item for item in Decoder().feed(body) if isinstance(item, Event)]


CUTS = st.lists(st.integers(0, 900), max_size=8)
SIZES = st.lists(st.integers(1, 40), max_size=3)


@settings(max_examples=150)
@given(body=STREAMS, count=st.integers(1, 4), sizes=SIZES, at=CUTS)
def test_events_acts_right_after_the_nth_event(
    body: bytes, count: int, sizes: list[int], at: list[int]
) -> None:
    raw = passed("events", count, response(body, sizes), at)
    expected = events(body)
    if len(expected) < count:
        assert raw is None
    else:
        assert raw is not None
        assert body_of(raw, sizes) == body[: expected[count - 1].end]


@settings(max_examples=150)
@given(body=STREAMS, sizes=SIZES, at=CUTS)
def test_completion_acts_right_after_the_event_that_completes(
    body: bytes, sizes: list[int], at: list[int]
) -> None:
    raw = passed("completion", None, response(body, sizes), at)
    end = next((event.end for event in events(body) if event.type == "complete"), None)
    assert (None if raw is None else body_of(raw, sizes)) == (None if end is None else body[:end])


@settings(max_examples=150)
@given(body=STREAMS, count=st.integers(0, 4), sizes=SIZES, at=CUTS)
def test_mid_event_acts_inside_the_block_of_the_next_event(
    body: bytes, count: int, sizes: list[int], at: list[int]
) -> None:
    raw = passed("mid-event", count, response(body, sizes), at)
    expected = events(body)
    if len(expected) <= count:
        return
    assert raw is not None
    seen = body_of(raw, sizes)
    assert expected[count].offset < len(seen) < expected[count].end
    assert len(events(seen)) == count
    assert raw == passed("mid-event", count, response(body, sizes), list(range(900)))


@given(body=STREAMS, sizes=SIZES, at=CUTS)
def test_mid_head_acts_inside_the_status_line(body: bytes, sizes: list[int], at: list[int]) -> None:
    assert passed("mid-head", None, response(body, sizes), at) == HEAD[:12]
    assert b"\r\n" not in HEAD[:12]


@given(at=st.lists(st.integers(0, len(REQUEST)), max_size=20))
def test_request_acts_right_after_the_head_of_the_request(at: list[int]) -> None:
    assert passed("request", None, REQUEST, at) == REQUEST.removesuffix(b"{}")


@pytest.mark.parametrize("name", ["events", "completion", "mid-event"])
def test_a_redirect_before_the_stream_does_not_count(name: str) -> None:
    redirect = b"HTTP/1.1 307 T\r\nLocation: /x\r\nContent-Length: 25\r\n\r\nevent: complete\ndata: 1\n\n"
    data = redirect + response(b"data: 1\n\nevent: complete\ndata: 2\n\n", [])
    raw = passed(name, {"events": 1, "mid-event": 0}.get(name), data, [])
    assert raw is not None
    assert raw.startswith(redirect)
    assert len(raw) > len(redirect)


@pytest.mark.parametrize(
    ("name", "argument"),
    [
        ("events", 0),
        ("events", -1),
        ("events", None),
        ("events", "3"),
        ("mid-event", -1),
        ("mid-event", None),
    ],
)
def test_a_count_that_is_none_is_refused(name: str, argument: str | int | None) -> None:
    with pytest.raises(ValueError, match="the trigger wants a count of events"):
        triggers(DIALECT)[name](argument)


class Heard(Observer):
    def __init__(self) -> None:
        self.faults: list[Fired] = []

    def fired(self, connection: int, fired: Fired) -> None:
        self.faults.append(fired)


async def through_the_proxy(plan: Plan, data: bytes, at: list[int], how: str) -> bytes:
    """What a subscriber gets of these bytes, sent in these pieces; the fault ends the connection in this way."""
    network = VirtualNetwork()
    listener = await network.listen()
    heard = Heard()

    async def serve() -> None:
        connection = await listener.accept()
        try:
            for start, end in pairwise([0, *sorted(min(each, len(data)) for each in at), len(data)]):
                if start < end:
                    await connection.send_all(data[start:end])
                    await trio.sleep(0.01)
            await trio.sleep_forever()
        except trio.BrokenResourceError:
            pass

    async def subscribe(address: Address) -> bytes:
        received = b""
        async with await network.connect(*address) as connection:
            await connection.send_all(REQUEST)
            try:
                while chunk := await connection.receive_some():
                    received += chunk
            except trio.BrokenResourceError:
                assert how == "rst"
            else:
                assert how == "fin"
        return received

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        async with open_proxy(
            network,
            upstream=listener.address,
            plan=plan,
            rng=random.Random(0),
            triggers=triggers(DIALECT),
            observer=heard,
        ) as proxy:
            with trio.fail_after(60):
                received = await subscribe(proxy.address)
        nursery.cancel_scope.cancel()
    assert [fired.fault for fired in heard.faults] == [*plan.faults]
    return received


@settings(max_examples=30)
@given(
    sizes=SIZES,
    at=CUTS,
    how=st.sampled_from(("fin", "rst")),
    name=st.sampled_from(("events", "completion", "mid-event")),
)
def test_the_proxy_cuts_where_the_trigger_says(sizes: list[int], at: list[int], how: str, name: str) -> None:
    body = b": hb\n\ndata: one\n\n: hb\n\nid: 2\ndata: two\n\nevent: complete\ndata: x\n\ndata: after\n\n"
    expected = {
        "events": body[: events(body)[1].end],
        "completion": body[: events(body)[2].end],
        "mid-event": body[: events(body)[2].offset + 5],
    }[name]
    when = AtTrigger(name, 2 if name != "completion" else None)
    plan = Plan((Disconnect(when=when, how="fin" if how == "fin" else "rst"),))
    received = trio.run(
        through_the_proxy,
        plan,
        response(body, sizes),
        at,
        how,
        clock=trio.testing.MockClock(autojump_threshold=0),
    )
    assert body_of(received, sizes) == expected
