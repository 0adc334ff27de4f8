"""One subscription: opens the stream, writes down what arrives, and lets a scenario wait for it and leave."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import httpx
import trio

from conformance.dialect import Dialect, Parsed, Role, classify, in_scope, parse, sequence_of, text_of
from conformance.drive.outcome import how_it_failed
from conformance.drive.reply import Reply, open_reply
from conformance.history import Chunk, Connected, Ended, Head, How, Mark, Recorder
from conformance.transport import Route
from conformance.wire import Decoder, Event, Reconnection
from fault_injection.network import Connection, Network

_LINES_PER_ITEM = 4  # empty lines make no items, and take their time to decode
_PIECES_PER_ITEM = 10  # chunks of one byte would fill the memory long before `limits.body` bytes are there

Reading: TypeAlias = Callable[[Parsed], Dialect]
Heard: TypeAlias = Callable[[Parsed, Role | None], None]


@dataclass(frozen=True)
class Patience:
    """How long a subscriber waits, in seconds, and how much it takes: bytes, and items of the stream.

    `watch` counts from the request: then an endless stream has been seen enough, or, where `completes`, a
    completion is overdue. `close` is the wait for the end of the response after the completion; a stream that
    does not terminate is left then.
    """

    head: float
    watch: float
    close: float
    body: int
    items: int
    completes: bool
    terminates: bool | None


class Subscription:
    """A subscriber's connection while it lives. A scenario reads its fields, waits on it, and leaves.

    `reading` answers with the dialect to read an item by; it is asked for every item, so it may learn. `heard`
    is told of every item and its role.
    """

    def __init__(
        self,
        exchange: str,
        request: httpx.Request,
        *,
        network: Network,
        recorder: Recorder,
        reading: Reading,
        patience: Patience,
        route: Route | None,
        heard: Heard | None = None,
        leave_at_completion: bool = False,
        leave_at_request: bool = False,
        last_event_id: str = "",
        by_sequence: bool = False,
        verify: bool = True,
    ) -> None:
        self.exchange = exchange
        self.sent = False  # the whole request has been sent
        self.status: int | None = None
        self.refused = False  # 4xx, or no event stream though the status is 200: an error of JSON-RPC
        self.events: list[Event] = []
        self.completed = False
        self.end_seen = False
        self.reconnection_time: float | None = None  # seconds, if the stream set it
        self.how: How | None = None
        self._request = request
        self._network = network
        self._recorder = recorder
        self._reading = reading
        self._patience = patience
        self._route = route
        self._heard = heard
        self._leave_at_completion = leave_at_completion
        self._leave_at_request = leave_at_request
        self._verify = verify
        self._decoder = Decoder(limit=patience.body, last_event_id="" if by_sequence else last_event_id)
        self._sequence = last_event_id if by_sequence else None
        self._items = 0
        self._waiting: list[tuple[Callable[[Subscription], bool], trio.Event]] = []
        self._scope = trio.CancelScope()
        self._leaving: tuple[How, str] | None = None
        self._overdue: tuple[How, str] = ("timeout", "")
        self._connection: Connection | None = None
        self._reads_on = trio.Event()
        self._reads_on.set()

    @property
    def last_event_id(self) -> str:
        """The last event ID that a client would send when it reconnects now; where it says its last sequence instead
        (`target.resume`), that."""
        return self._decoder.last_event_id if self._sequence is None else self._sequence

    @property
    def ended(self) -> bool:
        return self.how is not None

    async def until(self, ready: Callable[["Subscription"], bool]) -> bool:
        """Wait until `ready` says so, or the exchange has ended. Answers whether `ready` held.

        It is asked whenever something has happened, before whoever waits can run.
        """
        if not ready(self) and not self.ended:
            waiting = (ready, trio.Event())
            self._waiting.append(waiting)
            try:
                await waiting[1].wait()
            finally:
                if waiting in self._waiting:
                    self._waiting.remove(waiting)
        return ready(self)

    async def head(self) -> bool:
        """Wait for the head of the response; False: the exchange ended without one."""
        return await self.until(lambda self: self.status is not None)

    async def saw(self, events: int) -> bool:
        """Wait for so many events; False: the exchange ended before."""
        return await self.until(lambda self: len(self.events) >= events)

    async def finished(self) -> How:
        """Wait for the end of the exchange."""
        await self.until(lambda self: self.ended)
        assert self.how is not None
        return self.how

    async def drop(self, *, reset: bool = False) -> None:
        """Leave now, by FIN, or by RST; returns when the connection is closed."""
        if not self.ended:
            self._mark("dropping", "by RST" if reset else "by FIN")
            if reset and self._connection is not None:
                self._connection.reset()
            self._leave("dropped", "the subscriber reset the connection" if reset else "the subscriber left")
        await self.finished()

    def stall(self) -> None:
        """Read nothing more and stay, as a suspended laptop does; what is being received just now still arrives."""
        if self._reads_on.is_set():
            self._mark("stalled", "reads nothing more")
            self._reads_on = trio.Event()

    def read_on(self) -> None:
        """The end of `stall`."""
        if not self._reads_on.is_set():
            self._mark("reading on", "")
            self._reads_on.set()

    async def run(self) -> None:
        """Drive the exchange to its end and record it. Never raises because of what the peer did."""
        ending: tuple[How, str] = ("complete", "")
        try:
            with self._scope:
                try:
                    ending = await self._exchange()
                except httpx.HTTPError as error:
                    ending = how_it_failed(error)
                except httpx.InvalidURL as error:
                    ending = ("protocol", f"redirected to an address that is no URL: {error}")
            if self._scope.cancelled_caught:
                ending = self._overdue
            how, detail = self._leaving or ending
            self._recorder.record(
                Ended(time=self._recorder.now(), exchange=self.exchange, how=how, detail=detail)
            )
            self.how = how
        finally:
            if self.how is None:  # interrupted: nobody shall wait for it, and the record stays open
                self.how = "dropped"
            self._notify()

    async def _exchange(self) -> tuple[How, str]:
        patience = self._patience
        started = trio.current_time()
        self._wait_until(started + patience.head, "unreachable", f"no connection within {patience.head:g} s")
        opened = open_reply(
            self._network,
            self._request,
            route=self._route,
            connected=self._on_connected,
            sent=self._on_sent,
            verify=self._verify,
        )
        async with opened as reply:
            self._on_head(reply)
            if patience.completes:
                overdue: tuple[How, str] = ("timeout", f"no completion within {patience.watch:g} s")
            else:
                overdue = ("watched", f"watched for {patience.watch:g} s")
            self._wait_until(started + patience.watch, *overdue)
            return await self._read(reply)

    async def _read(self, reply: Reply) -> tuple[How, str]:
        left, items = self._patience.body, self._patience.items
        pieces, lines = _PIECES_PER_ITEM * items, _LINES_PER_ITEM * items
        while (data := await self._next(reply)) is not None:
            if self._leaving is not None and self._leaving[0] == "body-limit":
                continue  # the cancellation comes with the next wait
            if data[:left]:
                self._on_data(data[:left])
            left -= len(data)
            pieces -= 1
            lines -= data.count(b"\n") + data.count(b"\r")
            if left < 0:
                self._overflow(f"{self._patience.body} bytes (limits.body)")
            elif self._items > items:
                self._overflow(f"{items} events (limits.events)")
            elif pieces < 0:
                self._overflow(f"{_PIECES_PER_ITEM} times {items} pieces (limits.events)")
            elif lines < 0:
                self._overflow(f"{_LINES_PER_ITEM} times {items} lines (limits.events)")
        return "complete", ""

    async def _next(self, reply: Reply) -> bytes | None:
        if not self._reads_on.is_set():  # the usual case costs nothing
            await self._reads_on.wait()
        return await reply.receive()

    def _overflow(self, what: str) -> None:
        if self._leaving is None:
            self._leave("body-limit", f"over {what}; the rest is not recorded")

    def _wait_until(self, deadline: float, how: How, detail: str) -> None:
        """From now on the exchange is ended at `deadline`, for this reason."""
        self._scope.deadline = deadline
        self._overdue = (how, detail)

    def _leave(self, how: How, detail: str) -> None:
        self._leaving = (how, detail)
        self._scope.cancel()

    def _on_connected(self, connection: Connection) -> None:
        self._connection = connection
        self._overdue = ("timeout", f"no response head within {self._patience.head:g} s")
        host, port = connection.local
        self._recorder.record(
            Connected(time=self._recorder.now(), exchange=self.exchange, local=f"{host}:{port}")
        )

    def _on_sent(self) -> None:
        self.sent = True
        if self._leave_at_request:
            self._mark("dropping", "as soon as the request was sent")
            self._leave("dropped", "the subscriber left before the head")
        self._notify()

    def _on_head(self, reply: Reply) -> None:
        head = head_of(self._recorder.now(), self.exchange, reply)
        self.status = head.status
        self.refused = 400 <= head.status < 500 or (head.status == 200 and not _is_stream(head))
        self._recorder.record(head)
        self._notify()

    def _on_data(self, data: bytes) -> None:
        self._recorder.record(Chunk.of(self._recorder.now(), self.exchange, data))
        for item in self._decoder.feed(data):
            self._on_item(parse(item))
        self._notify()

    def _on_item(self, parsed: Parsed) -> None:
        self._items += 1
        if isinstance(parsed.item, Event):
            self.events.append(parsed.item)
        elif isinstance(parsed.item, Reconnection):
            self.reconnection_time = parsed.item.milliseconds / 1000
        role = self._role(parsed)
        first = role is Role.END and not self.end_seen
        if self._heard is not None:
            self._heard(parsed, role)
        if role in {Role.COMPLETION, Role.FAILURE} and not self.completed:
            self.completed = first = True
            said = parsed.item.data if isinstance(parsed.item, Event) else ""
            self._mark("completion seen", self._recorder.excerpt(said))
            if self._leave_at_completion:
                self._mark("dropping", "at the completion")
                self._leave("dropped", "the subscriber left at the completion")
        elif role is Role.END:
            self.end_seen = True
        if first and role is not None:  # once: a stream that completes again and again must not last for ever
            close = self._patience.close
            if self._patience.terminates is False:
                self._wait_until(trio.current_time() + close, "watched", f"watched {close:g} s longer")
            else:
                self._wait_until(
                    trio.current_time() + close, "timeout", f"still open {close:g} s after the {role.value}"
                )

    def _role(self, parsed: Parsed) -> Role | None:
        dialect = self._reading(parsed)
        if not in_scope(dialect, parsed):
            return None
        if self._sequence is not None and (sequence := text_of(sequence_of(dialect, parsed))):
            self._sequence = sequence
        return classify(dialect, parsed)

    def _mark(self, what: str, detail: str) -> None:
        self._recorder.record(
            Mark(time=self._recorder.now(), what=what, exchange=self.exchange, detail=detail)
        )

    def _notify(self) -> None:
        for waiting in tuple(self._waiting):
            ready, event = waiting
            if self.ended or ready(self):
                self._waiting.remove(waiting)
                event.set()


def _is_stream(head: Head) -> bool:
    kinds = [value for name, value in head.headers if name.lower() == "content-type"]
    return ",".join(kinds).partition(";")[0].strip().lower() == "text/event-stream"


def head_of(time: float, exchange: str, reply: Reply) -> Head:
    """The record of a response's head, its headers as they came."""
    return Head(
        time=time,
        exchange=exchange,
        status=reply.status,
        reason=reply.reason.decode("ascii", "replace"),
        http_version=reply.http_version.decode("ascii", "replace"),
        headers=tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in reply.headers),
        url=reply.url,
    )
