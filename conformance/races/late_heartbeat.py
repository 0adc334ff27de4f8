"""A heartbeat waits for its turn to write while the completion is written, and writes after the end.

The completion must be slow to go out, just when a heartbeat is due.
"""

import asyncio

from conformance.races.base import EVENTS, STEP, Job, Race, Response, Service, ended

_PACE = STEP * EVENTS + STEP / 2  # seconds: the first one is due when a job is over, if nothing is slow


class InTurn(Response):
    """Heartbeats and events write one at a time, as long as the stream is not over."""

    def __init__(self, response: Response) -> None:
        super().__init__(response.send)
        self.over = False
        self._turn = asyncio.Lock()

    async def write(self, data: bytes) -> None:
        async with self._turn:
            await super().write(data)

    async def heartbeats(self) -> None:
        while True:
            await asyncio.sleep(_PACE)
            if self.over:
                return
            await self.write(b": still here\n\n")


class Racy(Service):
    """The heartbeat looks for itself whether the stream is over."""

    async def stream(self, job: Job, after: int, response: Response) -> None:
        turns = InTurn(response)
        self.in_background(turns.heartbeats())
        try:
            await super().stream(job, after, turns)
        finally:
            turns.over = True


class Twin(Service):
    """The stream ends the heartbeat before it ends."""

    async def stream(self, job: Job, after: int, response: Response) -> None:
        turns = InTurn(response)
        heartbeats = asyncio.get_running_loop().create_task(turns.heartbeats())
        try:
            await super().stream(job, after, turns)
        finally:
            await ended(heartbeats)


RACE = Race(
    "late-heartbeat",
    "A heartbeat waits for its turn to write while the completion is written, and writes after the end.",
    ("resource.no-errors",),
    Racy,
    Twin,
)
