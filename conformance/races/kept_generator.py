"""A generator is kept in a list while its stream is open, and stays there, half done, when its client leaves."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from conformance.races.base import STEP, Event, Job, Race, Response, Service


class Racy(Service):
    """Takes it off the list behind the loop."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[AsyncGenerator[Event]] = []  # for a page that shows them

    async def stream(self, job: Job, after: int, response: Response) -> None:
        events = self.events(job, after)
        self.open.append(events)
        await self.send(events, response)
        self.open.remove(events)

    async def send(self, events: AsyncGenerator[Event], response: Response) -> None:
        async for event in events:
            await response.event(event)
            await asyncio.sleep(STEP / 2)  # not too fast for the client

    async def events(self, job: Job, after: int) -> AsyncGenerator[Event]:
        sent = after
        while True:
            while sent < len(job.log):
                yield job.log[sent]
                sent += 1
            if job.over:
                return
            await job.changed.wait()


class Twin(Racy):
    """Closes it, and takes it off in a `finally`."""

    async def stream(self, job: Job, after: int, response: Response) -> None:
        async with aclosing(self.events(job, after)) as events:
            self.open.append(events)
            try:
                await self.send(events, response)
            finally:
                self.open.remove(events)


RACE = Race(
    "kept-generator",
    "A generator is kept in a list while its stream is open, and stays there, half done, when its client leaves.",
    ("resource.generators-left",),
    Racy,
    Twin,
)
