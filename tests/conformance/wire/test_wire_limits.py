"""A hostile stream costs a bounded amount of memory, and time in proportion to its bytes."""

import time
import tracemalloc
from collections.abc import Callable, Iterable

import pytest

from conformance.wire import (
    REPORTED_PER_DEFECT,
    Comment,
    Decoder,
    Defect,
    Event,
    Item,
    Reconnection,
    Violation,
)

LIMIT = 32 * 2**10


def pieces(stream: bytes, size: int) -> list[bytes]:
    return [stream[at : at + size] for at in range(0, len(stream), size)]


def violations(items: Iterable[Item]) -> list[Violation]:
    return [item for item in items if isinstance(item, Violation)]


@pytest.mark.parametrize("size", [1, 7, 2**20])
@pytest.mark.parametrize(
    ("stream", "fits"),
    [
        (b"data: 12345678\n\n", True),
        (b"data: 123456789\n\n", False),
        (b": 345678901234\n", True),
        (b": 3456789012345\n", False),
        (b"\xef\xbb\xbfdata: 12345678\n\n", True),
        (b"data: 12345\ndata: 1234567\n\n", True),  # 6 + 8 bytes: each line has its LF
        (b"data: 12345\ndata: 12345678\n\n", False),
        (b"data: 12345\nevent: 1234\nid: 1234\n\n", True),
        (b"data: 12345\nevent: 1234\nid: 12345\n\n", False),
        (b"data\n" * 14 + b"\n", True),
        (b"data\n" * 15 + b"\n", False),
        (b"id: 123456789\n" * 9 + b"data\n\n", True),  # an id replaces the one before
        (b"retry: 1\nfoo\n: a\n" * 9 + b"data\n\n", True),  # no buffer holds these
    ],
)
def test_the_limit_is_exact(stream: bytes, fits: bool, size: int) -> None:
    decoder = Decoder(limit=14)
    items = [item for chunk in pieces(stream + b"data: z\n\n", size) for item in decoder.feed(chunk)]
    assert decoder.stopped != fits
    if fits:
        assert isinstance(items[-1], Event)
        assert items[-1].data == "z"
        return
    last = items[-1]
    assert isinstance(last, Violation)
    assert last.defect is Defect.TOO_LARGE
    assert "limit of 14 bytes" in last.message
    assert stream[last.offset :].startswith(last.excerpt)
    assert decoder.offset <= len(stream)
    assert decoder.feed(b"data: z\n\n") == decoder.close() == []


def test_the_limit_holds_for_a_chunk_that_is_one_event() -> None:
    decoder = Decoder(limit=14)
    assert [type(item) for item in decoder.feed(b"data: 12345678\n\n")] == [Event]
    assert [item.defect for item in violations(decoder.feed(b"data: 123456789\n\n"))] == [Defect.TOO_LARGE]


def test_an_event_over_the_limit_does_not_wait_for_its_end() -> None:
    decoder = Decoder(limit=14)
    items = decoder.feed(b"data: 1\n\ndata: 1234567\ndata: 1234567\n")
    assert [item.defect for item in violations(items)] == [Defect.TOO_LARGE]


def test_nothing_is_taken_after_a_stop_in_the_same_chunk() -> None:
    decoder = Decoder(limit=20)
    chunks = [b"data: 1\ndata: 234567\n", b"data: 89012345678\n\ndata: z\n\n"]
    items = [item for chunk in chunks for item in decoder.feed(chunk)]
    assert [item.defect for item in violations(items)] == [Defect.TOO_LARGE]
    assert len(items) == 1
    assert decoder.offset == len(b"".join(chunks)) - len(b"\ndata: z\n\n")


@pytest.mark.parametrize("size", [100, 4096, 5000])
def test_the_limit_holds_for_a_long_line(size: int) -> None:
    exact, over = (b"data: " + b"x" * count + b"\n\n" for count in (LIMIT - 6, LIMIT - 5))
    decoder = Decoder(limit=LIMIT)
    items = [item for chunk in pieces(exact + over + exact, size) for item in decoder.feed(chunk)]
    assert [type(item) for item in items] == [Event, Violation]
    assert isinstance(items[1], Violation)
    assert items[1].defect is Defect.TOO_LARGE
    assert items[1].offset == len(exact)
    assert items[1].excerpt == over[:64]
    assert decoder.offset == len(exact) + LIMIT + 1


def test_lines_that_wait_are_not_counted_as_one() -> None:
    decoder = Decoder(limit=20)
    chunks = [b"data: 1\n\nid: 123456\ndata: 7", b"89012", b"\n\n"]
    assert [[type(item) for item in decoder.feed(chunk)] for chunk in chunks] == [[Event], [], [Event]]


def test_a_limit_below_one_byte_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1 byte, not 0"):
        Decoder(limit=0)


@pytest.mark.parametrize(
    "stream", [b"data: " + b"x" * 4 * LIMIT, b"data: x\n" * LIMIT, b"event: " + b"x" * 4 * LIMIT]
)
def test_after_a_stop_no_memory_is_kept(stream: bytes) -> None:
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        decoder = Decoder(limit=LIMIT)
        for chunk in pieces(stream, 1000):
            decoder.feed(chunk)
        kept = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert decoder.stopped
    assert kept < LIMIT / 4


@pytest.mark.parametrize(
    ("line", "size"),
    [
        (b"data: xy\n", 2),
        (b"x", 2),
        *(
            (line, 256)
            for line in (b"data\n", b"data: xyz\n", b"foo: x\n", b": x\n", b"id: \0\n", b": \xff\n")
        ),
    ],
    ids=repr,
)
def test_memory_stays_near_the_limit(line: bytes, size: int) -> None:
    """Also for what is small and many, and for what never becomes an event."""
    chunks = pieces(line * (2 * LIMIT // len(line)), size)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        decoder = Decoder(limit=LIMIT)
        for chunk in chunks:
            decoder.feed(chunk)  # the items are the caller's, and dropped here
        peak = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    assert peak < 6 * LIMIT


@pytest.mark.parametrize("last", [b"xx\n\n", b"\n"])
def test_a_long_line_is_kept_once(last: bytes) -> None:
    """Once as it came (in a buffer that grows by an eighth), and once as the text of the event."""
    size = 4 * 2**20
    chunks = [*pieces(b"data: " + b"x" * size + (b"\n" if last == b"\n" else b""), 4096), last]
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        assert decode(chunks) == 1
        peak = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    assert peak < 2.5 * size


@pytest.mark.parametrize(
    ("line", "defect"),
    [
        (b"foo\n", Defect.UNKNOWN_FIELD),
        (b"id: \0\n", Defect.ID_NULL),
        (b"retry: x\n", Defect.RETRY_NOT_DIGITS),
        (b": \xff\xff\n", Defect.INVALID_UTF8),
        (b": \xef\xbb\xbf\n", Defect.LATE_BOM),
        (b"event: x\n\n", Defect.NO_DATA),
        (b"\r\n\r\n\n", Defect.MIXED_LINE_ENDINGS),
    ],
)
def test_violations_of_one_kind_are_not_reported_for_ever(line: bytes, defect: Defect) -> None:
    decoder = Decoder()
    found = [v for v in violations(decoder.feed(line * (REPORTED_PER_DEFECT + 50))) if v.defect is defect]
    if defect is Defect.MIXED_LINE_ENDINGS:
        assert len(found) == 1
        return
    assert len(found) == REPORTED_PER_DEFECT
    assert "not reported" in found[-1].message
    assert not any("not reported" in violation.message for violation in found[:-1])
    after = decoder.feed(b"\ndata: still here\n\n")
    assert [item.data for item in after if isinstance(item, Event)] == ["still here"]


@pytest.mark.parametrize("name", [b"", b"data", b"event", b"id", b"retry", b"\xff" * 1000])
def test_messages_and_excerpts_are_short(name: bytes) -> None:
    decoder = Decoder(limit=10**6)
    stream = (
        name + b"\x1b[31m\0\xff" * 20_000 + b"\n" + name + b": " + b"\xff\0" * 20_000 + b"\n\nevent: x\nid: "
    )
    for violation in violations(decoder.feed(stream + b"y" * 20_000) + decoder.close()):
        assert len(violation.excerpt) <= 64
        assert len(violation.message) < 600
        assert violation.message.isprintable()


def seconds(work: Callable[[], object]) -> float:
    """Processor time, the best of a few: what the work costs when nothing else runs."""
    best = float("inf")
    for _ in range(5):
        start = time.process_time()
        work()
        best = min(best, time.process_time() - start)
    return best


def decode(chunks: list[bytes]) -> int:
    decoder = Decoder(limit=2**30)
    return sum(len(decoder.feed(chunk)) for chunk in chunks) + len(decoder.close())


@pytest.mark.parametrize(
    ("stream", "size"),
    [
        (lambda n: b"data: " + b"x" * 20 * n + b"\n\n", 256),
        (lambda n: b"data: " + b"x" * n + b"\n\n", 1),
        (lambda n: b"data: " + b"x" * 100 * n + b"\n\n", 64),
        (lambda n: b"data: \xff" + b"x" * n + b"\n\n", 64),
        (lambda n: b"data: x\n" * (n // 4) + b"\n", 64),
        (lambda n: b"data: x\n" * n + b"foo\n\n", 2**20),  # what the fast path's pattern gives up on, late
        (lambda n: b"id: x\n" * n + b"data: x\nid: x\nfoo\n\n", 2**20),
        (lambda n: b"data: x\n\n: x\n" * (n // 4) + b"\n", 2**20),
        (lambda n: b"data: x\n\n" * n, 64),
        (lambda n: b"data: x\n\n" + b"id: x\n" * n + b"\n", 6),  # lines that could wait, again and again
        (lambda n: b": x\n" * (n // 2), 2**20),
        (lambda n: b":" + b"\xff" * 10 * n + b"\n", 2**20),
        (lambda n: b":" + b"\xef\xbb\xbf" * n + b"\n", 2**20),
        (lambda n: b"retry: " + b"9" * 10 * n + b"\n\n", 2**20),
        (lambda n: b"\n" * n, 2**20),
        (lambda n: b"\r\n" * n, 3),
    ],
    ids=[
        "long line",
        "bytes",
        "very long line",
        "not UTF-8",
        "data lines",
        "odd end",
        "fields with an odd end",
        "comments between",
        "events",
        "lines that wait",
        "comments",
        "0xff",
        "BOM",
        "9",
        "LF",
        "CRLF",
    ],
)
def test_time_is_linear(stream: Callable[[int], bytes], size: int) -> None:
    """Eight times the bytes: eight times the time if linear, 64 times if quadratic. Half of that is room for noise."""
    small, large = (pieces(stream(n), size) for n in (5_000, 40_000))
    assert decode(small) >= 0
    assert seconds(lambda: decode(large)) < 32 * seconds(lambda: decode(small)) + 0.01


@pytest.mark.parametrize(
    "line", [b"data: " + b"id: " * 15_000, b"id: data: " * 6_000, b"data: " + b"data: " * 10_000]
)
def test_what_looks_like_many_fields_costs_no_more_than_other_bytes(line: bytes) -> None:
    """A pattern that is sought anywhere in a line, and not only where it begins, would take quadratic time."""
    first = b"id: 1\ndata: x\n\n"
    other = b"data: " + b"x" * len(line)
    hostile, harmless = ([first + text + b"\n\n"] for text in (line, other))
    assert seconds(lambda: decode(hostile)) < 20 * seconds(lambda: decode(harmless)) + 0.01


def test_lines_that_wait_for_the_end_of_their_block_are_given_up_on_soon() -> None:
    """However the rest of the block comes, no line is looked at again and again."""
    chunks = [b"data: a\n\nid: 1\ndata: b\n", *[b"x"] * 10_000, b"\n", *[b"data: c\n"] * 1000, b"\n"]
    decoder = Decoder()
    items = [item for chunk in chunks for item in decoder.feed(chunk)]
    assert [item.data for item in items if isinstance(item, Event)] == ["a", "b" + "\nc" * 1000]
    assert [item.defect for item in violations(items)] == [Defect.UNKNOWN_FIELD]


def test_items_of_many_kinds_survive_one_large_feed() -> None:
    stream = b": c\nretry: 3\nid: 1\ndata: x\n\n" * 20_000
    decoder = Decoder()
    items = decoder.feed(stream)
    kinds = [sum(isinstance(item, kind) for item in items) for kind in (Comment, Reconnection, Event)]
    assert kinds == [20_000] * 3
    assert decoder.offset == len(stream)


@pytest.mark.parametrize("size", [1_000, 65_536, 65_537, 196_608, 10**6])
def test_a_long_line_survives_chunks_that_are_longer_than_the_decoders_steps(size: int) -> None:
    """One megabyte of data, as a server sends it that writes an event at once."""
    body = b"data: " + b"x" * 10**6 + b"\n\nevent: next\ndata: 1\n\n"
    decoder = Decoder()
    items = [item for at in range(0, len(body), size) for item in decoder.feed(body[at : at + size])]
    assert [len(item.data) for item in items if isinstance(item, Event)] == [10**6, 1]
    assert len(items) == 2
