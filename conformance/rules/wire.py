"""The bytes of the stream: what a client cannot read as it was meant."""

from difflib import get_close_matches

from conformance.history import Exchange, History
from conformance.rules.rule import Judgement, not_applicable, rule, settle
from conformance.rules.scopes import READING
from conformance.rules.wire_blocks import event_size, json, no_data, terminated
from conformance.rules.wire_seen import WRITTEN, at, bodies, defects, free_of, line_at
from conformance.wire import Defect, Violation
from reports.results import Finding, Level

_PARSING = "https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream"
_INTERPRETING = "https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation"
_BOM = "\ufeff".encode()
_FIELDS = ("data", "event", "id", "retry")


@rule(
    "wire.utf-8",
    claim="The stream is UTF-8.",
    why="Clients decode event streams as UTF-8 whatever the head says: every other byte becomes U+FFFD, and the "
    "text that it belonged to is lost.",
    source=_PARSING,
    mend="Encode whole texts as UTF-8, once, where they are written. Halves of characters come from cutting bytes at "
    "a fixed size: cut the text, or use an incremental decoder on what you pass on.",
    scenarios=READING,
)
def utf_8(history: History) -> Judgement:
    return free_of(
        history,
        Defect.INVALID_UTF8,
        expected="UTF-8",
        message=lambda _, violation: f"bytes that are no UTF-8: {violation.excerpt.hex(' ')}",
    )


@rule(
    "wire.bom",
    claim="No line but the first begins with a byte order mark.",
    why="One mark may begin the stream. Any other one becomes part of the name of the field that it stands before, "
    "so that the field, an `id` or the data, is ignored by every client.",
    source=_PARSING,
    mend="Write without a byte order mark: new UTF8Encoding(false) in .NET, utf-8 and not utf-8-sig in Python. The "
    "mark comes from a writer that is made anew for each event, or from a file that is passed on.",
    scenarios=READING,
)
def bom(history: History) -> Judgement:
    return free_of(
        history,
        Defect.LATE_BOM,
        expected="a line without a byte order mark",
        message=lambda _, violation: f"a line begins with a byte order mark at byte {violation.offset}",
        counts=_begins_a_line,
    )


def _begins_a_line(stream: Exchange, violation: Violation) -> bool:
    """Whether a late byte order mark damages a field's name; within text it is a character like any other."""
    body, offset = stream.body, violation.offset
    return body[offset - 1 : offset] in {b"\n", b"\r"} or (offset == len(_BOM) and body.startswith(_BOM))


@rule(
    "wire.fields",
    level=Level.SHOULD,
    claim="Every line is a comment or one of the fields data, event, id and retry.",
    why="A field of any other name is ignored by every client, without a word. Mostly it is a misspelt field, or "
    "text whose line breaks were not given a `data:` each, and then part of an event is lost.",
    source=_INTERPRETING,
    mend="Write each line of the data as a `data:` field of its own: split it at CRLF, LF and CR, or send JSON in "
    "one line. Names are in lower case and begin their line. What clients shall ignore is a comment.",
    scenarios=WRITTEN,
)
def fields(history: History) -> Judgement:
    return free_of(
        history,
        Defect.UNKNOWN_FIELD,
        expected="data, event, id, retry, or a comment",
        message=_unknown,
        counts=lambda stream, violation: not line_at(stream, violation.offset).startswith(_BOM),  # wire.bom
    )


def _unknown(stream: Exchange, violation: Violation) -> str:
    line = line_at(stream, violation.offset)
    name, colon, _ = line.partition(b":")
    said = name[:40].decode("utf-8", "replace")
    meant = get_close_matches(said.strip().lower(), _FIELDS, n=1, cutoff=0.7)
    if meant:
        return f"the field {said!r} is ignored: {meant[0]!r} was meant"
    if not colon:
        return f"a line without a colon is ignored: {said!r}"
    return f"the field {said!r} is ignored: no client knows it"


@rule(
    "wire.id-null",
    claim="No id contains U+0000.",
    why="A client ignores such an id and keeps the one before, so that it resumes at the wrong place.",
    source=_INTERPRETING,
    mend="Make ids of printable characters: a number, or an encoding such as base64url for binary keys.",
    scenarios=READING,
)
def id_null(history: History) -> Judgement:
    return free_of(history, Defect.ID_NULL, expected="an id without U+0000")


@rule(
    "wire.retry",
    claim="Every retry field is a whole number of milliseconds, in ASCII digits.",
    why="A client ignores any other value and reconnects after a time of its own, mostly 3 to 5 seconds.",
    source=_INTERPRETING,
    mend="Write milliseconds in digits and nothing else: retry: 3000.",
    scenarios=READING,
)
def retry(history: History) -> Judgement:
    streams, instead = bodies(history)
    if instead is not None:
        return instead
    wrong = [
        (stream, time, violation)
        for stream in streams
        for time, violation in defects(stream, Defect.RETRY_NOT_DIGITS)
    ]
    right = sum(len(stream.reconnections) for stream in streams)
    if not wrong and not right:
        return not_applicable("the stream sets no reconnection time")
    return settle(
        (
            Finding(violation.message, (at(stream, time, violation.offset, expected="retry: 3000"),))
            for stream, time, violation in wrong
        ),
        right,
        "retry fields",
    )


@rule(
    "wire.line-endings",
    level=Level.SHOULD,
    claim="All lines of a stream end in the same way: LF, CRLF or CR.",
    why="The standard takes them mixed, but many libraries look for one blank line only, \\n\\n or \\r\\n\\r\\n, and "
    "see no end of the event; and a CR amid LFs is mostly one in the data, which cuts it in two.",
    source=_PARSING,
    mend="End lines in \\n everywhere. Split data at \\r too before writing it, and do not let a template or a log "
    "library of another platform write the blank line.",
    scenarios=WRITTEN,
)
def line_endings(history: History) -> Judgement:
    return free_of(
        history, Defect.MIXED_LINE_ENDINGS, expected="one kind of line ending", counts=_is_whole_ending
    )


def _is_whole_ending(stream: Exchange, violation: Violation) -> bool:
    """Whether the line ending is known: a CR at which the stream was cut off may be half of a CRLF."""
    is_last = violation.offset == len(stream.body) - 1 and stream.body.endswith(b"\r")
    return not is_last or (stream.how == "complete" and not stream.fired)


RULES = (
    utf_8,
    bom,
    fields,
    terminated,
    no_data,
    id_null,
    retry,
    json,
    line_endings,
    event_size,
)
