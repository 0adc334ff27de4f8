"""Security: who is let in, and what is told of the inside when something fails."""

import re
from collections.abc import Iterator
from html import unescape

from conformance.dialect import Role, parse_json
from conformance.history import EventArrival, Exchange, History
from conformance.pointer import ABSENT
from conformance.rules import security_echo
from conformance.rules.http_edges import let_in, what_came
from conformance.rules.http_seen import answered, no_answer
from conformance.rules.refusals import failed, refused
from conformance.rules.rule import Judgement, evidence_at, inconclusive, not_applicable, rule, settle
from conformance.rules.security_echo import strings_in
from reports.results import Finding, Level

_TRACES = (
    (
        "Python",
        re.compile(
            r"Traceback \(most recent call last\)|^[ \t]*File \"[^\"\n]+\", line \d+, in ", re.MULTILINE
        ),
    ),
    (
        "JavaScript",
        re.compile(
            r"^[ \t]+at (?:async )?(?:.{1,200} \()?(?:file://|node:|/|[A-Za-z]:\\)[^\s()]+:\d+:\d+\)?",
            re.MULTILINE,
        ),
    ),
    (
        "Java",
        re.compile(
            r"^[ \t]+at [\w.$<>/]+\((?:\w+\.(?:java|kt|scala):\d+|Native Method|Unknown Source)\)",
            re.MULTILINE,
        ),
    ),
    ("Go", re.compile(r"^goroutine \d+ \[[\w ,]+\]:", re.MULTILINE)),
    ("PHP", re.compile(r"^#\d+ /[^\n]{1,300}\(\d+\): ", re.MULTILINE)),
    ("Ruby", re.compile(r"^[ \t]*(?:from )?/[^\n:]{1,300}\.rb:\d+:in [`']", re.MULTILINE)),
    (".NET", re.compile(r"^[ \t]+at [\w.`<>+]+\([^\n)]*\) in [^\n]{1,300}:line \d+", re.MULTILINE)),
    ("Rust", re.compile(r"thread '[^'\n]*' panicked at ", re.MULTILINE)),
)
_LOOKED_THROUGH = 64 * 1024  # characters
_BREAK = re.compile(r"<br ?/?>", re.IGNORECASE)


@rule(
    "security.auth",
    claim="A request with wrong credentials is refused like one without, whoever sends it and whatever it asks for.",
    why="A guard that looks only whether there is a token lets everybody in who has made one up; one that stands "
    "before the page and not before the stream, or before the stream and not before the cancel, guards nothing.",
    source="https://www.rfc-editor.org/rfc/rfc6750#section-3.1",
    mend="Check the credentials themselves (signature, expiry, whose they are) in one place that every route goes "
    "through, also for a request with Last-Event-ID, and before the response begins: 401 with WWW-Authenticate, "
    "or 403.",
    scenarios=("wrong-credentials",),
    needs=("target.stream.headers",),
)
def auth(history: History) -> Judgement:
    heads = answered(history)
    if not heads:
        return no_answer(history)
    findings = [
        Finding(
            message.replace("without credentials", "with wrong credentials"),
            (what_came(stream, "401 or 403, and no event"),),
        )
        for stream in heads
        if (message := let_in(stream))
    ]
    others = [
        each
        for each in history.exchanges
        if each.requested.purpose == "other" and each.head is not None and not failed(each)
    ]
    for each in others:
        assert each.head is not None
        if not refused(each) and not each.head.url:  # redirected: to a page where one may log in
            asked = f"{each.requested.method} {each.requested.url}"
            message = f"{asked} with wrong credentials was answered {each.head.status}"
            findings.append(Finding(message, (what_came(each, "401 or 403"),)))
    return settle(findings, len(heads) + len(others), "requests with wrong credentials")


@rule(
    "security.error-hygiene",
    level=Level.SHOULD,
    claim="Answers and events that tell of an error carry no stack trace.",
    why="It tells whoever can make something fail where the files lie, which libraries run in which version, sometimes "
    "a query or a key; the user it is shown to can do nothing with it.",
    source="https://cheatsheetseries.owasp.org/cheatsheets/Error_Handling_Cheat_Sheet.html",
    mend="Log the exception under an id, and tell the client that id and a sentence. Run without debug mode (Flask, "
    "Django DEBUG, NODE_ENV=development, Spring server.error.include-stacktrace). In a stream's except block, "
    "do not send str(traceback) as the failure event.",
    scenarios=(
        "failing-job",
        "unknown-id",
        "unknown-stream",
        "without-credentials",
        "wrong-credentials",
        "hostile-input",
    ),
)
def error_hygiene(history: History) -> Judgement:
    findings: list[Finding] = []
    looked_at = 0
    for exchange in history.exchanges:
        for arrival, text in _errors(exchange):
            looked_at += 1
            if found := _trace_in(text):
                language, line = found
                findings.append(
                    Finding(
                        f"{exchange.name}: {'a failure event' if arrival else 'an error'} carries a {language} stack "
                        "trace",
                        (
                            evidence_at(
                                arrival.time if arrival else exchange.requested.time,
                                exchange.name,
                                offset=arrival.event.offset if arrival else None,
                                excerpt=line,
                                expected="what happened, in a sentence",
                                actual="where in the code it did",
                            ),
                        ),
                    )
                )
    if not looked_at:
        if not any(exchange.head for exchange in history.exchanges):
            return inconclusive("no response")
        return not_applicable("nothing told of an error")
    return settle(findings, looked_at, "errors without a stack trace")


def _errors(exchange: Exchange) -> Iterator[tuple[EventArrival | None, str]]:
    """What tells of an error: the bodies of error responses, and failure events, JSON strings as text."""
    if refused(exchange) or failed(exchange):
        yield None, _readable(exchange.body.decode("utf-8", "replace"))
    elif exchange.requested.purpose == "stream" and exchange.is_event_stream:
        for arrival in exchange.having(Role.FAILURE):
            if isinstance(arrival, EventArrival):
                yield arrival, _readable(arrival.event.data)


def _readable(text: str) -> str:
    """The strings of the text where it is JSON, else the text as a page shows it; not more than 64 Ki characters."""
    value = parse_json(text)
    if value is not ABSENT:
        return "\n".join(strings_in(value))[:_LOOKED_THROUGH]
    return unescape(_BREAK.sub("\n", text[:_LOOKED_THROUGH])).replace("\xa0", " ")


def _trace_in(text: str) -> tuple[str, str] | None:
    """The language of the stack trace in the text, and the line that gives it away."""
    for language, pattern in _TRACES:
        if match := pattern.search(text):
            return language, match[0].strip()[:200]
    return None


RULES = (auth, error_hygiene, *security_echo.RULES)
