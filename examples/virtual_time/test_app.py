"""The whole test: `pytest` in this folder."""

import pytest
from app import make_app, make_correct

from conformance.testing_explore import Explore


def test_no_schedule_breaks_the_stream(sse_explore: Explore) -> None:
    sse_explore(make_correct, "sse-conformance.toml", schedules=100)


def test_what_a_race_looks_like(sse_explore: Explore) -> None:
    with pytest.raises(AssertionError, match=r"comes 0\.1 s late"):
        sse_explore(make_app, "sse-conformance.toml")
