"""What rules of the wire look at: bodies that are readable as event streams, and what is wrong in their bytes."""

from collections.abc import Callable, Iterator

from conformance.history import Exchange, History
from conformance.rules.http_seen import tokens
from conformance.rules.rule import Judgement, evidence_at, inconclusive, settle
from conformance.rules.scopes import PLAIN, RESUMES
from conformance.rules.streams import nothing_to_read, readable
from conformance.wire import Defect, Violation
from fault_injection.faults import Blackhole
from reports.results import Evidence, Finding

WRITTEN = (*PLAIN, "failing-job", *RESUMES)
"""Scenarios in which a server may take another way to write; a link changes nothing in what is written."""

_AROUND = 24  # bytes of the stream before the point of an excerpt
_EXCERPT = 96

_UNDONE = frozenset({"", "gzip", "x-gzip", "deflate"})  # content codings that the history undoes
_CODED = frozenset({"br", "zstd", "compress", "x-compress", "dcb", "dcz", "gzip", "x-gzip", "deflate"})


def bodies(history: History) -> tuple[tuple[Exchange, ...], Judgement | None]:
    """The event streams whose bytes can be judged; and where there are none, what to say instead.

    Bytes that a link swallowed leave halves of lines that nobody wrote, so such a history shows nothing.
    """
    streams = readable(history)
    if not streams:
        return (), nothing_to_read(history)
    if any(isinstance(fault, Blackhole) for fault in history.began.plan.faults):
        return (), inconclusive("the link swallowed bytes of the stream")
    plain = tuple(stream for stream in streams if not _is_coded(stream))
    if not plain:
        return (), inconclusive(f"the body is coded as {streams[0].header('content-encoding')}")
    return plain, None


def _is_coded(stream: Exchange) -> bool:
    codings = [each for each in tokens(stream.header("content-encoding")) if each in _CODED]
    return ", ".join(codings) not in _UNDONE


def defects(stream: Exchange, *kinds: Defect) -> Iterator[tuple[float, Violation]]:
    """What of these kinds is wrong in a stream, each with the time of its arrival."""
    for arrival in stream.violations:
        if isinstance(arrival.item, Violation) and arrival.item.defect in kinds:
            yield arrival.time, arrival.item


def free_of(
    history: History,
    defect: Defect,
    *,
    expected: str,
    message: Callable[[Exchange, Violation], str] = lambda _, violation: violation.message,
    counts: Callable[[Exchange, Violation], bool] = lambda _stream, _violation: True,
) -> Judgement:
    """Judges that no stream has a defect; `counts` tells which of them count, `message` what to say of one."""
    streams, instead = bodies(history)
    if instead is not None:
        return instead
    written = [stream for stream in streams if stream.body]
    return settle(
        (
            Finding(message(stream, violation), (at(stream, time, violation.offset, expected=expected),))
            for stream in written
            for time, violation in defects(stream, defect)
            if counts(stream, violation)
        ),
        len(written),
        "streams",
    )


def at(stream: Exchange, time: float, offset: int, *, expected: str = "", actual: str = "") -> Evidence:
    """Evidence from a place in the body of a stream: the bytes around it, those that are no UTF-8 escaped."""
    begin = max(0, offset - _AROUND)
    excerpt = stream.body[begin : begin + _EXCERPT].decode("utf-8", "backslashreplace")
    return evidence_at(time, stream.name, offset=offset, excerpt=excerpt, expected=expected, actual=actual)


def arrived(stream: Exchange, end: int) -> float:
    """When so many bytes of the body were there, in seconds."""
    size = 0
    for time, data in stream.pieces:
        size += len(data)
        if size >= end:
            return time
    return stream.requested.time


def line_at(stream: Exchange, offset: int) -> bytes:
    """The line of the body that begins at `offset`, without its ending, at most a few hundred bytes of it."""
    return stream.body[offset : offset + 400].replace(b"\r", b"\n").partition(b"\n")[0]
