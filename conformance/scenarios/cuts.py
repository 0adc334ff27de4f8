"""The connection ends before the stream does, by a fault of the link or because the subscriber leaves."""

from contextlib import AsyncExitStack

import trio

from conformance.drive.looking import look_until_over, work_over
from conformance.drive.scenario import scenario
from conformance.drive.stage import Skipped, Stage, Unreached
from conformance.drive.subscription import Subscription
from conformance.scenarios.coming_back import can_come_back, follow, resume
from conformance.scenarios.leaving import ABANDONED
from fault_injection.faults import AtTrigger, Disconnect, Plan

_CUT_AFTER = 3  # events


async def _resume(stage: Stage, cut: Subscription, subscriber: str = "a") -> None:
    """Reconnect as an event source does: with the last event ID, if there was one."""
    if not can_come_back(stage, cut.last_event_id):
        stage.mark("no id", "no event brought what target.resume needs")
        return
    await follow(stage, await resume(stage, subscriber, cut.last_event_id), subscriber)


@scenario(
    "resume-after-cut",
    summary="The link cuts the connection after the third event; the subscriber resumes with Last-Event-ID.",
    plan=Plan((Disconnect(when=AtTrigger("events", _CUT_AFTER), how="fin", connections=1),)),
    needs=("expect.resumable",),
)
async def resume_after_cut(stage: Stage) -> None:
    await stage.start()
    async with stage.subscribe("a") as first:
        await first.finished()
    await _resume(stage, first)


@scenario(
    "resume-mid-event",
    summary="The link resets the connection in the middle of the third event; the subscriber resumes.",
    plan=Plan((Disconnect(when=AtTrigger("mid-event", _CUT_AFTER - 1), how="rst", connections=1),)),
    needs=("expect.resumable",),
)
async def resume_mid_event(stage: Stage) -> None:
    await stage.start()
    async with stage.subscribe("a") as first:
        await first.finished()
    await _resume(stage, first)


@scenario(
    "completion-while-away",
    summary="The subscriber leaves, the work completes meanwhile, then it resumes with Last-Event-ID.",
    needs=("expect.resumable", "expect.shared", "dialect.completion"),
)
async def completion_while_away(stage: Stage) -> None:
    await stage.start()
    async with stage.subscribe("witness") as witness:
        async with stage.subscribe("a") as first:
            await first.saw(1)
            await first.drop()
        await witness.finished()
    await _resume(stage, first)


@scenario(
    "completion-unwatched",
    summary="The only subscriber leaves, the work completes while nobody is there, then it resumes with Last-Event-ID.",
    needs=("expect.resumable", "target.status.pointer", "target.status.finished", "dialect.completion"),
)
async def completion_unwatched(stage: Stage) -> None:
    if _may_end_unwatched(stage):
        raise Skipped('expect.abandoned is "stops": work that nobody watches does not complete')
    names = await stage.start()
    over = work_over(stage, names)
    assert over is not None, "needed above"
    async with stage.subscribe("a") as first:
        await first.saw(1)
        await first.drop()
    await look_until_over(over, limit=stage.config.limits.completion)
    await _resume(stage, first)


def _may_end_unwatched(stage: Stage) -> bool:
    """Whether the usual work, too, may stop when nobody watches it, and could not be told from work that completed."""
    target = stage.config.target
    tells = ABANDONED in target.variants and target.status is not None and bool(target.status.cancelled)
    return stage.config.expect.abandoned == "stops" and not tells


@scenario(
    "unknown-id",
    summary="A subscriber resumes with a Last-Event-ID that the server never sent.",
    needs=("expect.resumable",),
)
async def unknown_id(stage: Stage) -> None:
    await stage.start()
    async with stage.subscribe("a", last_event_id="sse-conformance-unknown-id") as subscriber:
        await subscriber.finished()


@scenario(
    "disconnect-before-head",
    summary="A subscriber leaves before the response begins; another one must not notice.",
    plan=Plan((Disconnect(when=AtTrigger("request"), how="rst", direction="upstream", connections=1),)),
)
async def disconnect_before_head(stage: Stage) -> None:
    await stage.start()
    async with stage.subscribe("gone") as gone:
        await gone.finished()
    async with stage.subscribe("a") as subscriber:
        await subscriber.finished()


@scenario(
    "disconnect-mid-stream", summary="A subscriber leaves after the first event; then another one comes."
)
async def disconnect_mid_stream(stage: Stage) -> None:
    await stage.start()
    async with stage.subscribe("gone") as gone:
        await gone.saw(1)
        await gone.drop(reset=True)
    async with stage.subscribe("a") as subscriber:
        await subscriber.finished()


@scenario(
    "close-at-completion",
    summary="The subscriber closes the connection the moment it sees the completion; the server must cope.",
)
async def close_at_completion(stage: Stage) -> None:
    await stage.start()
    async with stage.subscribe("hasty", leave_at_completion=True) as hasty:
        if await hasty.saw(1):
            await (
                stage.status()
            )  # that what it answers afterwards can be compared; the hasty one leaves meanwhile
        await hasty.finished()
    await stage.status()
    try:
        await stage.start()
    except Unreached as unreached:
        if not hasty.completed:
            raise
        stage.mark("not started again", str(unreached))
        return
    async with stage.subscribe("a") as subscriber:
        await subscriber.finished()


@scenario(
    "restart",
    summary="The server is killed in the middle of a stream and started again; all its subscribers resume at once.",
    needs=("expect.resumable", "target.command"),
    exclusive=True,
)
async def restart(stage: Stage) -> None:
    await stage.start()
    names = ("a", "b", "c") if stage.config.expect.shared else ("a",)
    async with AsyncExitStack() as stack:
        cut = {name: await stack.enter_async_context(stage.subscribe(name)) for name in names}
        for each in cut.values():
            if not await each.saw(_CUT_AFTER):
                stage.mark("too short", "the stream ended before the server could be killed")
                return
        await stage.restart_server()
        for each in cut.values():
            await each.finished()
    async with trio.open_nursery() as nursery:
        for name, each in cut.items():
            nursery.start_soon(_resume, stage, each, name)
