"""Where everything of a timeline stands in its picture: geometry as data, bounded, without a byte of SVG.

Marks that fall on the same spot are one group, so a hundred thousand events draw no more than a few
hundred shapes; how many there are is told by a bar under the lane and a `×40` beside it. A burst is then a
tower, and a steady stream a carpet.
"""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from math import floor, log10, sqrt

import msgspec

from reports.charts import charts
from reports.labels import counts, labels
from reports.outcome import plural
from reports.shapes import CHARACTER, LEFT, OVER, RIGHT, WORDS, Bar, Chart, DrawnLane, Group, Picture, Stretch
from reports.text import instant, line, seconds
from reports.timeline import Lane, Mark, Span, Timeline

_HEAD, _LANE, _PLAIN_LANE, _FOOT = 8.0, 114.0, 74.0, 34.0
_BAND, _STRIP = 54.0, 103.0  # below a lane's top: the band's middle, the foot of the bars
_BAR = 33.0  # the height of the highest

LANES = 12
"""Lanes that are drawn; the others are drawn together as one."""
_GROUPS = 800
_COLUMNS = 240
_SPANS = 60


class _Scale(msgspec.Struct, frozen=True):
    duration: float
    columns: int

    def x(self, time: float) -> float:
        return round(LEFT + min(max(time / self.duration, 0.0), 1.0) * (RIGHT - LEFT), 1)

    def column(self, time: float) -> int:
        return min(max(floor(time / self.duration * self.columns), 0), self.columns - 1)

    @property
    def width(self) -> float:
        return (RIGHT - LEFT) / self.columns


def draw(timeline: Timeline) -> Picture:
    """Lay out `timeline`. Whatever its size, at most `LANES` + 1 lanes and some 2,000 groups of marks come of
    it; no mark is left out, it is only drawn together with its neighbours. Times that cannot be (NaN, or
    further than 30 years from the run) are dropped, times before the run stand at the picture's edge."""
    lanes, together = _chosen(tuple(map(_cleaned, timeline.lanes)))
    ends = [mark.time for lane in lanes for mark in lane.marks] + [
        s.end for lane in lanes for s in lane.spans
    ]
    ends += [time for series in timeline.series for time, _ in series.points if _sane(time)]
    asked = timeline.duration if _sane(timeline.duration) else 0.0
    duration = max([asked, *ends, 1e-6])
    tones = [tone for tone in OVER if any(mark.tone == tone for lane in lanes for mark in lane.marks)]
    # Columns as narrow as a mark, or wider until the groups are few enough.
    for columns in (_COLUMNS, _COLUMNS // 2, _COLUMNS // 4, _COLUMNS // 8):
        scale = _Scale(duration, columns)
        grouped = [_groups(lane.marks, scale) for lane in lanes]
        if sum(map(len, grouped)) <= _GROUPS:
            break
    most = max((group.count for groups in grouped for group in groups if group.tone == "event"), default=1)
    drawn: list[DrawnLane] = []
    top = _HEAD
    for lane, groups in zip(lanes, grouped, strict=True):
        drawn.append(_lane(lane, groups, scale, top, most))
        top = drawn[-1].bottom
    below, left_out = charts(timeline.series, scale.x, top)
    top = below[-1].bottom if below else top
    faults = sorted({group.x for groups in grouped for group in groups if group.tone == "fault"})
    return Picture(
        title=timeline.title,
        description=_description(drawn, grouped, below, scale.duration),
        height=top + _FOOT,
        axis=top,
        ticks=tuple(_ticks(scale)),
        lanes=tuple(drawn),
        charts=below,
        fault_lines=tuple(faults),
        tones=tuple(tones),
        together=together,
        left_out=left_out,
    )


def _cleaned(lane: Lane) -> Lane:
    marks = tuple(sorted((mark for mark in lane.marks if _sane(mark.time)), key=lambda mark: mark.time))
    spans = tuple(s for s in lane.spans if _sane(s.start) and _sane(s.end) and s.end >= s.start)
    return Lane(lane.name, marks, spans)


def _sane(time: float) -> bool:
    return abs(time) < 1e9  # also False for what is not a number


def _chosen(lanes: tuple[Lane, ...]) -> tuple[tuple[Lane, ...], int]:
    """The lanes to draw: all, or those with a fault or a broken end first and the rest together as one."""
    if len(lanes) <= LANES:
        return lanes, 0
    telling = {
        index for index, lane in enumerate(lanes) if any(m.tone in ("bad", "fault") for m in lane.marks)
    }
    kept = set(sorted(range(len(lanes)), key=lambda index: (index not in telling, index))[:LANES])
    rest = [lane for index, lane in enumerate(lanes) if index not in kept]
    marks = tuple(sorted((mark for lane in rest for mark in lane.marks), key=lambda mark: mark.time))
    merged = Lane(f"{len(rest):,} more lanes, drawn as one", marks)
    return (*(lane for index, lane in enumerate(lanes) if index in kept), merged), len(rest)


def _groups(marks: Sequence[Mark], scale: _Scale) -> tuple[Group, ...]:
    cells: dict[tuple[int, int], list[Mark]] = {}
    for mark in marks:
        cells.setdefault((OVER.index(mark.tone), scale.column(mark.time)), []).append(mark)
    return tuple(_group(found, scale) for _, found in sorted(cells.items()))


def _group(marks: Sequence[Mark], scale: _Scale) -> Group:
    """`marks` of one tone and column, at least one, in the order of time."""
    first, last, count, tone = marks[0].time, marks[-1].time, len(marks), marks[0].tone
    named = list(dict.fromkeys(line(mark.label, 60) for mark in marks[:50]))
    what = ", ".join(named[:3])
    if (final := line(marks[-1].label, 60)) not in named[:3]:
        what += f" … {final}"
    when = instant(first)
    if count > 1 and instant(last) != when:
        when = f"{when} to {instant(last)}"
    detail = f" — {line(marks[0].detail, 240)}" if count == 1 and marks[0].detail else ""
    title = f"{when} · {plural(count, *WORDS[tone])} · {what}{detail}"
    return Group(scale.x((first + last) / 2), tone, count, first, last, what, title)


def _lane(lane: Lane, groups: Sequence[Group], scale: _Scale, top: float, most: int) -> DrawnLane:
    events = [group for group in groups if group.tone == "event"]
    # Where every event has its own mark, bars would tell nothing.
    stacked = any(group.count > 1 for group in events)
    bars = tuple(_bar(group, scale, most) for group in events) if stacked else ()
    return DrawnLane(
        name=line(lane.name, 44),
        note=_note(lane.marks),
        top=top,
        band=top + _BAND,
        strip=top + _STRIP,
        bottom=top + (_LANE if stacked else _PLAIN_LANE),
        stretches=tuple(_stretch(span, scale) for span in lane.spans[:_SPANS]),
        groups=tuple(groups),
        bars=bars,
        labels=tuple(labels(groups)),
        counts=tuple(counts(bars)),
    )


def _bar(group: Group, scale: _Scale, most: int) -> Bar:
    """The root keeps a single event visible beside a burst of thousands."""
    height = 3.0 + (_BAR - 3.0) * (sqrt(group.count - 1) / sqrt(most - 1) if most > 1 else 0.0)
    width = min(scale.width - 0.8, 3.0) if group.count < 5 else max(scale.width, 6.0)
    return Bar(round(group.x - width / 2, 1), round(width, 1), round(height, 1), group.count)


def _stretch(span: Span, scale: _Scale) -> Stretch:
    start, end = scale.x(span.start), scale.x(span.end)
    title = f"{instant(span.start)} to {instant(span.end)} · {line(span.label, 240)}"
    label = line(span.label, 40)
    fits = len(label) * CHARACTER < end - start
    return Stretch(start, round(max(end - start, 2.0), 1), span.tone, title, label if fits else "")


def _note(marks: Sequence[Mark]) -> str:
    """How many events, when, and the longest time between two: what one looks for first."""
    times = [mark.time for mark in marks if mark.tone == "event"]
    if not times:
        return ""
    gap = max((after - before for before, after in pairwise(times)), default=0.0)
    if len(times) == 1:
        return f"1 event at {seconds(times[0])}"
    when = f"from {seconds(times[0])} to {seconds(times[-1])}"
    return f"{plural(len(times), 'event')} {when}, longest gap {seconds(gap)}"


def _description(
    lanes: Sequence[DrawnLane], groups: Sequence[Sequence[Group]], below: Sequence[Chart], duration: float
) -> str:
    told: list[str] = [f"{plural(len(lanes), 'lane')} over {seconds(duration)}."]
    for lane, found in zip(lanes, groups, strict=True):
        parts = [lane.note] if lane.note else []
        for tone in ("bad", "fault", "good"):
            marked = [group for group in found if group.tone == tone]
            parts += [f"{group.what} at {seconds(group.first)}" for group in marked[:3]]
            parts += [f"{len(marked) - 3:,} more of its kind"] * (len(marked) > 3)
        told.append(f"{lane.name}: {'; '.join(parts) or 'no event'}.")
    told += [f"{chart.name}: {chart.note}." for chart in below]
    return " ".join(told)


def _ticks(scale: _Scale) -> Iterable[tuple[float, str]]:
    """Round numbers of seconds, at most nine."""
    exponent = floor(log10(scale.duration / 8))
    step = next(n for factor in (1, 2, 5, 10) if (n := factor * 10.0**exponent) * 8 >= scale.duration)
    for index in range(floor(scale.duration / step * (1 + 1e-9)) + 1):
        yield scale.x(index * step), f"{index * step:,.{max(-exponent, 0)}f} s"
