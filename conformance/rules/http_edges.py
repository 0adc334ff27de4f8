"""Requests at the edge: of another origin, without credentials, for a stream that does not exist."""

import re

from conformance.dialect import Role
from conformance.history import Exchange, History
from conformance.rules.completion_fate import answer_of
from conformance.rules.http_seen import (
    answered,
    directives,
    head_evidence,
    no_answer,
    status_of,
    tokens,
)
from conformance.rules.refusals import refused
from conformance.rules.rule import Judgement, evidence_at, inconclusive, not_applicable, rule, settle
from reports.outcome import plural
from reports.results import Evidence, Finding

_ORIGIN = re.compile(r"(?:null|[a-z][a-z0-9+.-]*://[^\s/?#@,*]+)\Z")


@rule(
    "http.cors",
    claim="Access-Control-Allow-Origin, where it is sent, is one value that browsers accept.",
    why="A page of another origin opens the stream in vain: the browser compares the header with its origin to the "
    "character and fails the connection for good. Where the value depends on the origin and a cache is not "
    "told so, the second page gets the first one's answer.",
    source="https://fetch.spec.whatwg.org/#cors-protocol",
    mend="Send `*`, or the request's Origin if it is on your list together with Vary: Origin. With credentials "
    "`*` does not count: send the origin and Access-Control-Allow-Credentials: true. Set the header in one "
    "place, proxy or application.",
    scenarios=("other-origin",),
)
def cors(history: History) -> Judgement:
    heads = answered(history)
    if not heads:
        return no_answer(history)
    judged = [stream for stream in heads if stream.header("access-control-allow-origin") is not None]
    if not judged:
        return not_applicable(
            "no Access-Control-Allow-Origin: only pages of its own origin may read the stream"
        )
    return settle(
        (
            Finding(
                message,
                (
                    head_evidence(
                        stream,
                        "access-control-allow-origin",
                        "access-control-allow-credentials",
                        "vary",
                        "cache-control",
                        expected=expected,
                    ),
                ),
            )
            for stream in judged
            for message, expected in _unusable(stream)
        ),
        len(judged),
        "responses",
    )


def _unusable(stream: Exchange) -> list[tuple[str, str]]:
    """What is wrong with the CORS headers, and what should stand there."""
    values = stream.headers["access-control-allow-origin"]
    value = values[0].strip()
    if len(values) > 1 or "," in value:
        return [(f"Access-Control-Allow-Origin has several values: {', '.join(values)[:100]}", "one value")]
    credentials = (stream.header("access-control-allow-credentials") or "").strip() == "true"
    if value == "*":
        if credentials:
            message = (
                "Access-Control-Allow-Origin is * and Access-Control-Allow-Credentials is true: "
                "a request with credentials is refused"
            )
            return [(message, "the request's origin")]
        return []
    if not _ORIGIN.match(value):
        return [(f"Access-Control-Allow-Origin is {value[:60]!r}, which is no origin", "* or https://host")]
    if value == stream.request_header("origin") and _may_be_mixed_up(stream):
        message = "Access-Control-Allow-Origin follows the request, caches may keep the answer, and Vary lacks Origin"
        return [(message, "vary: origin")]
    return []


def _may_be_mixed_up(stream: Exchange) -> bool:
    """Whether a cache may give the answer for one origin to another."""
    if {"origin", "*"} & set(tokens(stream.header("vary"))):
        return False
    said = directives(stream.header("cache-control") or "")
    return stream.requested.method == "GET" and not {"no-store", "no-cache"} & set(said)


@rule(
    "http.auth",
    claim="A request without its credentials is refused and learns nothing.",
    why="Whoever guesses the address reads along. An event source that gets 200 for a refusal reconnects for ever; "
    "on 401 or 403 it stops and tells.",
    source="https://www.rfc-editor.org/rfc/rfc9110#section-15.5.2",
    mend="Check the credentials before the response begins, in the stream's own handler as well: streaming routes "
    "are often mounted outside of the middleware that guards the rest. Answer 401 with WWW-Authenticate, or 403.",
    scenarios=("without-credentials",),
    needs=("target.stream.headers",),
)
def auth(history: History) -> Judgement:
    heads = answered(history)
    if not heads:
        return no_answer(history)
    return settle(
        (
            Finding(message, (what_came(stream, "401 or 403, and no event"),))
            for stream in heads
            if (message := let_in(stream))
        ),
        len(heads),
        "requests without credentials",
    )


def let_in(stream: Exchange) -> str:
    """How a request without credentials was not refused; "" where it was."""
    assert stream.head is not None
    status = status_of(stream)
    told = _told(stream)
    if refused(stream):
        if told and stream.dialect.failure:  # without it nobody can tell an event that only says no
            return f"the request without credentials was answered {status}, with {told} events of the stream"
        return ""
    if status == 204 or (status == 200 and stream.head.url and not stream.is_event_stream):
        return ""  # nothing at all, or a redirect to a page where one may log in
    if stream.is_event_stream:
        return f"the request without credentials was answered 200 and an event stream, with {told} events"
    return f"the request without credentials was answered {status}"


def _told(stream: Exchange) -> int:
    """How many events told something of the stream; those that only say no are not counted."""
    if stream.media_type != "text/event-stream":
        return 0
    return sum(each.role in {Role.PROGRESS, Role.COMPLETION} for each in stream.events)


@rule(
    "http.unknown-stream",
    claim="A request for a stream that does not exist is refused.",
    why="A client with a mistyped or outdated address waits for ever on a stream that stays silent, or asks again "
    "and again; on 404 or 410 an event source stops and tells.",
    source="https://html.spec.whatwg.org/multipage/server-sent-events.html#sse-processing-model",
    mend="Look the stream up before the response begins and answer 404, or 410 where it is gone; 204 tells an event "
    "source to stop. Do not create what is asked for on the way.",
    scenarios=("unknown-stream",),
    needs=("target.start.capture",),
)
def unknown_stream(history: History) -> Judgement:
    heads = answered(history)
    if not heads:
        return no_answer(history)
    unsure = next((stream for stream in heads if _says_something(stream)), None)
    if unsure is not None:
        return inconclusive("answered 200 and events; without dialect.failure nobody can tell what they say")
    if any(_may_create(stream) for stream in heads):
        return inconclusive("answered 200 and events; a POST may begin what it names")
    return settle(
        (
            Finding(message, (what_came(stream, "404 or 410"),))
            for stream in heads
            if (message := _served(stream))
        ),
        len(heads),
        "requests for a stream that does not exist",
    )


def _says_something(stream: Exchange) -> bool:
    return stream.is_event_stream and bool(stream.events) and not stream.dialect.failure


def _may_create(stream: Exchange) -> bool:
    """Whether the request may have begun a stream of the name that it chose, as a chat's does whose client names it."""
    if stream.requested.method != "POST" or not stream.is_event_stream:
        return False
    return bool(stream.told) and not stream.having(Role.FAILURE)


def _served(stream: Exchange) -> str:
    """How a stream that does not exist was served; "" where it was refused."""
    status = status_of(stream)
    if refused(stream) or status == 204:
        return ""
    asked = "the request for a stream that does not exist was answered"
    if not stream.is_event_stream:
        return f"{asked} {answer_of(stream)}"
    roles = [each.role for each in stream.events]
    if Role.FAILURE in roles:
        return ""  # late, but the client hears of it
    if roles:
        return (
            f"{asked} 200 and {plural(len(roles), 'event')}, none of which says that there is no such stream"
        )
    if stream.how == "complete":
        return f"{asked} 200 and an empty stream, to which an event source comes back again and again"
    return f"{asked} 200 and a stream that says nothing"


def what_came(stream: Exchange, expected: str) -> Evidence:
    """The answer to a request as evidence."""
    assert stream.head is not None
    return evidence_at(
        stream.head.time,
        stream.name,
        excerpt=stream.body[:300].decode("utf-8", "replace"),
        expected=expected,
        actual=f"{status_of(stream)} {stream.header('content-type') or ''}".rstrip(),
    )
