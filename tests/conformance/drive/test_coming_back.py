"""A server that ends its responses long before the stream: a subscriber comes back, but not for ever."""

import re

import pytest
import trio
from drive_world import CHUNKED, COMPLETE, chunk, configured, in_virtual_time, request_of, serving, set_up

from conformance.config import Expect, Limits
from conformance.drive.scene import play
from conformance.history import History
from conformance.judging import judge
from conformance.rules import RULES
from conformance.scenarios import SCENARIOS
from fault_injection.network import Connection
from fault_injection.virtual import VirtualNetwork
from reports.results import Verdict

EVERY = 4.0  # seconds: how long each response takes to bring its one event


async def followed(name: str, events: int) -> History:
    """What a scenario does with a stream of so many events, one in each response."""

    async def handle(connection: Connection) -> None:
        seen = re.search(rb"last-event-id: (\d+)", (await request_of(connection)).lower())
        number = int(seen[1]) + 1 if seen else 1
        await connection.send_all(CHUNKED)
        await trio.sleep(EVERY)
        body = COMPLETE + b"event: stream_end\ndata: {}\n\n" if number >= events else b"data: {}\n\n"
        await connection.send_all(chunk(b"id: %d\n%s" % (number, body)) + b"0\r\n\r\n")

    config = configured(
        expect=Expect(terminates=True, resumable=True, shared=True),
        limits=Limits(head=1, close=1, completion=5 * EVERY),
    )
    scenario = next(each for each in SCENARIOS if each.name == name)
    network = VirtualNetwork()
    async with serving(network, handle) as origin:
        return await play(set_up(network, origin, config, duration=1.0), scenario)


@in_virtual_time
async def test_a_subscriber_comes_back_until_it_is_told() -> None:
    played = await followed("subscribe", events=4)
    assert len(played.streams) == 4
    assert played.streams[-1].completed is not None


@in_virtual_time
@pytest.mark.parametrize(
    "name", ["subscribe", "two-subscribers", "resume-after-cut", "completion-while-away"]
)
async def test_a_stream_that_takes_far_too_long_is_no_failure_of_the_harness(name: str) -> None:
    played = await followed(name, events=1000)
    assert played.concluded is not None
    assert played.concluded.outcome == "done", played.concluded
    assert 3 < len(played.subscribers["a"]) < 8
    verdicts = {case.rule: case.verdict for case in judge(played, RULES)}
    assert Verdict.ERROR not in verdicts.values()
