"""An application that is imported for long: it is said where it stands, and at last the process ends.

Nothing else can end it: it may hang, in the network or in a loop, before anything of ours runs.
"""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from conformance.cli.common import CONFUSED, Failure, err
from conformance.cli.interrupt import end_at_once
from conformance.cli.watchdog import DEBUGGERS, OURS, STALL, stall_limit
from conformance.sites import owner_of

_SAID_AFTER: Final = 5.0  # seconds of real time
_LOOKS: Final = 10  # until it ends: counted, so that a process that was stopped meanwhile is none that hangs


@contextmanager
def importing(name: str) -> Iterator[None]:
    """While this block lasts, the application of this name is imported, by this thread. After some seconds it is said
    where it stands; after `stall_limit` of them the process ends, with exit code 3. Raises `Failure` (2)."""
    over, limit = threading.Event(), stall_limit()
    thread = threading.Thread(
        target=_watch, args=(name, over, limit, threading.get_ident()), name="importing", daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _watch(name: str, over: threading.Event, limit: float, thread: int) -> None:
    first = min(_SAID_AFTER, limit / 2)
    if over.wait(first):
        return
    _say(f"{name} is still being imported{_place(thread)}")
    looks = 0
    while looks < _LOOKS:
        if over.wait((limit - first) / _LOOKS):
            return
        looks = 0 if _is_debugged(thread) else looks + 1
    sentence = (
        f"{name} was not imported within {limit:g} s{_place(thread)} ({STALL}={10 * limit:g} waits longer)"
    )
    err.print(f"[bold red]error:[/] {Failure(sentence, CONFUSED).shown}", highlight=False)
    end_at_once(CONFUSED)


def _say(text: str) -> None:
    err.print(Failure(text, CONFUSED).shown, highlight=False)


def _place(thread: int) -> str:
    """The application's innermost frame, e.g. ": it stands at app.py:12 in connect"; "" where there is none."""
    frame = sys._current_frames().get(thread)
    while frame is not None:
        code = frame.f_code
        if owner_of(code.co_filename) == "" and not code.co_filename.startswith(OURS):
            return f": it stands at {code.co_filename}:{frame.f_lineno} in {code.co_name}"
        frame = frame.f_back
    return ""


def _is_debugged(thread: int) -> bool:
    frame = sys._current_frames().get(thread)
    while frame is not None:
        if str(frame.f_globals.get("__name__")).partition(".")[0].startswith(DEBUGGERS):
            return True
        frame = frame.f_back
    return False
