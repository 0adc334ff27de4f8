"""A stream that was superseded takes and writes one more event, to a client that has gone.

The client must come back before the server has noticed that it had left, while the old stream waits.
"""

from collections import defaultdict
from dataclasses import dataclass

import msgspec

from conformance.config import Config
from conformance.races.base import Job, Race, Response, Service


@dataclass
class Reader:
    """The one reader of a job: how far it has got in the log, and on which of its connections."""

    place: int = 0
    newest: int = 0


class Racy(Service):
    """A job's reader has one place in the log, which its newest connection moves on."""

    def __init__(self) -> None:
        super().__init__()
        self.readers: defaultdict[str, Reader] = defaultdict(Reader)

    async def stream(self, job: Job, after: int, response: Response) -> None:
        reader = self.readers[job.name]
        reader.newest += 1
        mine = reader.newest
        reader.place = after
        while mine == reader.newest:
            if not await self.changed(job, reader, mine):
                return
            event = job.log[reader.place]
            reader.place += 1
            await response.event(event)
            if event.last:
                return

    async def changed(self, job: Job, reader: Reader, mine: int) -> bool:
        """Wait for an event that is new; False where this stream is not to take it."""
        while reader.place >= len(job.log):
            if job.over:
                return False
            await job.changed.wait()
        return True


class Twin(Racy):
    """Looks again whether it is the newest when it has waited."""

    async def changed(self, job: Job, reader: Reader, mine: int) -> bool:
        return await super().changed(job, reader, mine) and mine == reader.newest


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
