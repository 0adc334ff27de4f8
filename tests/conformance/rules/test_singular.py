"""What was observed, once and more often, as rules say it."""

import pytest

from conformance.rules.rule import conforms
from conformance.rules.singular import singular


@pytest.mark.parametrize(
    ("many", "one"),
    [
        ("events", "event"),
        ("responses", "response"),
        ("looks at a server that was still there", "look at a server that was still there"),
        ("subscribers who were told", "subscriber who was told"),
        ("pieces of work that went on", "piece of work that went on"),
        ("end markers", "end marker"),
        ("events that tell whose they are", "event that tells whose it is"),
        ("silences longer than 3 s, carried by heartbeats", "silence longer than 3 s, carried by heartbeats"),
        (
            "live events, the latest 0.1 s after its timestamp",
            "live event, the latest 0.1 s after its timestamp",
        ),
        ("errors without a stack trace", "error without a stack trace"),
        ("gauges that were back where they had been", "gauge that was back where it had been"),
        ("streams that say how they ended", "stream that says how it ended"),
        ("newcomer who was refused", "newcomer who was refused"),
        ("exit that left the port free", "exit that left the port free"),
        ("completion after coming back", "completion after coming back"),
        ("exit, 1 s after SIGTERM", "exit, 1 s after SIGTERM"),
        ("exit with code 0", "exit with code 0"),
        ("stream after it", "stream after it"),
        ("answer: 204 No Content", "answer: 204 No Content"),
        ("clear answer: 204 No Content", "clear answer: 204 No Content"),
        ("who came back: answered 204", "who came back: answered 204"),
        ("foreign ids that were refused: 404", "foreign id that was refused: 404"),
        ("requests that left nothing behind: no tasks", "request that left nothing behind: no tasks"),
    ],
)
def test_one_of_many(many: str, one: str) -> None:
    assert singular(many) == one
    assert conforms(1, many).reason == f"1 {one}"
    assert conforms(2000, many).reason == f"2,000 {many}"
