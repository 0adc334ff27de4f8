"""Servers at which those who stay hear of it when another one leaves."""

from collections import defaultdict

import trio

from conformance.reference.app import App, Request, Responder
from conformance.specimens.answers import job_of
from conformance.specimens.order import is_stream
from conformance.specimens.specimen import Specimen


def _leaving_together(app: App) -> App:
    """When a client has gone, its handler ends the responses of all who watch the same work: what they all hang on is
    one scope, one AbortController, one context. They are ended properly, so whoever can resume gets everything."""
    watching: defaultdict[str, list[trio.CancelScope]] = defaultdict(list)

    async def handle(request: Request, respond: Responder) -> None:
        if not is_stream(request):
            await app(request, respond)
            return
        others = watching[job_of(request)]
        left = True
        with trio.CancelScope() as scope:
            others.append(scope)
            try:
                await app(request, respond)
                left = False
            finally:
                others.remove(scope)
                for each in others if left and not scope.cancel_called else ():
                    each.cancel()
        if scope.cancelled_caught:
            await respond.finish()

    return handle


SPECIMENS = (
    Specimen(
        "leaving-together",
        "Ends the responses of all who watch the same work when one of them leaves; they can be resumed.",
        ("cancel.others-unaffected",),
        "one-leaves",
        _leaving_together,
    ),
)
