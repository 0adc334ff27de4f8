"""The response is closed a moment after the last event was put into a buffer, flushed or not.

The client must be slow to take what is flushed, for longer than that moment.
"""

import asyncio

from conformance.races.base import Event, Job, Race, Response, Service, ended, not_resumable

_MOMENT = 0.05  # seconds


class Racy(Service):
    """Waits a little, so that everything is flushed."""

    async def stream(self, job: Job, after: int, response: Response) -> None:
        buffer: asyncio.Queue[Event] = asyncio.Queue()
        flusher = asyncio.get_running_loop().create_task(self.flush(buffer, response))
        try:
            put = after
            while True:
                for event in job.log[put:]:
                    buffer.put_nowait(event)
                    put = event.number
                if job.over:
                    break
                await job.changed.wait()
            await self.flushed(buffer)
        finally:
            await ended(flusher)

    async def flush(self, buffer: asyncio.Queue[Event], response: Response) -> None:
        while True:
            event = await buffer.get()
            await response.event(event)
            buffer.task_done()

    async def flushed(self, buffer: asyncio.Queue[Event]) -> None:
        await asyncio.sleep(_MOMENT)


class Twin(Racy):
    """Waits until it is."""

    async def flushed(self, buffer: asyncio.Queue[Event]) -> None:
        await buffer.join()


RACE = Race(
    "close-before-flush",
    "The response is closed a moment after the last event was put into a buffer, flushed or not.",
    ("completion.delivered", "completion.status-agrees"),
    Racy,
    Twin,
    not_resumable,
)
