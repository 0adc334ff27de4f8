"""The server outlives what clients do to it."""

from collections.abc import Sequence

from conformance.history import SERVER_UP, Gauge, History
from conformance.rules.rule import (
    Judgement,
    broken,
    conforms,
    evidence_at,
    inconclusive,
    not_applicable,
    rule,
)
from conformance.rules.scopes import ALL
from reports.results import Finding

_LAST_WORDS = 10  # lines of what the server printed last, and characters of each
_WIDTH = 160
_NAMED = 3  # of the scenarios beside
_UNKNOWN = (
    "needs target.command in the configuration, or the number of the server's process (target.pid, --pid): whether the "
    "server still runs"
)


@rule(
    "resource.stays-up",
    claim="The server does not end while it is driven, unless it is asked to.",
    why="One client that leaves at the wrong moment, or one that does not read, ends the streams of all others. What "
    "was being worked on is lost, and under a supervisor that starts the server again it happens again and again.",
    source="https://www.rfc-editor.org/rfc/rfc9112.html#section-9.5",
    mend="Look at what the server printed last (server.log in the report's folder). Handle the errors of each response "
    "where it is written: in Node an 'error' event without a listener ends the process, in Go a panic in a goroutine "
    "of your own, in Python an exception in what nobody awaits may.",
    scenarios=ALL,
    always=True,
)
def stays_up(history: History) -> Judgement:
    looks = [gauge for gauge in history.gauges if gauge.name == SERVER_UP]
    if not looks:
        return not_applicable(_UNKNOWN)
    down = [gauge for gauge in looks if not gauge.value]
    if any(gauge.phase == "before" for gauge in down):
        how = down[0].detail.partition("\n")[0]
        return inconclusive(
            f"the server had {_passive(how)} before the scenario began: see those that came before"
        )
    if not down:
        return conforms(len(looks), "looks at a server that was still there")
    beside = tuple(name for mark in history.marked("server ended") for name in mark.detail.split(", "))
    return broken(_finding(gauge, [name for name in beside if name != history.scenario]) for gauge in down)


def fell(history: History) -> bool:
    """Whether the server ended by itself while this was driven."""
    looks = [gauge for gauge in history.gauges if gauge.name == SERVER_UP]
    return any(not gauge.value for gauge in looks) and all(gauge.phase != "before" for gauge in looks)


def _finding(gauge: Gauge, beside: Sequence[str]) -> Finding:
    how, *printed = gauge.detail.split("\n")
    last_words = "\n".join(line[:_WIDTH] for line in printed[-_LAST_WORDS:])
    message = f"the server had {_passive(how)} when the scenario was over, and nobody had asked it to"
    if beside:
        others = ", ".join(beside[:_NAMED]) + (f" and {len(beside) - _NAMED} more" if beside[_NAMED:] else "")
        message += (
            f"; it was driven beside {others}, and any of them may have done that (--scenario names one)"
        )
    evidence = evidence_at(gauge.time, "", excerpt=last_words, expected="a server that runs", actual=how)
    return Finding(message, (evidence,))


def _passive(how: str) -> str:
    return f"been {how}" if how.startswith("killed") else how


RULES = (stays_up,)
