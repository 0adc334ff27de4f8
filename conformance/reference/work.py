"""What a job does: it counts, as slowly as it is told, and may fall silent or fail."""

from collections.abc import Callable
from typing import Annotated, Literal, TypeAlias

import msgspec
import trio

Seconds: TypeAlias = Annotated[float, msgspec.Meta(ge=0, le=86_400, description="seconds, up to a day")]


class Work(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The knobs of a job.

    `events` counts all that the work tells, its completion (or failure) included; `interval` is between two
    of them; half-way, nothing happens for `silence` seconds on top; `fail` makes it fail where it would have
    completed; `echo` is a text that comes back in every event. `abandoned` says what becomes of it when its last
    subscriber leaves.
    """

    events: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 8
    interval: Seconds = 0.1
    silence: Seconds = 0.0
    fail: bool = False
    echo: Annotated[str, msgspec.Meta(max_length=2**20)] | None = None
    abandoned: Literal["continues", "stops"] = "continues"

    @property
    def steps(self) -> int:
        """How many events tell of progress."""
        return self.events - 1


class WorkError(Exception):
    """The work failed; the message is meant for subscribers."""


async def perform(work: Work, done: int, report: Callable[[int], None]) -> None:
    """Do the work from behind step `done`, reporting each step. Raises `WorkError` if it is to fail."""
    for step in range(done + 1, work.events + 1):
        await trio.sleep(work.interval)
        if step == work.events // 2 + 1:
            await trio.sleep(work.silence)
        if step < work.events:
            report(step)
    if work.fail:
        raise WorkError("the work failed, as it was asked to")
