"""Watches the harness's own event loop: who measures moments must know how late it looks itself."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from conformance.history import Recorder
from conformance.history.stalls import stall_mark

_EVERY = 0.1  # seconds
_WORTH_NOTING = 0.1  # seconds


@asynccontextmanager
async def watching_for_stalls(recorder: Recorder) -> AsyncIterator[None]:
    """While the block runs, write down every stall of the event loop that is longer than those before it.

    In virtual time there is none, as nothing takes any time there.
    """
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_watch, recorder)
        try:
            yield
        finally:
            nursery.cancel_scope.cancel()


async def _watch(recorder: Recorder) -> None:
    worst = _WORTH_NOTING
    due = trio.current_time() + _EVERY
    while True:
        await trio.sleep_until(due)
        now = trio.current_time()
        if now - due > worst:
            worst = now - due
            recorder.record(stall_mark(recorder.now(), worst))
        due = now + _EVERY
