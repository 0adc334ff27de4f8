"""A producer: jobs that run on their own and tell of it in a channel, whether anybody listens or not."""

import logging
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import StrEnum

import msgspec
import trio

from conformance.reference.channel import Channel, Record, Subscription
from conformance.reference.store import Store, StoredJob
from conformance.reference.work import Work, WorkError, perform

_logger = logging.getLogger(__name__)


class State(StrEnum):
    """Where a job is; all but `RUNNING` are final."""

    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Job:
    """A job: its work, its state, and the channel in which it tells of itself."""

    def __init__(self, id: str, work: Work, channel: Channel) -> None:
        self.id = id
        self.work = work
        self.channel = channel
        self.state = State.RUNNING
        self.scope = trio.CancelScope()
        self._sessions: dict[str, Subscription] = {}

    @contextmanager
    def watch(self, last_event_id: str | None = None, session: str | None = None) -> Iterator[Subscription]:
        """Subscribe while the block runs.

        A session has one subscription to a job: a second one ends the first, which gets nothing more. When the last
        subscriber leaves of his own accord, work that is to stop then is cancelled.
        """
        subscription = self.channel.subscribe(last_event_id)
        if session is not None:
            if older := self._sessions.get(session):
                older.stop()
            self._sessions[session] = subscription
        try:
            with subscription:
                yield subscription
        finally:
            if session is not None and self._sessions.get(session) is subscription:
                del self._sessions[session]
            nobody_left = not self.channel.subscriptions and not subscription.has_ended()
            if nobody_left and self.work.abandoned == "stops":
                self.cancel()

    def cancel(self) -> None:
        """Stop the work; its stream ends in an error event. Does nothing to a job that has ended."""
        self.scope.cancel()


class Unavailable(Exception):
    """No job can be started now: too many are running, none can be saved, or the producer is stopping."""


class Producer:
    """Runs jobs. They belong to its own nursery and not to whoever started or watches them.

    Ids of jobs are drawn from `rng`; `wall_clock` gives the seconds since the epoch for timestamps. At most
    `keep_jobs` jobs are kept, the oldest that has ended makes room. `keep` and `buffer` are those of each
    job's channel. With a `store`, jobs outlive the producer: what it had not finished when it was stopped or
    killed, the next one goes on with, behind the last event that was published.
    """

    def __init__(
        self,
        *,
        rng: random.Random,
        wall_clock: Callable[[], float],
        store: Store | None = None,
        keep_jobs: int = 1_000,
        keep: int = 10_000,
        buffer: int = 1_000,
    ) -> None:
        self.jobs: dict[str, Job] = {}
        self._rng = rng
        self._wall_clock = wall_clock
        self._store = store
        self._keep_jobs = keep_jobs
        self._keep = keep
        self._buffer = buffer
        self._nursery: trio.Nursery | None = None
        self._stopped = trio.Event()

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Run jobs until `stop`. Raises what `Store.load` raises."""
        try:
            async with trio.open_nursery() as self._nursery:
                for stored in self._store.load() if self._store else ():
                    self._take_up(stored)
                task_status.started()
                await trio.sleep_forever()
        finally:
            self._nursery = None
            self._stopped.set()

    async def stop(self) -> None:
        """Stop all jobs. Without a store they end here, and say so; with one they wait for the next run."""
        if self._nursery:
            self._nursery.cancel_scope.cancel()
        await self._stopped.wait()

    def start(self, work: Work) -> Job:
        """Begin a job. Raises `Unavailable`."""
        if self._nursery is None or self._nursery.cancel_scope.cancel_called:
            raise Unavailable("the service is shutting down")
        self._make_room()
        id = f"{self._rng.getrandbits(64):016x}"
        while id in self.jobs:
            id = f"{self._rng.getrandbits(64):016x}"
        if self._store:
            try:
                self._store.create(id, work)
            except OSError as error:
                raise Unavailable(f"no job can be saved: {error.strerror}") from error
        job = self.jobs[id] = Job(id, work, Channel(keep=self._keep, buffer=self._buffer))
        self._nursery.start_soon(self._run, job)
        return job

    @property
    def active(self) -> int:
        """How many jobs are running."""
        return sum(job.state is State.RUNNING for job in self.jobs.values())

    @property
    def subscribers(self) -> int:
        """How many subscriptions there are, over all jobs."""
        return sum(len(job.channel.subscriptions) for job in self.jobs.values())

    @property
    def nursery(self) -> trio.Nursery | None:
        """Where the jobs run; None when the producer does not."""
        return self._nursery

    async def _run(self, job: Job) -> None:
        """Do what is left of the work; whatever happens, the stream gets its end."""
        try:
            self._end(job, *await self._outcome(job))
        except OSError as error:  # nothing more can be saved: say so to those who are there
            _logger.error("job %s cannot be saved: %s", job.id, error)
            self._end(job, State.FAILED, "the job cannot be saved", save=False)
        except trio.Cancelled:
            if self._store is None:
                self._end(job, State.CANCELLED, "the service is shutting down")
            raise
        finally:
            if self._store:
                self._store.close(job.id)

    async def _outcome(self, job: Job) -> tuple[State, str | None]:
        """Do what is left of the work; how it ended, and why."""
        try:
            with job.scope:
                await perform(job.work, job.channel.last_id, lambda step: self._progress(job, step))
        except WorkError as error:
            return State.FAILED, str(error)
        except Exception:  # of one job: no reason to take the others down
            _logger.exception("job %s failed", job.id)
            return State.FAILED, "internal error"
        if job.scope.cancelled_caught:
            return State.CANCELLED, "the job was cancelled"
        return State.COMPLETED, None

    def _progress(self, job: Job, step: int) -> None:
        self._publish(job, "progress", {"step": step, "steps": job.work.steps})

    def _end(self, job: Job, state: State, message: str | None = None, *, save: bool = True) -> None:
        """Tell how the job ended and that nothing follows.

        The state changes first, with no wait in between: whoever has seen the event finds it so.
        """
        job.state = state
        if state is State.COMPLETED:
            self._publish(job, "complete", {"state": state}, save)
        else:
            self._publish(job, "error", {"state": state, "message": message}, save)
        self._publish(job, "stream_end", {"state": state}, save)
        job.channel.close()

    def _publish(self, job: Job, type: str, fields: dict[str, object], save: bool = True) -> None:
        data: dict[str, object] = {
            "seq": job.channel.last_id + 1,
            "job": job.id,
            "timestamp": timestamp(self._wall_clock()),
            "type": type,
            **fields,
        }
        if job.work.echo is not None:
            data["echo"] = job.work.echo
        record = Record(job.channel.last_id + 1, type, msgspec.json.encode(data).decode())
        if self._store and save:
            self._store.append(job.id, record)
        job.channel.publish(record)

    def _make_room(self) -> None:
        while len(self.jobs) >= self._keep_jobs:
            ended = next((job for job in self.jobs.values() if job.state is not State.RUNNING), None)
            if ended is None:
                raise Unavailable(f"{len(self.jobs)} jobs are running, which is all that may")
            del self.jobs[ended.id]
            if self._store:
                self._store.remove(ended.id)

    def _take_up(self, stored: StoredJob) -> None:
        """Go on with a job where its log ends, which may be between its last two events."""
        channel = Channel(keep=self._keep, buffer=self._buffer, records=stored.records)
        job = self.jobs[stored.id] = Job(stored.id, stored.work, channel)
        ending = [record for record in stored.records[-2:] if record.type in ("complete", "error")]
        if not ending:
            assert self._nursery is not None
            self._nursery.start_soon(self._run, job)
            return
        job.state = State(msgspec.json.decode(ending[0].data)["state"])
        if ending[0] is stored.records[-1]:
            self._publish(job, "stream_end", {"state": job.state})
        channel.close()
        if self._store:
            self._store.close(job.id)


def timestamp(seconds: float) -> str:
    """Seconds since the epoch as ISO 8601 (RFC 3339) in UTC, to the microsecond."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
