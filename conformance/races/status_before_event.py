"""The state says finished before the last event is there, and a stream that looks at the state ends without it.

Somebody must look at the state just then: who comes late, or was held up.
"""

import asyncio

from conformance.races.base import EVENTS, STEP, Event, Job, Race, Response, Service, not_resumable


class Racy(Service):
    """Changes the state, saves it, and publishes the completion."""

    async def work(self, job: Job) -> None:
        for number in range(1, EVENTS):
            await asyncio.sleep(STEP)
            await self.publish(job, Event(number, last=False))
        await asyncio.sleep(STEP)
        await self.complete(job)

    async def complete(self, job: Job) -> None:
        job.finished = True
        await self.save()
        await self.publish(job, Event(EVENTS, last=True))

    async def save(self) -> None:
        await asyncio.sleep(2 * STEP)

    async def stream(self, job: Job, after: int, response: Response) -> None:
        sent = after
        while True:
            while sent < len(job.log):
                await response.event(job.log[sent])
                sent += 1
            if job.finished:
                return
            await job.changed.wait()


class Twin(Racy):
    """Saves first; then state and completion change in one step."""

    async def complete(self, job: Job) -> None:
        await self.save()
        job.finished = True
        await self.publish(job, Event(EVENTS, last=True))


RACE = Race(
    "status-before-event",
    "The state says finished before the last event is there, and a stream that looks at the state ends without it.",
    ("completion.delivered", "completion.status-agrees"),
    Racy,
    Twin,
    not_resumable,
)
