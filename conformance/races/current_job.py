"""The job that is being begun is kept where all requests see it, over a wait: the next one takes its place.

Two must be begun in the same moment; by hand they come one after the other.
"""

import asyncio

from conformance.races.base import Job, Race, Service


class Racy(Service):
    """Keeps it in the service."""

    current: Job

    async def begin(self, job: Job) -> None:
        self.current = job
        await self.save()
        self.in_background(self.work(self.current))

    async def save(self) -> None:
        """Write the job down somewhere."""
        await asyncio.sleep(0.01)


class Twin(Racy):
    """Keeps it to itself."""

    async def begin(self, job: Job) -> None:
        await self.save()
        self.in_background(self.work(job))


RACE = Race(
    "current-job",
    "The job that is being begun is kept where all requests see it: the next one takes its place.",
    ("completion.delivered", "completion.status-agrees", "order.no-duplicate", "order.increasing"),
    Racy,
    Twin,
)
