"""Streams beside each other: of one session, of two pieces of work, and one that is asked for with the other's id."""

from typing import Final

import trio

from conformance.config import PAYLOAD
from conformance.drive.scenario import scenario
from conformance.drive.stage import Stage

TOKENS: Final = {"left": "sse-conformance-of-the-left", "right": "sse-conformance-of-the-right"}
"""What the work of each side is given to bring back in its events, where the variant `echo` does that."""

_SUPERSEDING = "superseding"
_ECHO = "echo"
_LONGER = 0.7  # seconds past the limit: what ended shortly after it is told from what did not end at all
_MORE = 2  # events, to see that a stream goes on


@scenario(
    "supersede",
    summary="A second stream of the same session is opened; the first must end, and get nothing more.",
    needs=("expect.superseding",),
)
async def supersede(stage: Stage) -> None:
    limits = stage.config.limits
    await stage.start(_SUPERSEDING if _SUPERSEDING in stage.config.target.variants else None)
    async with stage.subscribe("older") as older:
        await older.saw(_MORE)
        async with stage.subscribe("newer") as newer:
            await newer.head()
            with trio.move_on_after(limits.cancellation + _LONGER):
                await older.finished()
            with trio.move_on_after(limits.silence):
                await newer.saw(len(newer.events) + _MORE)


async def _two(stage: Stage) -> tuple[dict[str, str], dict[str, str]]:
    """Begin the work of both sides, and give the names of each; what it brings back is one of them."""
    variant = _ECHO if _ECHO in stage.config.target.variants else None
    given = "token" if variant else PAYLOAD
    left, right = [await stage.start(variant, **{PAYLOAD: token, given: token}) for token in TOKENS.values()]
    return left, right


@scenario(
    "side-by-side",
    summary="Two streams of different work are read at the same time; neither may get what is the other's.",
    needs=("target.start.capture",),
)
async def side_by_side(stage: Stage) -> None:
    left, right = await _two(stage)
    async with stage.subscribe("left", names=left) as one, stage.subscribe("right", names=right) as other:
        await one.finished()
        await other.finished()


@scenario(
    "foreign-id",
    summary="A stream is resumed with the last event ID of another one; it must not bring that one's events.",
    needs=("target.start.capture", "expect.resumable"),
)
async def foreign_id(stage: Stage) -> None:
    left, right = await _two(stage)
    async with stage.subscribe("left", names=left) as one:
        await one.saw(2)
        last = one.last_event_id
        if not last:
            stage.mark("no id", "the events carry none, so there is none to come with")
        else:
            async with stage.subscribe("right", names=right, last_event_id=last) as other:
                await other.finished()
        await one.finished()
