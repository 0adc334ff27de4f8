"""Servers that serve one subscriber well, and a crowd badly."""

from collections.abc import Callable

from conformance.reference.app import App, Request, Responder, WrappedResponder
from conformance.specimens.completion import is_event
from conformance.specimens.order import is_stream
from conformance.specimens.specimen import Specimen, Wrap

_PLACES = 8  # more than any other scenario has open at once


class _Untold(WrappedResponder):
    """A broadcast with a bounded queue that is full when everybody completes."""

    async def send(self, data: bytes) -> None:
        if not is_event(data, "complete", "stream_end"):
            await super().send(data)


class _Cut(WrappedResponder):
    """A worker pool that takes a place away from whoever has one longest."""

    async def send(self, data: bytes) -> None:
        await super().send(data)
        if is_event(data, "progress"):
            self.inner.abort()


def _beyond_its_places(make: Callable[[Responder], Responder]) -> Wrap:
    """A server that treats those in another way who come when its places are taken."""

    def wrap(app: App) -> App:
        open_streams = 0

        async def handle(request: Request, respond: Responder) -> None:
            nonlocal open_streams
            if not is_stream(request):
                await app(request, respond)
                return
            open_streams += 1
            try:
                await app(request, make(respond) if open_streams > _PLACES else respond)
            finally:
                open_streams -= 1

        return handle

    return wrap


SPECIMENS = (
    Specimen(
        "full-broadcast",
        "The completion is not put where a queue is full: with more than eight streams open, some are not told.",
        ("resource.crowd",),
        "crowd",
        wrap=_beyond_its_places(_Untold),
    ),
    Specimen(
        "few-places",
        "With more than eight streams open the later ones are cut off after their first event.",
        ("resource.crowd",),
        "crowd",
        wrap=_beyond_its_places(_Cut),
    ),
)
