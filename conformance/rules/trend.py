"""Whether a gauge that is looked at again and again shows a leak: growth with every cycle, and not just once.

The slope is Theil and Sen's, the median over all pairs of samples, with the interval that Kendall's statistic gives it
(P. K. Sen, Estimates of the regression coefficient based on Kendall's tau, 1968): a few samples that are far off, as
by a garbage collection or a connection that is just being closed, move neither.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor, inf, sqrt
from statistics import median
from typing import Literal

from reports.outcome import plural

WARM_UP = 0.2
"""The share of the cycles that is left out at the beginning: until then caches fill, and what is made once is made."""

_FEWEST = 6  # samples behind the warm-up
_MOST = 64  # samples that are looked at: the pairs of them are 2,016
_Z = 2.576  # of 99 %
_OUT_OF_NOISE = 3  # times the noise: less growth than that is none
_KEPT = 0.5  # of the growth: what is still there at the end, when all have gone
_SPARE = 1.1  # so many times the cycles at which it would just be certain are asked for
_LATE = 0.4  # of the slope: by how much it must still grow at the end


@dataclass(frozen=True)
class Scale:
    """What is much and what is little for a gauge; all in its unit.

    `sought`: growth with each cycle that has to be found. `least`: less than this with each cycle is no leak, or less
    than `heap` in all, whichever is less: a heap that is not collected yet grows no further than that. `trifle`: growth
    with each cycle that is nobody's fault. `room`: growth that proves nothing, for a pool or a cache may take as much
    once; `share` of where it began is room, too. `slack`: growth that may not show at first, for what is leaked is
    taken from what was free.
    """

    sought: float
    least: float
    trifle: float
    room: float
    heap: float = inf
    share: float = 0.0
    slack: float = 0.0

    def least_over(self, cycles: int) -> float:
        """Growth with each of so many cycles that is a leak: with more of them, less."""
        return max(self.trifle, min(self.least, self.heap / max(1, cycles)))


@dataclass(frozen=True)
class Trend:
    """What the samples say. `slope` with its 99 % interval `low` to `high` is growth per cycle, over `cycles` cycles
    from about `first` to about `last`; `reason` says in words why it is no leak, or why nothing can be said."""

    verdict: Literal["leak", "none", "undecided"]
    reason: str = ""
    slope: float = 0.0
    low: float = 0.0
    high: float = 0.0
    first: float = 0.0
    last: float = 0.0
    cycles: int = 0


def trend(samples: Sequence[tuple[int, float]], after: float | None, scale: Scale) -> Trend:
    """Judge a gauge by samples (cycles by then, value), and by what it is `after` everybody has gone."""
    window = _thinned(_warm(samples))
    if len(window) < _FEWEST:
        return Trend(
            "undecided",
            f"only {plural(len(window), 'sample')} behind the warm-up, {_FEWEST} are needed: more connections give "
            "more (limits.cycles, --cycles)",
        )
    slope, low, high = theil_sen(window)
    late_slope, _, late_high = theil_sen(window[len(window) // 2 :])
    cycles = window[-1][0] - window[0][0]
    offset = median(value - slope * cycle for cycle, value in window)
    noise = 1.4826 * median(abs(value - slope * cycle - offset) for cycle, value in window)
    first, last = (offset + slope * cycle for cycle in (window[0][0], window[-1][0]))
    growth = slope * cycles
    room = max(scale.room, scale.share * abs(first))
    least = scale.least_over(cycles)

    def found(verdict: Literal["leak", "none", "undecided"], reason: str) -> Trend:
        return Trend(verdict, reason, slope, low, high, first, last, cycles)

    if after is None:
        return found("undecided", "it is not known what is left after all have gone")
    if low >= least and late_slope >= max(least, _LATE * slope):
        if after - first < _KEPT * growth:
            return found("none", "what had grown is given back when all have gone")
        if growth <= _OUT_OF_NOISE * noise:
            return found("undecided", "it grows, but no further than it goes up and down anyway")
        if growth > room:
            return found("leak", "")
        wanted = _tens(room / slope)
        return found(
            "undecided",
            f"it grows with every cycle, but by no more than a pool or a cache may take once; {wanted} cycles may tell "
            "(limits.cycles, --cycles)",
        )
    hidden = _OUT_OF_NOISE * noise
    if scale.sought * cycles <= scale.slack + hidden:
        wanted = _tens((scale.slack + hidden) / scale.sought)
        why = (
            "a leak would not stand out from what it does anyway"
            if hidden > scale.slack
            else "what leaks may be taken from what was free before, and not show"
        )
        return found("undecided", f"{why} in so few cycles; {wanted} may do (limits.cycles, --cycles)")
    if min(high, late_high) >= scale.sought and after - first >= _KEPT * scale.sought * cycles:
        return found("undecided", "it goes up and down too much to tell")
    trifle = scale.trifle * cycles
    if (
        low > 0
        and late_slope > max(scale.trifle, _LATE * slope)
        and after - first > max(trifle, _KEPT * growth)
    ):
        return found("undecided", _too_little(low, scale))
    return found("none", "")


def _too_little(low: float, scale: Scale) -> str:
    if scale.heap == inf:
        return "it grows, but by less than a leak with every cycle"
    wanted = _tens(_SPARE * scale.heap / max(low, scale.trifle))
    return (
        f"it grows with every cycle, but by no more than a heap may that is not collected yet; {wanted} cycles may "
        "tell (limits.cycles, --cycles)"
    )


def _tens(behind: float) -> int:
    """How many cycles leave over so many behind the warm-up, with some to spare."""
    return 10 * ceil(behind / (1 - WARM_UP) / 10 + 0.1)


def theil_sen(points: Sequence[tuple[float, float]]) -> tuple[float, float, float]:
    """The slope through the points, and the lower and upper end of its 99 % interval. Zero where there is none."""
    slopes = sorted(
        (there[1] - here[1]) / (there[0] - here[0])
        for index, here in enumerate(points)
        for there in points[index + 1 :]
        if there[0] != here[0]
    )
    if not slopes:
        return 0.0, 0.0, 0.0
    count = len(points)
    spread = _Z * sqrt(count * (count - 1) * (2 * count + 5) / 18)
    below = max(0, floor((len(slopes) - spread) / 2))
    above = min(len(slopes) - 1, len(slopes) - 1 - below)
    return median(slopes), slopes[below], slopes[above]


def _warm(samples: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
    end = max((cycles for cycles, _ in samples), default=0)
    return sorted((cycles, value) for cycles, value in samples if cycles >= max(1, WARM_UP * end))


def _thinned(samples: list[tuple[int, float]]) -> list[tuple[int, float]]:
    step = -(-len(samples) // _MOST)
    return samples[::step] if step > 1 else samples
