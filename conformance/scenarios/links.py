"""The link is slow, cuts the bytes anew, or holds them back; every byte arrives in the end."""

from conformance.drive.scenario import scenario
from conformance.drive.stage import Skipped, Stage, Unreached
from fault_injection.faults import Bandwidth, Buffer, Latency, Plan, Slice, SlowClose


async def _read_to_the_end(stage: Stage) -> None:
    await stage.start()
    async with stage.subscribe() as subscriber:
        await subscriber.finished()


slow_network = scenario(
    "slow-network",
    summary="The link delays every chunk, lets few bytes through, and delivers the end late.",
    plan=Plan((Latency(delay=0.3, jitter=0.1), Bandwidth(bytes_per_second=64_000), SlowClose(delay=0.5))),
)(_read_to_the_end)

sliced_bytes = scenario(
    "sliced-bytes",
    summary="The link re-cuts the bytes: inside CRLF, inside a UTF-8 character, between fields.",
    plan=Plan((Slice(size=8, variation=7),)),
)(_read_to_the_end)


@scenario(
    "buffering-middlebox",
    summary="A middlebox holds the bytes until 4 KiB are there or the stream closes, as nginx and gzip do.",
    plan=Plan((Buffer(size=4096),)),
)
async def buffering_middlebox(stage: Stage) -> None:
    await stage.start()
    # The link knows no HTTP, so only the end of the connection tells it that the response is over.
    async with stage.subscribe(headers={"Connection": "close"}) as subscriber:
        how = await subscriber.finished()
        if subscriber.status is not None or how != "timeout" or not stage.answered:
            return
    nothing = "the middlebox let nothing through, as less than 4 KiB came and the connection was not closed"
    if stage.dialect.completion is None or stage.config.expect.terminates is False:
        raise Skipped(f"{nothing}: that of an endless stream is not")
    raise Unreached(
        f"{nothing}: the stream did not end, or the server kept the connection though the request said "
        "Connection: close (RFC 9112, section 9.6)"
    )
