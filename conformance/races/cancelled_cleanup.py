"""The cleanup waits while it is being cancelled, and what comes after the wait never happens.

It needs a client that leaves, and a framework that insists, as anyio's cancel scopes do.
"""

import asyncio

from conformance.races.base import Job, Race, Response, Service


class Racy(Service):
    """Says goodbye first, then gives back its place."""

    async def serve(self, job: Job, after: int, response: Response) -> None:
        self.active += 1
        try:
            await response.begin()
            await self.stream(job, after, response)
        finally:
            await self.goodbye()
            self.active -= 1
        await response.end()

    async def goodbye(self) -> None:
        """Tell somebody else that a subscriber has gone."""
        await asyncio.sleep(0.01)

    async def cancelled(self, task: asyncio.Task[None]) -> None:
        while not task.done():
            task.cancel()
            await asyncio.sleep(0)


class Twin(Racy):
    """Gives back its place first."""

    async def serve(self, job: Job, after: int, response: Response) -> None:
        self.active += 1
        try:
            await response.begin()
            await self.stream(job, after, response)
        finally:
            self.active -= 1
            await self.goodbye()
        await response.end()


RACE = Race(
    "cancelled-cleanup",
    "The cleanup waits while it is being cancelled, and what comes after the wait never happens.",
    ("resource.gauges-return",),
    Racy,
    Twin,
)
