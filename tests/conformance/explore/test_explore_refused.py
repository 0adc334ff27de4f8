"""Who is refused a stream: right where the work is over, and the status, asked at once, tells."""

from typing import Any

import msgspec
import pytest

from conformance.explore import Exploration, Late, Leave, Schedule, asgi_subject, play_schedule
from conformance.races.base import Job, Response, Service, not_resumable, races_config
from reports.results import Verdict


class Refusing(Service):
    """Answers 410 to who comes when the work is over."""

    def refuses(self, job: Job) -> bool:
        return job.over

    async def refuse(self, response: Response) -> None:
        await response.answer({"detail": "gone"}, 410)

    async def serve(self, job: Job, after: int, response: Response) -> None:
        if self.refuses(job):
            await self.refuse(response)
        else:
            await super().serve(job, after, response)


class InRpc(Refusing):
    """Says so by an error of JSON-RPC."""

    async def refuse(self, response: Response) -> None:
        error = {"code": -32004, "message": "the task is over"}
        await response.answer({"jsonrpc": "2.0", "id": 1, "error": error})


class Hasty(Refusing):
    """Answers so to everybody but the first two who come, while the work goes on."""

    def __init__(self) -> None:
        super().__init__()
        self.came = 0

    def refuses(self, job: Job) -> bool:
        self.came += 1
        return self.came > 2


class HastyInRpc(InRpc, Hasty):
    """The same, in JSON-RPC."""


@pytest.mark.parametrize("make", [Refusing, InRpc])
def test_who_comes_when_the_work_is_over_may_be_refused(make: type[Refusing]) -> None:
    """Another one comes long after, so a status that is asked for at the end says nothing of the moment."""
    assert _status(make, Late("a", 60.0), Late("b", 100.0)) is Verdict.INCONCLUSIVE


@pytest.mark.parametrize("make", [Hasty, HastyInRpc])
def test_who_comes_back_while_the_work_goes_on_may_not_be_refused(make: type[Refusing]) -> None:
    back = Leave("a", "head", away=0.01)
    assert _status(make, back, Leave("b", "head", away=100.0)) is Verdict.FAIL


def _status(make: type[Refusing], *choices: Any) -> Verdict:
    """The verdict of http.status."""
    config = not_resumable(races_config())
    config = msgspec.structs.replace(config, expect=msgspec.structs.replace(config.expect, replay=None))
    played = play_schedule(Exploration(asgi_subject(make), config), Schedule(choices))
    (case,) = [case for case in played.cases if case.rule == "http.status"]
    return case.verdict
