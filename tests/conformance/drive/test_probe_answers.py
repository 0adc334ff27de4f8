"""What is read of a probe's answer: all of it or nothing, for a sum over half of the samples is no gauge."""

import pytest
import trio
from drive_world import Handler, answer, configured, driven, in_virtual_time, repeats, resets, says

from conformance.config import Metric, Probe, Stream, Target
from conformance.drive.stage import Stage
from conformance.history import History

METRIC = Probe(path="/metrics", gauges={"open": Metric(metric="open")})
POINTER = Probe(path="/metrics", gauges={"open": "/open"})
SAMPLE = b"open 1\n"
OPEN_ENDED = b"HTTP/1.1 200 OK\r\n\r\n"
HALF = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"


async def looks(handle: Handler, probe: Probe = METRIC, *, times: int = 1) -> History:
    """What is recorded when the probe is asked so many times."""

    async def sample(stage: Stage) -> None:
        for _ in range(times):
            await stage.sample()

    config = configured(target=Target(url="http://127.0.0.1:1", stream=Stream(path="/events"), probe=probe))
    with trio.fail_after(60):
        return await driven(handle, config, drive=sample)


async def sampled(handle: Handler, probe: Probe = METRIC) -> tuple[float | None, str]:
    """The gauge `open`, and why it could not be seen."""
    (gauge,) = (await looks(handle, probe)).gauges
    return gauge.value, gauge.detail


@in_virtual_time
@pytest.mark.parametrize(
    ("handle", "why"),
    [
        (says(OPEN_ENDED, then=repeats(SAMPLE, 0.1)), "/metrics: no complete answer within 2 s"),
        (
            says(OPEN_ENDED, then=repeats(SAMPLE * 10_000)),
            "/metrics: the answer has over 1048576 bytes, which is more than is read: can it be asked for less?",
        ),
        (says(HALF, SAMPLE), "/metrics: the connection ended before the response did"),
        (says(HALF, SAMPLE, then=resets), "/metrics: the connection was reset"),
        (says(answer(SAMPLE, b"500 Oops")), "/metrics answered 500"),
    ],
)
async def test_half_an_answer_is_none(handle: Handler, why: str) -> None:
    assert await sampled(handle) == (None, why)


@in_virtual_time
@pytest.mark.parametrize(
    ("body", "probe", "why"),
    [
        (b"other 1\n", METRIC, "/metrics: no sample of open in the answer"),
        (b"{}", POINTER, "/metrics: no number at /open in the answer"),
    ],
    ids=["metric", "pointer"],
)
async def test_what_is_not_in_the_answer_is_said_with_where_it_was_asked_for(
    body: bytes, probe: Probe, why: str
) -> None:
    assert await sampled(says(answer(body)), probe) == (None, why)


@in_virtual_time
async def test_a_whole_answer_is_read() -> None:
    assert await sampled(says(answer(SAMPLE * 3))) == (3.0, "")
    assert await sampled(says(OPEN_ENDED, SAMPLE)) == (1.0, "")
    assert await sampled(says(answer(b'{"open": 2}')), POINTER) == (2.0, "")


@in_virtual_time
async def test_a_probe_that_hangs_is_asked_once_and_one_that_fails_again_and_again() -> None:
    hung = await looks(says(OPEN_ENDED, then=repeats(SAMPLE, 0.1)), times=3)
    assert [gauge.detail for gauge in hung.gauges] == ["/metrics: no complete answer within 2 s"] * 3
    assert len(hung.exchanges) == 1
    failing = await looks(says(answer(SAMPLE, b"500 Oops")), times=3)
    assert len(failing.exchanges) == 3


@in_virtual_time
async def test_who_asks_says_that_it_will_not_ask_again_on_this_connection() -> None:
    (asked,) = (await looks(says(answer(SAMPLE)))).exchanges
    assert ("Connection", "close") in asked.requested.headers
