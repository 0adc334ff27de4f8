"""Hostile input: text that would be something else if it stood in the stream as it is, and wrong credentials."""

import trio

from conformance.dialect import Matcher
from conformance.drive.scenario import scenario
from conformance.drive.stage import Skipped, Stage, Unreached
from conformance.drive.subscription import Subscription
from conformance.history import Mark
from conformance.payloads import NOT_TAKEN, SENT, TAIL, Payload, payloads

_VARIANT = "echo"
_LARGE = 100_000  # characters: one event of it is enough
_ENDLESS = 5.0  # seconds for which a stream that never completes is watched
_BRIEF = 2.0  # seconds: only the head and the first bytes matter here
_WRONG = "sse-conformance-wrong"


@scenario(
    "hostile-input",
    summary="Work is given text with newlines, fields, NULL, a lone surrogate or a megabyte, and sends it back.",
    needs=("target.variants.echo",),
)
async def hostile_input(stage: Stage) -> None:
    completion = next((each.event for each in _matchers(stage) if each.event), None)
    async with trio.open_nursery() as nursery:
        for payload in payloads(completion):
            nursery.start_soon(_echo, stage, payload)


def _matchers(stage: Stage) -> tuple[Matcher, ...]:
    return stage.dialect.completion or ()


async def _echo(stage: Stage, payload: Payload) -> None:
    try:
        names = await stage.start(_VARIANT, payload=payload.whole)
        watch = None if stage.dialect.completion else min(_ENDLESS, stage.watch)
        async with stage.subscribe(payload.name, names=names, watch=watch) as subscriber:
            stage.recorder.record(
                Mark(time=stage.recorder.now(), what=SENT, exchange=subscriber.exchange, detail=payload.told)
            )
            if len(payload.whole) < _LARGE:
                await subscriber.finished()
            else:
                await subscriber.until(_has_all)
    except Unreached as unreached:  # one of many: a server may refuse what it cannot keep
        stage.mark(NOT_TAKEN, f"{payload.name}: {unreached}")


def _has_all(subscriber: Subscription) -> bool:
    return any(TAIL in event.data for event in subscriber.events[-3:])


@scenario(
    "wrong-credentials",
    summary="The stream is requested with wrong credentials, by a newcomer and by one who resumes; so are status and "
    "cancel.",
    needs=("target.stream.headers",),
)
async def wrong_credentials(stage: Stage) -> None:
    target = stage.config.target
    wrong = _spoiled(stage, target.stream.headers)
    if not wrong:
        raise Skipped("target.stream.headers holds no credentials that could be wrong")
    await stage.start()
    async with stage.subscribe("stranger", headers=wrong, watch=_BRIEF) as stranger:
        await stranger.finished()
    if target.resume is not None:
        wrong = _spoiled(stage, target.resume.headers)
    if wrong:
        async with stage.subscribe("returning", last_event_id="1", headers=wrong, watch=_BRIEF) as returning:
            await returning.finished()
    for request in (target.status, target.cancel):
        if request is not None and (wrong := _spoiled(stage, request.headers)):
            await stage.ask("other", request, headers=wrong)


def _spoiled(stage: Stage, headers: dict[str, str]) -> dict[str, str]:
    """The credentials among these headers, with another value of the same form."""
    return {name: _another(name, headers[name]) for name in stage.credentials_in(headers)}


def _another(name: str, value: str) -> str:
    if name.lower() == "cookie":
        names = (pair.partition("=")[0].strip() for pair in value.split(";"))
        return "; ".join(f"{each}={_WRONG}" for each in names)
    scheme, space, _ = value.partition(" ")
    return f"{scheme} {_WRONG}" if space else _WRONG
