"""Requests at the edge: without credentials, for a stream that does not exist, from another origin."""

from conformance.config import captured_in_stream
from conformance.drive.scenario import scenario
from conformance.drive.stage import Skipped, Stage

_BRIEF = 2.0  # seconds: only the head and the first bytes matter here


@scenario(
    "without-credentials",
    summary="The stream is requested without the credentials that the configuration declares.",
    needs=("target.stream.headers",),
)
async def without_credentials(stage: Stage) -> None:
    without = dict.fromkeys(stage.credential_headers)
    if not without:
        raise Skipped("target.stream.headers holds no credentials that could be left out")
    await stage.start()
    async with stage.subscribe("stranger", headers=without, watch=_BRIEF) as stranger:
        await stranger.finished()


@scenario(
    "unknown-stream",
    summary="A stream is requested that does not exist.",
    needs=("target.start.capture",),
)
async def unknown_stream(stage: Stage) -> None:
    names = captured_in_stream(stage.config.target)
    if not names:
        raise Skipped(
            "target.stream uses no captured name: all its requests are the same, for one stream that exists"
        )
    await stage.start()
    unknown = dict.fromkeys(names, "sse-conformance-no-such-stream")
    async with stage.subscribe("lost", names=unknown, watch=_BRIEF) as lost:
        await lost.finished()


@scenario("other-origin", summary="The stream is requested as a page of another origin would request it.")
async def other_origin(stage: Stage) -> None:
    await stage.start()
    origin = {"Origin": "https://sse-conformance.example"}
    async with stage.subscribe("page", headers=origin, watch=_BRIEF) as page:
        if await page.head():
            await page.saw(1)
