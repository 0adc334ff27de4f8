"""Servers that mix up the order of their events, lose some, or send some twice."""

from collections.abc import Callable, Iterable
from itertools import count

from conformance.reference.app import App, HeaderList, Request, Responder, WrappedResponder
from conformance.specimens.specimen import Specimen, Wrap


def is_stream(request: Request) -> bool:
    """Whether the request is for a job's event stream."""
    return request.path.endswith("/events")


class _Sending(WrappedResponder):
    """Sends what `change` makes of each piece; the reference sends one block at a time."""

    def __init__(self, inner: Responder, change: Callable[[bytes], Iterable[bytes]]) -> None:
        super().__init__(inner)
        self._change = change
        self._found = False

    async def start(self, status: int, headers: HeaderList = ()) -> None:
        self._found = status == 200
        await super().start(status, headers)

    async def send(self, data: bytes) -> None:
        for piece in self._change(data) if self._found else [data]:
            await super().send(piece)


def sending(make: Callable[[Request], Callable[[bytes], Iterable[bytes]]]) -> Wrap:
    """A server that changes what streams send; `make` gives the change for one response."""

    def wrap(app: App) -> App:
        async def handle(request: Request, respond: Responder) -> None:
            await app(request, _Sending(respond, make(request)) if is_stream(request) else respond)

        return handle

    return wrap


def _swapping(_: Request) -> Callable[[bytes], Iterable[bytes]]:
    held: list[bytes] = []

    def change(data: bytes) -> Iterable[bytes]:
        if _has_id(data, 3):
            held.append(data)
            return []
        return [data, held.pop()] if held else [data]

    return change


def _has_id(data: bytes, id: int) -> bool:
    return f"\nid: {id}\n".encode() in b"\n" + data


def _losing(_: Request) -> Callable[[bytes], Iterable[bytes]]:
    return lambda data: [] if _has_id(data, 4) else [data]


def _stuttering(_: Request) -> Callable[[bytes], Iterable[bytes]]:
    return lambda data: [data, data] if _has_id(data, 5) else [data]


def _counting_anew(_: Request) -> Callable[[bytes], Iterable[bytes]]:
    own = count(1)

    def change(data: bytes) -> Iterable[bytes]:
        lines = data.split(b"\n")
        if any(line.startswith(b"id: ") for line in lines):
            lines = [b"id: %d" % next(own) if line.startswith(b"id: ") else line for line in lines]
        return [b"\n".join(lines)]

    return change


def _stealing(app: App) -> App:
    """Its two subscribers read from one queue, it seems: of some events only one of them hears."""
    turns = count(1)

    def make(_: Request) -> Callable[[bytes], Iterable[bytes]]:
        turn = next(turns)
        return lambda data: [] if turn == 2 and _has_id(data, 4) else [data]

    return sending(make)(app)


SPECIMENS = (
    Specimen(
        "overtaking",
        "Sends the fourth event before the third.",
        ("order.increasing",),
        "subscribe",
        sending(_swapping),
        implies=(
            "order.no-gap",
            "resume.after-restart",
        ),
    ),
    Specimen(
        "losing",
        "Never sends the fourth event.",
        ("order.no-gap",),
        "subscribe",
        sending(_losing),
        implies=(
            "resume.no-gap",
            "resume.after-restart",
        ),
    ),
    Specimen(
        "stuttering",
        "Sends the fifth event twice.",
        ("order.no-duplicate", "order.increasing"),
        "subscribe",
        sending(_stuttering),
    ),
    Specimen(
        "counting-anew",
        "Gives ids by a counter of the connection, which starts anew when a subscriber comes back.",
        ("order.unique-ids",),
        "resume-after-cut",
        sending(_counting_anew),
        implies=(
            "resume.no-gap",
            "resume.no-duplicate",
            "resume.after-restart",
        ),
    ),
    Specimen(
        "stealing",
        "Of its two subscribers only one gets the fourth event.",
        ("order.subscribers-agree", "order.no-gap"),
        "two-subscribers",
        _stealing,
        implies=(
            "completion.late-subscriber",
            "resume.no-gap",
            "resume.after-restart",
        ),
    ),
)
