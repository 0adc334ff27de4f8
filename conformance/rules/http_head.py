"""What the response head says: the status, what the body is, and who may keep it or hold it back."""

from datetime import UTC
from email.utils import parsedate_to_datetime

from conformance.history import Exchange, History
from conformance.rules.completion_fate import answer_of, end_of, ending, hung_up
from conformance.rules.http_seen import (
    HEADS,
    answered,
    directives,
    head_evidence,
    is_joined,
    is_reconnection,
    may_be_over,
    no_answer,
    of_status_200,
    opened,
    status_of,
    was_over,
)
from conformance.rules.refusals import refused, rpc_error
from conformance.rules.rule import Judgement, broken, evidence_at, inconclusive, not_applicable, rule, settle
from conformance.rules.scopes import READING
from conformance.rules.streams import is_shared, no_response, was_cancelled
from reports.results import Finding, Level

_OVER = frozenset({400, 404, 409, 410, 422})
"""What a server may say of a stream that is over, and that nobody can subscribe to any more."""


@rule(
    "http.status",
    claim="A request for the stream is answered with status 200, or with 204 where nothing is left to send.",
    why="On any other status an event source fails the connection for good: it does not try again. 204 is the "
    "one way to tell a client that reconnects to stop. An error of JSON-RPC that comes with 200 is a refusal, too.",
    source="https://html.spec.whatwg.org/multipage/server-sent-events.html#sse-processing-model",
    mend="Is the address that of the stream? Answer 200 with it. Say that the work failed in an event, not in the "
    "status. Answer 204 only to a client that comes back and has seen everything.",
    scenarios=READING,
)
def status(history: History) -> Judgement:
    heads = answered(history)
    unanswered = [_unanswered(stream) for stream in history.streams if hung_up(history, stream)]
    if unanswered:
        return broken(unanswered)
    if not heads:
        return no_answer(history)
    judged = [stream for stream in heads if not _may_be_refused(history, stream)]
    if not judged:
        said = ", ".join(dict.fromkeys(answer_of(stream) for stream in heads))
        return inconclusive(f"answered {said} where that may be right: see expect.shared and expect.replay")
    return settle(
        (_refused(stream) for stream in judged if not _is_good(history, stream)), len(judged), "responses"
    )


def _is_good(history: History, stream: Exchange) -> bool:
    if status_of(stream) == 204:
        return was_cancelled(history, stream) or is_reconnection(history, stream) or was_over(history, stream)
    return status_of(stream) == 200 and not rpc_error(stream)


def _may_be_refused(history: History, stream: Exchange) -> bool:
    """Whether a refusal may be right here: the stream is over and need not be kept, or it has another reader."""
    if not refused(stream):
        return False
    if was_cancelled(history, stream) or _may_not_have_begun(history, stream):
        return True
    expect = history.terms.expect
    over = was_over(history, stream) or (not expect.resumable and may_be_over(history, stream))
    if over and (status_of(stream) in _OVER or rpc_error(stream)) and expect.replay != "all":
        return True
    return is_joined(history, stream) and not is_shared(history)


def _may_not_have_begun(history: History, stream: Exchange) -> bool:
    """Whether it comes back to a stream whose opening was never answered: the request may not have arrived whole."""
    opening = next((each for each in history.streams if each.requested == stream.opening), stream)
    return opening is not stream and opening.head is None


def _unanswered(stream: Exchange) -> Finding:
    return Finding(
        f"{stream.name} asked for the stream and got {no_response(stream)}",
        (evidence_at(end_of(stream), stream.name, expected="200", actual=ending(stream)),),
    )


def _refused(stream: Exchange) -> Finding:
    assert stream.head is not None
    return Finding(
        f"the stream was answered with {answer_of(stream)}",
        (
            evidence_at(
                stream.head.time,
                stream.name,
                expected="200",
                actual=str(status_of(stream)),
                excerpt=stream.body[:300].decode("utf-8", "replace"),
            ),
        ),
    )


@rule(
    "http.content-type",
    claim="The stream's Content-Type is text/event-stream, once.",
    why="An event source fails the connection for good when the response is of any other type, and libraries "
    "refuse it too. Proxies and compressors that leave event streams alone know them by it.",
    source="https://html.spec.whatwg.org/multipage/server-sent-events.html#sse-processing-model",
    mend="Is the address that of the stream? Set the header on the streaming response itself: Content-Type: "
    "text/event-stream. Frameworks set text/html or application/json where nothing is said; a second header is "
    "often a middleware's.",
    scenarios=READING,
)
def content_type(history: History) -> Judgement:
    streams, instead = of_status_200(history)
    if instead is not None:
        return instead
    return settle(
        (
            Finding(
                _of_another_type(stream),
                (head_evidence(stream, "content-type", expected="content-type: text/event-stream"),),
            )
            for stream in streams
            if not stream.is_event_stream
        ),
        len(streams),
        "responses",
    )


def _of_another_type(stream: Exchange) -> str:
    types = stream.headers.get("content-type", [])
    if not types:
        return "the stream has no Content-Type"
    if len(types) > 1:
        return f"the stream has {len(types)} Content-Type headers: {', '.join(types)[:100]}"
    return f"the stream's Content-Type is {types[0][:100]!r}"


@rule(
    "http.charset",
    claim="Where Content-Type has a charset parameter, it is utf-8.",
    why="Event streams are UTF-8 whatever the header says. Browsers know that; a client that goes by the header "
    "garbles the text, or refuses it: .NET's HttpClient throws at `utf8`, which is no registered name.",
    source="https://html.spec.whatwg.org/multipage/iana.html#text/event-stream",
    mend="Drop the parameter or write it as charset=utf-8. Look for a framework or servlet container that adds "
    "its own default, such as iso-8859-1.",
    scenarios=HEADS,
)
def charset(history: History) -> Judgement:
    streams, instead = opened(history)
    if instead is not None:
        return instead
    return settle(
        (
            Finding(
                f"Content-Type declares the charset {said[:40]!r}",
                (head_evidence(stream, "content-type", expected="charset=utf-8, or no charset"),),
            )
            for stream in streams
            if (said := _charset(stream)) is not None and said.lower() != "utf-8"
        ),
        len(streams),
        "responses",
    )


def _charset(stream: Exchange) -> str | None:
    parameters = directives((stream.header("content-type") or "").partition(";")[2])
    return parameters["charset"] or "" if "charset" in parameters else None


@rule(
    "http.cache-control",
    level=Level.SHOULD,
    claim="Cache-Control forbids to answer from a cache: no-store or no-cache.",
    why="A cache that takes the response for a page like any other replays old events to the next reader, and "
    "one that wants to keep it whole waits for its end. Browsers ask event sources past their own cache, but "
    "fetch() and shared caches go by the header.",
    source="https://www.rfc-editor.org/rfc/rfc9111#section-5.2.2",
    mend="Send Cache-Control: no-store (or no-cache, no-transform) with the stream; no-transform also keeps "
    "proxies from compressing it.",
    scenarios=HEADS,
)
def cache_control(history: History) -> Judgement:
    streams, instead = opened(history)
    if instead is not None:
        return instead
    judged = [stream for stream in streams if _is_cacheable(stream)]
    if not judged:
        method = streams[0].requested.method
        return not_applicable(f"no cache keeps the answer to {method} unless it is told how long")
    return settle(
        (
            Finding(
                "the stream has no Cache-Control"
                if stream.header("cache-control") is None
                else "the stream's Cache-Control lets caches keep and replay it",
                (head_evidence(stream, "cache-control", expected="cache-control: no-store, or no-cache"),),
            )
            for stream in judged
            if not _forbids_caching(stream)
        ),
        len(judged),
        "responses",
    )


def _is_cacheable(stream: Exchange) -> bool:
    """Whether a cache may keep the answer unless it is told not to: RFC 9110, section 9.2.3."""
    return stream.requested.method in {"GET", "HEAD"} or stream.header("cache-control") is not None


def _forbids_caching(stream: Exchange) -> bool:
    said = directives(stream.header("cache-control") or "")
    if "no-store" in said or (
        "no-cache" in said and said["no-cache"] is None
    ):  # with a value: only some fields
        return True
    return said.get("max-age") == "0" and said.get("s-maxage", "0") == "0"


@rule(
    "http.proxy-buffering",
    level=Level.SHOULD,
    claim="The head asks nginx not to buffer: X-Accel-Buffering: no.",
    why="nginx buffers what it passes on unless it is told otherwise, so events arrive in bursts, or all at the end. "
    "The header turns that off for this response, whoever configured the proxy.",
    source="https://nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_buffering",
    mend="Send X-Accel-Buffering: no with the stream. Other proxies need their own setting: flush_interval -1 in "
    "Caddy, no buffering middleware in Traefik.",
    scenarios=HEADS,
)
def proxy_buffering(history: History) -> Judgement:
    streams, instead = opened(history)
    if instead is not None:
        return instead
    judged = [stream for stream in streams if not _nginx_took_it(stream)]
    if not judged:
        return not_applicable(f"{streams[0].header('server')} answers: nginx keeps this header to itself")
    return settle(
        (
            Finding(
                "the stream has no X-Accel-Buffering"
                if said is None
                else f"X-Accel-Buffering is {said[:40]!r}, which leaves buffering on",
                (head_evidence(stream, "x-accel-buffering", expected="x-accel-buffering: no"),),
            )
            for stream in judged
            if (said := stream.header("x-accel-buffering")) is None or said.strip().lower() != "no"
        ),
        len(judged),
        "responses",
    )


def _nginx_took_it(stream: Exchange) -> bool:
    """nginx acts on X-Accel-* and does not pass it on, so its absence behind nginx means nothing."""
    server = (stream.header("server") or "").lower()
    return stream.header("x-accel-buffering") is None and any(
        name in server for name in ("nginx", "openresty", "tengine")
    )


@rule(
    "http.pragma-expires",
    level=Level.SHOULD,
    claim="Expires, where it is sent, does not contradict: it lies in the past.",
    why="A cache that knows only HTTP/1.0 goes by Expires and replays a stream that it may keep until tomorrow. "
    "To leave Expires and Pragma out is fine: caches obey Cache-Control since 1999, and Pragma never had a "
    "meaning in responses, so their absence is not reported, though many lists of headers ask for both.",
    source="https://www.rfc-editor.org/rfc/rfc9111#section-5.3",
    mend="Send Expires: 0 or none at all. A date in the future mostly comes from a rule for static files in front "
    "of the server, such as nginx's `expires` or Apache's mod_expires.",
    scenarios=HEADS,
)
def pragma_expires(history: History) -> Judgement:
    streams, instead = opened(history)
    if instead is not None:
        return instead
    judged = [s for s in streams if s.header("expires") is not None or s.header("pragma") is not None]
    if not judged:
        return not_applicable("neither Expires nor Pragma was sent: Cache-Control decides")
    return settle(
        (
            Finding(
                f"Expires lies {lifetime:.0f} s in the future",
                (
                    head_evidence(
                        stream, "expires", "date", "cache-control", expected="expires: 0, or no Expires"
                    ),
                ),
            )
            for stream in judged
            if (lifetime := _lifetime(history, stream)) > 0
        ),
        len(judged),
        "responses",
    )


_CLOCKS_DIFFER = 300.0  # seconds; where the server does not say what time it is, ours may be another


def _lifetime(history: History, stream: Exchange) -> float:
    """Seconds from the response's Date, or our own clock, to its Expires; what is no date has expired."""
    assert stream.head is not None
    expires = _date(stream.header("expires"))
    if expires is None:
        return 0.0
    date = _date(stream.header("date"))
    now = history.began.at + stream.head.time + _CLOCKS_DIFFER if date is None else date
    return expires - now


def _date(text: str | None) -> float | None:
    """Seconds since 1970 of an HTTP date, or None where it is none."""
    try:
        moment = parsedate_to_datetime(text or "")
    except (ValueError, IndexError, TypeError, OverflowError):
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
