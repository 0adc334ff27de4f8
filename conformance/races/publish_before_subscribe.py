"""What is published before somebody subscribes is told to nobody.

It needs one subscriber that comes a little later than the test's client did.
"""

import asyncio
from collections import defaultdict

from conformance.races.base import Event, Job, Race, Response, Service


class Racy(Service):
    """Puts each event into the queues of those who are there."""

    def __init__(self) -> None:
        super().__init__()
        self.queues: defaultdict[str, list[asyncio.Queue[Event]]] = defaultdict(list)  # by the job's name

    async def publish(self, job: Job, event: Event) -> None:
        for queue in self.queues[job.name]:
            queue.put_nowait(event)
        job.log.append(event)

    async def stream(self, job: Job, after: int, response: Response) -> None:
        queue = self.subscribed(job, after)
        try:
            while True:
                event = await queue.get()
                await response.event(event)
                if event.last:
                    return
        finally:
            self.queues[job.name].remove(queue)

    def subscribed(self, job: Job, after: int) -> asyncio.Queue[Event]:
        """A queue that gets what comes from now on."""
        queue: asyncio.Queue[Event] = asyncio.Queue()
        self.queues[job.name].append(queue)
        return queue


class Twin(Racy):
    """Puts what came before into the queue first, without a wait in between."""

    def subscribed(self, job: Job, after: int) -> asyncio.Queue[Event]:
        queue = super().subscribed(job, after)
        for event in job.log[after:]:
            queue.put_nowait(event)
        return queue


RACE = Race(
    "publish-before-subscribe",
    "What is published before somebody subscribes is told to nobody.",
    ("completion.delivered", "order.no-gap", "order.subscribers-agree", "resume.no-gap"),
    Racy,
    Twin,
)
