"""Faults that understand event streams: where in the raw bytes a link shall act.

The link knows bytes and time only. A trigger reads the response that passes, and answers with the index at
which the fault's moment comes. Names, as a plan says them:

`events` (argument n): right after the n-th event.
`mid-event` (argument n): in the middle of the event after the n-th.
`completion`: right after the event that completes the work, as the dialect has it.
`mid-head`: a few bytes into the head of the response.
`request`: right after the head of the request; for faults of the upstream direction.
"""

from collections.abc import Callable
from typing import TypeAlias

from conformance.dialect import Dialect, Role, classify, parse
from conformance.wire import Decoder, Event
from conformance.wire.framing import BodyFinder
from fault_injection.triggers import TriggerFactory

Wanted: TypeAlias = Callable[[int, Event], bool]


class EventTrigger:
    """Acts right after the first event that is wanted; TLS hides events, so there it never acts."""

    def __init__(self, wanted: Wanted) -> None:
        self._wanted = wanted
        self._finder = BodyFinder()
        self._decoder = Decoder()
        self._count = 0

    def feed(self, data: bytes) -> int | None:
        """The index in `data` right after the wanted event, or None."""
        for index, piece in self._finder.feed(data):
            before = self._decoder.offset
            for item in self._decoder.feed(piece):
                if isinstance(item, Event):
                    self._count += 1
                    if self._wanted(self._count, item):
                        return index + item.end - before
        return None


class MidEventTrigger:
    """Acts in the first line of the event that follows the n-th one; comments between them are passed over."""

    def __init__(self, count: int) -> None:
        self._finder = BodyFinder()
        self._decoder = Decoder()
        self._left = count
        self._into = 0  # bytes of the event so far
        self._in_comment = False

    def feed(self, data: bytes) -> int | None:
        """The index in `data` a few bytes into the event, or None."""
        for index, piece in self._finder.feed(data):
            start = self._past_the_last(piece) if self._left else 0
            if start is not None and (cut := self._into_the_next(piece, start)) is not None:
                return index + cut
        return None

    def _past_the_last(self, piece: bytes) -> int | None:
        """The index in `piece` right after the n-th event."""
        before = self._decoder.offset
        for item in self._decoder.feed(piece):
            if isinstance(item, Event):
                self._left -= 1
                if self._left == 0:
                    return item.end - before
        return None

    def _into_the_next(self, piece: bytes, start: int) -> int | None:
        for at in range(start, len(piece)):
            if self._into == _INTO_THE_EVENT:
                return at
            byte = piece[at : at + 1]
            if self._into:
                self._into += 1
            elif byte in _LINE_ENDS:
                self._in_comment = False
            elif byte == b":":
                self._in_comment = True
            elif not self._in_comment:
                self._into = 1
        return None


class RequestTrigger:
    """Acts right after the head of the first request (RFC 9112, section 2.1)."""

    def __init__(self) -> None:
        self._tail = b""

    def feed(self, data: bytes) -> int | None:
        """The index in `data` right after the empty line, or None."""
        joined = self._tail + data
        end = joined.find(b"\r\n\r\n")
        if end >= 0:
            return end + 4 - len(self._tail)
        self._tail = joined[-3:]
        return None


class HeadTrigger:
    """Acts a few bytes into what the server answers, before any head can end."""

    def __init__(self) -> None:
        self._left = _INTO_THE_HEAD

    def feed(self, data: bytes) -> int | None:
        """The index in `data` a few bytes into the response, or None."""
        if len(data) >= self._left:
            return self._left
        self._left -= len(data)
        return None


_INTO_THE_HEAD = 12  # bytes: "HTTP/1.1 200"; a status line has more (RFC 9112, section 4)
_INTO_THE_EVENT = 5  # bytes: past the field's name, before anything dispatches
_LINE_ENDS = (b"\n", b"\r")


def triggers(dialect: Dialect) -> dict[str, TriggerFactory]:
    """The triggers that a plan may name, for streams of this dialect."""

    def after_events(argument: str | int | None) -> EventTrigger:
        wanted = _count(argument, least=1)
        return EventTrigger(lambda count, _: count == wanted)

    def mid_event(argument: str | int | None) -> MidEventTrigger:
        return MidEventTrigger(_count(argument))

    def at_completion(_: str | int | None) -> EventTrigger:
        return EventTrigger(lambda _, event: classify(dialect, parse(event)) is Role.COMPLETION)

    return {
        "events": after_events,
        "mid-event": mid_event,
        "completion": at_completion,
        "mid-head": lambda _: HeadTrigger(),
        "request": lambda _: RequestTrigger(),
    }


def _count(argument: str | int | None, least: int = 0) -> int:
    if not isinstance(argument, int) or argument < least:
        raise ValueError(
            f"the trigger wants a count of events, {least} or more, as its argument, not {argument!r}"
        )
    return argument
