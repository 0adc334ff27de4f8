"""What is published between the replay and the live tail falls between them.

The client must be slow to take the replay, just when the job completes.
"""

from conformance.races.base import Event, Job, Race, Response
from conformance.races.publish_before_subscribe import Racy as Live


class Racy(Live):
    """Replays the log, and subscribes when that is done."""

    async def stream(self, job: Job, after: int, response: Response) -> None:
        for event in job.log[after:]:
            await response.event(event)
            if event.last:
                return
        await super().stream(job, after, response)


class Twin(Racy):
    """Subscribes, replays the log, and leaves out of the live tail what the replay held."""

    async def stream(self, job: Job, after: int, response: Response) -> None:
        queue = self.subscribed(job, after)
        replay = job.log[after:]
        sent = after
        try:
            while True:
                event: Event = replay.pop(0) if replay else await queue.get()
                if event.number <= sent:
                    continue
                await response.event(event)
                sent = event.number
                if event.last:
                    return
        finally:
            self.queues[job.name].remove(queue)


RACE = Race(
    "replay-then-live",
    "What is published between the replay and the live tail falls between them.",
    ("completion.delivered", "order.no-gap", "order.subscribers-agree", "resume.no-gap"),
    Racy,
    Twin,
)
