"""A picture of what happened when: lanes and marks, and numbers over time, as data."""

from typing import Literal, TypeAlias

import msgspec

Tone: TypeAlias = Literal["event", "good", "bad", "fault", "quiet", "note"]


class Mark(msgspec.Struct, frozen=True, omit_defaults=True):
    """A moment on a lane. `time`: seconds since the run began. `label` is short, `detail` is shown on demand;
    both may be hostile text. `tone` says how to draw it: `event` (an event arrived), `good` (completion),
    `bad` (a broken end), `fault` (a fault fired), `quiet` (a heartbeat), `note` (what the scenario did)."""

    time: float
    tone: Tone
    label: str
    detail: str = ""


class Span(msgspec.Struct, frozen=True, omit_defaults=True):
    """A stretch on a lane, e.g. how long a response was open, or how long a fault held."""

    start: float
    end: float
    tone: Tone
    label: str = ""


class Lane(msgspec.Struct, frozen=True, omit_defaults=True):
    """One connection, or the link, or a probe."""

    name: str
    marks: tuple[Mark, ...] = ()
    spans: tuple[Span, ...] = ()


class Series(msgspec.Struct, frozen=True, omit_defaults=True):
    """A number over time, e.g. a gauge of a probe: points of (seconds since the run began, value), in `unit`."""

    name: str
    points: tuple[tuple[float, float], ...]
    unit: Literal["", "bytes"] = ""


class Timeline(msgspec.Struct, frozen=True, omit_defaults=True):
    """The lanes of one scenario, and the numbers that were watched in it; `duration` in seconds. `limits` of attention
    (how many marks are drawn) are the renderer's."""

    title: str
    duration: float
    lanes: tuple[Lane, ...] = ()
    series: tuple[Series, ...] = ()
