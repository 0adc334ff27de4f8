"""Timeliness: the marks that a buffer leaves in the bytes, where no timestamp tells when an event was made.

Only marks that a fast producer does not leave: heartbeats that came together, events torn in two with a pause in
between, and a whole stream in equal blocks at its end.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from conformance.dialect import Role
from conformance.history import Arrival, EventArrival, Exchange
from conformance.rules.order_content import excerpt, told
from conformance.rules.rule import evidence_at
from conformance.rules.timeliness_clock import INSTANT
from conformance.wire import Comment, Event
from reports.results import Finding

FEWEST = 3  # events that make a burst
PAUSE = 0.5  # seconds of nothing, from which on a burst is held back and not just quick
_MOST = 0.8  # of a stream: so much of it at once is all of it
_LEAST_BLOCK = 512  # bytes; smaller pieces are no buffer's
_OUR_READ = 65536  # bytes that the harness itself reads at once
_ALIKE = 0.1  # the part by which blocks of one buffer differ, for what HTTP puts around the body


@dataclass(frozen=True)
class Release:
    """Bytes of a body that came at once: from `start` to `end`, in pieces of these sizes."""

    began: float
    ended: float
    start: int
    end: int
    sizes: tuple[int, ...]


@dataclass(frozen=True)
class BufferSize:
    """An estimate of what a buffer holds, in bytes; `least`: it was never seen full."""

    size: int
    least: bool

    def __str__(self) -> str:
        return f"at least {self.size} bytes" if self.least else f"about {self.size} bytes"


def releases(parts: Iterable[tuple[float, int]]) -> list[Release]:
    """What came at once, from when which part of the body (bytes from its beginning) had come."""
    found: list[Release] = []
    sizes: list[int] = []
    began = last = 0.0
    start = done = 0
    for time, end in parts:
        if sizes and time - last > INSTANT:
            found.append(Release(began, last, start, done, tuple(sizes)))
            sizes, start = [], done
        if not sizes:
            began = time
        sizes.append(end - done)
        last, done = time, end
    if sizes:
        found.append(Release(began, last, start, done, tuple(sizes)))
    return found


def buffer_size(came: Sequence[Release], burst: Release) -> BufferSize:
    """The size of the buffer that let go of a burst.

    The pieces tell, if all but the last are of one size. Else the bursts before the end of the body, at which the
    buffer was full: of several the first is left out, for the head of the response was held with it.
    """
    if block := _block(burst.sizes):
        return BufferSize(block, False)
    size = burst.end - burst.start
    full = [each.end - each.start for each in came[:-1] if each.end - each.start >= size / 2]
    return BufferSize(round(median(full[1:] or full)), False) if full else BufferSize(size, True)


def _block(sizes: Sequence[int]) -> int | None:
    """The one size of all pieces but the last, if it is a buffer's."""
    size, full = sizes[0], sizes[:-1]
    if len(full) < 2 or set(full) != {size} or sizes[-1] > size:
        return None
    return size if size >= _LEAST_BLOCK and size % _LEAST_BLOCK == 0 and size != _OUR_READ else None


def events_in(stream: Exchange, came: Sequence[Release]) -> list[int]:
    """How many events were dispatched by each release."""
    ends = [each.event.end for each in told(stream)]
    return [bisect_right(ends, each.end) - bisect_right(ends, each.start) for each in came]


def heartbeats_together(stream: Exchange, pause: float) -> Finding | None:
    """Heartbeats come in a silence, one after each while: several at once, after `pause` seconds of nothing,
    were held back."""
    arrivals = stream.arrivals
    times = [each.left_server for each in arrivals]
    for index in range(len(arrivals) - FEWEST + 1):
        row = arrivals[index : index + FEWEST]
        said = _said(row[0])
        if not said or any(each.role is not Role.HEARTBEAT or _said(each) != said for each in row):
            continue
        if row[-1].left_server - row[0].left_server > INSTANT:
            continue
        earlier = bisect_left(times, row[0].left_server - INSTANT)
        silence = row[0].left_server - (times[earlier - 1] if earlier else stream.requested.time)
        if silence >= pause:
            return Finding(
                f"{FEWEST} heartbeats came at once on connection {stream.name}, after {silence:.3f} s of "
                "silence: they were held back",
                tuple(
                    evidence_at(each.left_server, stream.name, offset=_offset(each), excerpt=said)
                    for each in row
                ),
            )
    return None


def _said(arrival: Arrival) -> str:
    """What a heartbeat says, padding aside."""
    match arrival.item:
        case Comment(text=text):
            return text.strip()[:40]
        case Event(type=type):
            return type[:40]
        case _:
            return ""


def _offset(arrival: Arrival) -> int:
    return arrival.item.offset


def torn_events(stream: Exchange, came: Sequence[Release], pause: float) -> Finding | None:
    """Nobody makes half an event and the rest `pause` seconds later: where that happens again and again, after
    as many bytes each time, with several events in between, a buffer is full."""
    edges = [(before, after) for before, after in pairwise(came) if after.began - before.ended >= pause]
    torn = _torn(stream, [before.end for before, _ in edges])
    if len(torn) < 2:
        return None
    size = buffer_size(came, came[1]).size
    counts = events_in(stream, came)[:-1]
    if median(counts) < FEWEST or not all(_is_full(each, size) for each in came[1:-1]):
        return None
    return Finding(
        f"events on connection {stream.name} came in bursts of about {median(counts):g}, torn at the edges, as "
        f"if a buffer of about {size} bytes held them back",
        tuple(
            evidence_at(
                after.began,
                stream.name,
                offset=before.end,
                excerpt=excerpt(torn[before.end]),
                expected="an event in one piece",
                actual=f"its rest came {after.began - before.ended:.3f} s later",
            )
            for before, after in [edge for edge in edges if edge[0].end in torn][:FEWEST]
        ),
    )


def _is_full(release: Release, size: int) -> bool:
    """Whether so many bytes are one or more blocks of about this size."""
    length = release.end - release.start
    blocks = max(1, round(length / size))
    return abs(length - blocks * size) <= _ALIKE * size * blocks


def _torn(stream: Exchange, offsets: Iterable[int]) -> dict[int, EventArrival]:
    """The events that these places in the body tear in two."""
    events = told(stream)
    ends = [each.event.end for each in events]
    found: dict[int, EventArrival] = {}
    for offset in offsets:
        index = bisect_right(ends, offset)
        if index < len(events) and events[index].event.offset < offset:
            found[offset] = events[index]
    return found


def blocks_at_the_end(stream: Exchange, came: Sequence[Release], pause: float) -> Finding | None:
    """Nothing for `pause` seconds, then all of a stream at once, in equal blocks that tear events, and its end."""
    events = told(stream)
    if not came or len(events) <= FEWEST:
        return None
    last = came[-1]
    silence = last.began - (came[-2].ended if len(came) > 1 else stream.requested.time)
    block = _block(last.sizes)
    if (
        block is None
        or silence < max(pause, 5 * (last.ended - last.began))
        or events_in(stream, came)[-1] < _MOST * len(events)
        or stream.how != "complete"
        or stream.ended is None
        or stream.ended.time - last.ended > PAUSE
        or not _torn(stream, [last.start + block * count for count in range(1, len(last.sizes))])
    ):
        return None
    return Finding(
        f"{events_in(stream, came)[-1]} of {len(events)} events on connection {stream.name} came at once after "
        f"{silence:.3f} s of silence, in blocks that tear events, and then the stream ended, as if a buffer of about "
        f"{block} bytes held them back",
        (
            evidence_at(
                last.began,
                stream.name,
                offset=last.start,
                excerpt=excerpt(events[0]),
                expected="each event when it is made",
                actual=f"pieces of {', '.join(str(size) for size in last.sizes[:8])} bytes",
            ),
        ),
    )
