"""Every way in which an exchange can end is told apart, by a server that ends it so."""

import errno
from typing import Any

import pytest
import trio
from drive_world import (
    CHUNKED,
    COMPLETE,
    STREAM_HEAD,
    Handler,
    answer,
    chunk,
    configured,
    driven,
    in_virtual_time,
    repeats,
    request_of,
    resets,
    says,
    serving,
    set_up,
    streamed,
    waits,
)

from conformance.config import Expect, Limits
from conformance.dialect import Dialect
from conformance.drive.scene import play
from conformance.drive.stage import Stage
from conformance.history import HARNESS_LOOKED, Requested
from conformance.scenarios import Scenario
from fault_injection.network import Connection
from fault_injection.virtual import VirtualNetwork

EVENT = b"data: 1\n\n"


@pytest.mark.parametrize(
    ("handle", "how", "detail"),
    [
        pytest.param(says(CHUNKED, chunk(EVENT + COMPLETE), b"0\r\n\r\n"), "complete", "", id="chunked"),
        pytest.param(says(STREAM_HEAD, b"\r\n", EVENT + COMPLETE), "complete", "", id="until the end"),
        pytest.param(says(answer(EVENT)), "complete", "", id="length"),
        pytest.param(says(answer(b"no", b"404 Not Found")), "complete", "", id="404"),
        pytest.param(says(CHUNKED, chunk(EVENT)), "truncated", "ended before", id="no last chunk"),
        pytest.param(says(answer(EVENT)[:-3]), "truncated", "ended before", id="too short"),
        pytest.param(says(), "truncated", "ended before", id="no response"),
        pytest.param(says(b"HTTP/1.1 200 OK\r\nConte"), "truncated", "ended before", id="half a head"),
        pytest.param(says(CHUNKED, chunk(EVENT), then=resets), "reset", "was reset", id="reset"),
        pytest.param(says(then=resets), "reset", "was reset", id="reset before the head"),
        pytest.param(says(then=waits), "timeout", "no response head within 2 s", id="no head"),
        pytest.param(says(CHUNKED, then=waits), "timeout", "no completion within 20 s", id="no completion"),
        pytest.param(
            says(CHUNKED, then=repeats(chunk(EVENT), 1)), "timeout", "no completion within 20 s", id="endless"
        ),
        pytest.param(
            says(CHUNKED, chunk(COMPLETE), then=waits),
            "timeout",
            "still open 3 s after the completion",
            id="not closed",
        ),
        pytest.param(
            says(CHUNKED, chunk(COMPLETE + b"event: stream_end\ndata\n\n"), then=waits),
            "timeout",
            "still open 3 s after the end",
            id="not closed after the end marker",
        ),
        pytest.param(
            says(CHUNKED, then=repeats(chunk(COMPLETE), 1)),
            "timeout",
            "still open 3 s after the completion",
            id="completes for ever",
        ),
        pytest.param(says(b"SSH-2.0-OpenSSH_9.6\r\n\r\n"), "protocol", "not HTTP/1.1", id="ssh"),
        pytest.param(
            says(b"HTTP/1.1 200 OK\r\nBad Header\r\n\r\n"), "protocol", "not HTTP/1.1", id="bad head"
        ),
        pytest.param(
            says(b"HTTP/1.1 200 OK\r\nincomplete chunked read\r\n\r\n"),
            "protocol",
            "not HTTP/1.1",
            id="words",
        ),
        pytest.param(says(CHUNKED, b"zz\r\n"), "protocol", "not HTTP/1.1", id="bad chunk"),
        pytest.param(
            says(b"HTTP/1.1 200 OK\r\nX: ", then=repeats(b"x" * 1000)),
            "protocol",
            "not HTTP/1.1",
            id="endless head",
        ),
        pytest.param(
            says(then=repeats(b"HTTP/1.1 100 Continue\r\n\r\n", 0.1)),
            "timeout",
            "no response head",
            id="endless interim responses",
        ),
        pytest.param(
            says(answer(b"", b"302 Found", b"Location: /events", b"Connection: close")),
            "protocol",
            "10 redirects",
            id="redirect loop",
        ),
        pytest.param(
            says(answer(b"", b"302 Found", b"Location: gopher://x/")),
            "protocol",
            "gopher",
            id="another protocol",
        ),
        pytest.param(
            says(answer(b"", b"302 Found", b"Location: http://h:99x/")),
            "protocol",
            "URL",
            id="redirect to nonsense",
        ),
        pytest.param(
            says(b"HTTP/1.1 302 Found\r\nLocation: /x\r\n\r\n", then=repeats(b"x" * 10_000)),
            "protocol",
            "a redirect with a body of more than 65536 bytes",
            id="redirect with an endless body",
        ),
    ],
)
@in_virtual_time
async def test_how(handle: Handler, how: str, detail: str) -> None:
    played = await driven(handle)
    (stream,) = played.streams
    assert (stream.how, detail in (stream.ended.detail if stream.ended else "?")) == (how, True), stream.ended
    assert played.concluded is not None
    assert (played.concluded.outcome, played.concluded.reason) == ("done", "")


@in_virtual_time
async def test_an_endless_stream_is_watched_for_a_while() -> None:
    stream = await streamed(
        says(CHUNKED, then=repeats(chunk(EVENT), 1)), configured(dialect=Dialect(), expect=Expect())
    )
    assert (stream.how, stream.ended and stream.ended.detail) == ("watched", "watched for 10 s")
    assert len(stream.events) == 10


@in_virtual_time
async def test_a_stream_that_goes_on_after_completion_is_watched_a_little_longer() -> None:
    stream = await streamed(
        says(CHUNKED, chunk(COMPLETE), then=repeats(chunk(EVENT), 1)),
        configured(expect=Expect(terminates=False)),
    )
    assert (stream.how, stream.ended and stream.ended.detail) == ("watched", "watched 3 s longer")
    assert stream.ended is not None
    assert stream.ended.time == pytest.approx(3, abs=0.1)


@in_virtual_time
async def test_nobody_listens() -> None:
    network = VirtualNetwork()

    async def drive(stage: Stage) -> None:
        async with stage.subscribe() as subscriber:
            await subscriber.finished()

    played = await play(set_up(network, "http://127.0.0.1:9"), Scenario("subscribe", "", drive))
    (stream,) = played.streams
    assert (stream.how, stream.ended and stream.ended.detail) == (
        "refused",
        "connection refused, nobody listens at this address",
    )
    assert stream.connected is None


class Unreachable(VirtualNetwork):
    """Connections that never come about, or fail like this."""

    def __init__(self, error: OSError | None) -> None:
        super().__init__()
        self.error = error

    async def connect(self, host: str, port: int) -> Any:
        if self.error is not None:
            raise self.error
        await trio.sleep_forever()


@pytest.mark.parametrize(
    ("error", "detail"),
    [
        (None, "no connection within 2 s"),
        (OSError(errno.EHOSTUNREACH, "No route to host"), "No route to host"),
        (OSError(-2, "Name or service not known"), "Name or service not known"),
    ],
)
@in_virtual_time
async def test_no_way_to_the_server(error: OSError | None, detail: str) -> None:
    async def drive(stage: Stage) -> None:
        async with stage.subscribe() as subscriber:
            await subscriber.finished()

    played = await play(set_up(Unreachable(error), "http://127.0.0.1:9"), Scenario("subscribe", "", drive))
    (stream,) = played.streams
    assert stream.how == "unreachable"
    assert stream.ended is not None
    assert detail in stream.ended.detail


@pytest.mark.parametrize("reset", [False, True])
@in_virtual_time
async def test_the_subscriber_leaves(reset: bool) -> None:
    left: list[str] = []

    async def see(connection: Connection) -> None:
        try:
            left.append("fin" if await connection.receive_some() == b"" else "?")
        except trio.BrokenResourceError:
            left.append("rst")

    async def drive(stage: Stage) -> None:
        async with stage.subscribe() as subscriber:
            assert await subscriber.saw(1)
            await subscriber.drop(reset=reset)
            assert subscriber.ended
        await trio.sleep(1)

    stream = await streamed(says(CHUNKED, chunk(EVENT), then=see), drive=drive)
    assert stream.how == "dropped"
    assert left == ["rst" if reset else "fin"]


@in_virtual_time
async def test_leaving_at_the_completion() -> None:
    async def drive(stage: Stage) -> None:
        async with stage.subscribe(leave_at_completion=True) as subscriber:
            await subscriber.finished()

    played = await driven(says(CHUNKED, chunk(EVENT + COMPLETE + EVENT), then=waits), drive=drive)
    assert played.streams[0].how == "dropped"
    assert [mark.what for mark in played.marks] == ["completion seen", "dropping", HARNESS_LOOKED]


@pytest.mark.parametrize(("size", "how"), [(4096, "complete"), (4097, "body-limit")])
@in_virtual_time
async def test_the_limit_of_bytes_is_exact(size: int, how: str) -> None:
    stream = await streamed(says(answer(b":" * size)), configured(limits=Limits(body=4096)))
    assert stream.how == how
    assert len(stream.body) == 4096
    if how == "body-limit":
        assert stream.ended is not None
        assert "over 4096 bytes (limits.body)" in stream.ended.detail


@in_virtual_time
async def test_too_many_events_and_too_many_pieces_end_it_too() -> None:
    limits = Limits(events=100, body=2**20)
    events = await streamed(says(CHUNKED, then=repeats(chunk(EVENT * 10))), configured(limits=limits))
    assert events.how == "body-limit"
    assert events.ended is not None
    assert "over 100 events (limits.events)" in events.ended.detail
    assert len(events.events) <= 120
    pieces = await streamed(says(CHUNKED, then=repeats(chunk(b":") * 100)), configured(limits=limits))
    assert pieces.how == "body-limit"
    assert pieces.ended is not None
    assert "over 10 times 100 pieces (limits.events)" in pieces.ended.detail
    assert len(pieces.chunks) <= 1001


@in_virtual_time
async def test_a_redirect_is_followed_and_said() -> None:
    async def handle(connection: Connection) -> None:
        assert b"GET /events" in await request_of(connection)
        await connection.send_all(answer(b"moved", b"307 Temporary", b"Location: /other"))
        assert b"GET /other" in await request_of(connection)
        await connection.send_all(CHUNKED + chunk(COMPLETE) + b"0\r\n\r\n")

    stream = await streamed(handle)
    assert stream.how == "complete"
    assert stream.head is not None
    assert stream.head.url.endswith("/other")
    assert stream.completed is not None


@in_virtual_time
async def test_what_is_sent_is_recorded_as_it_was_sent() -> None:
    requests: list[bytes] = []

    async def handle(connection: Connection) -> None:
        requests.append(await request_of(connection))
        await connection.send_all(answer(b""))

    async def drive(stage: Stage) -> None:
        async with stage.subscribe(
            last_event_id="caf\u00e9 {x}", headers={"X-Own": "1", "accept": None}
        ) as subscriber:
            await subscriber.finished()

    stream = await streamed(handle, drive=drive)
    head = requests[0].partition(b"\r\n\r\n")[0]
    assert b"Last-Event-ID: caf\xc3\xa9 {x}" in head
    recorded = stream.requested
    assert isinstance(recorded, Requested)
    sent = [tuple(line.split(": ", 1)) for line in head.decode("latin-1").split("\r\n")[1:]]
    assert list(recorded.headers) == sent
    assert stream.request_header("X-Own") == "1"
    assert stream.request_header("Accept") is None


@in_virtual_time
async def test_nothing_listens_any_more_after_the_server_was_left() -> None:
    network = VirtualNetwork()
    async with serving(network, says(answer(b""))) as origin:
        pass
    with pytest.raises(ConnectionRefusedError):
        await network.connect("127.0.0.1", int(origin.rpartition(":")[2]))


@in_virtual_time
async def test_too_many_lines_end_it_though_they_make_no_item() -> None:
    limits = Limits(events=100, body=2**20)
    lines = await streamed(says(CHUNKED, then=repeats(chunk(b"\n" * 100))), configured(limits=limits))
    assert lines.how == "body-limit"
    assert lines.ended is not None
    assert "over 4 times 100 lines (limits.events)" in lines.ended.detail
    assert len(lines.body) <= 500
