"""The shapes of a timeline's picture, as data: what stands where, in units of a box `WIDTH` wide."""

import msgspec

from reports.timeline import Tone

WIDTH = 960.0
LEFT, RIGHT = 14.0, 946.0  # where time begins and ends
CHARACTER = 11.0  # the width of one in the larger letters of a phone

WORDS: dict[Tone, tuple[str, str]] = {
    "event": ("event", "events"),
    "good": ("completion", "completions"),
    "bad": ("broken end", "broken ends"),
    "fault": ("fault", "faults"),
    "quiet": ("heartbeat", "heartbeats"),
    "note": ("note", "notes"),
}
OVER: tuple[Tone, ...] = ("quiet", "event", "note", "good", "fault", "bad")  # what is drawn later is on top


class Group(msgspec.Struct, frozen=True):
    """Marks of one tone that are drawn as one; `what` is the first labels, `title` all there is to say."""

    x: float
    tone: Tone
    count: int
    first: float
    last: float
    what: str
    title: str


class Bar(msgspec.Struct, frozen=True):
    """How many events a group has, as a tower under the lane."""

    x: float
    width: float
    height: float
    count: int


class Label(msgspec.Struct, frozen=True):
    """Words at a mark; `anchor` is which end of them stands at `x`: start, middle or end."""

    x: float
    anchor: str
    text: str
    tone: Tone


class Stretch(msgspec.Struct, frozen=True):
    """A span."""

    x: float
    width: float
    tone: Tone
    title: str
    label: str


class DrawnLane(msgspec.Struct, frozen=True):
    """A lane from `top` to `bottom`: the middle of its band, the foot of its bars, and all that is on it."""

    name: str
    note: str
    top: float
    band: float
    strip: float
    bottom: float
    stretches: tuple[Stretch, ...]
    groups: tuple[Group, ...]
    bars: tuple[Bar, ...]
    labels: tuple[Label, ...]
    counts: tuple[Label, ...]


class Point(msgspec.Struct, frozen=True):
    """A value of a series; `words` is the value, `title` all there is to say."""

    x: float
    y: float
    time: float
    words: str
    title: str


class Chart(msgspec.Struct, frozen=True):
    """A series from `top` to `bottom`, drawn between its least and its greatest value, which `labels` name at `y`.
    `line` is the points as SVG has them."""

    name: str
    note: str
    top: float
    bottom: float
    line: str
    points: tuple[Point, ...]
    labels: tuple[tuple[float, Label], ...]


class Picture(msgspec.Struct, frozen=True):
    """A timeline, laid out in a box of `WIDTH` by `height` units. `description` says it in words."""

    title: str
    description: str
    height: float
    axis: float
    ticks: tuple[tuple[float, str], ...]
    lanes: tuple[DrawnLane, ...]
    charts: tuple[Chart, ...]
    fault_lines: tuple[float, ...]
    tones: tuple[Tone, ...]
    together: int  # how many lanes the last one stands for, 0 if for itself
    left_out: int  # how many series are not drawn
