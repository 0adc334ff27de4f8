"""The server is asked to end while streams are open, idle and stalled."""

from contextlib import AsyncExitStack, suppress

import trio

from conformance.drive.control import StopSignal
from conformance.drive.scenario import Drive, scenario
from conformance.drive.shutdown import bring_back, shut_down
from conformance.drive.stage import Skipped, Stage, Unreached
from conformance.drive.subscription import Subscription
from conformance.transport import address_of

_QUIET = 0.5  # seconds without an event: the stream is idle
_PATIENCE = 3.0  # seconds for a stream to become so
_NEWCOMER = 0.3  # seconds after the signal: by then a server has noticed it
_ENDING = 1.0  # seconds after the exit, for what the server still sent to arrive
_BULK = "sse-conformance " * 62_500  # a megabyte: a few such events are more than the buffers on the way take


def _shutdown(signal: StopSignal) -> Drive:
    async def drive(stage: Stage) -> None:
        server = stage.server
        if server is None:
            raise Skipped("needs target.command in the configuration: the harness ends only what it started")
        async with AsyncExitStack() as stack:
            with suppress(OSError):  # a connection that asks for nothing
                await stack.enter_async_context(await stage.network.connect(*address_of(stage.origin)))
            stalled = await _one_to_stall(stage, stack)
            stalled.stall()
            idle = await _come(stage, stack, "idle", "silent")
            await _falls_silent(idle)
            live = await _come(stage, stack, "open")
            if await live.saw(1) and not live.last_event_id:  # the first may greet, and only that have none
                with trio.move_on_after(_PATIENCE):
                    await live.saw(2)

            async def meanwhile() -> None:
                await trio.sleep(_NEWCOMER)
                async with stage.subscribe("newcomer") as newcomer:
                    await newcomer.finished()

            gone = await shut_down(stage, server, signal, meanwhile)
            with trio.move_on_after(_ENDING):
                for each in (live, idle):
                    await each.finished()
            await bring_back(stage, server, gone=gone)

    return drive


async def _one_to_stall(stage: Stage, stack: AsyncExitStack) -> Subscription:
    """A reader of more than the buffers take; of the usual work where the server does not take so much."""
    try:
        return await _come(stage, stack, "stalled", "echo", payload=_BULK)
    except Unreached as refused:
        stage.mark("nobody is sent much", str(refused).partition(": ")[0])  # its page of HTML says no more
    return await _come(stage, stack, "stalled")


async def _come(
    stage: Stage, stack: AsyncExitStack, subscriber: str, variant: str | None = None, **names: str
) -> Subscription:
    """Somebody who reads work of this variant, or the usual work where the target has no such."""
    usual = stage.config
    try:
        if variant in usual.target.variants:
            await stage.start(variant, **names)
        else:
            await stage.start()
        return await stack.enter_async_context(stage.subscribe(subscriber))
    finally:
        stage.config = usual


async def _falls_silent(subscription: Subscription) -> None:
    with trio.move_on_after(_PATIENCE):
        await subscription.saw(1)
        while not subscription.ended:
            seen = len(subscription.events)
            with trio.move_on_after(_QUIET) as quiet:
                await subscription.saw(seen + 1)
            if quiet.cancelled_caught:
                return


shutdown = scenario(
    "shutdown",
    summary="The server gets SIGTERM while streams are open, idle and stalled; then it is started again.",
    needs=("target.command",),
    exclusive=True,
)(_shutdown("SIGTERM"))

shutdown_sigint = scenario(
    "shutdown-sigint",
    summary="The server gets SIGINT, as by Ctrl-C, while streams are open, idle and stalled; then it is started again.",
    needs=("target.command",),
    exclusive=True,
)(_shutdown("SIGINT"))
