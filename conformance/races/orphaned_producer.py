"""The task that produces for a stream is ended where the stream ends, but not where its client leaves."""

import asyncio

from conformance.races.base import Event, Job, Race, Response, Service, ended


class Racy(Service):
    """Ends the producer behind the loop."""

    async def stream(self, job: Job, after: int, response: Response) -> None:
        queue: asyncio.Queue[Event] = asyncio.Queue()
        producer = asyncio.get_running_loop().create_task(self.produce(job, after, queue))
        await self.consume(queue, response)
        await ended(producer)

    async def produce(self, job: Job, after: int, queue: asyncio.Queue[Event]) -> None:
        put = after
        while True:
            for event in job.log[put:]:
                await queue.put(event)
                put = event.number
            await job.changed.wait()

    async def consume(self, queue: asyncio.Queue[Event], response: Response) -> None:
        last = False
        while not last:
            event = await queue.get()
            await response.event(event)
            last = event.last


class Twin(Racy):
    """Ends it in a `finally`."""

    async def stream(self, job: Job, after: int, response: Response) -> None:
        queue: asyncio.Queue[Event] = asyncio.Queue()
        producer = asyncio.get_running_loop().create_task(self.produce(job, after, queue))
        try:
            await self.consume(queue, response)
        finally:
            await ended(producer)


RACE = Race(
    "orphaned-producer",
    "The task that produces for a stream is ended where the stream ends, but not where its client leaves.",
    ("resource.tasks-left",),
    Racy,
    Twin,
)
