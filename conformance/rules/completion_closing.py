"""Completion: how the response ends once the work is over, and that a client may be the first to leave."""

from collections.abc import Iterator

from conformance.dialect import Role
from conformance.history import Exchange, History
from conformance.rules.completion_fate import (
    answer_of,
    end_of,
    evidence_for,
    evidence_of,
    fate,
    named,
    severed,
)
from conformance.rules.refusals import failed
from conformance.rules.rule import Judgement, evidence_at, inconclusive, not_applicable, rule, settle
from conformance.rules.scopes import LEFT, LINKS, PLAIN, RESUMES
from conformance.rules.streams import lasting, nothing_to_read, readable
from reports.results import Finding

_HASTY = "hasty"


@rule(
    "completion.server-closes",
    claim="The server ends the response within limits.close after the completion (or the end marker).",
    why="Connections, tasks and memory pile up for work that is over; a client that reads to the end waits for it; "
    "and if the client closes instead, it may be too early for what is still on the way.",
    source="https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#sending-messages-to-the-server",
    mend="Let the generator return after the last event instead of waiting for a next one: break out of the loop at "
    "the completion, or put a sentinel into the queue. End heartbeats with the stream, for a heartbeat task that "
    "lives on keeps the response open.",
    scenarios=(*PLAIN, "failing-job", "disconnect-mid-stream"),
    needs=("expect.terminates", "dialect.completion"),
    timing=True,
)
def server_closes(history: History) -> Judgement:
    streams = readable(history)
    if not streams:
        return nothing_to_read(history)
    limit = history.terms.limits.close
    findings: list[Finding] = []
    observed = 0
    for stream in streams:
        told = stream.having(Role.COMPLETION, Role.FAILURE, Role.END)
        if not told or stream.how in {"dropped", "body-limit", "open"} or severed(history, stream):
            continue
        waited = end_of(stream) - told[-1].time
        still_open = stream.how in {"timeout", "watched"}
        if still_open and waited < limit * 0.99:  # left for another reason
            continue
        observed += 1
        if still_open or waited > limit:
            how = "was still open" if still_open else "was ended only"
            findings.append(
                Finding(
                    f"{stream.name} {how} {waited:.3g} s after {named(stream, told[-1])} (limits.close: {limit:g} s)",
                    (
                        evidence_for(stream, told[-1]),
                        evidence_of(stream, f"the end of the response within {limit:g} s"),
                    ),
                )
            )
    if not observed:
        return inconclusive("no subscriber saw the completion and waited for the end of the response")
    return settle(findings, observed, "responses")


@rule(
    "completion.clean-close",
    claim="The server ends the response as HTTP says: with the last chunk, or with all of Content-Length.",
    why="A client cannot tell a response that was cut off from a broken network: it reports an error for work that "
    "succeeded, and comes back for it; what was still on the way is lost.",
    source="https://www.rfc-editor.org/rfc/rfc9112.html#section-8",
    mend="Return from the handler and let the server write the end of the response. Do not destroy the socket "
    "(res.destroy(), transport.abort(), a raised exception) to end a stream: res.end() waits until all is sent, a "
    "sleep before destroy() only seems to. Look for an exception after the last event, and for a worker timeout.",
    scenarios=(*PLAIN, "failing-job", *LINKS, *RESUMES, *LEFT),
)
def clean_close(history: History) -> Judgement:
    streams = lasting(history)
    if not streams:
        return nothing_to_read(history)
    findings: list[Finding] = []
    ended = 0
    for stream in streams:
        if severed(history, stream):
            continue
        if stream.how == "complete":
            ended += 1
        elif stream.how in {"truncated", "reset", "protocol"}:
            findings.append(_cut_off(stream))
    if not ended and not findings:
        if all(stream.how == "watched" for stream in streams):
            return not_applicable("the server ended no stream while it was watched")
        return inconclusive("no response was ended by the server")
    return settle(findings, ended, "responses")


def _cut_off(stream: Exchange) -> Finding:
    how = {
        "truncated": "by the end of the connection",
        "reset": "by a reset of the connection",
        "protocol": "by bytes that are not HTTP",
    }[stream.how]
    told = stream.completed
    when = f"after {named(stream, told)}" if told else "before any completion"
    coding = stream.header("transfer-encoding")
    length = stream.header("content-length")
    expected = "the last chunk (0, CR LF, CR LF)" if coding else f"all {length} bytes" if length else "a FIN"
    return Finding(
        f"{stream.name} was cut off {how} at {end_of(stream):.3f} s, {when}",
        (evidence_of(stream, expected),),
    )


@rule(
    "completion.early-close-tolerated",
    claim="A client that closes the connection at the completion does no harm to the server or to others.",
    why="Many clients leave the moment they have what they came for. A server that then writes into the closed "
    "stream, and does not expect the error, loses its worker, its lock or itself, and the next client pays.",
    source="https://www.rfc-editor.org/rfc/rfc9112.html#section-9.6",
    mend="Expect that any write can fail, and take that as the end of this subscriber only: catch the error (EPIPE, "
    "ECONNRESET, ClientDisconnect) where one subscriber is served, release what it holds in a finally block, and "
    "let neither the publisher nor the other subscribers see it.",
    scenarios=("close-at-completion",),
    needs=("dialect.completion",),
)
def early_close_tolerated(history: History) -> Judgement:
    hasty = next(iter(history.subscribers.get(_HASTY, ())), None)
    if hasty is None or not hasty.is_event_stream or hasty.completed is None:
        return inconclusive("the hasty subscriber saw no completion to leave at")
    lost, doubt = _status_lost(history, end_of(hasty))
    findings = [*lost, *_next_refused(history), *_next_lost(history)]
    later = next(iter(history.subscribers.get("a", ())), None)
    if doubt and not findings:
        return inconclusive(doubt)
    if not findings and (later is None or not later.is_event_stream or later.completed is None):
        return inconclusive(
            f"the next stream {fate(history, later).said}" if later else "no stream came after it"
        )
    return settle(findings, 1, "stream after it")


def _status_lost(history: History, left: float) -> tuple[list[Finding], str]:
    """Harm to a status endpoint that had served before the client left (seconds); or why it is not known whether there
    was any: one that never served has lost nothing."""
    answers = [
        each for each in history.exchanges if each.requested.purpose == "status" and each.ended is not None
    ]
    before = [each for each in answers if each.requested.time < left]
    lost = [(each, said) for each in answers if each not in before and (said := _unserved(each))]
    if not lost or any(not _unserved(each) for each in before):
        return [_harm(answer, said) for answer, said in lost], ""
    if before:
        return [], f"before the client had left at the completion, too, {_unserved(before[0])}"
    return [], f"{lost[0][1]}, and it was not asked before the client left at the completion"


def _unserved(answer: Exchange) -> str:
    """What the status endpoint did instead of answering, in words; "" where it answered."""
    if answer.head is None:
        return f"the status endpoint did not answer: {answer.ended.detail if answer.ended else ''}"
    return f"the status endpoint answered {answer_of(answer)}" if failed(answer) else ""


def _next_refused(history: History) -> Iterator[Finding]:
    for mark in history.marked("not started again"):
        yield Finding(
            f"after a client had left at the completion, no work could be started: {mark.detail}",
            (evidence_at(mark.time, "", actual=mark.detail),),
        )


def _next_lost(history: History) -> Iterator[Finding]:
    for stream in history.subscribers.get("a", ()):
        outcome = fate(history, stream)
        unserved = stream.head is None and stream.how in {"refused", "reset", "truncated", "unreachable"}
        if outcome.what in {"broken-off", "silent", "unanswered"} or unserved or failed(stream):
            yield _harm(stream, f"the next stream {outcome.said}")


def _harm(exchange: Exchange, what: str) -> Finding:
    return Finding(
        f"after a client had left at the completion, {what}", (evidence_of(exchange, "service as before"),)
    )
