"""How the response travels: when its head leaves, how its body is framed and coded."""

from collections.abc import Sequence

from conformance.history import Exchange, History
from conformance.rules.http_seen import (
    HEADS,
    answered,
    head_evidence,
    is_reconnection,
    no_answer,
    opened,
    tokens,
    was_over,
)
from conformance.rules.rule import (
    Judgement,
    evidence_at,
    inconclusive,
    not_applicable,
    rule,
    settle,
)
from conformance.rules.scopes import READING
from reports.results import Finding, Level

_NO_CODING = frozenset({"identity", "none"})  # `none` is no registered name, but curl and browsers take it so


_WAITED = 0.5  # seconds after the request, from which on somebody has waited for something


@rule(
    "http.compression",
    level=Level.SHOULD,
    claim="The stream is not content-coded when the request accepts only identity.",
    why="A compressor gathers input until a block is worth writing, so events wait in it unless it is flushed "
    "after each one. A client that did not offer gzip may not even be able to read it.",
    source="https://www.rfc-editor.org/rfc/rfc9110#section-12.5.3",
    mend="Exclude text/event-stream from the compressing middleware, honour Accept-Encoding, and send "
    "Cache-Control: no-transform so that proxies leave the stream alone. `Content-Encoding: utf-8` is a "
    "mistake: a charset belongs in Content-Type.",
    scenarios=HEADS,
)
def compression(history: History) -> Judgement:
    streams, instead = opened(history)
    if instead is not None:
        return instead
    judged = [stream for stream in streams if _wants_identity(stream)]
    if not judged:
        return not_applicable("the request offered a content coding: see target.stream.headers")
    return settle(
        (
            Finding(
                f"the stream came coded as {', '.join(codings)[:60]}, which was not asked for",
                (
                    head_evidence(stream, "content-encoding", expected="no content-encoding"),
                    evidence_at(
                        stream.requested.time,
                        stream.name,
                        excerpt=f"accept-encoding: {stream.request_header('accept-encoding')}",
                    ),
                ),
            )
            for stream in judged
            if (
                codings := [
                    each for each in tokens(stream.header("content-encoding")) if each not in _NO_CODING
                ]
            )
        ),
        len(judged),
        "responses",
    )


def _wants_identity(stream: Exchange) -> bool:
    """Whether the request said that it takes the body as it is and in no other way; no header takes anything."""
    offered = stream.request_header("accept-encoding")
    return offered is not None and set(tokens(offered)) <= {"identity"}


@rule(
    "http.no-length",
    level=Level.SHOULD,
    claim="The head does not give the length of a stream that is still going on.",
    why="Who knows the length has built the whole body before sending its first byte: nothing is streamed, and the "
    "reader waits for the end. A length that was guessed cuts the stream off.",
    source="https://www.rfc-editor.org/rfc/rfc9112#section-6.3",
    mend="Hand the framework a generator or a stream, not a string, and set no Content-Length. Look for middleware "
    "that reads the whole body: ETag, compression, logging, BaseHTTPMiddleware.",
    scenarios=HEADS,
    timing=True,
)
def no_length(history: History) -> Judgement:
    streams, instead = opened(history)
    if instead is not None:
        return instead
    judged = [s for s in streams if not was_over(history, s) and not is_reconnection(history, s)]
    if not judged:
        return not_applicable("every stream was over when it was requested: its length may be known")
    lengths = [stream for stream in judged if stream.header("content-length") is not None]
    if lengths and not any(_was_going_on(stream) for stream in lengths):
        return inconclusive(
            "the whole body came at once: the stream may have been over when it was requested"
        )
    return settle(
        (
            Finding(
                f"the head gives the length of the stream: {(stream.header('content-length') or '')[:40]} bytes",
                (
                    head_evidence(
                        stream,
                        "content-length",
                        expected="no content-length: chunked, or until the connection ends",
                    ),
                ),
            )
            for stream in lengths
            if _was_going_on(stream)
        ),
        len(judged),
        "responses",
    )


def _was_going_on(stream: Exchange) -> bool:
    """Whether the stream still went on when it was requested: a replay does not take its time."""
    last = stream.chunks[-1].time if stream.chunks else stream.head.time if stream.head else 0.0
    return last - stream.requested.time >= _WAITED


@rule(
    "http.connection",
    claim="The response is framed in one way that its version allows, and comes to the end that it announced.",
    why="Where a response is framed in two ways, a proxy and its client disagree on where it ends: the rest of the "
    "stream is lost or read as another response. Where it ends before its announced length, the reader gets "
    "an error in place of the last events.",
    source="https://www.rfc-editor.org/rfc/rfc9112#section-6.1",
    mend="Leave framing to the HTTP server: set neither Transfer-Encoding nor Content-Length, and in Connection name "
    "nothing but `close` or `keep-alive`.",
    scenarios=READING,
)
def connection(history: History) -> Judgement:
    heads = answered(history)
    if not heads:
        return no_answer(history)
    findings = (
        Finding(message, (head_evidence(stream, *_HOP_BY_HOP, "content-length", expected=expected),))
        for stream in heads
        for message, expected in _misframed(history, stream)
    )
    return settle(findings, len(heads), "responses")


_HOP_BY_HOP = ("connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade")
_FOR_ALL = frozenset({"cache-control", "content-type", "content-length", "content-encoding"})


def _misframed(history: History, stream: Exchange) -> list[tuple[str, str]]:
    """What is wrong with the framing of a response, and what should be."""
    assert stream.head is not None
    version = stream.head.http_version.upper()
    coded = "transfer-encoding" in stream.headers
    length = stream.header("content-length")
    found: list[tuple[str, str]] = []
    if version.startswith(("HTTP/2", "HTTP/3")):
        return [
            (f"{version} forbids the header {name}", f"no {name}")
            for name in _HOP_BY_HOP
            if name in stream.headers
        ]
    if coded and length is not None:
        found.append(("the response has both Transfer-Encoding and Content-Length", "one of them at most"))
    if coded and version == "HTTP/1.0":
        found.append(("Transfer-Encoding in a response of HTTP/1.0, which does not know it", "none"))
    found.extend(
        (f"Connection names {name}, so a proxy removes it", "connection: keep-alive, or close")
        for name in sorted(_FOR_ALL.intersection(tokens(stream.header("connection"))))
    )
    if stream.how == "protocol" and not history.began.plan:
        said = stream.ended.detail if stream.ended else ""
        found.append((f"the body's framing broke: {said[:200]}", "chunks as RFC 9112, section 7.1, has them"))
    if length is not None and not coded and _ended_early(history, stream):
        got = sum(len(chunk.data) for chunk in stream.chunks)
        found.append((f"the response ended after {got} of {length[:40]} announced bytes", "all of them"))
    return found


def _ended_early(history: History, stream: Exchange) -> bool:
    """Whether the server ended the connection before the response: no fault did it, and not we."""
    return stream.how in {"truncated", "reset"} and not history.began.plan


_TOGETHER = 0.05  # seconds between head and first bytes; more, and they were not sent in one go
_AT_ONCE = 0.1  # seconds from the request to the head; later, and something may have held it up
_PACES = 3  # how often slower than the target's other answers a head must be


@rule(
    "http.head-before-first-event",
    level=Level.SHOULD,
    claim="The head is sent at once and does not wait for the first event.",
    why="Until the head is there a client cannot tell an open stream from a dead server: `onopen` does not fire, "
    "and proxies and load balancers time out.",
    source="https://html.spec.whatwg.org/multipage/server-sent-events.html#sse-processing-model",
    mend="Flush the head before waiting for an event: res.flushHeaders() in Node, Flusher.Flush() in Go; or, "
    "where there is no such call, write a comment line first.",
    scenarios=("subscribe", "long-silence", "crowd"),
    timing=True,
)
def head_before_first_event(history: History) -> Judgement:
    streams, instead = opened(history)
    if instead is not None:
        return instead
    if history.began.plan:
        return inconclusive("the link had faults: it may have held the head back")
    late = [stream for stream in streams if _waited_for_body(history, stream)]
    early = [stream for stream in streams if _lead(stream) >= _TOGETHER]
    if not late and not early:
        return inconclusive(_undecided(streams))
    return settle(
        (
            Finding(
                f"the head came {_to_head(stream):.3g} s after the request, in one go with the first bytes of the body",
                (
                    evidence_at(
                        stream.requested.time + _to_head(stream),
                        stream.name,
                        excerpt=stream.body[:80].decode("utf-8", "replace"),
                        expected="a head at once",
                        actual=f"{_to_head(stream):.3f} s",
                    ),
                ),
            )
            for stream in late
        ),
        len(early),
        "heads that came before the first event",
    )


def _undecided(streams: Sequence[Exchange]) -> str:
    """Why nothing can be said where each head came in one go with what followed it, and soon."""
    slowest = max(map(_to_head, streams))
    if slowest < _AT_ONCE:
        return "the first event came at once: there was nothing that the head could wait for"
    return (
        f"the head came {slowest:.3g} s after the request, in one go with the first bytes of the body: it may have "
        "waited for them, or the server may be slow; work whose first event comes later would tell"
    )


def _to_head(stream: Exchange) -> float:
    assert stream.head is not None
    return stream.head.time - stream.requested.time


def _waited_for_body(history: History, stream: Exchange) -> bool:
    """Whether the head came late by the target's own pace, and in one go with the first bytes behind it."""
    if not stream.chunks or stream.chunks[0].time - stream.requested.time - _to_head(stream) > _TOGETHER:
        return False
    others = [
        each.head.time - each.requested.time
        for each in history.exchanges
        if each.head is not None and each.requested.purpose != "stream"
    ]
    return _to_head(stream) >= _WAITED + _PACES * max(others, default=0.0)


def _lead(stream: Exchange) -> float:
    """Seconds by which the head came before the first event, or before the end where there was none."""
    first = stream.all_events[0].time if stream.all_events else stream.ended.time if stream.ended else 0.0
    return first - stream.requested.time - _to_head(stream)
