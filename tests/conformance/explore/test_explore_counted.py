"""A count of subscribers that the status endpoint tells has to come back, whatever befell them."""

from collections.abc import AsyncGenerator, Callable
from typing import Any

import msgspec
import pytest

from conformance.asgi.types import Receive, Scope, Send
from conformance.config import Config
from conformance.explore import (
    Beside,
    Exploration,
    Hold,
    Leave,
    Schedule,
    asgi_subject,
    play_schedule,
    search,
)
from conformance.races.base import Event, Job, Response, Service, races_config
from reports.results import Verdict

LEAVES = Schedule((Leave("a", "events", count=1),))
IN_A_SEND = Schedule((*LEAVES.choices, Hold("*.send.*.after", 0.25)))
TO_BOTH = Schedule((Beside(0.0), Leave("other", "events", count=1)))


class Counting(Service):
    """Its status tells how many watch a job."""

    def __init__(self) -> None:
        super().__init__()
        self.watching: dict[str, int] = {}

    async def stream(self, job: Job, after: int, response: Response) -> None:
        self.watching[job.name] = self.watching.get(job.name, 0) + 1
        try:
            await super().stream(job, after, response)
        finally:
            self.watching[job.name] -= 1

    def told(self, path: str) -> dict[str, Any]:
        job = self.jobs[path.split("/")[2]]
        return {"state": self.state(job), "subscribers": self.watching.get(job.name, 0)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        asked = scope["type"] == "http" and scope["method"] == "GET"
        if asked and (scope["path"] == "/state" or scope["path"].count("/") == 2):
            await receive()
            await Response(send).answer(self.told(scope["path"]))
        else:
            await super().__call__(scope, receive, send)


class Leaky(Counting):
    """Counts for ever who left before the end."""

    async def stream(self, job: Job, after: int, response: Response) -> None:
        self.watching[job.name] = self.watching.get(job.name, 0) + 1
        await Service.stream(self, job, after, response)
        self.watching[job.name] -= 1


class Dropping(Counting):
    """Leaves the generator that counts to the garbage collector, in a cycle of references."""

    async def stream(self, job: Job, after: int, response: Response) -> None:
        body = self.body(job, after)
        kept: list[Any] = [body]
        kept.append(kept)
        async for event in body:
            await response.event(event)

    async def body(self, job: Job, after: int) -> AsyncGenerator[Event]:
        self.watching[job.name] = self.watching.get(job.name, 0) + 1
        try:
            while True:
                for event in job.log[after:]:
                    after = event.number
                    yield event
                if job.over:
                    return
                await job.changed.wait()
        finally:
            self.watching[job.name] -= 1


class Listened(Counting):
    """Tells one count for all jobs, among them somebody of the server's own, who is always there."""

    def told(self, path: str) -> dict[str, Any]:
        return {"state": "running", "subscribers": 1 + sum(self.watching.values())}


class LeakyListened(Listened, Leaky):
    """The same, and nobody is taken out."""


def counted(path: str = "/jobs/{job}") -> Config:
    config = races_config()
    status = config.target.status
    assert status is not None
    status = msgspec.structs.replace(status, path=path, subscribers="/subscribers")
    if path == "/state":
        status = msgspec.structs.replace(status, pointer=None, finished=None)
    return msgspec.structs.replace(
        config, target=msgspec.structs.replace(config.target, status=status, probe=None)
    )


def verdict(make: Callable[[], Service], schedule: Schedule, config: Config) -> Verdict:
    cases = play_schedule(Exploration(asgi_subject(make), config), schedule).cases
    return next(case.verdict for case in cases if case.rule == "cancel.noticed")


@pytest.mark.parametrize(
    ("make", "path"), [(Leaky, "/jobs/{job}"), (LeakyListened, "/state")], ids=["of each work", "of all"]
)
@pytest.mark.parametrize("schedule", [LEAVES, TO_BOTH], ids=["the first", "other work"])
def test_a_count_that_does_not_come_back_is_found(
    make: Callable[[], Service], path: str, schedule: Schedule
) -> None:
    assert verdict(make, schedule, counted(path)) is Verdict.FAIL
    assert verdict(make, Schedule(), counted(path)) is Verdict.PASS


def test_it_is_searched_for() -> None:
    found = search(Exploration(asgi_subject(Leaky), counted()), most=100).found
    assert found is not None
    assert [case.rule for case in found.broken] == ["cancel.noticed"]


@pytest.mark.parametrize(
    ("make", "path"),
    [(Counting, "/jobs/{job}"), (Dropping, "/jobs/{job}"), (Listened, "/state")],
    ids=["in a finally", "at the collector's next turn", "and somebody of its own"],
)
def test_a_count_that_comes_back_is_no_finding(make: Callable[[], Service], path: str) -> None:
    for schedule in (Schedule(), LEAVES, IN_A_SEND, TO_BOTH):
        assert verdict(make, schedule, counted(path)) is Verdict.PASS


def test_without_such_a_count_there_is_nothing_to_judge() -> None:
    assert verdict(Leaky, LEAVES, races_config()) is Verdict.NOT_APPLICABLE
