"""Many complete streams at once, as on a good day."""

from contextlib import AsyncExitStack

import trio

from conformance.drive.scenario import scenario
from conformance.drive.stage import Skipped, Stage, Unreached
from conformance.scenarios.coming_back import follow

_USUAL = 20  # streams, of a server that the harness started, or an application in this process
_CONNECTING = 64  # at a time: how many may queue for being accepted is not what is tested
_VARIANT = "crowd"


@scenario(
    "crowd",
    summary="Many complete streams at once, each of work of its own; every one must be told of its completion.",
    needs=("dialect.completion",),
    exclusive=True,
)
async def crowd(stage: Stage) -> None:
    size = stage.config.limits.crowd or (_USUAL if stage.ours else 0)
    if not size:
        raise Skipped(
            "needs limits.crowd in the configuration: how many streams at once this server may be asked for"
        )
    variant = _VARIANT if _VARIANT in stage.config.target.variants else None
    door = trio.CapacityLimiter(_CONNECTING)
    stage.weigh("before")
    async with trio.open_nursery() as nursery:
        async with trio.open_nursery() as coming:
            for number in range(1, size + 1):
                coming.start_soon(nursery.start, _read, stage, variant, number, door)
        stage.mark("all are here", f"{size} streams asked for")
        stage.weigh("during")
    stage.weigh("after")


async def _read(
    stage: Stage,
    variant: str | None,
    number: int,
    door: trio.CapacityLimiter,
    task_status: trio.TaskStatus[None],
) -> None:
    """Begin the work and read its stream to the end; started once the stream has answered, or will not."""
    name = f"crowd-{number}"
    async with AsyncExitStack() as stack:
        async with door:
            try:
                names = await stage.start(variant)
            except Unreached as unreached:  # turned away: one of many, the others come all the same
                stage.mark("not started", str(unreached))
                task_status.started()
                return
            subscriber = await stack.enter_async_context(stage.subscribe(name, names=names))
            await subscriber.until(lambda self: self.sent)
        await subscriber.head()
        task_status.started()
        await subscriber.finished()
    await follow(stage, subscriber, name, names)
