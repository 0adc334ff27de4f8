"""How long the harness itself stood still: on a machine that is too busy it sees late what came in time."""

from conformance.history.records import Mark
from conformance.history.view import History

_STALLED = "harness stalled"


def stall_mark(time: float, seconds: float) -> Mark:
    """The record of a stall of so many seconds that ended at `time`."""
    return Mark(time=time, what=_STALLED, detail=f"{seconds:.3f} s: the machine is busy")


def worst_stall(history: History) -> float:
    """The longest stall in seconds; 0 where none was noticed."""
    return max((float(mark.detail.partition(" ")[0]) for mark in history.marked(_STALLED)), default=0.0)


def without_stalls(history: History) -> History:
    """The same history, as if the machine had not been busy."""
    kept = (each for each in history.records if not (isinstance(each, Mark) and each.what == _STALLED))
    return History(tuple(kept), history.cut)
