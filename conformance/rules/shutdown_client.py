"""Shutdown: what the harness itself leaves behind."""

from conformance.history import HARNESS_LEFT, HARNESS_LOOKED, History
from conformance.rules.rule import Judgement, evidence_at, inconclusive, rule, settle
from conformance.rules.scopes import EXCLUSIVE, READING
from reports.results import Finding


@rule(
    "shutdown.client-leaves-nothing",
    claim="After a scenario no connection and no task of the harness is left; after the run no thread, socket or child "
    "process either.",
    why="Who looks for leaks must not leak: a connection that this side forgot to close is a subscriber that the "
    "server rightly keeps, and every gauge that is sampled later is wrong by it.",
    source="https://trio.readthedocs.io/en/stable/reference-core.html#nurseries-and-spawning",
    mend="This is about sse-conformance and not about your server: please report it, with the history.",
    scenarios=(*READING, *EXCLUSIVE),
)
def client_leaves_nothing(history: History) -> Judgement:
    looked = history.marked(HARNESS_LOOKED)
    if not looked:
        return inconclusive("the record does not say what the harness left behind")
    return settle(
        (
            Finding(
                f"the harness left {mark.detail} behind",
                (evidence_at(mark.time, "", expected="nothing", actual=mark.detail),),
            )
            for mark in history.marked(HARNESS_LEFT)
        ),
        sum(exchange.head is not None for exchange in history.exchanges),  # who answers nothing is not judged
        f"requests that left nothing behind: no {looked[-1].detail}",
    )


RULES = (client_leaves_nothing,)
