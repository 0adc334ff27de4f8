"""Ctrl-C: taken calmly once, at once when it comes again."""

import os
import signal
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from types import FrameType
from typing import Final

import psutil
import trio

from conformance.cli.common import INTERRUPTED, err
from conformance.drive.server_process import is_keeper

_LOOK: Final = 0.5  # seconds
_LOOKS: Final = 6  # for so many of them a Ctrl-C waits to be asked for

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


@contextmanager
def asked_for() -> Iterator[Callable[[], None]]:
    """While this block lasts, a Ctrl-C comes where it is asked for: what this yields then raises `KeyboardInterrupt`.

    Raised wherever the process is just then, it can be lost: in a finalizer, in a callback of the garbage collector,
    in an application that catches all. Where nobody asks for some seconds, it ends the process at once, with all that
    it started. To be begun before other threads are, which would take the signal.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield lambda: None
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    over = threading.Event()
    thread = threading.Thread(target=_look_on, args=(over,), name="interrupts", daemon=True)
    thread.start()
    try:
        yield _ask
    finally:
        over.set()
        thread.join()
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _ask() -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})


def _look_on(over: threading.Event) -> None:
    waited = 0
    while not over.wait(_LOOK):
        waited = waited + 1 if signal.SIGINT in signal.sigpending() else 0
        if waited >= _LOOKS:
            err.print("interrupted", highlight=False)
            end_at_once()


def end_at_once(code: int = INTERRUPTED) -> None:
    """End this process and all that it started, now, with this exit code. Keepers are left to end the daemons."""
    with suppress(psutil.Error):
        for process in psutil.Process().children(recursive=True):
            with suppress(psutil.Error):
                if not is_keeper(process):
                    process.kill()
    if err.is_terminal:
        err.show_cursor()
    os._exit(code)
