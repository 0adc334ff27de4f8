"""The client: it loses nothing, repeats nothing, waits for the end, and leaves nothing behind."""

import gc
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import pytest
import trio
from reference_world import eventually, in_virtual_time, on_both_networks

from conformance.reference.app import Request, Responder
from conformance.reference.client import EventSource, GaveUp, Policy, Rejected, StreamError, connect
from conformance.reference.server import open_server
from conformance.reference.service import ServiceOptions, open_service
from conformance.transport import open_client
from conformance.wire import Event
from fault_injection.faults import AtBytes, AtTime, Blackhole, Disconnect, Fault, Plan, Slice
from fault_injection.network import Network
from fault_injection.proxy import open_proxy
from fault_injection.virtual import VirtualNetwork

STREAM = (("content-type", "text/event-stream"),)


def is_complete(event: Event) -> bool:
    return event.type == "complete"


def is_end(event: Event) -> bool:
    return event.type == "stream_end"


UNTIL_THE_END = Policy(completion=is_complete, end=is_end, retry=0.1)

Step: TypeAlias = bytes | float
"""What a scripted server does: send these bytes, or wait for so many seconds."""


class Script:
    """A server that plays one script for each request, the last one again and again.

    A script ends the response properly, unless its last step is `CUT`.
    """

    def __init__(
        self, *scripts: tuple[Step, ...], status: int = 200, headers: Any = STREAM, head_after: float = 0
    ) -> None:
        self.last_event_ids: list[str | None] = []
        self.times: list[float] = []
        self.cancelled = 0
        self._scripts = scripts
        self._status = status
        self._headers = headers
        self._head_after = head_after

    async def __call__(self, request: Request, respond: Responder) -> None:
        script = self._scripts[min(len(self.times), len(self._scripts) - 1)]
        self.last_event_ids.append(request.header("last-event-id"))
        self.times.append(trio.current_time())
        try:
            await trio.sleep(self._head_after)
            await respond.start(self._status, self._headers)
            for step in script:
                if step == CUT:
                    respond.abort()
                elif isinstance(step, bytes):
                    await respond.send(step)
                else:
                    await trio.sleep(step)
            await respond.finish()
        except trio.Cancelled:
            self.cancelled += 1
            raise


CUT = b"the connection is reset"
FOR_EVER = float("inf")


def event(id: str, type: str = "progress") -> bytes:
    return f"id: {id}\nevent: {type}\ndata: {id}\n\n".encode()


DONE = event("9", "complete") + event("10", "stream_end")


@asynccontextmanager
async def following(
    app: Script, policy: Policy = UNTIL_THE_END, rng: random.Random | None = None
) -> AsyncIterator[EventSource]:
    network = VirtualNetwork()
    async with open_server(app, network) as server, open_client(network) as client:
        url = f"http://{server.address[0]}:{server.address[1]}/"
        async with connect(url, client=client, policy=policy, rng=rng) as source:
            yield source


async def follow(app: Script, policy: Policy = UNTIL_THE_END) -> list[str]:
    """The data of all events."""
    async with following(app, policy) as source:
        return [event.data async for event in source]


# -- with the reference service, through a link that fails ---------------------------------------------


@asynccontextmanager
async def through(network: Network, *faults: Fault, **work: Any) -> AsyncIterator[EventSource]:
    """A job of the reference service, followed through a faulty link."""
    plan = Plan(faults)
    async with (
        open_service(network, options=ServiceOptions(retry=0.05)) as service,
        open_proxy(network, upstream=service.address, rng=random.Random(1), plan=plan) as proxy,
        open_client(network) as client,
    ):
        id = (await client.post(f"{service.url}/jobs", json=work)).json()["id"]
        url = f"http://{proxy.address[0]}:{proxy.address[1]}/jobs/{id}/events"
        async with connect(url, client=client, policy=UNTIL_THE_END) as source:
            yield source
        await client.aclose()
        await eventually(lambda: service.gauges()["connections"] == 0)
        await eventually(lambda: set(service.gauges().values()) == {0})


ALL_TYPES = ["progress"] * 7 + ["complete", "stream_end"]


@pytest.mark.parametrize("how", ["fin", "rst"])
@pytest.mark.parametrize("offset", range(0, 2200, 97))
@in_virtual_time
async def test_nothing_is_lost_or_repeated_wherever_the_connection_breaks(offset: int, how: Any) -> None:
    cut = Disconnect(when=AtBytes(offset), how=how, connections=1)
    async with through(VirtualNetwork(), cut, events=8) as source:
        events = [event async for event in source]
        assert [event.type for event in events] == ALL_TYPES
        assert [event.id for event in events] == [str(n) for n in range(1, 10)]
        assert source.connections == 2 or offset > 1600  # where the end marker is


@on_both_networks()
async def test_the_same_when_it_breaks_again_and_again(network: Network) -> None:
    async with through(network, Disconnect(when=AtBytes(700), how="rst"), events=8, interval=0.02) as source:
        assert [event.type async for event in source] == ALL_TYPES
        assert source.connections > 3


@on_both_networks()
async def test_the_same_when_every_byte_comes_alone(network: Network) -> None:
    async with through(network, Slice(size=1), events=8, interval=0.01) as source:
        assert [event.type async for event in source] == ALL_TYPES
        assert source.connections == 1


@in_virtual_time
async def test_a_connection_that_went_dead_is_given_up() -> None:
    hole = Blackhole(when=AtTime(0.25), connections=1)
    async with through(VirtualNetwork(), hole, events=8) as source:
        assert [event.type async for event in source] == ALL_TYPES
        assert source.connections == 2
        assert trio.current_time() == pytest.approx(60, abs=1)


# -- what the standard asks -----------------------------------------------------------------------------


@in_virtual_time
async def test_a_resumed_stream_that_dies_before_its_first_id_keeps_its_place() -> None:
    app = Script((event("1"), event("2")), (b": nothing yet\n\n", CUT), (CUT,), (DONE,))
    assert await follow(app) == ["1", "2", "9", "10"]
    assert app.last_event_ids == [None, "2", "2", "2"]


@in_virtual_time
async def test_an_event_without_id_carries_the_one_of_the_connection_before() -> None:
    app = Script((event("7"),), (b"data: more\n\n", DONE))
    async with following(app) as source:
        events = [event async for event in source]
    assert [(event.data, event.last_event_id) for event in events[:2]] == [("7", "7"), ("more", "7")]


@in_virtual_time
async def test_an_empty_id_resets() -> None:
    app = Script((event("1"), b"id\ndata: reset\n\n"), (DONE,))
    await follow(app)
    assert app.last_event_ids == [None, None]


@in_virtual_time
async def test_a_block_of_an_id_alone_counts_and_an_unfinished_one_does_not() -> None:
    app = Script((event("1"), b"id: 2\n\n", b"id: 3\ndata: unfinished\n"), (DONE,))
    assert await follow(app) == ["1", "9", "10"]
    assert app.last_event_ids == [None, "2"]


@in_virtual_time
async def test_an_id_of_any_script_comes_back() -> None:
    app = Script((event("é→1"),), (DONE,))
    await follow(app)
    assert app.last_event_ids == [None, "é→1".encode().decode("latin-1")]


@in_virtual_time
async def test_it_resumes_where_an_earlier_client_was() -> None:
    app = Script((DONE,))
    network = VirtualNetwork()
    async with open_server(app, network) as server, open_client(network) as client:
        url = f"http://127.0.0.1:{server.address[1]}/"
        async with connect(url, client=client, policy=UNTIL_THE_END, last_event_id="8") as source:
            assert [event.id async for event in source] == ["9", "10"]
    assert app.last_event_ids == ["8"]


@in_virtual_time
async def test_the_stream_sets_the_reconnection_time() -> None:
    app = Script((b"retry: 7000\n\n", event("1")), (event("2"),), (DONE,))
    await follow(app)
    assert app.times == [0, 7, 14]


@in_virtual_time
async def test_the_wait_doubles_with_each_attempt_that_brings_nothing() -> None:
    nothing_new: tuple[Step, ...] = (event("1"), b": nor this\n\n")
    app = Script((event("1"),), (), nothing_new, (CUT,), (), (event("2"),), (DONE,))
    await follow(app, Policy(end=is_end, retry=1, max_wait=6))
    waits = [after - before for before, after in zip(app.times, app.times[1:], strict=False)]
    assert waits == [1, 1, 2, 4, 6, 1]


@pytest.mark.parametrize("retry", [b"0", b"99999999999999999999"])
@in_virtual_time
async def test_no_server_can_make_it_storm_or_sleep_for_ever(retry: bytes) -> None:
    app = Script((b"retry: " + retry + b"\n\n", event("1")), (DONE,))
    await follow(app, Policy(end=is_end, min_wait=0.5, max_wait=20))
    assert 0.5 <= app.times[1] <= 20


@in_virtual_time
async def test_the_jitter_comes_from_the_seed() -> None:
    waits = []
    for seed in (1, 1, 2):
        app = Script((event("1"),), (DONE,))
        async with following(app, Policy(end=is_end, retry=10, jitter=0.5), random.Random(seed)) as source:
            assert [event.id async for event in source] == ["1", "9", "10"]
        waits.append(app.times[1] - app.times[0])
    assert waits[0] == pytest.approx(waits[1])
    assert waits[0] != pytest.approx(waits[2])
    assert all(5 <= wait <= 10 for wait in waits)


@in_virtual_time
async def test_a_204_ends_it() -> None:
    app = Script((), status=204, headers=())
    assert await follow(app) == []
    assert len(app.times) == 1


@pytest.mark.parametrize(
    ("status", "headers", "message"),
    [
        (404, STREAM, "answers 404"),
        (503, STREAM, "answers 503"),
        (200, (("content-type", "application/json"),), "application/json"),
        (200, (), "not text/event-stream"),
        (200, (*STREAM, ("content-encoding", "gzip")), "gzip"),
    ],
)
@in_virtual_time
async def test_what_is_no_stream_is_rejected_at_once(status: int, headers: Any, message: str) -> None:
    app = Script((DONE,), status=status, headers=headers)
    with pytest.raises(Rejected, match=message):
        await follow(app)
    assert len(app.times) == 1


@in_virtual_time
async def test_what_is_rejected_is_not_kept_open() -> None:
    app = Script((b"a long story", FOR_EVER), status=500)
    network = VirtualNetwork()
    async with open_server(app, network) as server, open_client(network) as client:
        with pytest.raises(Rejected):
            async with connect(f"http://127.0.0.1:{server.address[1]}", client=client) as source:
                await anext(source)
        await eventually(lambda: server.connections == 0)


@in_virtual_time
async def test_parameters_and_case_of_the_content_type_do_not_matter() -> None:
    app = Script((DONE,), headers=[("content-type", "Text/Event-Stream ;charset=utf-8")])
    assert await follow(app) == ["9", "10"]


# -- its own -------------------------------------------------------------------------------------------


@in_virtual_time
async def test_a_replay_of_everything_is_not_repeated() -> None:
    app = Script((event("1"), event("2"), CUT), (event("1"), event("2"), event("3"), DONE))
    assert await follow(app) == ["1", "2", "3", "9", "10"]


@in_virtual_time
async def test_what_it_remembers_is_bounded() -> None:
    app = Script((event("1"), event("2"), CUT), (event("1"), event("2"), DONE))
    policy = Policy(end=is_end, retry=0.1, remember=1)
    assert await follow(app, policy) == ["1", "2", "1", "2", "9", "10"]


@in_virtual_time
async def test_events_of_one_connection_may_share_an_id() -> None:
    app = Script((event("1"), event("1"), DONE))
    assert await follow(app) == ["1", "1", "9", "10"]


@in_virtual_time
async def test_it_gives_up_when_told_to() -> None:
    async with open_client(VirtualNetwork()) as client:
        policy = Policy(attempts=4, retry=1)
        with pytest.raises(GaveUp, match="4 attempts") as raised:
            async with connect("http://127.0.0.1:9/", client=client, policy=policy) as source:
                await anext(source)
    assert "nobody listens" in str(raised.value.__cause__)
    assert trio.current_time() == 1 + 2 + 4


@in_virtual_time
async def test_a_server_without_an_answer_is_given_up() -> None:
    app = Script((FOR_EVER,), head_after=FOR_EVER)
    with pytest.raises(GaveUp):
        await follow(app, Policy(attempts=2, retry=1, head=10))
    assert app.times == [0, 11]
    assert app.cancelled == 2


@in_virtual_time
async def test_a_request_that_cannot_be_made_is_no_reason_to_try_again() -> None:
    async with open_client(VirtualNetwork()) as client:
        for url in ("ftp://127.0.0.1/", "http://127.0.0.1:x/"):
            with pytest.raises(StreamError):
                async with connect(url, client=client) as source:
                    await anext(source)


@in_virtual_time
async def test_an_old_server_that_closes_without_end_marker_is_done() -> None:
    app = Script((event("1"), event("2", "complete")))
    assert await follow(app, Policy(completion=is_complete)) == ["1", "2"]
    assert await follow(Script((event("1"), event("2", "complete")))) == ["1", "2"]
    assert trio.current_time() == 0


@in_virtual_time
async def test_an_old_server_that_stays_open_is_left_after_the_farewell() -> None:
    heartbeats: tuple[Step, ...] = (10.0, b":\n\n") * 100
    app = Script((event("1", "complete"), *heartbeats))
    assert await follow(app) == ["1"]
    assert trio.current_time() == 30
    assert app.cancelled == 1


@in_virtual_time
async def test_it_is_the_server_that_ends_the_stream() -> None:
    app = Script((event("1", "complete"), 5.0, event("2", "stream_end"), 0.5, b": bye\n\n"))
    assert await follow(app) == ["1", "2"]
    assert app.cancelled == 0


@in_virtual_time
async def test_a_server_that_does_not_close_after_the_end_marker_is_left() -> None:
    app = Script((DONE, FOR_EVER))
    assert await follow(app) == ["9", "10"]
    assert trio.current_time() == 1


@in_virtual_time
async def test_it_goes_back_for_the_end_marker() -> None:
    app = Script((event("9", "complete"), CUT), (event("10", "stream_end"),))
    assert await follow(app) == ["9", "10"]
    assert app.last_event_ids == [None, "9"]


@in_virtual_time
async def test_a_slow_reader_misses_nothing() -> None:
    app = Script((event("1"), event("9", "complete"), 1.0, event("late"), 1.0, event("10", "stream_end")))
    got = []
    async with following(app) as source:
        async for each in source:
            await trio.sleep(100)
            got.append(each.data)
    assert got == ["1", "9", "late", "10"]


@in_virtual_time
async def test_an_event_over_the_limit_ends_it() -> None:
    app = Script((b"data: " + b"x" * 2000 + b"\n\n",))
    with pytest.raises(StreamError, match="limit of 1000 bytes"):
        await follow(app, Policy(limit=1000))
    assert len(app.times) == 1


@in_virtual_time
async def test_cancelling_the_wait_for_an_event_loses_none() -> None:
    got: list[str] = []
    app = Script((event("1"), 1.0, event("2"), 1.0, event("3"), 1.0, DONE))
    async with following(app) as source:
        while len(got) < 5:
            with trio.move_on_after(0.3):
                got.append((await anext(source)).data)
    assert got == ["1", "2", "3", "9", "10"]
    assert len(app.times) == 1


@pytest.mark.parametrize("after", [0.0, 0.05, 0.45, 0.65, 0.85, 1.05])
@on_both_networks()
async def test_leaving_at_any_moment_leaves_nothing(network: Network, after: float) -> None:
    """While it connects, waits for the head, for an event, for the reader, for the next attempt."""
    app = Script((0.4, event("1"), 0.2, event("2"), event("3"), CUT), (0.2, event("4"), FOR_EVER))
    async with open_server(app, network) as server, open_client(network) as client:
        url = f"http://127.0.0.1:{server.address[1]}"
        async with connect(url, client=client, policy=UNTIL_THE_END) as source:
            with trio.move_on_after(after):
                async for _ in source:
                    pass
        await eventually(lambda: server.connections == 0)
        gc.collect()  # an abandoned generator would be an error here


@in_virtual_time
async def test_leaving_while_an_event_waits_for_its_reader() -> None:
    app = Script((event("1"), event("2"), event("3"), FOR_EVER))
    async with following(app) as source:
        await anext(source)
        await trio.sleep(1)
    gc.collect()
    assert app.cancelled == 1
