"""Two subscribers read from one queue: each event goes to one of them.

With one subscriber all is well, and that is how it is tried by hand.
"""

import asyncio
from collections import defaultdict

from conformance.races.base import Event, Job, Race, Response, Service


class Racy(Service):
    """Has a queue for each job."""

    def __init__(self) -> None:
        super().__init__()
        self.queues: defaultdict[str, asyncio.Queue[Event]] = defaultdict(asyncio.Queue)

    async def publish(self, job: Job, event: Event) -> None:
        self.queues[job.name].put_nowait(event)

    async def stream(self, job: Job, after: int, response: Response) -> None:
        while True:
            event = await self.queues[job.name].get()
            await response.event(event)
            if event.last:
                return


RACE = Race(
    "shared-queue",
    "Two subscribers read from one queue: each event goes to one of them.",
    ("completion.delivered", "order.no-gap", "order.subscribers-agree", "resume.no-gap"),
    Racy,
    Service,
)
