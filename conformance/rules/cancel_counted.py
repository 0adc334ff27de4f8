"""Cancel: when everybody has long left, whatever happened before, the status endpoint counts nobody."""

from collections.abc import Iterator

from conformance.history import Exchange, History
from conformance.pointer import Pointer
from conformance.rules.cancel_looks import Places, number_in, why_without
from conformance.rules.rule import Judgement, evidence_at, inconclusive, not_applicable, settle
from reports.results import Finding


def nobody_counted(history: History) -> Judgement:
    """Judge the last answers that were asked for when all had been gone for limits.cancellation. The count has to be
    what it was before anybody came, to this work where it has a count of its own; where nobody asked then, 0."""
    terms, limit = history.terms.status, history.terms.limits.cancellation
    if terms is None or terms.subscribers is None:
        return not_applicable("needs target.status.subscribers in the configuration")
    if not history.streams:
        return inconclusive("nobody asked for the stream")
    if any(stream.ended is None for stream in history.streams):
        return inconclusive("the record stops before all had left")
    gone = max(stream.ended.time for stream in history.streams if stream.ended is not None)
    counted, unseen = 0, "the status endpoint was not asked when all had gone"
    findings: list[Finding] = []
    for answer in _last_of_each(history, gone + limit):
        value = number_in(answer, terms.subscribers)
        if value is None:  # forgotten work has no subscribers either, but nobody said so
            unseen = why_without(answer, "number", terms.subscribers)
            continue
        counted += 1
        before = _before_all(history, answer, terms.subscribers)
        if value > before:
            findings.append(_still_counted(answer, value, before, gone))
    if not counted:
        return inconclusive(f"the subscribers were not counted when all had gone: {unseen}")
    return settle(findings, counted, "counts of subscribers when all had gone")


def _statuses(history: History) -> Iterator[Exchange]:
    return (each for each in history.exchanges if each.requested.purpose == "status" and each.ended)


def _last_of_each(history: History, since: float) -> Iterator[Exchange]:
    """The last answer about each work that was asked for later than `since`."""
    late = [each for each in _statuses(history) if each.requested.time > since]
    yield from {tuple(sorted(each.requested.names.items())): each for each in late}.values()


def _before_all(history: History, answer: Exchange, pointer: Pointer) -> float:
    """What was answered before anybody came, of this work or of all; 0 where nothing was, or no number."""
    places = Places(history)

    def is_before(status: Exchange) -> bool:
        names = status.requested.names
        came = [
            places.at(each.requested)
            for each in history.streams
            if not names or each.requested.names == names
        ]
        return names in ({}, answer.requested.names) and bool(came) and places.of(status).late < min(came)

    told = (number_in(each, pointer) for each in _statuses(history) if is_before(each))
    return next((value for value in told if value is not None), 0.0)


def _still_counted(answer: Exchange, value: float, before: float, gone: float) -> Finding:
    passed = answer.requested.time - gone
    was = f", and {before:g} before anybody came" if before else ""
    return Finding(
        f"all subscribers were gone at {gone:.3f} s, and {passed:.3g} s later the server still counted {value:g}{was}",
        (
            evidence_at(
                answer.requested.time,
                answer.name,
                excerpt=answer.body[:80].decode("utf-8", "replace"),
                expected=f"{before:g}",
                actual=f"{value:g}",
            ),
        ),
    )
