"""What goes on longer than the limit is found, and what stops in time is not: on sockets, all cores busy."""

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import msgspec
import pytest
import trio

from conformance.config import Config
from conformance.judging import judge_by
from conformance.reference.app import App, Request, Responder
from conformance.rules import Judgement, Rule
from conformance.rules.cancel import noticed
from conformance.rules.cancel_work import work_stops
from conformance.specimens import Specimen, examine
from conformance.specimens.answers import Answer, answer, answering, is_cancel, job_of, own
from conformance.specimens.order import is_stream
from conformance.specimens.specimen import Wrap
from fault_injection.network import SocketNetwork

LIMIT = 1.0  # seconds
MARGIN = 0.3  # seconds, either way


@contextmanager
def busy_cores() -> Iterator[None]:
    """As many processes as there are cores, and each wants one for itself."""
    with ExitStack() as stack:
        for _ in range(os.cpu_count() or 2):
            burner = stack.enter_context(subprocess.Popen([sys.executable, "-c", "while True: pass"]))
            stack.callback(burner.kill)
        yield


def limited(config: Config) -> Config:
    limits = msgspec.structs.replace(config.limits, cancellation=LIMIT)
    variants = {name: each for name, each in config.target.variants.items() if name != "silent"}
    target = msgspec.structs.replace(config.target, variants=variants)
    return msgspec.structs.replace(config, limits=limits, target=target)


def cancelling_after(delay: float) -> Wrap:
    """Work that goes on for so many seconds after the request to cancel was answered."""

    def wrap(app: App) -> App:
        async def handle(request: Request, respond: Responder) -> None:
            if not is_cancel(request):
                await app(request, respond)
                return
            await answer(respond, 202, {})
            with trio.CancelScope(shield=True):
                await trio.sleep(delay)
                await own(app, "POST", request.path)

        return handle

    return wrap


def abandoning_after(delay: float) -> Wrap:
    """Work that goes on for so many seconds after its last subscriber has left."""

    def wrap(app: App) -> App:
        there: Counter[str] = Counter()

        async def handle(request: Request, respond: Responder) -> None:
            job = job_of(request)
            if request.path == "/jobs":
                work = {**json.loads(request.body), "abandoned": "continues"}
                request = msgspec.structs.replace(request, body=json.dumps(work).encode())
            there[job] += is_stream(request)
            try:
                await app(request, respond)
            finally:
                there[job] -= is_stream(request)
                if is_stream(request) and not there[job]:
                    with trio.CancelScope(shield=True):
                        await trio.sleep(delay)
                        await own(app, "POST", f"/jobs/{job}/cancel")

        return handle

    return wrap


def noticing_after(delay: float) -> Wrap:
    """A count that goes down so many seconds after a subscriber has left."""

    def wrap(app: App) -> App:
        left: list[tuple[str, float]] = []

        def count(request: Request, told: Answer) -> Answer:
            job, now = job_of(request), trio.current_time()
            stale = sum(each == job and now < at + delay for each, at in left)
            return {**told, "subscribers": told.get("subscribers", 0) + stale}

        async def handle(request: Request, respond: Responder) -> None:
            if not is_stream(request):
                await answering(count)(app)(request, respond)
                return
            try:
                await app(request, respond)
            finally:
                left.append((job_of(request), trio.current_time()))

        return handle

    return wrap


@pytest.mark.parametrize(
    ("scenario", "rule", "wrap"),
    [
        ("cancel", work_stops, cancelling_after),
        ("abandoned", work_stops, abandoning_after),
        ("leaving", noticed, noticing_after),
    ],
)
async def test_a_little_over_the_limit_is_found_and_a_little_under_it_is_not(
    scenario: str, rule: Rule, wrap: Callable[[float], Wrap]
) -> None:
    found: dict[str, Judgement] = {}

    async def look(name: str, delay: float) -> None:
        specimen = Specimen("slow", "", (), scenario, wrap(delay), configure=limited)
        for _ in range(
            2
        ):  # an answer that took a third of a second leaves it open: what is wrong is never tried again
            history = await examine(specimen, SocketNetwork(), virtual=False)
            assert history.concluded is not None
            assert history.concluded.outcome == "done", history.concluded
            found[name] = judge_by(history, rule)
            if found[name].verdict != "inconclusive":
                return

    with busy_cores(), trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(look, "under", LIMIT - MARGIN)
            nursery.start_soon(look, "over", LIMIT + MARGIN)
    verdicts = {name: judgement.verdict for name, judgement in found.items()}
    assert verdicts == {"under": "conforms", "over": "broken"}, found
