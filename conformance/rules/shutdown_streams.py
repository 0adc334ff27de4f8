"""Shutdown: what becomes of the streams that are open when the server is asked to end, and of who comes then."""

from conformance.dialect import Role
from conformance.history import Exchange, History
from conformance.rules.completion_fate import answer_of, end_of, evidence_of, severed
from conformance.rules.order_content import number, told
from conformance.rules.rule import Judgement, inconclusive, not_applicable, rule, settle
from conformance.rules.scopes import SHUTDOWN
from conformance.rules.shutdown import NEWCOMER, READERS, asked_at, not_ended
from conformance.rules.streams import nothing_to_read, readable
from reports.outcome import plural
from reports.results import Finding, Level

_PATIENCE = 1.0  # seconds; who is taken in and gets no answer for so long was forgotten
_CUT = frozenset({"truncated", "reset", "protocol"})
_ENDS = (Role.COMPLETION, Role.FAILURE, Role.END)


def _open_then(history: History, asked: float) -> tuple[Exchange, ...]:
    """The streams that were open, and read, when the server was asked to end."""
    return tuple(
        stream
        for stream in readable(history)
        if stream.requested.subscriber in READERS
        and stream.head is not None
        and stream.head.time <= asked <= end_of(stream)
    )


@rule(
    "shutdown.streams-ended",
    claim="Streams that are open when the server is asked to end are ended as HTTP says.",
    why="A response that is cut off is an error to every client: fetch rejects, libraries raise, users see a failure "
    "for what was a deployment. What was on its way is lost, and nobody can tell it from a crash.",
    source="https://www.rfc-editor.org/rfc/rfc9112.html#section-8",
    mend="On the signal, let every generator return, and the server write the end of its response, before the process "
    "exits. Do not cancel the tasks of open responses or close their sockets first, and do not leave it to the "
    "signal's default action. Give it a grace period, and one to whatever stands before it (preStop, drain).",
    scenarios=SHUTDOWN,
    needs=("target.command",),
)
def streams_ended(history: History) -> Judgement:
    asked = asked_at(history)
    if asked is None:
        return not_ended(history)
    if not readable(history):
        return nothing_to_read(history)
    streams = _open_then(history, asked)
    findings = [
        Finding(
            f"{stream.name} was cut off {end_of(stream) - asked:.3g} s after the signal",
            (
                evidence_of(
                    stream, "the end of the response: its last chunk, or a FIN where the end is the close"
                ),
            ),
        )
        for stream in streams
        if stream.how in _CUT and not severed(history, stream)
    ]
    ended = sum(stream.how == "complete" for stream in streams)
    if not findings and not ended:
        still = next((stream for stream in streams), None)
        if still is None:
            return inconclusive("no stream was open when the server was asked to end")
        return inconclusive(
            f"{still.name} was not ended: the server did not exit, or somebody else kept it open"
        )
    return settle(findings, ended, "streams that were ended properly")


@rule(
    "shutdown.ending-told",
    level=Level.SHOULD,
    claim="A stream that ends because the server does says so, or can be resumed.",
    why="The response ends as if all had been said. A client that cannot tell shows half an answer as a whole one, or "
    "waits for a result that will never come; an event source comes back and gets the stream from its beginning.",
    source="https://html.spec.whatwg.org/multipage/server-sent-events.html#the-last-event-id-header",
    mend="Put an id on every event and honour Last-Event-ID, with a log that outlives the process: then the client "
    "comes back by itself and misses nothing. Where work ends with the process, publish a failure event "
    "('the service is shutting down') and the end marker before the streams end.",
    scenarios=SHUTDOWN,
    needs=("target.command", "dialect.completion"),
)
def ending_told(history: History) -> Judgement:
    asked = asked_at(history)
    if asked is None:
        return not_ended(history)
    if not readable(history):
        return nothing_to_read(history)
    streams = [stream for stream in _open_then(history, asked) if stream.how == "complete" and told(stream)]
    if not streams and any(stream.how in _CUT for stream in _open_then(history, asked)):
        return not_applicable("the streams were cut off: shutdown.streams-ended has its say")
    if not streams:
        return inconclusive("no stream that had begun was ended by the server")
    if all(_only_greeted(history, stream) for stream in streams):
        first = streams[0]
        return inconclusive(f"{first.name} had one event, without an id: it may greet whoever comes")
    return settle(
        (
            Finding(
                f"{stream.name} was ended after {plural(len(told(stream)), 'event')} with no word of why, and cannot "
                "be resumed",
                (evidence_of(stream, "a completion, a failure, an end marker, or ids to resume by"),),
            )
            for stream in streams
            if not stream.having(*_ENDS)
            and not _resumable(history, stream)
            and not _only_greeted(history, stream)
        ),
        len(streams),
        "streams that say how they ended, or can be resumed",
    )


def _only_greeted(history: History, stream: Exchange) -> bool:
    """Whether nothing tells if its events have ids: a first event of a connection, to greet, may have none."""
    alone = len(told(stream)) == 1 and not stream.having(*_ENDS)
    return alone and history.terms.expect.resumable is not False and not _resumable(history, stream)


def _resumable(history: History, stream: Exchange) -> bool:
    """Whether a client that comes back can say where it was, and the server does not say that it will not listen."""
    by_sequence = {"expect.resumable", "target.resume"} <= set(history.terms.declared)
    return history.terms.expect.resumable is not False and any(
        each.event.last_event_id or (by_sequence and number(stream.dialect, each) is not None)
        for each in stream.events
    )


@rule(
    "shutdown.refuses-new",
    level=Level.SHOULD,
    claim="Who comes while the server shuts down is refused or answered, and not taken in and forgotten.",
    why="A connection that is refused goes to another instance at once. One that is accepted and gets no answer waits "
    "until the process is killed, and fails then, with whatever it was to do.",
    source="https://www.rfc-editor.org/rfc/rfc9110.html#section-15.6.4",
    mend="Close the listening socket when the signal comes, before waiting for what is open. Answer what is accepted "
    "all the same: as ever, or with 503 and Connection: close. Let the load balancer know first (fail the "
    "readiness probe), and wait until it does.",
    scenarios=SHUTDOWN,
    needs=("target.command",),
    timing=True,
)
def refuses_new(history: History) -> Judgement:
    newcomer = next(iter(history.subscribers.get(NEWCOMER, ())), None)
    if newcomer is None:
        return not_applicable("the server had ended before anybody came")
    findings: list[Finding] = []
    if newcomer.head is None:
        waited = end_of(newcomer) - newcomer.requested.time
        if newcomer.connected is None:
            return settle((), 1, "newcomer who was refused")
        if waited < _PATIENCE:
            return not_applicable(
                f"the server ended {waited:.3g} s after somebody had come: too soon to tell"
            )
        findings.append(
            Finding(
                f"a connection was accepted during the shutdown and got no answer in {waited:.3g} s",
                (evidence_of(newcomer, "connection refused, 503, or the stream"),),
            )
        )
    return settle(findings, 1, f"newcomer who was answered with {answer_of(newcomer)}")


STREAM_RULES = (streams_ended, ending_told, refuses_new)
