"""A status that is read from a copy lags behind the stream: as long as `limits.status` has it that is right."""

import asyncio
from functools import partial

import msgspec
import pytest
import trio
import trio.testing

from conformance.config import Config
from conformance.explore import Exploration, Played, Schedule, asgi_subject, play_schedule, search
from conformance.history import History
from conformance.judging import judge_by
from conformance.races.base import EVENTS, STEP, Event, Job, Service, races_config
from conformance.reference.app import App, Request, Responder, WrappedResponder
from conformance.rules import Judgement
from conformance.rules.completion_status import status_agrees
from conformance.specimens import Specimen, examine
from fault_injection.virtual import VirtualNetwork


def lagging(lag: float, app: App) -> App:
    """The status says that the work has completed `lag` seconds after a stream has said so."""
    told = float("inf")

    class Copied(WrappedResponder):
        async def send(self, data: bytes) -> None:
            nonlocal told
            if b"event: complete" in data:
                told = min(told, trio.current_time())
            if trio.current_time() < told + lag:
                data = data.replace(b'"state":"completed"', b'"state":"running"  ')
            await super().send(data)

    async def handle(request: Request, respond: Responder) -> None:
        await app(request, Copied(respond))

    return handle


def allowing(seconds: float, config: Config) -> Config:
    return msgspec.structs.replace(config, limits=msgspec.structs.replace(config.limits, status=seconds))


async def driven(lag: float, allowed: float, scenario: str) -> History:
    specimen = Specimen(
        "lagging",
        "Reads the status from a copy.",
        (),
        scenario,
        wrap=partial(lagging, lag),
        configure=partial(allowing, allowed),
    )
    return await examine(specimen, VirtualNetwork())


@pytest.mark.parametrize(
    ("lag", "allowed", "verdict"),
    [
        (0.0, 0.0, "conforms"),
        (0.4, 0.0, "broken"),
        (0.4, 0.5, "conforms"),
        (0.8, 0.5, "broken"),
        (0.0, 0.5, "conforms"),
    ],
)
@pytest.mark.parametrize("scenario", ["subscribe", "after-completion"])
async def test_a_status_may_lag_as_long_as_its_limit_has_it(
    lag: float, allowed: float, verdict: str, scenario: str, autojump_clock: trio.testing.MockClock
) -> None:
    history = await driven(lag, allowed, scenario)
    judgement = judge_by(history, status_agrees)
    assert judgement.verdict == verdict, judgement
    if verdict == "broken":
        assert ("more than 0.5 s before (limits.status)" in judgement.reason) == bool(allowed)
    looks = [each for each in history.exchanges if each.requested.purpose == "status"]
    assert (len(looks) > 1) == (lag > 0 and allowed > 0)  # nobody is asked again without a reason


class Replica(Service):
    """Half a second after its last event a job is said to have finished."""

    async def work(self, job: Job) -> None:
        for number in range(1, EVENTS + 1):
            await asyncio.sleep(STEP)
            await self.publish(job, Event(number, last=number == EVENTS))
        await asyncio.sleep(0.5)
        job.finished = True


def explored(allowed: float) -> Exploration:
    return Exploration(asgi_subject(Replica), allowing(allowed, races_config()))


def agreeing(it: Played) -> Judgement:
    return judge_by(it.history, status_agrees)


def test_in_exploration_too() -> None:
    assert agreeing(play_schedule(explored(0.0), Schedule())).verdict == "broken"
    assert agreeing(play_schedule(explored(0.3), Schedule())).verdict == "broken"
    assert agreeing(play_schedule(explored(0.5), Schedule())).verdict == "conforms"
    searched = search(explored(0.5), most=60)
    assert searched.found is None, searched.found
