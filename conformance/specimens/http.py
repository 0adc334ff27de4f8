"""Servers whose response head is wrong."""

from conformance.reference.app import App, HeaderList, Request, Responder, WrappedResponder
from conformance.specimens.specimen import Specimen


def _created(app: App) -> App:
    class Created(WrappedResponder):
        async def start(self, status: int, headers: HeaderList = ()) -> None:
            await super().start(201 if status == 200 else status, headers)

    async def handle(request: Request, respond: Responder) -> None:
        await app(request, Created(respond) if request.path.endswith("/events") else respond)

    return handle


SPECIMENS = (
    Specimen(
        "created",
        "Answers 201 to a request for the stream.",
        ("http.status",),
        "subscribe",
        _created,
    ),
)
