"""Rules that judge moments give room: machines are busy, and what the harness sees late was not sent late."""

from conformance.history import History
from conformance.history.stalls import without_stalls, worst_stall
from conformance.rules.rule import Check, Judgement, inconclusive

_ALWAYS = 0.3  # seconds: any machine may stall for so long
_PASSES = 3  # of the event loop lie between a byte's arrival and its record, and the link has its own


def room(history: History) -> float:
    """Seconds that a busy machine may take for nothing; in virtual time nothing takes any."""
    if history.began.clock == "virtual":
        return 0.0
    return _ALWAYS + _PASSES * worst_stall(history)


def steady(check: Check) -> Check:
    """A check that judges moments, and says so where only the harness's own stalls kept it from a finding."""

    def checked(history: History) -> Judgement:
        judgement = check(history)
        stall = worst_stall(history)
        if judgement.verdict == "broken" or not stall:
            return judgement
        suspected = check(without_stalls(history))
        if suspected.verdict != "broken":
            return judgement
        return inconclusive(
            f"{suspected.reason}; but the harness itself stalled for {stall:.3f} s meanwhile: judge it on a machine "
            "that is less busy"
        )

    return checked
