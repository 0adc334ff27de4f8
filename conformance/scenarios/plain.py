"""Nothing goes wrong: one subscriber, two, a late one, a failing job, a long silence."""

from conformance.drive.looking import look_at_state
from conformance.drive.scenario import scenario
from conformance.drive.stage import Stage
from conformance.scenarios.coming_back import follow


@scenario("subscribe", summary="One subscriber reads the stream from its beginning to its end.")
async def subscribe(stage: Stage) -> None:
    await stage.start()
    async with stage.subscribe() as subscriber:
        await subscriber.finished()
    await follow(stage, subscriber)
    await look_at_state(stage)


@scenario(
    "two-subscribers",
    summary="Two subscribers read the same stream at the same time, each on a connection of its own.",
    needs=("expect.shared",),
)
async def two_subscribers(stage: Stage) -> None:
    await stage.start()
    async with stage.subscribe("a") as a, stage.subscribe("b") as b:
        await a.finished()
        await b.finished()
    await follow(stage, a, "a")
    await follow(stage, b, "b")


@scenario(
    "late-subscriber",
    summary="A second subscriber joins in the middle of the stream.",
    needs=("expect.shared",),
)
async def late_subscriber(stage: Stage) -> None:
    await stage.start()
    async with stage.subscribe("a") as first:
        if not await first.saw(3):
            stage.mark("too short", "the stream ended before its third event: there was no middle to join in")
        async with stage.subscribe("late") as late:
            await first.finished()
            await late.finished()


@scenario(
    "after-completion",
    summary="A subscriber joins after the work has completed; then the status is asked.",
    needs=("expect.shared", "dialect.completion"),
)
async def after_completion(stage: Stage) -> None:
    await stage.start()
    async with stage.subscribe("a") as first:
        await first.finished()
        if not first.completed:
            stage.mark("no completion", "the first subscriber saw none")
    await look_at_state(stage)
    async with stage.subscribe("late") as late:
        await late.finished()


@scenario(
    "failing-job",
    summary="The work fails; the subscriber must hear of it.",
    needs=("target.variants.failing",),
)
async def failing_job(stage: Stage) -> None:
    await stage.start("failing")
    async with stage.subscribe() as subscriber:
        await subscriber.finished()
    await follow(stage, subscriber)
    await look_at_state(stage)


@scenario(
    "long-silence",
    summary="The work is silent for longer than `limits.silence`; heartbeats must carry the stream over it.",
    needs=("target.variants.silent",),
)
async def long_silence(stage: Stage) -> None:
    await stage.start("silent")
    async with stage.subscribe() as subscriber:
        await subscriber.finished()
