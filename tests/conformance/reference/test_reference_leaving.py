"""Who leaves and who comes a second time: work that stops when nobody listens, sessions with one stream each."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import trio
from reference_world import connected, eventually, get, in_virtual_time, on_both_networks, read_until

from conformance.reference.service import Service, ServiceOptions, open_service
from conformance.transport import open_client
from fault_injection.network import Network
from fault_injection.virtual import VirtualNetwork


@asynccontextmanager
async def started(network: Network, **work: Any) -> AsyncIterator[tuple[Service, httpx.AsyncClient, str]]:
    """A service, a client of it, and the path of a job."""
    async with (
        open_service(network, options=ServiceOptions(epoch=0)) as service,
        open_client(network) as client,
    ):
        client.base_url = httpx.URL(service.url)
        answer = await client.post("/jobs", json={"events": 1000, "interval": 0.05, **work})
        yield service, client, f"/jobs/{answer.json()['id']}"


async def state(client: httpx.AsyncClient, job: str) -> str:
    told: str = (await client.get(job)).json()["state"]
    return told


@on_both_networks()
async def test_abandoned_work_stops_with_its_last_subscriber(network: Network) -> None:
    async with started(network, abandoned="stops") as (service, client, job):
        async with connected(network, service.address) as first:
            await first.send_all(get(f"{job}/events"))
            await read_until(first, b"id: 1\n")
            async with connected(network, service.address) as second:
                await second.send_all(get(f"{job}/events"))
                await read_until(second, b"id: 1\n")
            await eventually(lambda: service.producer.subscribers == 1)
            assert await state(client, job) == "running"
        await eventually(lambda: service.producer.active == 0)
        assert await state(client, job) == "cancelled"
        assert b'"state":"cancelled"' in (await client.get(f"{job}/events")).content


@in_virtual_time
async def test_work_goes_on_without_a_subscriber_unless_told_otherwise() -> None:
    network = VirtualNetwork()
    async with started(network) as (service, client, job):
        async with connected(network, service.address) as only:
            await only.send_all(get(f"{job}/events"))
            await read_until(only, b"id: 1\n")
        await eventually(lambda: service.producer.subscribers == 0)
        await trio.sleep(1)
        assert await state(client, job) == "running"


@in_virtual_time
async def test_work_that_nobody_has_ever_watched_is_not_abandoned() -> None:
    async with started(VirtualNetwork(), events=3, abandoned="stops") as (_, client, job):
        await trio.sleep(1)
        assert await state(client, job) == "completed"


@in_virtual_time
async def test_completed_work_stays_completed_when_its_subscriber_leaves() -> None:
    async with started(VirtualNetwork(), events=3, abandoned="stops") as (_, client, job):
        assert b"event: stream_end" in (await client.get(f"{job}/events")).content
        assert await state(client, job) == "completed"


@on_both_networks()
async def test_a_second_stream_of_a_session_ends_the_first(network: Network) -> None:
    async with (
        started(network) as (service, _, job),
        connected(network, service.address) as first,
        connected(network, service.address) as second,
    ):
        await first.send_all(get(f"{job}/events?session=one"))
        before = await read_until(first, b"id: 2\n")
        assert b"\r\n0\r\n" not in before
        await second.send_all(get(f"{job}/events?session=one"))
        rest = await read_until(first, b"0\r\n\r\n")  # properly
        assert b"stream_end" not in rest
        await read_until(second, b"id: 4\n")
        await eventually(lambda: service.producer.subscribers == 1)


@in_virtual_time
async def test_other_sessions_and_other_jobs_are_left_alone() -> None:
    network = VirtualNetwork()
    async with (
        started(network) as (service, client, job),
        connected(network, service.address) as first,
        connected(network, service.address) as second,
        connected(network, service.address) as third,
    ):
        other = (await client.post("/jobs", json={"events": 1000})).json()["id"]
        paths = (
            f"{job}/events?session=one",
            f"{job}/events?session=two",
            f"/jobs/{other}/events?session=one",
        )
        for connection, path in zip((first, second, third), paths, strict=True):
            await connection.send_all(get(path))
        for connection in (first, second, third):
            await read_until(connection, b"id: 3\n")
        assert service.producer.subscribers == 3


@in_virtual_time
async def test_a_superseded_stream_does_not_abandon_the_work() -> None:
    network = VirtualNetwork()
    async with (
        started(network, abandoned="stops") as (service, client, job),
        connected(network, service.address) as second,
    ):
        async with connected(network, service.address) as first:
            await first.send_all(get(f"{job}/events?session=one"))
            await read_until(first, b"id: 1\n")
            await second.send_all(get(f"{job}/events?session=one"))
            await read_until(first, b"0\r\n\r\n")
        await read_until(second, b"id: 5\n")
        assert await state(client, job) == "running"
