"""Ends a run whose application holds up the event loop for ever, and says where it stands.

In virtual time an application's threads run in place, on the loop. One that waits for the loop then waits for itself,
and nothing that runs on the loop can notice. So this is the one place where real time is the point: a thread of the
operating system that looks on by its own clock.
"""

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Final

from trio.abc import Instrument

from conformance import determinism
from conformance.cli.common import CONFUSED, MISUSED, Failure, check_duration, err
from conformance.cli.interrupt import end_at_once
from conformance.sites import owner_of

STALL: Final = "SSE_CONFORMANCE_STALL"
"""The variable of the environment that says how many seconds of real time an application may hold up its loop."""

_STALL: Final = 60.0  # seconds, where it says nothing
_LOOKS: Final = (
    10  # in that time: counted, not timed, so that a process that was stopped meanwhile is none that hangs
)
_ROOT: Final = Path(determinism.__file__).parents[1]
OURS: Final = tuple(f"{_ROOT / package}{os.sep}" for package in ("conformance", "fault_injection", "reports"))
_IN_PLACE: Final = determinism.__file__  # where the work of threads is called
_SERVING: Final = (_IN_PLACE, f"{_ROOT / 'conformance' / 'asgi'}{os.sep}")  # where applications are called
_MACHINERY: Final = frozenset({"python", "trio", "trio_asyncio", "anyio"})
_SLEEP: Final = "conformance.cli.slept"  # which stands in the place of `time.sleep`
DEBUGGERS: Final = ("bdb", "pydevd", "_pydevd")


class Turns(Instrument):
    """Counts the turns that trio's loop takes: for `trio.lowlevel.add_instrument`, in each run that is watched."""

    def __init__(self) -> None:
        self.taken = 0

    def after_io_wait(self, timeout: float) -> None:
        self.taken += 1


def stall_limit() -> float:
    """Seconds of real time for which an application may hold up its loop. Raises `Failure` (2)."""
    given = os.environ.get(STALL)
    if given is None:
        return _STALL
    try:
        limit = float(given)
    except ValueError:
        raise Failure(f"{STALL}={given}: a number of seconds is meant, e.g. {STALL}=600", MISUSED) from None
    check_duration(limit, STALL)
    return limit


@contextmanager
def watchdog(name: str) -> Iterator[Turns]:
    """While this block lasts, the application of this name may not hold up the loop of this thread for longer than
    `stall_limit`: else the process ends, with exit code 3 and a sentence that says where it stands.

    The block is around `trio.run`, or around several; what it yields is to be added to each. The harness's own work,
    waiting for input and output, and a debugger hold up nothing.
    """
    turns, over, limit = Turns(), threading.Event(), stall_limit()
    thread = threading.Thread(
        target=_watch, args=(name, turns, over, limit, threading.get_ident()), name="watchdog", daemon=True
    )
    thread.start()
    try:
        yield turns
    finally:
        over.set()
        thread.join()


def _watch(name: str, turns: Turns, over: threading.Event, limit: float, thread: int) -> None:
    seen, stalled = turns.taken, 0
    while not over.wait(limit / _LOOKS):
        place = standing(sys._current_frames().get(thread))
        stalled = stalled + 1 if place and turns.taken == seen else 0
        seen = turns.taken
        if place and stalled >= _LOOKS:
            _end(name, place, limit)


def _end(name: str, place: str, limit: float) -> None:
    """The thread that hangs cannot be ended: Python runs no handler and raises nothing in it before it goes on, and no
    exit that waits for it, or for the loop, ever comes to its end. So this is the end of the whole process."""
    sentence = (
        f"{name} has held up its event loop for {limit:g} s, {place}: in virtual time threads run in place, on the "
        "loop, so one that waits for the loop waits for ever; `sse-conformance run --real-time` runs them as they are "
        f"({STALL}={10 * limit:g} waits longer)"
    )
    err.print(f"[bold red]error:[/] {Failure(sentence, CONFUSED).shown}", highlight=False)
    end_at_once(CONFUSED)


def standing(frame: FrameType | None) -> str:
    """Where the application stands, e.g. "at app.py:12 in work", by the frames of a thread, the innermost first.

    That is its own innermost frame, else that of a library that it has called. "" where the thread is not in a task of
    trio's, or in one of the harness, or in a debugger.
    """
    own = library = ours = ""
    while frame is not None:
        file, module = frame.f_code.co_filename, str(frame.f_globals.get("__name__"))
        if module.partition(".")[0].startswith(DEBUGGERS):
            return ""
        if module == "trio._core._run" and frame.f_code.co_name == "unrolled_run":
            if not own and ours.startswith(_SERVING):
                return library or ("in work for a thread" if ours == _IN_PLACE else "")
            return own
        if file.startswith(OURS):
            ours = ours or (file if module != _SLEEP else "")
        elif (owner := owner_of(file)) == "":
            own = own or _at(frame)
        elif owner not in _MACHINERY:
            library = library or _at(frame)
        frame = frame.f_back
    return ""


def _at(frame: FrameType) -> str:
    return f"at {frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_name}"
