"""What is read of a probe's answer: all of it or nothing, for a sum over half of the samples is no gauge."""

import pytest
import trio
from drive_world import Handler, answer, configured, driven, in_virtual_time, repeats, resets, says

from conformance.config import Metric, Probe, Stream, Target
from conformance.drive.stage import Stage

METRIC = Probe(path="/metrics", gauges={"open": Metric(metric="open")})
POINTER = Probe(path="/metrics", gauges={"open": "/open"})
SAMPLE = b"open 1\n"
OPEN_ENDED = b"HTTP/1.1 200 OK\r\n\r\n"
HALF = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"


async def sampled(handle: Handler, probe: Probe = METRIC) -> tuple[float | None, str]:
    """The gauge `open`, and why it could not be seen."""

    async def sample(stage: Stage) -> None:
        await stage.sample()

    config = configured(target=Target(url="http://127.0.0.1:1", stream=Stream(path="/events"), probe=probe))
    with trio.fail_after(60):
        history = await driven(handle, config, drive=sample)
    (gauge,) = history.gauges
    return gauge.value, gauge.detail


@in_virtual_time
@pytest.mark.parametrize(
    ("handle", "why"),
    [
        (says(OPEN_ENDED, then=repeats(SAMPLE, 0.1)), "/metrics: no complete answer within 2 s"),
        (says(OPEN_ENDED, then=repeats(SAMPLE * 10_000)), "/metrics: over 1048576 bytes"),
        (says(HALF, SAMPLE), "/metrics: the connection ended before the response did"),
        (says(HALF, SAMPLE, then=resets), "/metrics: the connection was reset"),
        (says(answer(SAMPLE, b"500 Oops")), "/metrics answered 500"),
    ],
)
async def test_half_an_answer_is_none(handle: Handler, why: str) -> None:
    assert await sampled(handle) == (None, why)


@in_virtual_time
async def test_a_whole_answer_is_read() -> None:
    assert await sampled(says(answer(SAMPLE * 3))) == (3.0, "")
    assert await sampled(says(OPEN_ENDED, SAMPLE)) == (1.0, "")
    assert await sampled(says(answer(b'{"open": 2}')), POINTER) == (2.0, "")
