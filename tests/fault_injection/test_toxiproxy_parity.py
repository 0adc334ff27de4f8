"""One plan, two links: the embedded proxy and a real Toxiproxy give a subscriber the same bytes and ending."""

import random
from contextlib import suppress
from functools import partial

import pytest
import trio

from fault_injection.faults import (
    AtBytes,
    AtTime,
    Bandwidth,
    Blackhole,
    Disconnect,
    Latency,
    Plan,
    Slice,
    SlowClose,
)
from fault_injection.network import Address, SocketNetwork
from fault_injection.proxy import open_proxy
from fault_injection.toxiproxy import open_toxiproxy


async def _outcome(address: Address, patience: float) -> tuple[bytes, str]:
    """What a subscriber gets, and how that ends: `end`, `reset` or `silence` (seconds of `patience`)."""
    received = bytearray()
    async with await trio.open_tcp_stream(*address) as stream:
        try:
            await stream.send_all(b"?")
            while True:
                with trio.move_on_after(patience) as waiting:
                    received += (data := await stream.receive_some())
                if waiting.cancelled_caught:
                    return bytes(received), "silence"
                if not data:
                    return bytes(received), "end"
        except trio.BrokenResourceError:
            return bytes(received), "reset"


@pytest.mark.needs("toxiproxy")
@pytest.mark.parametrize(
    ("plan", "ending"),
    [
        (Plan(), "end"),
        (Plan((Latency(delay=0.1, jitter=0.05), Latency(delay=0.05, direction="upstream"))), "end"),
        (Plan((Bandwidth(bytes_per_second=5000), SlowClose(delay=0.2))), "end"),
        (Plan((Slice(size=7, variation=6, gap=0.001), Disconnect(when=AtBytes(333)))), "end"),
        (Plan((Disconnect(when=AtBytes(600)), Slice(size=1))), "end"),
        (Plan((Disconnect(when=AtBytes(0)),)), "end"),
        (Plan((Disconnect(when=AtBytes(0), how="rst"),)), "reset"),
        (Plan((Disconnect(when=AtBytes(0), direction="upstream"),)), "end"),
        (Plan((Blackhole(when=AtTime(0)),)), "silence"),
        (Plan((Blackhole(when=AtBytes(0), direction="upstream"),)), "silence"),
    ],
)
async def test_a_subscriber_cannot_tell_toxiproxy_from_the_embedded_proxy(
    toxiproxy_url: str, nursery: trio.Nursery, plan: Plan, ending: str
) -> None:
    data = random.Random(5).randbytes(1000)

    async def answer(stream: trio.SocketStream) -> None:
        with suppress(trio.BrokenResourceError):  # the link may break it: that is no error of the server's
            await stream.receive_some()
            await stream.send_all(data)

    listeners = await nursery.start(partial(trio.serve_tcp, answer, 0, host="127.0.0.1"))
    server = listeners[0].socket.getsockname()
    async with (
        open_toxiproxy(toxiproxy_url, server, plan, rng=random.Random(1)) as theirs,
        open_proxy(SocketNetwork(), upstream=server, plan=plan, rng=random.Random(1)) as ours,
    ):
        outcome = await _outcome(theirs.address, patience=0.5)
        assert outcome == await _outcome(ours.address, patience=0.5)
    assert data.startswith(outcome[0])
    assert outcome[1] == ending
