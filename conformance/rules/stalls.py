"""Rules that judge moments give room: machines are busy, and what the harness sees late was not sent late."""

from conformance.history import History
from conformance.history.stalls import without_stalls, worst_stall
from conformance.rules.rule import Check, Judgement, inconclusive

_ALWAYS = 0.3  # seconds: any machine may stall for so long
_NOTED = 0.1  # seconds: shorter stalls are not noted
_PASSES = 8  # of event loops may lie between a request and the record of the first event, the link's included


def room(history: History) -> float:
    """Seconds that a busy machine may take for nothing; in virtual time nothing takes any."""
    if history.began.clock == "virtual":
        return 0.0
    return _ALWAYS + _PASSES * max(0.0, worst_stall(history) - _NOTED)


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
