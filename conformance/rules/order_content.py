"""What tells events apart: their numbers, their ids, their content. Two deliveries of one event are equal."""

import json
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, TypeAlias

from conformance.dialect import Dialect, parse_json, sequence_of, stream_of
from conformance.history import Arrival, EventArrival, Exchange
from conformance.pointer import ABSENT, resolve

Content: TypeAlias = tuple[str, str]
Identity: TypeAlias = tuple[object, ...]
Number: TypeAlias = int | float

_RPC_ID = "/id"
_SHORT = 1024  # characters
_DIGITS = 18  # as for ids: longer is a name


def told(stream: Exchange) -> tuple[EventArrival, ...]:
    """The events of the stream but for heartbeats, which belong to the connection."""
    return stream.told


def content(dialect: Dialect, arrival: EventArrival) -> Content:
    """Type and data; without the timestamp, which some servers set at every delivery anew, and without the id of the
    request that a JSON-RPC response answers, which is each subscriber's own."""
    event = arrival.event
    own: tuple[str, ...] = () if dialect.timestamp is None else (dialect.timestamp,)
    if arrival.answers and _is_answer(arrival):
        own += (_RPC_ID,)
    if not own:
        return event.type, event.data
    common = _common_short if len(event.data) <= _SHORT else _common
    return event.type, common(event.data, own)


def _is_answer(arrival: EventArrival) -> bool:
    """Whether this is a JSON-RPC response to the request for its stream."""
    value = arrival.parsed.json
    return (
        isinstance(value, dict)
        and "jsonrpc" in value
        and "method" not in value
        and value.get("id") in arrival.answers
    )


def _common(data: str, own: tuple[str, ...]) -> str:
    """The data without what each delivery has of its own."""
    value = parse_json(data)
    found = [pointer for pointer in own if resolve(value, pointer) is not ABSENT]
    if not found:
        return data
    try:
        for pointer in found:
            value = _without(value, pointer)
        return json.dumps(value, sort_keys=True)
    except RecursionError:  # nested as no honest server nests
        return data


_common_short = lru_cache(maxsize=1024)(_common)  # several rules ask it of the same events


def _without(value: Any, pointer: str) -> Any:
    """A JSON value with what the pointer leads to set to null; it must lead somewhere."""
    head, _, rest = pointer[1:].partition("/")
    name = head.replace("~1", "/").replace("~0", "~")
    inner = None if not rest else _without(value[name if isinstance(value, dict) else int(name)], f"/{rest}")
    if isinstance(value, dict):
        return {**value, name: inner}
    return [*value[: int(name)], inner, *value[int(name) + 1 :]]


def number(dialect: Dialect, arrival: EventArrival) -> Number | str | None:
    """The event's sequence number, also where digits stand in a string; text that is no number; or None.

    What is too large to count with is taken for a name.
    """
    known = vars(arrival).get("number")  # several rules ask it of the same events
    if known is None or known[0] is not dialect:
        known = vars(arrival)["number"] = dialect, _number(dialect, arrival)
    found: Number | str | None = known[1]
    return found


def _number(dialect: Dialect, arrival: EventArrival) -> Number | str | None:
    value = sequence_of(dialect, arrival.parsed)
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= _DIGITS:
        return int(value)
    if isinstance(value, int | float) and abs(value) >= 10**_DIGITS:
        return str(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)  # JSON has one kind of number: what one server writes as 3, another writes as 3.0
    return value


def lane(dialect: Dialect, arrival: Arrival) -> str:
    """What counts its numbers for itself: on a bus each stream may, if the events say whose they are."""
    return "" if dialect.scope is not None else stream_of(dialect, arrival.parsed) or ""


def label(dialect: Dialect, arrival: EventArrival) -> str:
    """The event's name in a finding: its number, with its id where that is another one, or its id; else its place."""
    value, own = number(dialect, arrival), arrival.event.id
    if value is None:
        return f"event {_short(own)}" if own else f"the event at byte {arrival.event.offset}"
    other = f" (id {_short(own)})" if own and own != str(value) else ""
    return f"event {_short(value)}{other}"


def _short(value: Number | str) -> str:
    text = str(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def identity(dialect: Dialect, arrival: EventArrival) -> Identity:
    """What two deliveries of one event have in common: number, id and content."""
    return number(dialect, arrival), arrival.event.id, content(dialect, arrival)


def identified(stream: Exchange) -> dict[Identity, EventArrival]:
    """The stream's events by identity, in order, but for those that look like another one of them."""
    listed = [(identity(stream.dialect, each), each) for each in told(stream)]
    seen = Counter(key for key, _ in listed)
    return {key: each for key, each in listed if seen[key] == 1}


def excerpt(arrival: EventArrival, limit: int = 80) -> str:
    """The beginning of the event's data."""
    data = arrival.event.data
    return data if len(data) <= limit else f"{data[:limit]}..."


def listed(items: Iterable[str], most: int = 5) -> str:
    """Some of the items in words."""
    shown = list(items)
    more = len(shown) - most
    return ", ".join(shown[:most]) + (f" and {more} more" if more > 0 else "")
