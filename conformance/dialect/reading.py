"""Reads wire items by a dialect: pure functions, and JSON is parsed once an item.

What they read is hostile: nothing here raises on what a server sent.
"""

import json
import math
from collections.abc import Iterable
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from typing import Any, Final, NoReturn, TypeAlias

import msgspec

from conformance.dialect.dialect import Dialect, Matcher, Scalar
from conformance.pointer import ABSENT, resolve
from conformance.wire.event import Comment, Event, Item

Number: TypeAlias = int | float

_MILLISECONDS_FROM: Final = 1e11  # as seconds: the year 5138; as milliseconds: 1973
_TIMESTAMP_END: Final = 1e14  # as milliseconds: the year 5138
_SHORT: Final = 1024  # characters
_DIGITS: Final = 18  # an id of more digits is a name, not a number


class Role(StrEnum):
    """What an item means in its stream."""

    PROGRESS = "progress"  # an event that is none of the others
    COMPLETION = "completion"
    FAILURE = "failure"  # completion, and the work failed
    END = "end"  # the marker after completion
    HEARTBEAT = "heartbeat"


class Parsed(msgspec.Struct, frozen=True):
    """A wire item with its data as JSON: `pointer.ABSENT` for comments and where data is not JSON."""

    item: Item
    json: Any = ABSENT


def parse(item: Item) -> Parsed:
    """`item` with its data read as one JSON value (RFC 8259)."""
    return Parsed(item, parse_json(item.data) if isinstance(item, Event) else ABSENT)


def parse_json(text: str) -> Any:
    """The JSON value that `text` is, or `pointer.ABSENT`. Nobody changes it: the same text has the same value.

    NaN and Infinity are no JSON. Escaped lone surrogates are (RFC 8259, section 8.2): a producer that cuts
    text between UTF-16 units sends them; each is read as a question mark.
    """
    return _parsed_short(text) if len(text) <= _SHORT else _parsed(text)


def _parsed(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
        if "\\ud" not in text and "\\uD" not in text:
            return ABSENT
    try:
        value = json.loads(text, parse_constant=_reject)
        return msgspec.json.decode(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))
    except (ValueError, RecursionError):  # msgspec.DecodeError is a ValueError
        return ABSENT


_parsed_short = lru_cache(maxsize=1024)(
    _parsed
)  # every subscriber gets the same events, and so does every rule


def _reject(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def matches(matcher: Matcher, parsed: Parsed) -> bool:
    """Whether `matcher` tells this item."""
    item = parsed.item
    if isinstance(item, Comment):
        return matcher.comment
    if not isinstance(item, Event):
        return False
    if matcher.event is not None:
        return item.type == matcher.event
    if matcher.data is not None:
        return item.data == matcher.data
    if matcher.pointer is None or parsed.json is ABSENT:
        return False
    value = resolve(parsed.json, matcher.pointer)
    if matcher.equals is None:
        return value is not ABSENT and value is not None and value is not False and value != ""
    return _same(value, matcher.equals)


def _same(value: Any, expected: Scalar) -> bool:
    """JSON equality: true is not 1, and 1.0 is 1."""
    return isinstance(value, bool) == isinstance(expected, bool) and bool(value == expected)


def any_matches(matchers: Iterable[Matcher] | None, parsed: Parsed) -> bool:
    """Whether one of `matchers` tells this item; None: there are none."""
    for matcher in matchers or ():  # noqa: SIM110  (asked for every item, and a generator costs more than it)
        if matches(matcher, parsed):
            return True
    return False


def classify(dialect: Dialect, parsed: Parsed) -> Role | None:
    """The role of an item, by an effective dialect; None for what is no event and no heartbeat.

    The first that fits, in this order: failure (a "done" that carries an error is a failure), completion,
    end, heartbeat; any other event is progress.
    """
    for role, matchers in (
        (Role.FAILURE, dialect.failure),
        (Role.COMPLETION, dialect.completion),
        (Role.END, dialect.end),
        (Role.HEARTBEAT, dialect.heartbeat),
    ):
        if any_matches(matchers, parsed):
            return role
    return Role.PROGRESS if isinstance(parsed.item, Event) else None


def sequence_of(dialect: Dialect, parsed: Parsed) -> Number | str | None:
    """The sequence number of an event; None where it carries none or the dialect declares none.

    With `sequence = "id"` it is what the event's own block said: a number if it is all ASCII digits.
    """
    item = parsed.item
    if dialect.sequence is None or not isinstance(item, Event):
        return None
    if dialect.sequence != "id":
        value = resolve(parsed.json, dialect.sequence)
        return value if isinstance(value, str | int | float) and not isinstance(value, bool) else None
    if item.id is not None and item.id.isascii() and item.id.isdigit() and len(item.id) <= _DIGITS:
        return int(item.id)
    return item.id


def stream_of(dialect: Dialect, parsed: Parsed) -> str | None:
    """The name of the stream an event says it belongs to, as text; None where it says none."""
    if dialect.stream is None:
        return None
    return text_of(resolve(parsed.json, dialect.stream))


def text_of(value: Any) -> str | None:
    """A JSON string, number or boolean as the text that a placeholder or a comparison uses, else None."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str | int | float) else None


def timestamp_of(dialect: Dialect, parsed: Parsed) -> float | None:
    """When an event says it was made, in seconds since the Unix epoch; None where it does not say."""
    if dialect.timestamp is None:
        return None
    return parse_timestamp(resolve(parsed.json, dialect.timestamp))


def parse_timestamp(value: Any) -> float | None:
    """Seconds since the Unix epoch from an ISO 8601 date and time, or from epoch seconds or milliseconds.

    A number below 1e11 is taken for seconds, from there and below 1e14 for milliseconds. A date and time
    without an offset is taken for UTC, so a server that sends its local time is hours off: a rule that
    measures delivery must not blame the link for that. None: neither of these.
    """
    if isinstance(value, str):
        return _parse_iso(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < _TIMESTAMP_END:
        return None  # NaN too: it compares false
    return value / 1000 if value >= _MILLISECONDS_FROM else float(value)


def _parse_iso(text: str) -> float | None:
    if not 15 <= len(text) <= 40:  # shorter is no date and time: 20251104T005705
        return None
    try:
        moment = datetime.fromisoformat(text)
        seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
    return seconds if math.isfinite(seconds) and seconds >= 0 else None


def in_scope(dialect: Dialect, parsed: Parsed) -> bool:
    """Whether an item is judged: all are without a scope; with one, comments and the events that match it.

    The scope's placeholders must be filled (see `conformance.config.bind_dialect`).
    """
    if dialect.scope is None or not isinstance(parsed.item, Event):
        return True
    return text_of(resolve(parsed.json, dialect.scope.pointer)) == dialect.scope.equals
