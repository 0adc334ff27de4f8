"""What is published before somebody subscribes is told to nobody.

It needs one subscriber that comes a little later than the test's client did.
"""

import asyncio

from conformance.races.base import Event, Job, Race, Response, Service


class Racy(Service):
    """Puts each event into the queues of those who are there."""

    def __init__(self) -> None:
        super().__init__()
        self.queues: list[asyncio.Queue[Event]] = []

    async def publish(self, job: Job, event: Event) -> None:
        for queue in self.queues:
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
            self.queues.remove(queue)

    def subscribed(self, job: Job, after: int) -> asyncio.Queue[Event]:
        """A queue that gets what comes from now on."""
        queue: asyncio.Queue[Event] = asyncio.Queue()
        self.queues.append(queue)
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
