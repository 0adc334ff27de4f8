"""The harness notices when it stands still itself."""

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from conformance.drive.stalls import watching_for_stalls
from conformance.history import Began, History, Recorder, history
from conformance.history.stalls import without_stalls, worst_stall


async def _watched(clock: MockClock, steps: list[float]) -> History:
    """What is recorded while the clock goes on by these steps, with nothing running in between."""
    recorder = Recorder(Began(clock="real"), zero=trio.current_time())
    async with watching_for_stalls(recorder):
        for step in steps:
            await wait_all_tasks_blocked()
            clock.jump(step)
        await wait_all_tasks_blocked()
    return history(recorder.records)


@pytest.mark.parametrize(
    ("steps", "worst", "noted"),
    [
        ([0.1] * 20, 0.0, 0),
        ([0.1, 0.15, 0.1], 0.0, 0),
        ([0.1, 0.6, 0.1], 0.5, 1),
        ([0.1, 0.4, 0.1, 1.1, 0.4], 1.0, 2),
    ],
)
async def test_only_stalls_that_are_longer_than_before_are_noted(
    mock_clock: MockClock, steps: list[float], worst: float, noted: int
) -> None:
    known = await _watched(mock_clock, steps)
    assert worst_stall(known) == pytest.approx(worst, abs=0.001)
    assert len(known.marks) == noted


async def test_a_history_can_be_read_as_if_nothing_had_stalled(mock_clock: MockClock) -> None:
    known = await _watched(mock_clock, [1.0])
    assert known.marked("harness stalled")
    assert worst_stall(without_stalls(known)) == 0.0
    assert without_stalls(known).began == known.began
