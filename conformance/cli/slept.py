"""Notices `time.sleep` in an application that is driven in virtual time: it takes real time, and none that is virtual.

What it sends in between seems to come at once, and who does not know why takes it for quick.
"""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from conformance.cli.watchdog import standing

_MOST: Final = 1000  # places that are kept


class _Sleep:
    """In the place of `time.sleep`, and as it. An object: a function would become a method where a class has it."""

    def __init__(self, sleep: Callable[..., None]) -> None:
        self._sleep = sleep
        self._thread = threading.get_ident()
        self.places: dict[str, None] = {}

    def __call__(self, *args: Any) -> None:
        if threading.get_ident() == self._thread and args != (0,) and len(self.places) < _MOST:
            self.places[standing(sys._getframe(1))] = None
        self._sleep(*args)


@contextmanager
def sleeping() -> Iterator[Callable[[], tuple[str, ...]]]:
    """While this block lasts, where the application of this thread's event loop calls `time.sleep` is kept: "at
    app.py:12 in work", each place once, in order. It sleeps as ever."""
    before = time.sleep
    here = _Sleep(before)
    time.sleep = here
    try:
        yield lambda: tuple(filter(None, here.places))
    finally:
        time.sleep = before


def told_of_sleep(places: tuple[str, ...]) -> str:
    """What a report says of these, after how the application was driven. "" where there are none."""
    if not places:
        return ""
    more = f" and {len(places) - 1} more" if places[1:] else ""
    return f", of which its time.sleep ({places[0]}{more}) takes none: --real-time shows its pace"
