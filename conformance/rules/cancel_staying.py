"""Cancel: who stays with the work when another subscriber of it leaves."""

from dataclasses import dataclass

from conformance.dialect import Role
from conformance.history import Arrival, Exchange, History
from conformance.rules.cancel_looks import Moment, left_at
from conformance.rules.completion_fate import end_of, evidence_for, evidence_of, fate, named
from conformance.rules.order_content import told
from conformance.rules.rule import Judgement, conforms, inconclusive, not_applicable, settle
from conformance.rules.stalls import room
from conformance.rules.streams import nothing_to_read
from reports.results import Evidence, Finding

_ENDS = (Role.COMPLETION, Role.FAILURE, Role.END)
_ROUNDS = ("", *(f"-again-{count}" for count in range(1, 5)))
_SILENT_ROUNDS = 3  # are enough where it fell silent
_SOON = 0.5  # of the time for which it had been served: what comes later may be chance
_AT_ONCE = 0.1  # seconds: where it is not tried again, a later end may be for a reason of its own
_AS_BEFORE = "its events, as before"


@dataclass(frozen=True)
class _Round:
    """One who stayed while another one left; `harm` is what befell it then, in words, and when: the leaving may have
    done that."""

    stayed: Exchange
    left: Exchange | None
    since: Moment | None
    harm: str = ""
    at: float = 0.0
    evidence: Evidence | None = None
    silent: bool = False

    @property
    def lasted(self) -> float:
        """For how long (seconds) it had been served when that befell it."""
        return self.at - self.stayed.requested.time

    @property
    def said(self) -> str:
        assert self.left is not None
        assert self.since is not None
        return f"{self.left.name} left at {self.since.late.time:.3f} s, and {self.stayed.name}, who stayed, {self.harm}"


def beside_one_who_leaves(history: History) -> Judgement:
    """Whether one who stays is served as before when another one leaves.

    Servers end responses for reasons of their own, too: after so many seconds, after so many events, for a newer
    stream of the same session. So what happened when somebody left must happen again when somebody leaves later than
    that, and not before; and so each time.
    """
    rounds = [each for name in _ROUNDS if (each := _round(history, name)) is not None]
    if not rounds or not rounds[0].stayed.is_event_stream:
        return nothing_to_read(history)
    first, again = rounds[0], rounds[1:]
    if not first.harm:
        return _served(first)
    for each in again:
        if each.since is None:
            return _of_its_own(first, each, history)
        if not each.harm or each.since.early.time - each.stayed.requested.time <= first.lasted:
            return inconclusive(f"{first.said}; when it was tried again, {each.stayed.name} was served on")
        if each.at - each.since.late.time > _SOON * (each.since.early.time - each.stayed.requested.time):
            return inconclusive(
                f"{first.said}; when it was tried again, {each.said}, so late that it may be chance"
            )
    if len(rounds) < (_SILENT_ROUNDS if first.silent else len(_ROUNDS)):
        return inconclusive(f"{first.said}; whether that happens each time is not known")
    said = f"{first.said} (tried {len(rounds)} times, each time so)"
    messages = [said, *(each.said for each in again)]
    return settle(
        [
            Finding(message, (each.evidence,))
            for each, message in zip(rounds, messages, strict=True)
            if each.evidence is not None
        ],
        0,
        "",
    )


def _round(history: History, name: str) -> _Round | None:
    stayed = next((each for each in history.streams if each.requested.subscriber == f"companion{name}"), None)
    if stayed is None:
        return None
    left = next((each for each in history.streams if each.requested.subscriber == f"leaver{name}"), None)
    since = None if left is None else left_at(history, left)
    if left is None or since is None or not stayed.is_event_stream:
        return _Round(stayed, left, None)
    if (
        any(each.time < since.early.time for each in stayed.having(*_ENDS))
        or end_of(stayed) < since.early.time
    ):
        return _Round(stayed, left, None)
    return _harmed(history, stayed, left, since)


def _harmed(history: History, stayed: Exchange, left: Exchange, since: Moment) -> _Round:
    soon = since.late.time + history.terms.limits.cancellation + room(history)
    bad: Arrival | None = next(iter(stayed.having(Role.FAILURE)), None)
    if bad is not None and bad.time <= soon:
        evidence = evidence_for(stayed, bad, expected=_AS_BEFORE)
        return _Round(stayed, left, since, f"was told {named(stayed, bad)}", bad.time, evidence)
    outcome = fate(history, stayed)
    evidence = evidence_of(stayed, _AS_BEFORE)
    if outcome.what == "ended" and stayed.dialect.completion is None:  # it may be the end of the work
        return _Round(stayed, left, since)
    if outcome.what in {"ended", "broken-off"} and end_of(stayed) <= soon and not stayed.having(Role.END):
        return _Round(stayed, left, since, outcome.said, end_of(stayed), evidence)
    events = told(stayed)
    if outcome.what == "silent" and events and events[-1].left_server <= soon:
        return _Round(stayed, left, since, outcome.said, events[-1].time, evidence, silent=True)
    return _Round(stayed, left, since)


def _served(it: _Round) -> Judgement:
    """Where nothing befell the one who stayed."""
    stayed = it.stayed
    if it.left is None:
        return inconclusive("nobody came who could leave")
    if it.since is None:
        return inconclusive(f"nobody left while {stayed.name} was still served")
    after = sum(each.left_server > it.since.late.time for each in told(stayed))
    if not after:
        return inconclusive(f"{stayed.name} brought nothing more after {it.left.name} had left")
    return conforms(after, "events for the one who stayed")


def _of_its_own(first: _Round, again: _Round, history: History) -> Judgement:
    """Where the second one who stayed was served no longer before anybody had left."""
    if again.stayed.completed is not None:
        longer = "work that takes longer would tell"
        return inconclusive(
            f"{first.said}; when it was tried again, the work was over before anybody left: {longer}"
        )
    outcome = fate(history, again.stayed)
    after = sum(each.left_server > first.since.late.time for each in told(first.stayed)) if first.since else 0
    by_itself = f"but {again.stayed.name} {outcome.said}, and nobody had left: the server does so by itself"
    if not after:
        return inconclusive(f"{first.said}; {by_itself}")
    return conforms(after, f"events for the one who stayed; {first.said}, {by_itself}")


def beside_all_who_leave(history: History) -> Judgement:
    """Whether the last of two who leave was served as before when the first had left."""
    if len(history.streams) < 2:
        return not_applicable(
            "needs expect.shared in the configuration: only one subscriber watched the work"
        )
    first, last = history.streams[:2]
    since = left_at(history, first)
    if since is None or not last.is_event_stream:
        return inconclusive("nobody left while another subscriber stayed")
    if any(each.time < since.early.time for each in last.having(*_ENDS)):
        return inconclusive("the work ended before the first subscriber left")
    if end_of(last) < since.early.time:
        return inconclusive(f"{last.name} {fate(history, last).said}, before {first.name} left")
    left = f"{first.name} left at {since.late.time:.3f} s, and {last.name}, who stayed"
    bad = next(iter(last.having(Role.FAILURE)), None)
    if bad is not None:
        message = f"{left}, was told {named(last, bad)}"
        return settle([Finding(message, (evidence_for(last, bad, expected="its events, as before"),))], 0, "")
    if last.how in {"complete", "truncated", "reset"} and not last.having(Role.COMPLETION):
        message = f"{left}, {fate(history, last).said}"
        if last.how == "complete" and end_of(last) - since.late.time > _AT_ONCE + room(history):
            return inconclusive(f"{message}, so late that it may be chance: one-leaves tries it again")
        return settle([Finding(message, (evidence_of(last, "its events, as before"),))], 0, "")
    after = [each for each in told(last) if each.left_server > since.late.time]
    if not after:
        return inconclusive(
            f"{last.name} brought nothing more after {first.name} had left, and was left in turn"
        )
    return settle((), len(after), "events for those who stayed")
