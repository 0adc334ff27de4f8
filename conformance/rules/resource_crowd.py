"""A crowd: many complete streams at once, each of which has to be served as if it were alone."""

from conformance.history import Exchange, History
from conformance.rules.completion_fate import evidence_of, fate
from conformance.rules.rule import Judgement, inconclusive, not_applicable, rule, settle
from conformance.rules.streams import nothing_to_read, readable
from reports.outcome import plural
from reports.results import Finding

_TURNED_AWAY = frozenset({429, 503})


@rule(
    "resource.crowd",
    claim="Of many complete streams at once, every one that the server accepts is told of its completion.",
    why="What works for one subscriber is lost for some of many: a broadcast that skips slow readers, a pool that runs "
    "dry, a listen queue that overflows. On the busiest day the work completes and some users never hear of it.",
    source="https://www.rfc-editor.org/rfc/rfc9110.html#section-15.6.4",
    mend="Give each subscriber its own place in the log instead of a queue that drops what does not fit. Raise the "
    "limits on descriptors, workers and the listen queue to what you mean to serve, and turn away what is beyond by "
    "503 or 429 with Retry-After before the stream begins, instead of starting streams that cannot be finished.",
    scenarios=("crowd",),
    needs=("dialect.completion",),
)
def crowd(history: History) -> Judgement:
    if not readable(history) and any(each.head and not _turned_away(each) for each in history.streams):
        return nothing_to_read(history)
    findings: list[Finding] = []
    doubts: list[str] = []
    told = away = 0
    for connections in history.subscribers.values():
        last = connections[-1]
        outcome = fate(history, last)
        if outcome.what == "completed" or any(
            fate(history, each).what == "completed" for each in connections
        ):
            told += 1
        elif _turned_away(last):
            away += 1
        elif outcome.what in {"left", "cut", "unknown"} and last.how not in {"refused", "unreachable"}:
            doubts.append(f"{last.name} {outcome.said}")
        else:
            findings.append(
                Finding(
                    f"one of {plural(len(history.subscribers), 'stream')} at once was not told of its completion: "
                    f"{last.name} {outcome.said}",
                    (evidence_of(last, "the completion"),),
                )
            )
    away += len(history.marked("not started"))
    if findings:
        return settle(findings, told, "")
    if doubts:
        return inconclusive(doubts[0])
    if not told and away:
        return not_applicable(f"the server turned the whole crowd of {away} away")
    also = f", {away} turned away" if away else ""
    return settle(findings, told, f"streams of a crowd that were told of their completion{also}")


def _turned_away(stream: Exchange) -> bool:
    """An honest refusal, before anything was begun."""
    return stream.head is not None and stream.head.status in _TURNED_AWAY


RULES = (crowd,)
