"""Numbers over time as small line charts: geometry as data, bounded."""

from collections.abc import Callable, Iterable, Sequence
from math import isfinite

from reports.shapes import CHARACTER, LEFT, RIGHT, Chart, Label, Point
from reports.text import instant, line
from reports.timeline import Series

CHARTS = 16
"""Series that are drawn."""

_COLUMNS = 60  # a column has up to four points: its first, least, greatest and last
_HIGH, _FLAT = 104.0, 44.0
_PLOT, _FOOT = 44.0, 20.0  # from a chart's top to its greatest value, from its least value to its bottom
_LEVEL = 30.0  # from a chart's top to the line of what does not change


def charts(
    series: Iterable[Series], x: Callable[[float], float], top: float
) -> tuple[tuple[Chart, ...], int]:
    """The charts of `series`, one below the other from `top`, and how many are left out. `x` is where a moment
    stands. Those that change come first. Points that cannot be (no number, or no moment of a run) are dropped."""
    known = [(one, points) for one in series if (points := _sane(one.points))]
    known.sort(key=lambda each: _is_flat(each[1]))
    drawn: list[Chart] = []
    for one, points in known[:CHARTS]:
        drawn.append(_chart(one, points, x, top))
        top = drawn[-1].bottom
    return tuple(drawn), len(known) - len(drawn)


def amount(value: float, unit: str) -> str:
    """A value in words: `1,234`, `0.25`, `78.4 MB`."""
    if unit == "bytes":
        for size, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
            if abs(value) >= size:
                return f"{value / size:,.{1 if abs(value) >= 100 * size else 2}f} {name}"
        return f"{value:,.0f} B"
    return f"{value:,.0f}" if value == int(value) and abs(value) < 1e15 else f"{value:,.4g}"


def _chart(
    series: Series, points: Sequence[tuple[float, float]], x: Callable[[float], float], top: float
) -> Chart:
    least, greatest = min(value for _, value in points), max(value for _, value in points)
    flat = _is_flat(points)
    bottom = top + (_FLAT if flat else _HIGH)
    name = line(series.name, 44)

    def y(value: float) -> float:
        if flat:
            return top + _LEVEL
        share = (value / 2 - least / 2) / (greatest / 2 - least / 2)  # of halves: whole ones may overflow
        return round(bottom - _FOOT - min(max(share, 0.0), 1.0) * (_HIGH - _PLOT - _FOOT), 1)

    kept = [points[0], points[-1]] if flat else _thinned(points, x)
    drawn = tuple(
        Point(x(time), y(value), time, words := amount(value, series.unit), f"{instant(time)} · {words}")
        for time, value in kept
    )
    first, last = amount(points[0][1], series.unit), amount(points[-1][1], series.unit)
    note = (
        f"{first} throughout"
        if flat
        else (
            f"{amount(least, series.unit)} to {amount(greatest, series.unit)}, {first} at first, {last} at last"
        )
    )
    return Chart(
        name=name,
        note=note,
        top=top,
        bottom=bottom,
        line=" ".join(f"{point.x:g},{point.y:g}" for point in drawn),
        points=drawn,
        labels=()
        if flat
        else (
            _label(next(p for p in drawn if p.words == amount(greatest, series.unit)), -8.0),
            _label(next(p for p in drawn if p.words == amount(least, series.unit)), 17.0),
        ),
    )


def _label(point: Point, below: float) -> tuple[float, Label]:
    half = len(point.words) * CHARACTER / 2
    anchor = "start" if point.x - half < LEFT else "end" if point.x + half > RIGHT else "middle"
    return round(point.y + below, 1), Label(point.x, anchor, point.words, "event")


def _sane(points: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    return sorted((time, value) for time, value in points if abs(time) < 1e9 and isfinite(value))


def _is_flat(points: Sequence[tuple[float, float]]) -> bool:
    values = [value / 2 for _, value in points]
    return max(values) - min(values) <= 0


def _thinned(points: Sequence[tuple[float, float]], x: Callable[[float], float]) -> list[tuple[float, float]]:
    """All points, or of each column those that its line goes through at the ends and at the most."""
    if len(points) <= _COLUMNS:
        return list(points)
    columns: dict[int, list[tuple[float, float]]] = {}
    for point in points:
        columns.setdefault(int((x(point[0]) - LEFT) / (RIGHT - LEFT) * _COLUMNS), []).append(point)
    kept: list[tuple[float, float]] = []
    for found in columns.values():
        telling = {0, len(found) - 1}
        telling.add(min(range(len(found)), key=lambda index: found[index][1]))
        telling.add(max(range(len(found)), key=lambda index: found[index][1]))
        kept += (found[index] for index in sorted(telling))
    return kept
