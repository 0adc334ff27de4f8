"""Who comes back and gets no head at all is told of no completion: found, and no application that rightly waits is."""

import asyncio
from collections.abc import Callable
from typing import Literal

import pytest

from conformance.explore import (
    Break,
    Choice,
    Exploration,
    Hold,
    Late,
    Leave,
    Played,
    Schedule,
    Unaware,
    asgi_subject,
    play_schedule,
    search,
)
from conformance.races.base import Job, Response, Service, not_resumable, races_config
from fault_injection.faults import AtBytes, Blackhole, Buffer, Fault, Latency
from reports.results import Verdict

SLOW = (Hold("*.send.*.before", 5.0), Hold("*.send.*.after", 5.0))


class OneAtATime(Service):
    """Serves one subscriber after the other, as one does who has one connection to a database."""

    def __init__(self) -> None:
        super().__init__()
        self.lock = asyncio.Lock()

    async def serve(self, job: Job, after: int, response: Response) -> None:
        async with self.lock:
            await super().serve(job, after, response)


class Leaky(OneAtATime):
    """Forgets to let the next one in where the client leaves."""

    async def serve(self, job: Job, after: int, response: Response) -> None:
        await self.lock.acquire()
        await Service.serve(self, job, after, response)
        self.lock.release()


class InPairs(Service):
    """The work begins when two are there, and so do their streams."""

    def __init__(self) -> None:
        super().__init__()
        self.there = 0
        self.both = asyncio.Event()

    async def work(self, job: Job) -> None:
        await self.both.wait()
        await super().work(job)

    async def serve(self, job: Job, after: int, response: Response) -> None:
        self.there += 1
        try:
            if self.there == 2:
                self.both.set()
            await self.both.wait()
            await super().serve(job, after, response)
        finally:
            self.there -= 1


def played(make: Callable[[], Service], *choices: Choice) -> Played:
    config = not_resumable(races_config())  # else resume.completion-survives speaks first
    return play_schedule(Exploration(asgi_subject(make), config), Schedule(choices))


def delivered(it: Played) -> tuple[Verdict, str]:
    (case,) = [case for case in it.cases if case.rule == "completion.delivered"]
    return case.verdict, case.reason


@pytest.mark.parametrize("when", ["head", "events"])
def test_who_comes_back_and_gets_no_head_is_not_told(when: Literal["head", "events"]) -> None:
    leave = Leave("b", when, count=1, away=0.05)
    verdict, reason = delivered(played(Leaky, leave))
    assert verdict is Verdict.FAIL
    assert (
        "coming back, b-2 got no response head within 240 s; the status endpoint said 'completed'" in reason
    )
    assert delivered(played(OneAtATime, leave))[0] is Verdict.PASS


def test_it_is_found_where_nobody_else_was_let_in_either() -> None:
    verdict, reason = delivered(played(Leaky, Leave("a", "before-head", away=None)))
    assert (verdict, "b got no response head" in reason) == (Verdict.FAIL, True)


@pytest.mark.parametrize(
    "fault",
    [
        Blackhole(AtBytes(0), connections=None),
        Buffer(size=10**6),
        Latency(200.0),
    ],
)
def test_the_link_is_not_blamed_on_the_application(fault: Fault) -> None:
    verdict, _ = delivered(played(OneAtATime, Break(fault), Leave("a", "before-head", away=0.05)))
    assert verdict in {Verdict.INCONCLUSIVE, Verdict.PASS}


@pytest.mark.parametrize(
    "choices",
    [
        (*SLOW, Leave("a", "events", count=2, away=0.0)),
        (Hold("*.call", 3600.0),),
        (Hold("1.send.*.before", 50.0), Unaware(3600.0), Leave("a", "head", away=0.0)),
    ],
)
def test_who_is_held_up_rightly_lets_others_wait(choices: tuple[Choice, ...]) -> None:
    assert played(OneAtATime, *choices).broken == ()


def test_who_waits_for_another_that_has_gone_for_good_or_is_not_there_yet_is_right() -> None:
    late = played(InPairs, Late("b", 300.0))
    assert [stream.how for stream in late.history.streams] == ["timeout", "timeout"]
    assert delivered(late)[0] is Verdict.INCONCLUSIVE
    gone = played(InPairs, Leave("b", "before-head"), Late("a", 1.0))
    assert [stream.how for stream in gone.history.streams] == ["dropped", "timeout"]
    assert delivered(gone)[0] is Verdict.INCONCLUSIVE


@pytest.mark.parametrize("make", [OneAtATime, InPairs])
def test_what_rightly_waits_breaks_nothing_in_any_schedule(make: Callable[[], Service]) -> None:
    config = not_resumable(races_config())
    searched = search(Exploration(asgi_subject(make), config), most=60)
    assert searched.found is None, searched.found
