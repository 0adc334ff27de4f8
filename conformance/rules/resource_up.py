"""The server outlives what clients do to it."""

from conformance.history import SERVER_UP, Gauge, History
from conformance.rules.rule import Judgement, broken, conforms, evidence_at, not_applicable, rule
from conformance.rules.scopes import ALL
from reports.results import Finding

_LAST_WORDS = 10  # lines of what the server printed last, and characters of each
_WIDTH = 160


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
        return not_applicable("the harness did not start the server")
    fell = [gauge for gauge in looks if not gauge.value]
    if not fell:
        return conforms(len(looks), "looks at a server that was still there")
    return broken(map(_finding, fell))


def _finding(gauge: Gauge) -> Finding:
    how, *printed = gauge.detail.split("\n")
    last_words = "\n".join(line[:_WIDTH] for line in printed[-_LAST_WORDS:])
    had = f"been {how}" if how.startswith("killed") else how
    return Finding(
        f"the server had {had} when the scenario was over, and nobody had asked it to",
        (evidence_at(gauge.time, "", excerpt=last_words, expected="a server that runs", actual=how),),
    )


RULES = (stays_up,)
