"""A server is asked to end while its streams are open, idle and stalled."""

from dataclasses import replace

from conformance.history import History
from conformance.judging import judge_by
from conformance.reference.app import App, Request, Responder
from conformance.rules import RULES
from conformance.specimens import REFERENCE, examine
from fault_injection.virtual import VirtualNetwork


def taking_little(app: App) -> App:
    """Refuses bodies of more than 100 kB, as Express does where nothing is said, with a page that says where."""

    async def handle(request: Request, respond: Responder) -> None:
        if len(request.body) <= 100_000:
            await app(request, respond)
            return
        await respond.start(413, [("content-type", "text/html")])
        await respond.send(b"<!DOCTYPE html><pre>PayloadTooLargeError: request entity too large</pre>")
        await respond.finish()

    return handle


async def test_a_server_that_takes_no_large_payload_is_looked_at_all_the_same(autojump_clock: object) -> None:
    little = replace(REFERENCE, wrap=taking_little)
    history = await examine(little, VirtualNetwork(), scenario="shutdown")
    assert history.concluded is not None
    assert history.concluded.outcome == "done", history.concluded
    (mark,) = history.marked("nobody is sent much")
    assert mark.detail == "POST /jobs answered 413"
    assert {*history.subscribers} == {"stalled", "idle", "open"}  # it is gone before anybody else could come
    found = verdicts(history)
    assert found["shutdown.exits"] == found["shutdown.streams-ended"] == "conforms"
    assert "broken" not in found.values()


def verdicts(history: History) -> dict[str, str]:
    rules = [rule for rule in RULES if rule.area == "shutdown" and "shutdown" in rule.scenarios]
    return {rule.name: judge_by(history, rule).verdict for rule in rules}
