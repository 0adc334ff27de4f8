"""A client of event streams that loses nothing and waits for the end: `async with connect(...) as events`.

Source: WHATWG HTML, sections 9.2.2 to 9.2.4. Beyond what the standard asks, it drops what a resumed stream
sends twice, takes silence for a broken connection, and knows when a stream is complete.
"""

import random
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from hashlib import blake2b
from typing import TypeAlias

import httpx
import msgspec
import trio

from conformance.reference.background import open_background
from conformance.wire import DEFAULT_LIMIT, Decoder, Defect, Event, Reconnection, Violation

Recognise: TypeAlias = Callable[[Event], bool]

_BROKEN = (httpx.NetworkError, httpx.TimeoutException, httpx.RemoteProtocolError, httpx.ProxyError)


class StreamError(Exception):
    """The stream cannot be had, or not to its end; the message says why."""


class Rejected(StreamError):
    """What the server answers is no event stream. To try again would not help (WHATWG 9.2.3)."""


class GaveUp(StreamError):
    """Too many attempts in a row brought nothing new; the cause is the last one's."""


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """How a client follows a stream. Times in seconds.

    `completion` recognises the event that completes the stream, `end` the marker after it. Who has seen the
    completion waits for the server to close, `farewell` at most, so a server without end marker does as
    well; after the end marker, `linger` at most. It is the server that ends the stream: who leaves first may
    miss what follows. If the connection breaks between the two, the client goes back for the end marker.

    Before it connects again the client waits for the reconnection time: `retry`, until the stream sets
    another. It doubles with each further attempt that brings nothing new, is kept between `min_wait` and
    `max_wait`, and is shortened by a random part of the share `jitter`, so that not all clients come at once.
    """

    completion: Recognise | None = None
    end: Recognise | None = None
    farewell: float = 30.0
    linger: float = 1.0
    retry: float = 3.0
    min_wait: float = 0.05
    max_wait: float = 30.0
    jitter: float = 0.0
    attempts: int | None = None  # in a row that bring nothing new, until it gives up; None: never
    head: float = 10.0  # from the request to the response head
    silence: float = 60.0  # without a byte, until the connection is taken for dead
    limit: int = DEFAULT_LIMIT  # bytes of one event
    remember: int = 10_000  # ids of events, to know what comes twice


class EventSource:
    """A stream that is followed: `async for event in source`. Made by `connect`.

    Cancelling the wait for an event loses none. One event at most is held for a reader that is slow: the
    server feels it.
    """

    def __init__(
        self, url: str, client: httpx.AsyncClient, policy: Policy, rng: random.Random, last_event_id: str
    ) -> None:
        self.connections = 0  # how many times it has connected, or tried to
        self._url = url
        self._client = client
        self._policy = policy
        self._rng = rng
        self._last_event_id = last_event_id
        self._retry = policy.retry
        self._failures = 0  # attempts in a row that brought no new event
        self._completed = False
        self._done_by = float("inf")  # when not to wait for the server any longer
        self._ended = False  # the end marker was seen
        self._seen: dict[bytes, int] = {}  # hashed id -> the connection that brought it; oldest first
        self._error: StreamError | None = None
        self._into, self._events = trio.open_memory_channel[Event](0)

    def __aiter__(self) -> "EventSource":
        return self

    async def __anext__(self) -> Event:
        """The next event; its `last_event_id` is what a later client would resume by. Raises `StreamError`."""
        try:
            return await self._events.receive()
        except trio.EndOfChannel:
            if self._error:
                raise self._error from self._error.__cause__
            raise StopAsyncIteration from None

    async def follow(self) -> None:
        """Read the stream, over as many connections as it takes, to its end."""
        async with self._into:
            try:
                while True:
                    if await self._attempt():
                        return
                    await trio.sleep(self._wait())
            except StreamError as error:
                self._error = error
            except (httpx.HTTPError, httpx.InvalidURL) as error:  # a request that cannot even be made
                self._error = StreamError(f"{self._url}: {error}")
                self._error.__cause__ = error

    async def _attempt(self) -> bool:
        """Connect and read. True: the stream is at its end; False: it has to be resumed."""
        self.connections += 1
        self._failures += 1  # until it brings an event that is new
        broken: Exception | None = None
        try:
            with trio.fail_after(self._policy.head):
                response = await self._client.send(self._request(), stream=True)
            async with aclosing(response):
                if response.status_code == httpx.codes.NO_CONTENT:
                    return True
                self._check(response)
                await self._read(response)
        except (*_BROKEN, trio.TooSlowError) as error:
            broken = error
        if self._ended or trio.current_time() >= self._done_by:
            return True
        if self._completed and (broken is None or self._policy.end is None):
            return True
        if self._failures == self._policy.attempts:
            raise GaveUp(f"{self._failures} attempts at {self._url} in a row brought nothing new") from broken
        return False

    def _request(self) -> httpx.Request:
        headers = {"Accept": "text/event-stream", "Accept-Encoding": "identity", "Cache-Control": "no-store"}
        request = self._client.build_request("GET", self._url, headers=headers)
        if self._last_event_id:
            request.headers["Last-Event-ID"] = self._last_event_id
        return request

    def _check(self, response: httpx.Response) -> None:
        content_type = response.headers.get("content-type", "")
        coding = response.headers.get("content-encoding", "identity")
        if response.status_code != httpx.codes.OK:
            raise Rejected(f"{self._url} answers {response.status_code} and not 200")
        if content_type.partition(";")[0].strip().lower() != "text/event-stream":
            raise Rejected(f"{self._url} answers with {content_type!r} and not text/event-stream")
        if coding != "identity":
            raise Rejected(f"{self._url} answers in the coding {coding!r}, which was not asked for")

    async def _read(self, response: httpx.Response) -> None:
        """Hand on the events of one response. Raises `trio.TooSlowError` where it falls silent."""
        decoder = Decoder(limit=self._policy.limit, last_event_id=self._last_event_id)
        body = response.aiter_raw()
        try:
            while True:
                now = trio.current_time()
                with trio.fail_at(min(now + self._policy.silence, self._done_by)):
                    chunk = await anext(body, None)
                if chunk is None:
                    return
                for item in decoder.feed(chunk):
                    if isinstance(item, Event):
                        await self._deliver(item)
                    elif isinstance(item, Reconnection):
                        self._retry = item.milliseconds / 1000
                    elif isinstance(item, Violation) and item.defect is Defect.TOO_LARGE:
                        raise StreamError(f"{self._url}: {item.message}")
                self._last_event_id = decoder.last_event_id
        finally:
            await _finish(body)

    async def _deliver(self, event: Event) -> None:
        if event.id and self._is_repeated(event.id):
            return
        self._failures = 0
        offered = trio.current_time()
        await self._into.send(event)
        self._done_by += trio.current_time() - offered  # the time that the reader takes is not the server's
        if self._policy.end and self._policy.end(event):
            self._ended = True
            self._done_by = min(self._done_by, trio.current_time() + self._policy.linger)
        elif self._policy.completion and self._policy.completion(event):
            self._completed = True
            self._done_by = min(self._done_by, trio.current_time() + self._policy.farewell)

    def _is_repeated(self, id: str) -> bool:
        """Whether an earlier connection brought the event. Within one, events may share an id."""
        key = blake2b(id.encode(), digest_size=16).digest()  # an id may be long
        brought_by = self._seen.setdefault(key, self.connections)
        if len(self._seen) > self._policy.remember:
            del self._seen[next(iter(self._seen))]
        return brought_by != self.connections

    def _wait(self) -> float:
        """Seconds until the next attempt."""
        policy = self._policy
        wait = max(self._retry, policy.min_wait) * 2.0 ** min(max(self._failures - 1, 0), 32)
        return min(wait, policy.max_wait) * (1 - policy.jitter * self._rng.random())


@asynccontextmanager
async def connect(
    url: str,
    *,
    client: httpx.AsyncClient,
    policy: Policy = Policy(),  # noqa: B008  (frozen)
    rng: random.Random | None = None,
    last_event_id: str = "",
) -> AsyncIterator[EventSource]:
    """Follow the event stream at `url` while the block runs; leaving it leaves no task and no connection.

    `client` makes the connections; it should have no read timeout of its own. `rng` (None: seeded with 0) is
    for the jitter. `last_event_id` resumes where an earlier client was.
    """
    source = EventSource(url, client, policy, rng or random.Random(0), last_event_id)
    async with open_background() as nursery:
        nursery.start_soon(source.follow)
        yield source
        nursery.cancel_scope.cancel()


async def _finish(body: AsyncIterator[bytes]) -> None:
    """End an iteration of httpx, at whatever point it is.

    It runs through nested generators: closing the outer one would leave the others to the garbage collector.
    Cancelled at the innermost, where it receives, they all end.
    """
    with trio.CancelScope() as scope, suppress(httpx.HTTPError):
        scope.cancel()
        async for _ in body:
            pass
