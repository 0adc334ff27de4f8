"""A schedule that gives another history each time it is played: where two of them part, and why that may be."""

from itertools import zip_longest
from typing import Final

from conformance.explore.play import Exploration, Played, history_bytes, play_schedule
from conformance.explore.schedule import Schedule

CAUSES: Final = (
    "likely causes: a set of the application's own objects, which is walked in the order of their addresses (a dict or "
    "a list has an order of its own); a set of strings, in another process (PYTHONHASHSEED); a clock or a source of "
    "randomness that was imported under another name; threads that it starts itself; state that outlives the "
    "application, in a module, a file or a database"
)

_PLAYS: Final = 3  # of two orders that are as likely, three plays miss one in eight times
_MORE_PLAYS: Final = 10  # until one breaks a rule
_SHOWN: Final = 160  # characters of a record
_BEFORE: Final = 60  # of them before the first that differs


class NotRepeatable(Exception):
    """The same schedule gives different histories, and none of them breaks a rule; so nothing can be said of it."""


def unlike(exploration: Exploration, played: Played) -> Played | None:
    """Play the schedule again, a few times: the first play that gives another history; None: it repeats."""
    history = history_bytes(played)
    plays = (play_schedule(exploration, played.schedule) for _ in range(_PLAYS))
    return next((again for again in plays if history_bytes(again) != history), None)


def play_again(exploration: Exploration, schedule: Schedule) -> tuple[Played, Played | None]:
    """Play a schedule that was found before, and what another play gave, where that is another history.

    Raises `NotRepeatable` where it is, and no play breaks a rule: that is no proof that it is mended.
    """
    played = play_schedule(exploration, schedule)
    other = unlike(exploration, played)
    if other is None or played.broken:
        return played, other
    plays = (other, *(play_schedule(exploration, schedule) for _ in range(_MORE_PLAYS)))
    broken = next((again for again in plays if again.broken), None)
    if broken is None:
        raise NotRepeatable(" ".join((*told_unlike(played, other), "No play of it breaks a rule.")))
    return broken, played


def told_unlike(played: Played, other: Played) -> list[str]:
    """That it does not repeat, where the two histories part, and the likely causes: in lines."""
    also = ", ".join(dict.fromkeys(case.rule for case in other.broken)) or "nothing"
    return [
        f"it does not repeat exactly: played again, the same schedule gave another history, which breaks {also}.",
        *_parting(played, other),
        f"{CAUSES}.",
    ]


def _parting(played: Played, other: Played) -> list[str]:
    """Where the two part, and what is there in each."""
    lines = [[line.decode() for line in history_bytes(each).splitlines()] for each in (played, other)]
    pairs = enumerate(zip_longest(*lines, fillvalue=""), 1)
    number, (here, there) = next((number, pair) for number, pair in pairs if len(set(pair)) > 1)
    same = next((index for index, pair in enumerate(zip(here, there, strict=False)) if len(set(pair)) > 1), 0)
    return [
        f"the two part at record {number}, of {len(lines[0])} and {len(lines[1])}:",
        f"  in this run: {_shown(here, same)}",
        f"  in the other: {_shown(there, same)}",
    ]


def _shown(line: str, same: int) -> str:
    """A record, from a little before what differs."""
    if not line:
        return "the history has ended"
    start = max(0, same - _BEFORE) if len(line) > _SHOWN else 0
    part = line[start : start + _SHOWN]
    return f"{'…' if start else ''}{part}{'…' if start + _SHOWN < len(line) else ''}"
