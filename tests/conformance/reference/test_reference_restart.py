"""The service as a program: signals, SIGKILL, and what a restart finds."""

import os
import random
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio
from reference_world import eventually, get

from conformance.reference.client import Policy, connect
from conformance.transport import open_client
from fault_injection.network import SocketNetwork

PROGRAM = """
import sys
from functools import partial
from pathlib import Path
import trio
from conformance.reference.service import ServiceOptions, serve_reference

port, grace, state = int(sys.argv[1]), float(sys.argv[2]), sys.argv[3]
options = ServiceOptions(grace=grace, state=Path(state) if state else None)
trio.run(partial(serve_reference, port=port, options=options, on_ready=lambda url: print(url, flush=True)))
"""

POLICY = Policy(
    completion=lambda event: event.type == "complete",
    end=lambda event: event.type == "stream_end",
    max_wait=0.2,
)


@asynccontextmanager
async def running(
    port: int = 0, *, grace: float = 5, state: Path | None = None
) -> AsyncIterator[tuple[Any, str]]:
    """The service in a process of its own, and its URL."""
    command = [sys.executable, "-c", PROGRAM, str(port), str(grace), str(state or "")]
    process = await trio.lowlevel.open_process(command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        with trio.fail_after(20):
            line = b""
            while not line.endswith(b"\n"):
                data = await process.stdout.receive_some()
                assert data, "it ended before it was ready"
                line += data
        yield process, line.decode().strip()
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await process.stdout.aclose()


async def start(client: httpx.AsyncClient, url: str, **work: Any) -> str:
    response = await client.post(f"{url}/jobs", json=work)
    return f"{url}/jobs/{response.json()['id']}"


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
async def test_a_stream_is_resumed_after_a_restart(tmp_path: Path, how: signal.Signals) -> None:
    got = []
    port = quiet_port()
    async with open_client(SocketNetwork()) as client, running(port, state=tmp_path) as (process, url):
        job = await start(client, url, events=12, interval=0.05)
        async with connect(f"{job}/events", client=client, policy=POLICY) as source:
            got += [(await anext(source)).id for _ in range(5)]
            process.send_signal(how)
            await process.wait()
            async with running(port, state=tmp_path):
                got += [event.id async for event in source]
                assert (await client.get(job)).json() == {"state": "completed", "subscribers": 0}
    assert got == [str(id) for id in range(1, 14)]


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_ends_open_streams_and_the_program(how: signal.Signals) -> None:
    async with open_client(SocketNetwork()) as client, running() as (process, url):
        job = await start(client, url, events=1000, interval=0.05)
        async with client.stream("GET", f"{job}/events") as response:
            body = b""
            async for chunk in response.aiter_raw():
                if not body:
                    process.send_signal(how)
                body += chunk
        assert b"event: error" in body
        assert b"event: stream_end" in body
        with trio.fail_after(4):
            assert await process.wait() == 0


async def test_a_second_signal_does_not_wait_for_a_client_that_does_not_read() -> None:
    async with open_client(SocketNetwork()) as client, running(grace=1000) as (process, url):
        job = await start(client, url, events=150, interval=0, echo="x" * 100_000)
        stalled = trio.socket.socket()
        stalled.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_RCVBUF, 4096)
        with stalled:
            parsed = httpx.URL(url)
            await stalled.connect((parsed.host, parsed.port))
            await stalled.send(get(f"{httpx.URL(job).path}/events"))
            await stalled.recv(1)
            await client.get(f"{job}/events")  # to its end: now only the stalled stream is left
            process.send_signal(signal.SIGTERM)
            await eventually(lambda: is_refused(parsed.port or 0))
            assert process.poll() is None
            process.send_signal(signal.SIGTERM)
            with trio.fail_after(5):
                await process.wait()


def quiet_port() -> int:
    """A free port that stays free while the service is down.

    It lies below the range that Linux takes for outgoing connections: while nobody listens, one of those
    could have the port, even the very client that tries to reconnect to it.
    """
    for port in random.Random(os.getpid()).sample(range(20_000, 32_000), 100):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return port
    raise AssertionError("no free port")


def is_refused(port: int) -> bool:
    """Whether nobody listens there any more."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0
