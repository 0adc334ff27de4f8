"""Ctrl-C, taken calmly once."""

import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from conformance.cli.common import err


@asynccontextmanager
async def interruptible() -> AsyncIterator[trio.Event]:
    """An event that the first Ctrl-C (or SIGTERM) sets; a second one does what it always does."""
    stop = trio.Event()

    async def watch() -> None:
        with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            await anext(signals)
        err.print("interrupted: finishing with what there is")
        stop.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch)
        yield stop
        nursery.cancel_scope.cancel()
