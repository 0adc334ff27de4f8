"""A stream that was superseded takes and writes one more event, to a client that has gone.

The client must come back before the server has noticed that it had left, while the old stream waits.
"""

import msgspec

from conformance.config import Config
from conformance.races.base import Job, Race, Response, Service


class Racy(Service):
    """One subscriber has one place in the log, which its newest connection moves on."""

    def __init__(self) -> None:
        super().__init__()
        self.place = 0
        self.newest = 0

    async def stream(self, job: Job, after: int, response: Response) -> None:
        self.newest += 1
        mine = self.newest
        self.place = after
        while mine == self.newest:
            if not await self.changed(job, mine):
                return
            event = job.log[self.place]
            self.place += 1
            await response.event(event)
            if event.last:
                return

    async def changed(self, job: Job, mine: int) -> bool:
        """Wait for an event that is new; False where this stream is not to take it."""
        while self.place >= len(job.log):
            if job.over:
                return False
            await job.changed.wait()
        return True


class Twin(Racy):
    """Looks again whether it is the newest when it has waited."""

    async def changed(self, job: Job, mine: int) -> bool:
        return await super().changed(job, mine) and mine == self.newest


def _alone(config: Config) -> Config:
    expect = msgspec.structs.replace(config.expect, shared=False)
    return msgspec.structs.replace(config, expect=expect)


RACE = Race(
    "superseded-stream",
    "A stream that was superseded takes and writes one more event, to a client that has gone.",
    ("completion.delivered", "order.no-gap", "resume.no-gap", "resume.completion-survives"),
    Racy,
    Twin,
    _alone,
)
