"""What the streams say of their dialect: how they complete, how they count, what keeps them alive."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice, pairwise
from typing import Any, Final

from conformance.dialect import (
    Dialect,
    Matcher,
    Recognition,
    any_matches,
    effective_dialect,
    matches,
    parse_timestamp,
    recognise,
    sequence_of,
)
from conformance.history import Arrival, EventArrival, Exchange, History
from conformance.pointer import ABSENT, resolve
from conformance.proposal.entries import FIRST, Entry, Value
from reports.text import line

_COUNTERS: Final = frozenset(
    {
        "seq",
        "sequence",
        "sequencenumber",
        "seqno",
        "index",
        "step",
        "offset",
        "counter",
        "n",
        "number",
        "eventid",
    }
)
_TIMES: Final = frozenset(
    {
        "timestamp",
        "ts",
        "time",
        "at",
        "createdat",
        "sentat",
        "sent",
        "date",
        "datetime",
        "emittedat",
        "publishedat",
    }
)
_ALIVE: Final = frozenset({"heartbeat", "ping", "keepalive"})
_COUNTED: Final = 3  # events that count by one before it is taken for counting
_SEVERAL: Final = 2  # events with an object or a list, which text rarely is by chance
_BEATS: Final = 2  # heartbeats; one may be a greeting
_BEAT_APART: Final = 0.2  # seconds; what comes together is padding
_LIVE: Final = 0.5  # seconds from an event's time to its arrival, for it to be the time at which it was made
_EPOCH: Final = 10**8  # what counts from here on by one may be seconds
_MOST_FIELDS: Final = 64
_SHOWN: Final = 60  # characters of what a server sent


def guess_dialect(history: History) -> tuple[Entry, ...]:
    """The entries of `[dialect]`, in the order of the file."""
    streams = [stream for stream in history.streams if stream.is_event_stream]
    first = next((stream for stream in streams if stream.requested.subscriber == FIRST), None)
    if first is None:
        return ()
    entries: list[Entry] = []
    found = recognise([arrival.item for arrival in first.arrivals])
    if found.preset is not None:
        entries.append(_entry("preset", found.preset, found.reason, guessed=True))
    else:
        entries.append(_completion(found, first, streams))
    known = effective_dialect(Dialect(preset=found.preset))
    heartbeat = _heartbeat(streams)
    beats = (heartbeat.value if isinstance(heartbeat.value, tuple) and heartbeat.guessed else None) or ()
    beats = known.heartbeat or beats
    told = [each for each in first.all_events if not any_matches(beats, each.parsed)]
    proposed = (
        _failure() if found.preset is None else None,
        _json(streams),
        _sequence(told),
        _timestamp(told, history.began.at),
        heartbeat,
    )
    entries += [entry for entry in proposed if entry and getattr(known, entry.key) is None]
    return tuple(entries)


def _entry(key: str, value: Value, reason: str, *, guessed: bool = False) -> Entry:
    return Entry("dialect", key, value, reason, guessed)


def _completion(found: Recognition, first: Exchange, streams: Sequence[Exchange]) -> Entry:
    generic = found.dialect.completion
    example = (Matcher(event="complete"),)
    if not first.all_events:
        return _entry("completion", example, "no event came, so nothing tells which one completes the stream")
    if first.how != "complete":
        why = "the stream was not seen to its end, so nothing tells which event completes it"
        return _entry("completion", generic or example, why)
    if generic is not None:
        others = [stream for stream in streams if stream is not first and stream.how == "complete"]
        agreed = all(
            stream.all_events and matches(generic[0], stream.all_events[-1].parsed) for stream in others
        )
        if agreed:
            return _entry("completion", generic, found.reason, guessed=True)
        why = "the first stream ended in it, and another one did not"
        return _entry("completion", generic, why)
    last = _unlike_the_others(first.all_events)
    if last is not None:
        why = f"the last event, and no other, {_words(last)}: is it the completion?"
        return _entry("completion", (last,), why)
    return _entry("completion", example, f"{found.reason}; which event says that all is told?")


def _unlike_the_others(events: Sequence[EventArrival]) -> Matcher | None:
    """What tells the last event from all before it: its type, or a field that says what kind it is."""
    *before, last = events
    if not before:
        return None
    kinds = [Matcher(event=last.event.type)] if 0 < len(last.event.type) <= _SHOWN else []
    for pointer in ("/type", "/event", "/status", "/state"):
        value = resolve(last.parsed.json, pointer)
        if isinstance(value, str) and 0 < len(value) <= _SHOWN:
            kinds.append(Matcher(pointer=pointer, equals=value))
    return next(
        (kind for kind in kinds if not any(matches(kind, event.parsed) for event in before)),
        None,
    )


def _words(kind: Matcher) -> str:
    if kind.event is not None:
        return f'is of type "{kind.event}"'
    return f'has "{kind.equals}" at {kind.pointer}'


def _failure() -> Entry:
    return _entry(
        "failure", (Matcher(event="error"),), "no failure was seen; how does the stream tell of one?"
    )


def _json(streams: Sequence[Exchange]) -> Entry:
    events = [event for stream in streams for event in stream.all_events]
    other = next((event for event in events if event.parsed.json is ABSENT), None)
    if other is not None:
        return _entry(
            "json", True, f"not each event's data is JSON: {line(other.event.data, _SHOWN) or 'it is empty'}"
        )
    most = max(
        (sum(isinstance(each.parsed.json, dict | list) for each in stream.all_events) for stream in streams),
        default=0,
    )
    if most < _SEVERAL:
        return _entry("json", True, "too few events have an object or a list as their data to tell")
    return _entry("json", True, f"the data of each of the {len(events)} events is JSON", guessed=True)


def _sequence(told: Sequence[EventArrival]) -> Entry:
    ids = [
        number for each in told if (number := sequence_of(Dialect(sequence="id"), each.parsed)) is not None
    ]
    if _counts(ids):
        return _entry("sequence", "id", f"the ids count by one, {ids[0]} to {ids[-1]}", guessed=True)
    objects = [each.parsed.json for each in told if isinstance(each.parsed.json, dict)]
    for pointer in _pointers(objects):
        values = [value for each in objects if (value := resolve(each, pointer)) is not ABSENT]
        if len(values) == len(objects) and _counts(values) and values[-1] < _EPOCH:
            named = _field(pointer) in _COUNTERS
            counts = f"it counts by one, {values[0]} to {values[-1]}"
            return _entry(
                "sequence",
                pointer,
                counts if named else f"{counts}: is it a number of events?",
                guessed=named,
            )
    why = "neither the ids nor a number in the data count by one" if told else "no event came"
    return _entry("sequence", "id", why)


def _counts(values: Sequence[Any]) -> bool:
    whole = all(isinstance(value, int) and not isinstance(value, bool) for value in values)
    return (
        whole and len(values) >= _COUNTED and all(after - before == 1 for before, after in pairwise(values))
    )


def _timestamp(told: Sequence[EventArrival], wall: float) -> Entry:
    """`wall`: seconds since the epoch when the history's time was 0."""
    objects = [each for each in told if isinstance(each.parsed.json, dict)]
    doubt = Entry("dialect", "timestamp", "/timestamp", "no field of the data reads as the time of its event")
    for pointer in _pointers([each.parsed.json for each in objects]):
        if _field(pointer) not in _TIMES:
            continue
        read = [(each, parse_timestamp(resolve(each.parsed.json, pointer))) for each in objects]
        made = [(each, time) for each, time in read if time is not None]
        if len(made) < _COUNTED or len({time for _, time in made}) < _COUNTED:
            continue
        lags = [wall + each.time - time for each, time in made[-_COUNTED:]]
        if not all(-_LIVE < lag < _LIVE for lag in lags):
            why = "it reads as a time, and no event came when it says that it was made"
            doubt = _entry("timestamp", pointer, why)
        elif all(time == int(time) for _, time in made):
            why = "it reads as a time in whole seconds, which is too coarse to tell who is late"
            doubt = _entry("timestamp", pointer, why)
        else:
            why = f"it reads as a time, {max(map(abs, lags)):.3f} s or less from the arrival"
            return _entry("timestamp", pointer, why, guessed=True)
    return doubt


def _heartbeat(streams: Sequence[Exchange]) -> Entry:
    comment, found, most = Matcher(comment=True), dict[Matcher, int](), 0
    for stream in streams:
        beats = _apart(stream.comments)
        most = max(most, beats)
        if beats >= _BEATS:
            found[comment] = max(found.get(comment, 0), beats)
        for matcher in _named_alive(stream.all_events):
            beats = _apart([each for each in stream.all_events if matches(matcher, each.parsed)])
            if beats >= _BEATS:
                found[matcher] = max(found.get(matcher, 0), beats)
    if found:
        kinds = {False: "events of that name", True: "comments"}
        seen = ", ".join(f"{count} {kinds[matcher.comment]}" for matcher, count in found.items())
        return _entry("heartbeat", tuple(found), f"{seen} on one connection", guessed=True)
    why = (
        "one comment came, which may be a greeting" if most else "none came; a longer silence may bring some"
    )
    return _entry("heartbeat", (comment,), why)


def _named_alive(events: Sequence[EventArrival]) -> Iterator[Matcher]:
    types = dict.fromkeys(each.event.type for each in events)
    yield from (Matcher(event=name) for name in types if _plain(name) in _ALIVE)
    kinds = dict.fromkeys(
        kind
        for each in events
        if isinstance(kind := resolve(each.parsed.json, "/type"), str) and _plain(kind) in _ALIVE
    )
    for kind in kinds:
        matcher = Matcher(pointer="/type", equals=kind)
        if not all(_plain(each.event.type) in _ALIVE for each in events if matches(matcher, each.parsed)):
            yield matcher


def _apart(arrivals: Sequence[Arrival]) -> int:
    """How many there are, those that came together counted as one."""
    if not arrivals:
        return 0
    return 1 + sum(after.time - before.time >= _BEAT_APART for before, after in pairwise(arrivals))


def _pointers(objects: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """JSON Pointers to what the first object holds, and to what the objects in it do."""
    for name, value in _fields(objects[0]) if objects else ():
        yield f"/{_token(name)}"
        if isinstance(value, dict):
            yield from (f"/{_token(name)}/{_token(inner)}" for inner, _ in _fields(value))


def _fields(table: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """As many as an honest server has, with names as long as one gives them."""
    return [(name, value) for name, value in islice(table.items(), _MOST_FIELDS) if len(name) <= _SHOWN]


def _token(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")  # RFC 6901, section 3


def _field(pointer: str) -> str:
    """The last name of a pointer as it is compared: of `/meta/created_at` it is `createdat`."""
    return _plain(pointer.rpartition("/")[2])


def _plain(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "") if len(name) <= _SHOWN else ""
