"""The reference, looked at from outside its process, on sockets; of the specimens test_matrix.py has the tests."""

import pytest

from conformance.judging import judge_by
from conformance.rules import RULES
from conformance.specimens import REFERENCE, examine_process


@pytest.mark.parametrize(
    ("scenario", "seen"),
    [
        (
            "connect-storm",
            {"gauges-return", "descriptors", "memory", "threads", "sockets", "children", "stays-up"},
        ),
        ("stalled-reader", {"stalled-reader", "stays-up"}),
    ],
)
async def test_the_reference_gives_everything_back(scenario: str, seen: set[str]) -> None:
    history = await examine_process(REFERENCE, scenario=scenario)
    verdicts = {
        rule.name: judge_by(history, rule).verdict
        for rule in RULES
        if scenario in rule.scenarios and rule.area == "resource"
    }
    assert verdicts == {f"resource.{name}": "conforms" for name in seen}
    assert history.duration < 8  # 0.7 and 1.5 s on an idle machine
