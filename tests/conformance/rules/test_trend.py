"""Whether a gauge leaks: found where it grows with every cycle, not where a cache fills, never claimed for noise."""

import random
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conformance.rules.trend import Scale, theil_sen, trend

COUNT = Scale(sought=1, least=0.05, trifle=0.025, room=2)
POOL = replace(COUNT, room=64)
MEMORY = Scale(
    sought=50_000,
    least=35_000,
    trifle=4_000,
    room=6 * 2**20,
    heap=48 * 2**20,
    share=0.05,
    slack=2 * 2**20,
)
MB = 1_000_000.0


def sampled(cycles: int) -> list[int]:
    return [cycle for cycle in range(1, cycles + 1) if cycle * 25 // cycles != (cycle - 1) * 25 // cycles]


def counts(cycles: int, per_cycle: float, *, noise: int = 0, seed: int = 0) -> list[tuple[int, float]]:
    rng = random.Random(seed)
    return [(c, 10 + int(per_cycle * c) + rng.randint(0, noise)) for c in sampled(cycles)]


@pytest.mark.parametrize("noise", [0, 3])
@pytest.mark.parametrize("per_cycle", [1.0, 0.75, 0.125])
def test_one_for_each_cycle_or_for_some_is_a_leak(per_cycle: float, noise: int) -> None:
    found = trend(counts(200, per_cycle, noise=noise), 10 + int(200 * per_cycle), COUNT)
    assert found.verdict == "leak"
    assert found.low <= per_cycle <= found.high
    assert found.slope == pytest.approx(per_cycle, rel=0.2)


@pytest.mark.parametrize("noise", [0, 3])
def test_a_count_that_stays_is_no_leak(noise: int) -> None:
    assert trend(counts(200, 0, noise=noise), 10, COUNT).verdict == "none"
    assert trend(counts(32, 0, noise=noise // 3), 10, COUNT).verdict == "none"


def test_what_piles_up_until_the_server_notices_and_is_given_back_is_no_leak() -> None:
    found = trend(counts(200, 1), 10, COUNT)
    assert found.verdict == "none"
    assert "given back" in found.reason


def test_a_pool_that_fills_is_no_leak() -> None:
    filling = [(cycle, float(min(cycle, 40))) for cycle in sampled(200)]
    assert trend(filling, 40, COUNT).verdict == "none"


def test_growth_that_a_pool_may_have_is_undecided_and_more_cycles_decide_it() -> None:
    assert trend(counts(32, 1), 42, POOL).verdict == "undecided"
    assert trend(counts(200, 1), 210, POOL).verdict == "leak"
    assert trend(counts(32, 0), 10, POOL).verdict == "none"


def allocator(
    cycles: int, per_cycle: float, *, step: float = 262_144, seed: int = 0
) -> list[tuple[int, float]]:
    """Resident memory as an allocator has it: in steps, with a little noise, and much at the beginning."""
    rng = random.Random(seed)
    heap = [
        40 * MB + 3 * MB * (1 - 0.8**c) + per_cycle * c + rng.uniform(0, 100_000) for c in sampled(cycles)
    ]
    return [(c, value // step * step) for c, value in zip(sampled(cycles), heap, strict=True)]


@pytest.mark.parametrize("seed", range(20))
def test_50_kb_for_each_cycle_are_found_in_200_and_a_steady_process_is_not_accused(seed: int) -> None:
    leaking = allocator(200, 50_000, seed=seed)
    assert trend(leaking, leaking[-1][1], MEMORY).verdict == "leak"
    steady = allocator(200, 2_000, seed=seed)
    assert trend(steady, steady[-1][1], MEMORY).verdict == "none"


def test_in_few_cycles_nothing_is_said_of_memory() -> None:
    found = trend([(cycle, 40 * MB) for cycle in range(1, 21)], 40 * MB, MEMORY)
    assert found.verdict == "undecided"
    assert "so few cycles" in found.reason
    assert found.reason.startswith("what leaks may be taken from what was free before, and not show")
    steady = allocator(20, 0)
    assert trend(steady, steady[-1][1], MEMORY).verdict == "undecided"
    restless = [(cycle, 40 * MB + 8 * MB * (cycle % 3)) for cycle in range(1, 21)]
    found = trend(restless, 40 * MB, MEMORY)
    assert found.reason.startswith("a leak would not stand out from what it does anyway in so few cycles")
    leaking = allocator(20, 50_000)
    assert trend(leaking, leaking[-1][1], MEMORY).verdict == "undecided"


def test_as_many_cycles_as_it_then_asks_for_are_enough() -> None:
    found = trend([(cycle, 40.0 * MB) for cycle in sampled(32)], 40 * MB, MEMORY)
    assert found.reason.endswith("in so few cycles; 60 may do (limits.cycles, --cycles)")
    assert trend([(cycle, 40.0 * MB) for cycle in sampled(60)], 40 * MB, MEMORY).verdict == "none"
    leaking = [(cycle, 40.0 * MB + 150_000 * cycle) for cycle in sampled(60)]
    assert trend(leaking, leaking[-1][1], MEMORY).verdict == "leak"


def test_growth_that_a_pool_may_take_once_says_how_many_cycles_would_tell() -> None:
    def leaking(cycles: int) -> list[tuple[int, float]]:
        return [(cycle, 100.0 * MB + 45_000 * cycle) for cycle in sampled(cycles)]

    found = trend(leaking(120), leaking(120)[-1][1], MEMORY)
    assert found.verdict == "undecided"
    assert "180 cycles may tell (limits.cycles, --cycles)" in found.reason
    assert trend(leaking(180), leaking(180)[-1][1], MEMORY).verdict == "leak"


@pytest.mark.parametrize("per_cycle", [18_000, 30_000])
def test_less_than_a_leak_in_200_cycles_is_undecided_and_as_many_as_it_then_asks_for_tell(
    per_cycle: int,
) -> None:
    few = allocator(200, per_cycle)
    found = trend(few, few[-1][1], MEMORY)
    assert found.verdict == "undecided"
    wanted = re.search(r"it grows with every cycle, .*; (\d+) cycles may tell", found.reason)
    assert wanted is not None
    many = allocator(int(wanted[1]), per_cycle)
    assert trend(many, many[-1][1], MEMORY).verdict == "leak"
    assert trend(many, 40 * MB, MEMORY).verdict == "none"  # given back


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize(("cycles", "per_cycle"), [(200, 2_000), (1_000, 2_000), (5_000, 2_000)])
def test_what_an_allocator_takes_anyway_is_no_leak_in_however_many(
    cycles: int, per_cycle: int, seed: int
) -> None:
    steady = allocator(cycles, per_cycle, seed=seed)
    assert trend(steady, steady[-1][1], MEMORY).verdict == "none"


@pytest.mark.parametrize(
    ("cycles", "per_cycle"), [(200, 30_000), (1_000, 20_000), (1_200, 31_000), (2_000, 21_000)]
)
def test_what_v8_and_a_jvm_take_before_they_collect_is_no_leak(cycles: int, per_cycle: int) -> None:
    filling = allocator(cycles, per_cycle)
    assert trend(filling, filling[-1][1], MEMORY).verdict == "undecided"


def test_a_straight_line_needs_no_more_cycles_than_it_asks_for() -> None:
    def leaking(cycles: int) -> list[tuple[int, float]]:
        return [(cycle, 40 * MB + 18_000.0 * cycle) for cycle in sampled(cycles)]

    found = trend(leaking(2_000), leaking(2_000)[-1][1], MEMORY)
    assert "; 3850 cycles may tell" in found.reason
    assert trend(leaking(3_850), leaking(3_850)[-1][1], MEMORY).verdict == "leak"


def test_growth_that_has_stopped_is_not_said_to_go_on() -> None:
    filling = [(cycle, 40 * MB + 20_000.0 * min(cycle, 100)) for cycle in sampled(200)]
    assert trend(filling, filling[-1][1], MEMORY).verdict == "none"


def test_a_cache_that_fills_is_no_leak() -> None:
    filling = [(cycle, 40 * MB + 150_000.0 * min(cycle, 90)) for cycle in sampled(200)]
    assert trend(filling, filling[-1][1], MEMORY).verdict == "none"


@pytest.mark.parametrize("period", [7, 20, 33, 60])
@pytest.mark.parametrize("height", [1 * MB, 8 * MB, 30 * MB])
def test_the_sawtooth_of_a_garbage_collector_is_no_leak(period: int, height: float) -> None:
    teeth = [(cycle, 60 * MB + height * (cycle % period) / period) for cycle in sampled(200)]
    assert trend(teeth, teeth[-1][1], MEMORY).verdict != "leak"


def test_a_leak_under_a_small_sawtooth_is_found() -> None:
    teeth = [(cycle, 60 * MB + MB * (cycle % 20) / 20 + 100_000.0 * cycle) for cycle in sampled(200)]
    assert trend(teeth, teeth[-1][1], MEMORY).verdict == "leak"


def test_growth_that_has_stopped_is_no_leak() -> None:
    stopped = [(cycle, float(min(cycle, 130))) for cycle in sampled(200)]
    assert trend(stopped, 130, COUNT).verdict != "leak"


def test_one_great_step_at_the_end_is_undecided() -> None:
    step = [(cycle, 10.0 + 160.0 * (cycle > 160)) for cycle in sampled(200)]
    found = trend(step, 170, COUNT)
    assert found.verdict == "undecided"
    assert "up and down" in found.reason


def test_slow_growth_is_undecided() -> None:
    slow = [(cycle, 10 + 0.04 * cycle) for cycle in sampled(200)]
    found = trend(slow, 18, COUNT)
    assert found.verdict == "undecided"
    assert "less than a leak" in found.reason


@pytest.mark.parametrize("seed", [2, 4, 16, 24, 35])
def test_growth_that_is_no_more_than_the_ups_and_downs_is_undecided(seed: int) -> None:
    found = trend(counts(200, 0.15, noise=30, seed=seed), 70, COUNT)
    assert found.low > COUNT.least  # it is certain that it grows
    assert found.verdict == "undecided"
    assert "up and down anyway" in found.reason


@pytest.mark.parametrize("seed", range(100))
def test_a_gauge_that_other_clients_move_is_not_accused(seed: int) -> None:
    busy = counts(200, 0, noise=30, seed=seed)
    assert trend(busy, max(value for _, value in busy), COUNT).verdict != "leak"


def test_where_the_noise_could_hide_a_leak_nothing_is_said() -> None:
    busy = counts(32, 0, noise=40)
    found = trend(busy, 10, COUNT)
    assert found.verdict == "undecided"
    assert "so few cycles" in found.reason


def test_the_warm_up_is_left_out() -> None:
    found = trend(counts(200, 1), 210, COUNT)
    assert found.cycles == 160
    assert found.first == pytest.approx(50)
    assert found.last == pytest.approx(210)


def test_what_is_left_at_the_end_must_be_known() -> None:
    assert trend(counts(200, 1), None, COUNT).verdict == "undecided"


def test_a_few_samples_prove_nothing() -> None:
    found = trend([(cycle, float(cycle)) for cycle in range(1, 6)], 5, COUNT)
    assert found.verdict == "undecided"
    assert "samples" in found.reason
    assert trend([], 0, COUNT).verdict == "undecided"


values = st.floats(-1e9, 1e9, allow_nan=False)
samples = st.lists(st.tuples(st.integers(1, 500), values), max_size=80)


@given(samples, values, st.sampled_from([COUNT, POOL, MEMORY]))
def test_whatever_is_sampled_there_is_a_verdict_with_a_reason(
    found: list[tuple[int, float]], after: float, scale: Scale
) -> None:
    judged = trend(found, after, scale)
    assert judged.verdict in {"leak", "none", "undecided"}
    assert judged.low <= judged.slope <= judged.high
    if judged.verdict == "undecided":
        assert judged.reason


@given(
    st.lists(st.tuples(st.integers(1, 500), st.integers(0, 20)), min_size=6, max_size=60), st.integers(0, 2)
)
def test_what_goes_up_and_down_and_comes_back_is_never_accused(
    found: list[tuple[int, int]], after: int
) -> None:
    lowest = min(value for _, value in found)
    assert trend([(c, float(v)) for c, v in found], float(min(after, lowest)), COUNT).verdict != "leak"


@given(st.floats(-1e3, 1e3), st.floats(-1e3, 1e3))
def test_the_slope_of_a_line_is_its_slope(slope: float, offset: float) -> None:
    line = [(float(x), slope * x + offset) for x in range(12)]
    assert theil_sen(line) == pytest.approx((slope, slope, slope), abs=1e-6)


def test_a_few_samples_far_off_do_not_move_the_slope() -> None:
    line = [(float(x), 2.0 * x) for x in range(30)]
    for x in (3, 11, 27):
        line[x] = (float(x), 1e6)
    slope, low, high = theil_sen(line)
    assert 1.9 < low <= slope <= high < 2.6
