"""The response head: what a client and the middleboxes on the way decide by."""

from conformance.history import Exchange, History
from conformance.rules.rule import Judgement, evidence_at, inconclusive, rule, settle
from conformance.rules.scopes import READING
from reports.results import Finding


def _answered(history: History) -> list[Exchange]:
    """The streams that got a head."""
    return [stream for stream in history.streams if stream.head is not None]


@rule(
    "http.status",
    claim="A request for the stream is answered with status 200.",
    why="An event source fails the connection for good on any other status but 204, which stops it: "
    "it does not try again, and nobody is told why.",
    source="https://html.spec.whatwg.org/multipage/server-sent-events.html#the-eventsource-interface",
    mend="Answer 200 with the stream. Say that the work failed in an event, not in the status.",
    scenarios=READING,
)
def status(history: History) -> Judgement:
    answered = _answered(history)
    if not answered:
        ended = next((stream.ended for stream in history.streams if stream.ended), None)
        return inconclusive(f"no response: {ended.detail}" if ended else "no response")
    return settle(
        (
            Finding(
                f"the stream was answered with {stream.head.status} {stream.head.reason}".rstrip(),
                (
                    evidence_at(
                        stream.head.time,
                        stream.name,
                        expected="200",
                        actual=str(stream.head.status),
                        excerpt=stream.body[:300].decode("utf-8", "replace"),
                    ),
                ),
            )
            for stream in answered
            if stream.head is not None and stream.head.status != 200
        ),
        len(answered),
        "responses",
    )


RULES = (status,)
