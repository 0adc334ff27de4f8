"""A slot is claimed before the body and freed in the body's `finally`: a body that never begins never frees it.

The client must go after the request was taken, and before the first byte of the body.
"""

from collections.abc import AsyncGenerator

from conformance.races.base import Job, Race, Response, Service


class Racy(Service):
    """Claims the slot where the request is handled."""

    async def serve(self, job: Job, after: int, response: Response) -> None:
        self.active += 1
        body = self.body(job, after, response)
        await response.begin()
        async for _ in body:
            pass
        await response.end()

    async def body(self, job: Job, after: int, response: Response) -> AsyncGenerator[None]:
        try:
            await self.stream(job, after, response)
            yield
        finally:
            self.active -= 1


class Twin(Racy):
    """Claims it in the body."""

    async def serve(self, job: Job, after: int, response: Response) -> None:
        body = self.body(job, after, response)
        await response.begin()
        async for _ in body:
            pass
        await response.end()

    async def body(self, job: Job, after: int, response: Response) -> AsyncGenerator[None]:
        self.active += 1
        async for each in super().body(job, after, response):
            yield each


RACE = Race(
    "slot-before-body",
    "A slot is claimed before the body and freed in the body's finally: a body that never begins never frees it.",
    ("resource.gauges-return",),
    Racy,
    Twin,
)
