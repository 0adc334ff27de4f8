"""A history as rules read it: exchanges with their arrivals, derived from the records and nothing else."""

import json
import zlib
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import Any, Literal

import msgspec

from conformance.config import Limits, bind_dialect
from conformance.dialect import Dialect, Parsed, Role, classify, in_scope, parse, parse_json
from conformance.history.records import (
    VERSION,
    Began,
    Chunk,
    Concluded,
    Connected,
    Ended,
    Fired,
    Gauge,
    Head,
    Mark,
    Record,
    Relayed,
    Requested,
    Terms,
)
from conformance.wire import Comment, Decoder, Event, Item, Reconnection, Violation

_LINK_FULL = 32 * 1024  # bytes, half of what a link takes before it lets the server wait
_LINES_PER_ITEM = 8  # empty lines make no items, and take their time to decode
_PIECE = 1 << 16  # bytes of decoded body at a time
_CODINGS = frozenset({"gzip", "x-gzip", "deflate"})
_HEADER = 2  # bytes of zlib's
_LONGEST_LINE = 16 * 2**20  # bytes; a record is a piece of a response, a head or a request
_LARGEST_FILE = 256 * 2**20  # bytes


class HistoryError(ValueError):
    """A file is not a history that this version reads; the message says which line and why."""


@dataclass(frozen=True)
class Arrival:
    """An item of the stream and the moment (seconds) at which its last byte reached the harness.

    `at_link` is the moment at which that byte reached the link from the server, where there was a link that
    could tell; the server answers for that moment, the link for the rest. `answers`: see `Exchange.rpc_ids`.
    """

    time: float
    parsed: Parsed
    role: Role | None = None
    at_link: float | None = None
    answers: tuple[str | int, ...] = ()

    @property
    def item(self) -> Item:
        return self.parsed.item

    @property
    def left_server(self) -> float:
        """When the server had sent it, as near as anybody saw: at the link, or else here."""
        return self.time if self.at_link is None else self.at_link


@dataclass(frozen=True)
class EventArrival(Arrival):
    """An event that was dispatched."""

    @property
    def event(self) -> Event:
        item = self.parsed.item
        assert isinstance(item, Event)
        return item


@dataclass(frozen=True)
class Exchange:
    """One request and what came of it. `opening` is the request that opened the stream that is asked for: this one,
    unless a subscriber comes back by another."""

    requested: Requested
    opening: Requested
    connected: Connected | None
    head: Head | None
    chunks: tuple[Chunk, ...]
    ended: Ended | None
    relayed: tuple[Relayed, ...]
    fired: tuple[Fired, ...]
    dialect: Dialect
    limits: Limits

    @property
    def name(self) -> str:
        return self.requested.exchange

    @property
    def how(self) -> str:
        """How it ended; "open" where the history stops before."""
        return self.ended.how if self.ended else "open"

    @cached_property
    def headers(self) -> dict[str, list[str]]:
        """The response's headers: lower-case name to values in order."""
        found: dict[str, list[str]] = {}
        for name, value in self.head.headers if self.head else ():
            found.setdefault(name.lower(), []).append(value)
        return found

    def header(self, name: str) -> str | None:
        """The response's header of this name, several joined by a comma; None where it is missing."""
        values = self.headers.get(name.lower())
        return None if values is None else ", ".join(values)

    @property
    def media_type(self) -> str:
        """The response's media type in lower case, without its parameters; "" where there is none."""
        return (self.header("content-type") or "").partition(";")[0].strip().lower()

    def request_header(self, name: str) -> str | None:
        """The request's header of this name, or None."""
        wanted = name.lower()
        return next((value for key, value in self.requested.headers if key.lower() == wanted), None)

    @property
    def came_with(self) -> str | None:
        """The last event ID that the subscriber came back with; None: it came with none."""
        if self.requested.last_event_id is not None:
            return self.requested.last_event_id
        value = self.request_header("last-event-id")  # sent as UTF-8, recorded byte by byte
        return None if value is None else value.encode("latin-1", "replace").decode("utf-8", "replace")

    @cached_property
    def pieces(self) -> tuple[tuple[float, bytes], ...]:
        """The body as it arrived: (time, bytes), with gzip and deflate undone, at most `limits.body` bytes."""
        return tuple(_decoded(self.chunks, self.header("content-encoding"), self.limits.body))

    @cached_property
    def body(self) -> bytes:
        """The whole body."""
        return b"".join(data for _, data in self.pieces)

    @cached_property
    def json(self) -> Any:
        """The body as JSON, or None where it is none."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            return None

    @cached_property
    def rpc_ids(self) -> tuple[str | int, ...]:
        """The ids of the JSON-RPC requests that this stream may answer: this one's, and that of the one that opened it.
        An answer repeats the id (JSON-RPC 2.0, section 5), so it differs between subscribers of one stream."""
        asked = dict.fromkeys((self.requested.body, self.opening.body))
        return tuple(found for body in asked if (found := _rpc_id(body)) is not None)

    @cached_property
    def is_event_stream(self) -> bool:
        """Whether a client would read the response as an event stream: status 200 and the right type."""
        return self.head is not None and self.head.status == 200 and self.media_type == "text/event-stream"

    @cached_property
    def arrivals(self) -> tuple[Arrival, ...]:
        """Everything that the decoder found in the body, in order, with the time of its last byte; not much more
        than `limits.events` items."""
        decoder = Decoder(limit=self.limits.body)
        found: list[Arrival] = []
        lines = _LINES_PER_ITEM * self.limits.events
        last = self.head.time if self.head else self.requested.time
        for time, data in self.pieces:
            if len(found) > self.limits.events or lines < 0:  # a few coded bytes can hold millions
                return tuple(found)
            lines -= data.count(b"\n") + data.count(b"\r")
            found.extend(self._arrival(time, item) for item in decoder.feed(data))
            last = time
        if self.how in {"complete", "truncated", "reset"}:
            last = self.ended.time if self.ended else last
            found.extend(self._arrival(last, item) for item in decoder.close())
        return tuple(found)

    @cached_property
    def all_events(self) -> tuple[EventArrival, ...]:
        """The events that were dispatched, those of other streams on the same bus included."""
        return tuple(each for each in self.arrivals if isinstance(each, EventArrival))

    @cached_property
    def events(self) -> tuple[EventArrival, ...]:
        """The events of this stream that were dispatched (`dialect.scope` tells which)."""
        if self.dialect.scope is None:
            return self.all_events
        return tuple(each for each in self.all_events if in_scope(self.dialect, each.parsed))

    @cached_property
    def told(self) -> tuple[EventArrival, ...]:
        """The events of this stream but for heartbeats, which belong to the connection."""
        return tuple(each for each in self.events if each.role is not Role.HEARTBEAT)

    def having(self, *roles: Role) -> tuple[Arrival, ...]:
        """What arrived in one of these roles: events of this stream, and comments."""
        found = tuple(each for each in self.arrivals if each.role in roles)
        if self.dialect.scope is None or not found:
            return found
        ours = {id(each) for each in self.events}
        return tuple(each for each in found if id(each) in ours or not isinstance(each, EventArrival))

    @cached_property
    def completed(self) -> Arrival | None:
        """The first event that said the work is over, well or not."""
        return next(iter(self.having(Role.COMPLETION, Role.FAILURE)), None)

    @cached_property
    def comments(self) -> tuple[Arrival, ...]:
        return tuple(each for each in self.arrivals if isinstance(each.item, Comment))

    @cached_property
    def violations(self) -> tuple[Arrival, ...]:
        return tuple(each for each in self.arrivals if isinstance(each.item, Violation))

    @cached_property
    def reconnections(self) -> tuple[Arrival, ...]:
        return tuple(each for each in self.arrivals if isinstance(each.item, Reconnection))

    @property
    def held_up(self) -> bool:
        """Whether the link was full at times, so that the server may have had to wait."""
        return not all(self._read_freely)

    def _arrival(self, time: float, item: Item) -> Arrival:
        end = item.offset + 1 if isinstance(item, Violation) else item.end
        at_link = self._at_link(end)
        parsed = parse(item)
        kind = EventArrival if isinstance(item, Event) else Arrival
        return kind(time, parsed, classify(self.dialect, parsed), at_link, self.rpc_ids)

    @cached_property
    def _relayed_ends(self) -> list[int]:
        return [relayed.end for relayed in self.relayed]

    def _at_link(self, end: int) -> float | None:
        if not self.relayed or "content-encoding" in self.headers:
            return None
        index = bisect_left(self._relayed_ends, end)
        if index == len(self.relayed) or not self._read_freely[index]:
            return None
        return self.relayed[index].time

    @cached_property
    def _read_freely(self) -> tuple[bool, ...]:
        """For each time that bytes reached the link: whether it was ready for them. A link that holds as much as it
        takes lets the server wait, and then it is not the server that is late."""
        found: list[bool] = []
        chunks = iter(self.chunks)
        chunk, passed_on, at_link = next(chunks, None), 0, 0
        for relayed in self.relayed:
            while chunk is not None and chunk.time <= relayed.time:
                passed_on += len(chunk.data)
                chunk = next(chunks, None)
            found.append(at_link - passed_on < _LINK_FULL)
            at_link = relayed.end
        return tuple(found)


def _rpc_id(body: str) -> str | int | None:
    if '"jsonrpc"' not in body:
        return None
    asked = parse_json(body)
    found = asked.get("id") if isinstance(asked, dict) else None
    return found if isinstance(found, str | int) else None


@dataclass(frozen=True)
class History:
    """One scenario's record. `cut` says that its file stops before the end: the run was killed, or still is
    under way."""

    records: tuple[Record, ...]
    cut: bool = False

    @property
    def began(self) -> Began:
        first = self.records[0]
        assert isinstance(first, Began)
        return first

    @property
    def terms(self) -> Terms:
        return self.began.terms

    @property
    def scenario(self) -> str:
        return self.began.scenario

    @property
    def concluded(self) -> Concluded | None:
        last = self.records[-1]
        return last if isinstance(last, Concluded) else None

    @cached_property
    def duration(self) -> float:
        """Seconds from the first record to the last."""
        return max(record.time for record in self.records) - self.began.time

    @cached_property
    def exchanges(self) -> tuple[Exchange, ...]:
        """All requests, in the order in which they were made."""
        grouped: dict[str, list[Record]] = {}
        for record in self.records:
            if name := self._exchange_of(record):
                grouped.setdefault(name, []).append(record)
        asked = {each.exchange: each for each in reversed(self.records) if isinstance(each, Requested)}
        return tuple(
            _exchange(records, asked[name], asked.get(asked[name].opened, asked[name]), self.terms)
            for name, records in grouped.items()
            if name in asked
        )

    def _exchange_of(self, record: Record) -> str:
        """The exchange that a record belongs to; what a link saw belongs to whoever had that address then."""
        if isinstance(record, Relayed | Fired):
            owners = self._owners.get(record.peer, ())
            earlier = [each for each in owners if each.time <= record.time]
            return earlier[-1].exchange if earlier else owners[0].exchange if owners else ""
        return getattr(record, "exchange", "")

    @cached_property
    def _owners(self) -> dict[str, list[Connected]]:
        owners: dict[str, list[Connected]] = {}
        for record in self.records:
            if isinstance(record, Connected):
                owners.setdefault(record.local, []).append(record)
        return owners

    @cached_property
    def streams(self) -> tuple[Exchange, ...]:
        """The exchanges that asked for the event stream."""
        return tuple(each for each in self.exchanges if each.requested.purpose == "stream")

    @cached_property
    def cancels(self) -> tuple[Exchange, ...]:
        """The requests to cancel, in order."""
        return tuple(each for each in self.exchanges if each.requested.purpose == "cancel")

    @cached_property
    def subscribers(self) -> dict[str, tuple[Exchange, ...]]:
        """Each subscriber's connections, in order."""
        found: dict[str, list[Exchange]] = {}
        for each in self.streams:
            found.setdefault(each.requested.subscriber, []).append(each)
        return {name: tuple(exchanges) for name, exchanges in found.items()}

    @cached_property
    def marks(self) -> tuple[Mark, ...]:
        return tuple(record for record in self.records if isinstance(record, Mark))

    @cached_property
    def fired(self) -> tuple[Fired, ...]:
        return tuple(record for record in self.records if isinstance(record, Fired))

    @property
    def unowned_faults(self) -> tuple[Fired, ...]:
        """Faults that hit no exchange that got as far as a connection, e.g. a refusal."""
        return tuple(fired for fired in self.fired if not self._exchange_of(fired))

    @cached_property
    def gauges(self) -> tuple[Gauge, ...]:
        return tuple(record for record in self.records if isinstance(record, Gauge))

    def exchange(self, name: str) -> Exchange | None:
        return next((each for each in self.exchanges if each.name == name), None)

    def marked(self, what: str) -> tuple[Mark, ...]:
        """The marks of this kind."""
        return tuple(mark for mark in self.marks if mark.what == what)

    def on(self, terms: Terms) -> "History":
        """The same record, to be judged on other terms."""
        began = msgspec.structs.replace(self.began, terms=terms)
        return History((began, *self.records[1:]), self.cut)


def history(records: Iterable[Record], *, cut: bool = False) -> History:
    """A history of these records, in the order of their times. Raises `HistoryError` without a `Began`."""
    listed = list(records)
    if not listed or not isinstance(listed[0], Began):
        raise HistoryError("a history starts with its `began` record")
    first, rest = listed[0], listed[1:]
    last = [rest.pop()] if rest and isinstance(rest[-1], Concluded) else []
    return History((first, *sorted(rest, key=lambda record: record.time), *last), cut)


def load(path: Path) -> History:
    """Read a history. Where a kill cut it off everything before is kept, but a last line without its end is left
    out; `cut` says so.

    Raises `HistoryError` where the file is no history or is larger than any (a line over 16 MiB, or 256 MiB in
    all: it may be a device that never ends), `OSError` where it cannot be read.
    """
    decoder = msgspec.json.Decoder(Record)
    records: list[Record] = []
    whole = True
    for number, line in enumerate(_lines(path), 1):
        whole = line.endswith(b"\n")
        if not whole:
            break
        if number == 1:
            _check_version(path, line)
        try:
            records.append(decoder.decode(line))
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise HistoryError(f"{path}, line {number}: not a record of a history: {error}") from error
        if isinstance(records[-1], Began) and number > 1:
            raise HistoryError(f"{path}, line {number}: a second `began` record: a file holds one history")
    if not records:
        raise HistoryError(f"{path}: empty" if whole else f"{path}: not a history: it has no whole line")
    return history(records, cut=not whole or not isinstance(records[-1], Concluded))


def _lines(path: Path) -> Iterator[bytes]:
    """The lines of a file, each with its end; of what is too large none, or those before. Raises `HistoryError`."""
    size = 0
    with path.open("rb") as file:
        for number in count(1):
            line = file.readline(_LONGEST_LINE)
            if not line:
                return
            size += len(line)
            if len(line) == _LONGEST_LINE:
                raise HistoryError(f"{path}: not a history: line {number} has {_LONGEST_LINE} bytes or more")
            if size > _LARGEST_FILE:
                raise HistoryError(
                    f"{path}: larger than {_LARGEST_FILE} bytes, which is the most that is read"
                )
            yield line


class _First(msgspec.Struct):
    """What every version's first line has."""

    record: Literal["began"]
    version: int = VERSION


def _check_version(path: Path, line: bytes) -> None:
    """Before anything else is read: what a newer version holds cannot be read, and that is what to say."""
    try:
        first = msgspec.json.decode(line, type=_First)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise HistoryError(f"{path}: not a history: its first line is no `began` record") from error
    if first.version > VERSION:
        raise HistoryError(
            f"{path}: version {first.version} of the format; this sse-conformance reads up to {VERSION}"
        )


def _exchange(records: Sequence[Record], requested: Requested, opening: Requested, terms: Terms) -> Exchange:
    def first(kind: type[Any]) -> Any:
        return next((record for record in records if isinstance(record, kind)), None)

    return Exchange(
        requested=requested,
        opening=opening,
        connected=first(Connected),
        head=first(Head),
        chunks=tuple(record for record in records if isinstance(record, Chunk)),
        ended=first(Ended),
        relayed=tuple(record for record in records if isinstance(record, Relayed)),
        fired=tuple(record for record in records if isinstance(record, Fired)),
        # the request that begins the work has no name for it yet, and its answer is no stream
        dialect=bind_dialect(terms.dialect, requested.names)
        if requested.purpose == "stream"
        else terms.dialect,
        limits=terms.limits,
    )


def _decoded(chunks: Iterable[Chunk], encoding: str | None, limit: int) -> Iterable[tuple[float, bytes]]:
    """Undo the content coding, chunk by chunk, and stop at `limit` bytes: a small chunk may hold gigabytes."""
    coding = (encoding or "identity").strip().lower()
    if coding not in _CODINGS:
        yield from ((chunk.time, chunk.data) for chunk in chunks)
        return
    inflate, first, left = None, b"", limit
    for chunk in chunks:
        coded, first = first + chunk.data, b""
        if inflate is None and len(coded) < _HEADER:
            first = coded
            continue
        while coded and left > 0:
            if inflate is None or inflate.eof:
                inflate = zlib.decompressobj(wbits=_window(coding, coded))
            try:
                data = inflate.decompress(coded, min(left, _PIECE))
            except zlib.error:
                return  # not what the header says: `http.compression` has its say
            coded = inflate.unused_data if inflate.eof else inflate.unconsumed_tail
            if coding == "deflate" and inflate.eof:
                left = 0
            left -= len(data)
            if data:
                yield chunk.time, data


def _window(coding: str, coded: bytes) -> int:
    """What zlib has to expect. Gzip may go on with another member (RFC 1952, section 2.2); deflate should begin
    with zlib's header (RFC 1950, section 2.2), and with many servers does not."""
    if coding != "deflate":
        return zlib.MAX_WBITS | 16
    has_header = coded[0] & 0x0F == 8 and int.from_bytes(coded[:_HEADER], "big") % 31 == 0
    return zlib.MAX_WBITS if has_header else -zlib.MAX_WBITS
