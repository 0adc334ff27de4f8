"""A history as rules read it: arrivals under any chunking, coded bodies, what the link saw, addresses used twice."""

import gzip
import itertools
import random
import time
import tracemalloc
import zlib
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conformance.config import Limits
from conformance.dialect import Dialect, Role, Scope, effective_dialect
from conformance.history import (
    Began,
    Chunk,
    Connected,
    Ended,
    Exchange,
    Fired,
    Head,
    Record,
    Relayed,
    Requested,
    Terms,
    history,
)
from conformance.wire import encode_comment, encode_event
from fault_injection.faults import AtBytes, Disconnect

EVENT_STREAM = (("Content-Type", "text/event-stream"),)
FAULT = Disconnect(when=AtBytes(9))

BLOCKS = st.one_of(
    st.builds(
        lambda data, type, id: encode_event(data, type=type, id=id),
        st.text(alphabet="ab\u00e9\u20ac \n", max_size=8),
        st.none() | st.sampled_from(("complete", "x")),
        st.none() | st.sampled_from(("1", "")),
    ),
    st.just(encode_comment("hb")),
    st.just(b"retry: 100\n\n"),
    st.just(b"data: \xff\r\n\r\n"),
)
STREAMS = st.lists(BLOCKS, max_size=6).map(b"".join)


def exchange(
    pieces: Sequence[tuple[float, bytes]],
    *,
    headers: tuple[tuple[str, str], ...] = EVENT_STREAM,
    relayed: Sequence[tuple[float, int]] = (),
    limits: Limits | None = None,
    how: str | None = "complete",
) -> Exchange:
    """One exchange whose body came in these pieces, and had reached the link up to these bytes at these times."""
    records: list[Record] = [
        Began(
            terms=Terms(limits=limits or Limits(), dialect=effective_dialect(Dialect(preset="task-stream")))
        ),
        Requested(exchange="a", purpose="stream", method="GET", url="/"),
        Connected(exchange="a", local="here:1"),
        Head(exchange="a", status=200, headers=headers),
        *(Chunk.of(time, "a", data) for time, data in pieces),
        *(Relayed(time=time, peer="here:1", end=end) for time, end in relayed),
    ]
    if how == "complete":
        records.append(Ended(time=1e6, exchange="a", how="complete"))
    found = history(records).exchange("a")
    assert found is not None
    return found


@st.composite
def cut(draw: st.DrawFn, data: bytes) -> list[tuple[float, bytes]]:
    """The bytes in pieces of any size, each with a later time than the one before."""
    cuts = draw(st.lists(st.integers(0, len(data)), max_size=8).map(sorted))
    bounds = [0, *cuts, len(data)]
    return [
        (float(number), data[start:end]) for number, (start, end) in enumerate(itertools.pairwise(bounds), 1)
    ]


@settings(max_examples=60)
@given(body=STREAMS, data=st.data())
def test_arrivals_do_not_depend_on_the_chunks_and_each_has_the_time_of_its_last_byte(
    body: bytes, data: st.DataObject
) -> None:
    pieces = data.draw(cut(body))
    whole, parts = exchange([(1.0, body)]), exchange(pieces)
    assert [each.item for each in parts.arrivals] == [each.item for each in whole.arrivals]
    assert [each.role for each in parts.arrivals] == [each.role for each in whole.arrivals]
    for arrival in parts.events:
        have = 0
        for at, piece in pieces:
            have += len(piece)
            if have >= arrival.event.end:
                assert arrival.time == at
                break


@settings(max_examples=60)
@given(body=STREAMS, coding=st.sampled_from(("gzip", "deflate", "raw deflate", "members")), data=st.data())
def test_coded_bodies_are_read_like_plain_ones(body: bytes, coding: str, data: st.DataObject) -> None:
    match coding:
        case "gzip":
            coded = gzip.compress(body)
        case "deflate":
            coded = zlib.compress(body)
        case "raw deflate":
            coder = zlib.compressobj(wbits=-zlib.MAX_WBITS)
            coded = coder.compress(body) + coder.flush()
        case _:
            middle = len(body) // 2
            coded = gzip.compress(body[:middle]) + gzip.compress(body[middle:])
    name = "deflate" if "deflate" in coding else "gzip"
    read = exchange(data.draw(cut(coded)), headers=(*EVENT_STREAM, ("Content-Encoding", name)))
    assert read.body == body
    assert [each.item for each in read.arrivals] == [each.item for each in exchange([(1.0, body)]).arrivals]


def test_a_flush_of_gzip_makes_an_event_known_when_it_arrives() -> None:
    coder = zlib.compressobj(wbits=zlib.MAX_WBITS | 16)
    first = coder.compress(encode_event("1")) + coder.flush(zlib.Z_SYNC_FLUSH)
    second = coder.compress(encode_event("2")) + coder.flush()
    read = exchange([(1.0, first), (2.0, second)], headers=(*EVENT_STREAM, ("content-encoding", "gzip")))
    assert [(each.time, each.event.data) for each in read.events] == [(1.0, "1"), (2.0, "2")]


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
@given(garbage=st.binary(min_size=1, max_size=50))
def test_what_is_not_coded_as_it_says_ends_the_body_and_raises_nothing(coding: str, garbage: bytes) -> None:
    coded = (
        zlib.compress(b"data: 1\n\n", wbits=zlib.MAX_WBITS | 16)
        if coding == "gzip"
        else zlib.compress(b"data: 1\n\n")
    )
    read = exchange(
        [(1.0, coded[:-9]), (2.0, garbage), (3.0, b"more")],
        headers=(*EVENT_STREAM, ("content-encoding", coding)),
    )
    assert len(read.body) <= 9 + 2 * 54 * 1032  # what so few bytes of deflate can hold
    assert read.arrivals is not None


def bombs() -> list[tuple[str, bytes]]:
    return [
        ("a gigabyte of zeros", gzip.compress(b"\0" * 2**28)),
        ("empty members", gzip.compress(b"") * 40_000),
        ("a million events", gzip.compress(b"data\n\n" * 2_000_000)),
        ("members with events", gzip.compress(b"data\n\n" * 10_000) * 200),
    ]


@pytest.mark.parametrize(("name", "coded"), bombs(), ids=[name for name, _ in bombs()])
def test_a_bomb_is_bounded_in_memory_and_time(name: str, coded: bytes) -> None:
    limits = Limits(body=2**20, events=5_000)
    pieces = [(1.0, coded[at : at + 2**16]) for at in range(0, len(coded), 2**16)]
    headers = (*EVENT_STREAM, ("content-encoding", "gzip"))
    read = exchange(pieces, headers=headers, limits=limits)
    tracemalloc.start()
    began = time.process_time()
    assert len(read.body) <= limits.body
    assert len(read.arrivals) < 3 * limits.events
    spent = time.process_time() - began
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 40 * limits.body
    assert spent < 10  # it takes a tenth of this; unbounded it takes minutes


@settings(max_examples=60)
@given(body=STREAMS, data=st.data())
def test_an_event_reached_the_link_when_its_last_byte_did_however_the_link_cut_and_delayed(
    body: bytes, data: st.DataObject
) -> None:
    into = data.draw(cut(body))
    out = [(time + 100, piece) for time, piece in data.draw(cut(body))]
    ends: list[tuple[float, int]] = []
    for at, piece in into:
        ends.append((at, (ends[-1][1] if ends else 0) + len(piece)))
    read = exchange(out, relayed=ends)
    assert len(read.events) == len(exchange([(1.0, body)]).events)
    for arrival in read.events:
        reached = next(at for at, end in ends if end >= arrival.event.end)
        assert arrival.at_link == reached
        assert arrival.left_server == reached
        assert arrival.time > 100


def test_where_the_link_saw_only_a_part_the_rest_has_no_moment_there() -> None:
    body = encode_event("1") + encode_event("2")
    read = exchange([(5.0, body)], relayed=[(1.0, len(body) // 2)])
    assert [each.at_link for each in read.events] == [1.0, None]
    assert [each.left_server for each in read.events] == [1.0, 5.0]


def test_a_violation_reached_the_link_with_the_byte_it_points_at() -> None:
    body = encode_event("1") + b"odd: field\n\n"
    first = len(encode_event("1"))
    read = exchange([(5.0, body)], relayed=[(1.0, first), (2.0, len(body))])
    (violation,) = read.violations
    assert violation.at_link == 2.0


def test_a_coded_body_has_no_moments_at_the_link_for_its_bytes_are_others() -> None:
    coded = gzip.compress(encode_event("1"))
    read = exchange(
        [(5.0, coded)],
        headers=(*EVENT_STREAM, ("content-encoding", "gzip")),
        relayed=[(1.0, len(coded))],
    )
    assert [each.at_link for each in read.events] == [None]


def test_an_address_that_is_used_twice_belongs_to_who_had_it_then() -> None:
    records: list[Record] = [Began()]
    for number, name in enumerate(("a", "a-2"), 1):
        at = number * 10.0
        records += [
            Requested(time=at, exchange=name, purpose="stream", method="GET", url="/", subscriber="a"),
            Connected(time=at, exchange=name, local="here:1"),
            Relayed(time=at + 1, peer="here:1", end=number),
            Fired(time=at + 2, fault=FAULT, index=0, peer="here:1", detail=name),
            Ended(time=at + 3, exchange=name, how="reset"),
        ]
    records.append(Fired(time=50, fault=FAULT, index=0, peer="there:2", detail="refused"))
    read = history(records)
    assert [
        (each.name, [r.end for r in each.relayed], [f.detail for f in each.fired]) for each in read.exchanges
    ] == [
        ("a", [1], ["a"]),
        ("a-2", [2], ["a-2"]),
    ]
    assert [fired.detail for fired in read.unowned_faults] == ["refused"]
    assert list(read.subscribers) == ["a"]
    assert [each.name for each in read.subscribers["a"]] == ["a", "a-2"]


def test_records_in_any_order_on_disk_make_the_same_history() -> None:
    body = encode_event("1", id="1") + encode_event("2", type="complete")
    records = list(exchange([(1.0, body)]).chunks)
    assert records
    parts: list[Record] = [
        Requested(time=0.1, exchange="a", purpose="stream", method="GET", url="/"),
        Head(time=0.2, exchange="a", status=200, headers=EVENT_STREAM),
        *(Chunk.of(at, "a", piece) for at, piece in ((0.3, body[:5]), (0.4, body[5:]))),
        Ended(time=0.5, exchange="a", how="complete"),
    ]
    shuffled = parts.copy()
    random.Random(3).shuffle(shuffled)
    assert shuffled != parts
    assert history([Began(), *shuffled]) == history([Began(), *parts])


def test_a_stream_that_is_open_still_has_no_dangling_block() -> None:
    assert not exchange([(1.0, b"data: 1\n")], how=None).violations
    assert exchange([(1.0, b"data: 1\n")]).violations
    assert exchange([(1.0, b"data: 1\n")], how=None).how == "open"


def test_roles_and_completion_are_read_by_the_dialect() -> None:
    body = encode_event("{}", id="1") + encode_comment() + encode_event("{}", type="complete", id="2")
    read = exchange([(1.0, body)])
    assert [each.role for each in read.arrivals] == [Role.PROGRESS, Role.HEARTBEAT, Role.COMPLETION]
    assert read.completed is read.events[-1]


@pytest.mark.parametrize(
    ("status", "media_type", "is_stream"),
    [
        (200, "text/event-stream", True),
        (200, "Text/Event-Stream ; charset=utf-8", True),
        (200, "text/plain", False),
        (204, "text/event-stream", False),
    ],
)
def test_what_a_client_takes_for_an_event_stream(status: int, media_type: str, is_stream: bool) -> None:
    records: list[Record] = [
        Began(),
        Requested(exchange="a", purpose="stream", method="GET", url="/"),
        Head(exchange="a", status=status, headers=(("CONTENT-TYPE", media_type), ("X", "1"), ("x", "2"))),
    ]
    (read,) = history(records).exchanges
    assert read.is_event_stream is is_stream
    assert read.header("X") == "1, 2"
    assert read.header("y") is None


def test_who_comes_back_by_another_request_asks_for_the_stream_that_was_opened() -> None:
    opens = Requested(exchange="a", purpose="stream", method="POST", url="/x", body="{}")
    resumes = Requested(
        time=1,
        exchange="a-2",
        purpose="stream",
        method="GET",
        url="/x?after=1",
        last_event_id="1",
        opened="a",
    )
    lost = Requested(time=2, exchange="b", purpose="stream", method="GET", url="/x", opened="nobody")
    first, second, third = history([Began(), opens, resumes, lost]).streams
    assert (first.opening, second.opening, third.opening) == (opens, opens, lost)
    assert (first.came_with, second.came_with, third.came_with) == (None, "1", None)


def test_of_an_older_history_the_header_tells_the_last_event_id() -> None:
    headers = (("last-event-id", "\u00c3\u00a9"),)  # the two bytes of an e with an accent
    (stream,) = history(
        [Began(), Requested(exchange="a-2", purpose="stream", method="GET", url="/", headers=headers)]
    ).streams
    assert stream.came_with == "\u00e9"
    assert stream.opening is stream.requested


def test_the_request_that_begins_the_work_needs_no_name_for_the_scope_of_a_bus() -> None:
    dialect = Dialect(scope=Scope(pointer="/job", equals="{job}"))
    start = Requested(exchange="start", purpose="start", method="POST", url="/jobs")
    bus = Requested(exchange="a", purpose="stream", method="GET", url="/bus", names={"job": "1"})
    _, stream = history([Began(terms=Terms(dialect=dialect)), start, bus]).exchanges
    assert stream.dialect.scope == Scope(pointer="/job", equals="1")
