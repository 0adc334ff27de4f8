"""Reads a stream whose dialect may be unknown: it learns what completes it from the stream itself."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

from conformance.dialect import (
    PRESETS,
    Dialect,
    Matcher,
    Parsed,
    Role,
    any_matches,
    classify,
    effective_dialect,
    parse,
    recognise,
)
from conformance.wire import Event, Item

REMEMBERED: Final = 5_000  # events; a stream that is still unknown after so many stays unknown
_LOOKED_AT: Final = (
    4 * REMEMBERED
)  # events in all looks together: what ends again and again must not take for ever

_ENDINGS: Final = (
    Matcher(data="[DONE]"),
    *(Matcher(event=name) for name in ("complete", "done")),
    *(Matcher(pointer="/type", equals=name) for name in ("complete", "done")),
    *(
        matcher
        for preset in PRESETS.values()
        for matchers in (preset.dialect.completion, preset.dialect.failure, preset.dialect.end)
        for matcher in matchers or ()
    ),
)
"""What ends a stream in any known protocol: only then is it worth looking at the whole."""


@dataclass
class Reader:
    """Answers, item by item, with the dialect to read it by.

    A configured completion is taken as it is. Otherwise, whenever something arrives that ends a stream in
    some known protocol, the events so far are looked at together. A stream in which that happens very often
    is read as it was the last time.
    """

    dialect: Dialect
    _items: list[Item] = field(default_factory=list)
    _looked_at: int = 0
    _last: Dialect | None = None

    def read(self, parsed: Parsed) -> Dialect:
        """The dialect in which to read this item."""
        if self.dialect.completion is not None or not isinstance(parsed.item, Event):
            return self.dialect
        if len(self._items) >= REMEMBERED:
            return self.dialect
        self._items.append(parsed.item)
        if not any_matches(_ENDINGS, parsed):
            return self.dialect
        self._looked_at += len(self._items)
        if self._last is None or self._looked_at <= _LOOKED_AT:
            self._last = assume(self.dialect, self._items)[0]
        return self._last


def assume(dialect: Dialect, items: Sequence[Item]) -> tuple[Dialect, str]:
    """The dialect with what the stream makes unambiguous, and the assumption in words, "" where there is none.

    Only a dialect that declares neither a preset nor a completion is added to; its own keys stand, and what they
    call the end marker, say, is not assumed to be the completion.
    """
    if dialect.completion is not None or dialect.preset is not None:
        return dialect, ""
    found = recognise(items)
    if not found.assumption or (found.preset is None and _ends_in_what_is_declared(dialect, items)):
        return dialect, ""
    if found.preset is not None:
        known = effective_dialect(msgspec.structs.replace(dialect, preset=found.preset))
    else:
        known = msgspec.structs.replace(dialect, completion=found.dialect.completion)
    return known, f"{found.assumption} ({found.reason})"


def _ends_in_what_is_declared(dialect: Dialect, items: Sequence[Item]) -> bool:
    last = next(item for item in reversed(items) if isinstance(item, Event))
    return classify(dialect, parse(last)) is not Role.PROGRESS
