"""Events that were replayed come together by right, and a timestamp that is declared is not asked for."""

import pytest
from made_up import TASK, TYPED, WALL, made_up, stream, terms

from conformance.dialect import Dialect
from conformance.rules.timeliness_bursts import no_burst

_REPLAYED = "".join(
    f'id: {step}\nevent: progress\ndata: {{"type": "step", "timestamp": {WALL - 10 + step}}}\n\n'
    for step in range(1, 6)
)


@pytest.mark.parametrize(
    ("dialect", "reason"),
    [
        (TASK, "too few of them were made while the subscriber was there"),
        (TYPED, "without timestamps (dialect.timestamp)"),
    ],
)
def test_a_replay_is_not_taken_for_a_burst(dialect: Dialect, reason: str) -> None:
    judged = no_burst.judge(made_up(stream([(0.1, _REPLAYED)]), terms=terms(dialect)))
    assert judged.verdict == "inconclusive"
    assert reason in judged.reason
