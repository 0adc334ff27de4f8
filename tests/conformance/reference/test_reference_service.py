"""The service as its users see it: HTTP in, event streams out."""

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio
import trio.testing
from reference_world import (
    connected,
    eventually,
    get,
    in_virtual_time,
    on_both_networks,
    read_all,
    read_until,
    run_virtually,
)

from conformance.reference.channel import Record
from conformance.reference.service import Service, ServiceOptions, open_service
from conformance.transport import open_client
from conformance.wire import Comment, Decoder, Event, Item, Violation
from fault_injection.network import Network
from fault_injection.virtual import VirtualNetwork

IDLE = {"active": 0, "subscribers": 0, "tasks": 0, "connections": 0}


@asynccontextmanager
async def running(network: Network, **options: Any) -> AsyncIterator[tuple[Service, httpx.AsyncClient]]:
    """A service, and a client whose base URL is its."""
    async with (
        open_service(network, options=ServiceOptions(epoch=0, **options)) as service,
        open_client(network) as client,
    ):
        client.base_url = httpx.URL(service.url)
        yield service, client


async def start(client: httpx.AsyncClient, **work: Any) -> str:
    response = await client.post("/jobs", json=work)
    assert response.status_code == 201
    id: str = response.json()["id"]
    assert response.headers["location"] == f"/jobs/{id}"
    return id


async def read(client: httpx.AsyncClient, id: str, last_event_id: str | None = None) -> list[Item]:
    """A whole stream."""
    headers = {"Last-Event-ID": last_event_id} if last_event_id is not None else {}
    response = await client.get(f"/jobs/{id}/events", headers=headers)
    decoder = Decoder()
    return decoder.feed(response.content) + decoder.close()


def ids(items: list[Item]) -> list[str | None]:
    return [item.id for item in items if isinstance(item, Event)]


@on_both_networks()
async def test_a_stream_from_the_head_to_the_end(network: Network) -> None:
    async with running(network) as (_, client):
        id = await start(client, events=3, interval=0.05)
        assert (await client.get(f"/jobs/{id}")).json() == {"state": "running", "subscribers": 0}
        async with client.stream("GET", f"/jobs/{id}/events") as response:
            assert response.status_code == 200
            assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
            assert response.headers["cache-control"] == "no-cache, no-store, no-transform"
            assert response.headers["x-accel-buffering"] == "no"
            assert response.headers["pragma"] == "no-cache"
            assert response.headers["expires"] == "0"
            assert "content-length" not in response.headers
            chunks = [chunk async for chunk in response.aiter_raw()]
        decoder = Decoder()
        items = [item for chunk in chunks for item in decoder.feed(chunk)] + decoder.close()
        assert chunks[0] == b"retry: 100\n\n"
        assert [item.type for item in items if isinstance(item, Event)] == ["progress"] * 2 + [
            "complete",
            "stream_end",
        ]
        assert not any(isinstance(item, Violation) for item in items)
        assert (await client.get(f"/jobs/{id}")).json() == {"state": "completed", "subscribers": 0}


@in_virtual_time
async def test_the_head_comes_before_the_first_event_and_each_block_alone() -> None:
    network = VirtualNetwork()
    async with running(network, heartbeat=0.4) as (service, client):
        id = await start(client, events=2, interval=1)
        async with connected(network, service.address) as connection:
            await connection.send_all(get(f"/jobs/{id}/events"))
            arrivals = [(trio.current_time(), await connection.receive_some()) for _ in range(7)]
            times = [at for at, _ in arrivals]
            pieces = [piece for _, piece in arrivals]
        assert pieces[0].startswith(b"HTTP/1.1 200")
        assert pieces[0].endswith(b"\r\n\r\n")
        assert b"retry" in pieces[1]
        assert [b": heartbeat\n\n" in piece for piece in pieces[2:]] == [True, True, False, True, True]
        assert b"progress" in pieces[4]
        assert times[1] == 0


async def test_an_event_that_meets_the_heartbeat_is_sent(mock_clock: trio.testing.MockClock) -> None:
    """On a busy machine the time for a heartbeat may come after the event woke the stream, and before it runs."""
    network = VirtualNetwork()
    async with running(network, heartbeat=0.5) as (service, client):
        id = await start(client, events=2, interval=1000)
        async with connected(network, service.address) as connection:
            await connection.send_all(get(f"/jobs/{id}/events"))
            await read_until(connection, b"retry: 100\n\n")
            await trio.testing.wait_all_tasks_blocked()
            service.producer.jobs[id].channel.publish(Record(1, "progress", "{}"))
            mock_clock.jump(0.6)
            assert b"event: progress" in await connection.receive_some()
        service.producer.jobs[id].cancel()


@in_virtual_time
async def test_heartbeats_carry_a_silence() -> None:
    async with running(VirtualNetwork(), heartbeat=15) as (_, client):
        items = await read(client, await start(client, events=2, interval=1, silence=300))
        assert sum(isinstance(item, Comment) for item in items) == 20


@on_both_networks()
async def test_a_stream_is_resumed_by_the_last_event_id(network: Network) -> None:
    async with running(network) as (_, client):
        id = await start(client, events=4, interval=0.01)
        everything = ["1", "2", "3", "4", "5"]
        assert ids(await read(client, id)) == everything
        assert ids(await read(client, id, "3")) == ["4", "5"]
        assert ids(await read(client, id, "99")) == everything
        assert ids(await read(client, id, "no id")) == everything
        response = await client.get(f"/jobs/{id}/events", headers={"Last-Event-ID": "5"})
        assert (response.status_code, response.content) == (204, b"")


@in_virtual_time
async def test_many_subscribers_see_the_same() -> None:
    async with running(VirtualNetwork()) as (_, client):
        id = await start(client, events=10, interval=0.1)
        got: list[list[str | None]] = []

        async def subscribe(delay: float) -> None:
            await trio.sleep(delay)
            got.append(ids(await read(client, id)))

        async with trio.open_nursery() as nursery:
            for delay in range(20):
                nursery.start_soon(subscribe, delay / 10)
            await trio.sleep(0.55)
            assert (await client.get(f"/jobs/{id}")).json() == {"state": "running", "subscribers": 6}
        assert got == [[str(n) for n in range(1, 12)]] * 20


@pytest.mark.parametrize("after", [0, 1, 4], ids=["before the head", "at the first event", "later"])
@pytest.mark.parametrize("reset", [False, True], ids=["fin", "rst"])
@on_both_networks()
async def test_a_subscriber_that_leaves_leaves_nothing(network: Network, after: int, reset: bool) -> None:
    async with running(network) as (service, client):
        id = await start(client, events=1000, interval=0.02)
        async with connected(network, service.address) as connection:
            await connection.send_all(get(f"/jobs/{id}/events"))
            received = b""
            while received.count(b"event: progress") < after:
                received += await connection.receive_some()
            if reset:
                connection.reset()
        await eventually(lambda: service.gauges()["subscribers"] == 0)
        assert (await client.get(f"/jobs/{id}")).json()["state"] == "running"
        response = await client.post(f"/jobs/{id}/cancel")
        assert response.status_code == 202
        await client.aclose()
        await eventually(lambda: service.gauges() == IDLE)


@on_both_networks()
async def test_a_cancelled_job_ends_its_streams(network: Network) -> None:
    async with running(network) as (service, client):
        id = await start(client, events=1000, interval=0.01)
        async with trio.open_nursery() as nursery:

            async def watch() -> None:
                items = [item for item in await read(client, id) if isinstance(item, Event)]
                assert [item.type for item in items[-2:]] == ["error", "stream_end"]

            nursery.start_soon(watch)
            await eventually(lambda: service.gauges()["subscribers"] == 1)
            await client.post(f"/jobs/{id}/cancel")
        assert (await client.get(f"/jobs/{id}")).json() == {"state": "cancelled", "subscribers": 0}


@in_virtual_time
async def test_a_stalled_reader_holds_up_nobody_and_is_dropped() -> None:
    network = VirtualNetwork(buffer_size=2000)
    async with running(network, buffer=20) as (service, client):
        id = await start(client, events=100, interval=0.1)
        async with connected(network, service.address) as stalled:
            await stalled.send_all(get(f"/jobs/{id}/events"))  # and reads nothing
            assert len(ids(await read(client, id))) == 101
            assert trio.current_time() == pytest.approx(10)
            assert service.gauges()["subscribers"] == 0
            with pytest.raises(trio.BrokenResourceError):
                await read_all(stalled)


@on_both_networks()
async def test_a_shutdown_ends_streams_with_what_became_of_their_jobs(network: Network) -> None:
    async with running(network) as (service, client):
        id = await start(client, events=1000, interval=0.01)
        connection = await network.connect(*service.address)
        await connection.send_all(get(f"/jobs/{id}/events"))
        await read_until(connection, b"\r\n\r\n")
    async with connection:
        rest = await read_all(connection)
    assert b"event: error" in rest
    assert b"event: stream_end" in rest
    assert rest.endswith(b"0\r\n\r\n")


@in_virtual_time
async def test_a_shutdown_only_interrupts_the_streams_of_jobs_that_will_go_on(tmp_path: Path) -> None:
    network = VirtualNetwork()
    async with running(network, state=tmp_path, grace=100) as (service, client):
        id = await start(client, events=10, interval=1)
        connection = await network.connect(*service.address)
        await connection.send_all(get(f"/jobs/{id}/events"))
        await trio.sleep(2.5)
    assert trio.current_time() == 2.5
    async with connection:
        received = await read_all(connection)
    assert received.count(b"event: progress") == received.count(b"event: ") == 2
    assert received.endswith(b"0\r\n\r\n")


@in_virtual_time
async def test_what_is_not_there_or_not_allowed() -> None:
    async with running(VirtualNetwork()) as (_, client):
        id = await start(client, events=1)
        for method, path, status, allow in [
            ("GET", "/", 404, None),
            ("GET", "/jobs/nope", 404, None),
            ("GET", "/jobs/nope/events", 404, None),
            ("POST", "/jobs/nope/cancel", 404, None),
            ("GET", "/jobs", 405, "POST, OPTIONS"),
            ("POST", f"/jobs/{id}/events", 405, "GET, OPTIONS"),
            ("HEAD", f"/jobs/{id}/events", 405, "GET, OPTIONS"),
            ("DELETE", f"/jobs/{id}", 405, "GET, OPTIONS"),
            ("GET", "/healthz", 200, None),
        ]:
            response = await client.request(method, path)
            assert (response.status_code, response.headers.get("allow")) == (status, allow), (method, path)
            assert response.headers["content-type"] == "application/json"
            assert method == "HEAD" or status == 200 or response.json()["error"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{", "truncated"),
        (b'{"events": "x"}', "$.events"),
        (b'{"events": 0}', ">= 1"),
        (b'{"interval": -1}', ">= 0"),
        (b'{"interval": 1e999}', "not a job"),
        (b'{"event": 8}', "unknown field `event`"),
        (b'{"echo": "\\ud800"}', "not a job"),
        (b'{"echo": "\xff"}', "not a job"),
        (b"[]", "object"),
    ],
)
@in_virtual_time
async def test_what_is_no_job_is_said_to_be_none(body: bytes, message: str) -> None:
    async with running(VirtualNetwork()) as (_, client):
        response = await client.post("/jobs", content=body)
        assert response.status_code == 400
        assert message in response.json()["error"]


@pytest.mark.parametrize(
    "echo", ["a\nb", "a\r\nb\rc", "data: x\n\nevent: stream_end\n\n", "\x00\ufeffé\u2028"]
)
@in_virtual_time
async def test_no_payload_breaks_out_of_its_event(echo: str) -> None:
    async with running(VirtualNetwork()) as (_, client):
        items = await read(client, await start(client, events=2, echo=echo))
        events = [item for item in items if isinstance(item, Event)]
        assert [event.type for event in events] == ["progress", "complete", "stream_end"]
        assert all(httpx.Response(200, text=event.data).json()["echo"] == echo for event in events)


@in_virtual_time
async def test_a_token_is_asked_for() -> None:
    async with running(VirtualNetwork(), token="s3cret") as (_, client):
        refused = await client.post("/jobs", json={})
        assert refused.status_code == 401
        assert refused.headers["www-authenticate"] == 'Bearer realm="jobs"'
        for wrong in (b"Bearer s3cre", b"Bearer", b"Basic s3cret", b"Bearer \xff"):
            response = await client.get("/jobs/x/events", headers={b"Authorization": wrong})
            assert response.status_code == 401
        client.headers["Authorization"] = "Bearer s3cret"
        assert len(ids(await read(client, await start(client, events=1)))) == 2
        assert (await client.get("/healthz", headers={"Authorization": ""})).status_code == 200


@in_virtual_time
async def test_pages_of_any_origin_may_read_unless_origins_are_named() -> None:
    page = {"Origin": "https://example.org"}
    allow = "access-control-allow-origin"
    async with running(VirtualNetwork()) as (_, client):
        assert (await client.get("/jobs/x/events", headers=page)).headers[allow] == "*"
        assert allow not in (await client.get("/jobs/x/events")).headers
    async with running(VirtualNetwork(), origins=("https://example.org",), token="s3cret") as (_, client):
        preflight = await client.options("/jobs/x/events", headers=page)  # which carries no token
        assert preflight.status_code == 204
        assert preflight.headers[allow] == "https://example.org"
        assert preflight.headers["vary"] == "origin"
        assert "last-event-id" in preflight.headers["access-control-allow-headers"]
        assert preflight.headers["access-control-allow-methods"] == "GET, OPTIONS"
        other = await client.options("/jobs/x/events", headers={"Origin": "https://example.net"})
        assert allow not in other.headers
        assert "access-control-allow-methods" not in other.headers


@in_virtual_time
async def test_too_many_jobs_are_told_to_come_back() -> None:
    async with running(VirtualNetwork(), keep_jobs=1) as (_, client):
        await start(client, interval=100)
        response = await client.post("/jobs", json={})
        assert response.status_code == 503
        assert response.headers["retry-after"] == "1"


@in_virtual_time
async def test_the_gauges_count_what_there_is() -> None:
    async with running(VirtualNetwork()) as (_, client):
        before = (await client.get("/debug")).json()
        id = await start(client, events=10)
        async with client.stream("GET", f"/jobs/{id}/events"):
            during = (await client.get("/debug")).json()
        assert before["active"] == before["subscribers"] == 0
        assert during["active"] == during["subscribers"] == 1
        assert during["tasks"] > before["tasks"]
        assert during["connections"] == before["connections"] + 1
        await client.post(f"/jobs/{id}/cancel")
        await read(client, id)
        assert (await client.get("/debug")).json() == before


def test_the_same_seed_gives_the_same_bytes() -> None:
    async def once(seed: int) -> bytes:
        network = VirtualNetwork()
        options = ServiceOptions(epoch=0)
        async with (
            open_service(network, options=options, rng=random.Random(seed)) as service,
            connected(network, service.address) as connection,
        ):
            await connection.send_all(get("/jobs", "Content-Length: 0").replace(b"GET", b"POST"))
            created = await read_until(connection, b"}")
            id = created.split(b'"')[-2].decode()
            await connection.send_all(get(f"/jobs/{id}/events", "Connection: close"))
            return created + await read_all(connection)

    first, again, other = [run_virtually(once, seed) for seed in (1, 1, 2)]
    assert first == again
    assert first != other
    assert first.count(b"data:") == 9


@in_virtual_time
async def test_what_the_block_raises_comes_out_as_it_is() -> None:
    with pytest.raises(KeyError):
        async with open_service(VirtualNetwork()):
            raise KeyError
