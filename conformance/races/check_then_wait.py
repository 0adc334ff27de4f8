"""Looks whether there is something new, and then waits for the next signal: one that came in between is missed.

A client must be slow to take an event while the last one is published.
"""

import asyncio

from conformance.races.base import Event, Job, Race, Response, Service


class Racy(Service):
    """Waits for a signal that wakes only who waits already."""

    async def publish(self, job: Job, event: Event) -> None:
        job.log.append(event)
        job.changed.set()
        job.changed.clear()

    async def stream(self, job: Job, after: int, response: Response) -> None:
        sent = after
        while True:
            new = job.log[sent:]
            for event in new:
                await response.event(event)
                sent = event.number
            if new and new[-1].last:
                return
            await job.changed.wait()


class Twin(Racy):
    """Waits on a condition, for what it wants to be true."""

    def __init__(self) -> None:
        super().__init__()
        self.condition = asyncio.Condition()

    async def publish(self, job: Job, event: Event) -> None:
        async with self.condition:
            job.log.append(event)
            self.condition.notify_all()

    async def stream(self, job: Job, after: int, response: Response) -> None:
        sent = after
        while True:
            async with self.condition:
                while len(job.log) <= sent and not job.over:
                    await self.condition.wait()
            for event in job.log[sent:]:
                await response.event(event)
                sent = event.number
            if job.over and sent >= len(job.log):
                return


RACE = Race(
    "check-then-wait",
    "Looks whether there is something new, and then waits for the next signal: one in between is missed.",
    ("completion.delivered", "order.subscribers-agree"),
    Racy,
    Twin,
)
