"""Exploration: many schedules of one subject in virtual time, and the smallest that breaks a rule.

`search(Exploration(asgi_subject(make), config))`. A schedule (`schedule.py`) is data and says what happens to
subscribers, link and application; `draw.py` draws one, `play.py` plays it, `search.py` tries many and shrinks,
`crew.py` does so in several processes.
"""

from conformance.explore.crew import WorkerEnded, search_side_by_side
from conformance.explore.fresh import fresh_app
from conformance.explore.play import Exploration, Played, digest, history_bytes, play_schedule, undriven
from conformance.explore.rules import EXPLORED, explored_without
from conformance.explore.schedule import (
    Beside,
    Break,
    Cancel,
    Choice,
    Hold,
    Late,
    Leave,
    Order,
    Replay,
    ReplayError,
    Schedule,
    Unaware,
    load_replay,
    save_replay,
    words,
)
from conformance.explore.search import Searched, search
from conformance.explore.subjects import Subject, asgi_subject, reference_subject
from conformance.explore.unlike import NotRepeatable, play_again, told_unlike

__all__ = [
    "EXPLORED",
    "Beside",
    "Break",
    "Cancel",
    "Choice",
    "Exploration",
    "Hold",
    "Late",
    "Leave",
    "NotRepeatable",
    "Order",
    "Played",
    "Replay",
    "ReplayError",
    "Schedule",
    "Searched",
    "Subject",
    "Unaware",
    "WorkerEnded",
    "asgi_subject",
    "digest",
    "explored_without",
    "fresh_app",
    "history_bytes",
    "load_replay",
    "play_again",
    "play_schedule",
    "reference_subject",
    "save_replay",
    "search",
    "search_side_by_side",
    "told_unlike",
    "undriven",
    "words",
]
