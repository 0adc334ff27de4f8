"""Recognises a preset in a stream, where the stream makes it unambiguous. An assumption is said aloud."""

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from conformance.dialect.dialect import Dialect, Matcher
from conformance.dialect.presets import PRESETS, Preset, Sign
from conformance.dialect.reading import Parsed, matches, parse
from conformance.wire.event import Event, Item

_GENERIC: Final = (
    (Matcher(data="[DONE]"), '{ data = "[DONE]" }'),
    (Matcher(event="complete"), '{ event = "complete" }'),
    (Matcher(event="done"), '{ event = "done" }'),
    (Matcher(pointer="/type", equals="complete"), '{ pointer = "/type", equals = "complete" }'),
    (Matcher(pointer="/type", equals="done"), '{ pointer = "/type", equals = "done" }'),
)
"""Completions that many protocols share, with the TOML that declares each."""


class Recognition(msgspec.Struct, frozen=True):
    """What a stream makes plain about its dialect.

    `preset`: its name, or None. `dialect`: what may be assumed, empty where nothing may. `assumption`: the
    line of TOML that declares the same, "" where nothing is assumed. `reason`: why, in a sentence.
    `candidates`: the presets that the stream resembles without being one beyond doubt.
    """

    preset: str | None
    dialect: Dialect
    assumption: str
    reason: str
    candidates: tuple[str, ...] = ()


def recognise(items: Iterable[Item]) -> Recognition:
    """The preset of a stream, from its first items or all of them; nothing is assumed in doubt.

    Where no preset fits, a generic completion (`[DONE]`, an event or a `type` "done" or "complete") is
    assumed if it is the last event, came once, and something came before it.
    """
    events = [parse(item) for item in items if isinstance(item, Event)]
    fitting = [preset for preset in PRESETS.values() if _fits(preset, events)]
    if len(fitting) == 1:
        (preset,) = fitting
        return Recognition(
            preset.name,
            Dialect(preset=preset.name),
            f'dialect.preset = "{preset.name}"',
            f"each of its {_count(events)} has the shape of {preset.name}: {preset.summary}",
        )
    near = fitting or [
        row
        for row in PRESETS.values()
        if _seen(row.signs.seen, events) and not _seen(row.signs.never, events)
    ]
    candidates = tuple(preset.name for preset in near)
    for matcher, toml in _GENERIC:
        if _completes(matcher, events):
            return Recognition(
                None,
                Dialect(completion=(matcher,)),
                f"dialect.completion = [{toml}]",
                f"the last of its {_count(events)}, and only that, matches {toml}; no preset fits",
                candidates,
            )
    return Recognition(None, Dialect(), "", _doubt(events, fitting, candidates), candidates)


def _fits(preset: Preset, events: Sequence[Parsed]) -> bool:
    signs = preset.signs
    return (
        bool(events)
        and _told(signs.first, events[0])
        and all(_told(signs.every, event) for event in events)
        and _seen(signs.seen, events)
        and not _seen(signs.never, events)
    )


def _told(signs: Iterable[Sign], event: Parsed) -> bool:
    return any(all(matches(matcher, event) for matcher in sign) for sign in signs)


def _seen(signs: Iterable[Sign], events: Iterable[Parsed]) -> bool:
    return any(_told(signs, event) for event in events)


def _completes(matcher: Matcher, events: Sequence[Parsed]) -> bool:
    return (
        len(events) > 1
        and matches(matcher, events[-1])
        and not any(matches(matcher, event) for event in events[:-1])
    )


def _doubt(events: Sequence[Parsed], fitting: Sequence[Preset], candidates: Sequence[str]) -> str:
    if not events:
        return "it has no event"
    if len(fitting) > 1:
        return f"its {_count(events)} fit more than one preset: {', '.join(candidates)}"
    if candidates:
        return f"its {_count(events)} resemble {', '.join(candidates)}, but not all of them"
    return f"none of its {_count(events)} is a sign of a known protocol"


def _count(events: Sequence[Parsed]) -> str:
    return "1 event" if len(events) == 1 else f"{len(events)} events"
