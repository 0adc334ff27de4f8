"""Ctrl-C: taken calmly once, at once when it comes again."""

import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from types import FrameType
from typing import Final

import psutil
import trio

from conformance.cli.common import INTERRUPTED, err

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@asynccontextmanager
async def interruptible(then: str = "finishing with what there is") -> AsyncIterator[trio.Event]:
    """An event that the first Ctrl-C (SIGTERM, SIGHUP) sets; it is said that one waits `then`.

    A second one ends this process at once, whatever it is doing, with all processes that it started. What `nohup`
    had ignored stays ignored; not so SIGINT, which shells have ignored by whatever runs in the background.
    """
    stop = trio.Event()
    token = trio.lowlevel.current_trio_token()
    came = 0

    def calmly() -> None:
        err.print(f"interrupted: {then}; once more ends at once", highlight=False)
        stop.set()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        nonlocal came
        came += 1
        if came > 1:
            end_at_once()
        token.run_sync_soon(calmly)

    ours = [
        each for each in _SIGNALS if each is signal.SIGINT or signal.getsignal(each) is not signal.SIG_IGN
    ]
    before = {number: signal.signal(number, on_signal) for number in ours}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def end_at_once(code: int = INTERRUPTED) -> None:
    """End this process and all that it started, now, with this exit code."""
    with suppress(psutil.Error):
        for process in psutil.Process().children(recursive=True):
            with suppress(psutil.Error):
                process.kill()
    if err.is_terminal:
        err.show_cursor()
    os._exit(code)
