"""What specimens of cancel and isolation are made with: answers that say something else, requests of a server's own."""

import json
from collections.abc import Callable
from typing import Any, TypeAlias

import msgspec

from conformance.reference.app import App, HeaderList, Request, Responder, WrappedResponder
from conformance.specimens.order import is_stream
from conformance.specimens.resume import Probe
from conformance.specimens.specimen import Wrap

Answer: TypeAlias = dict[str, Any]


def job_of(request: Request) -> str:
    """The id of the job that a request is about, "" for none."""
    parts = request.path.split("/")
    return parts[2] if len(parts) > 2 and parts[1] == "jobs" else ""


def is_cancel(request: Request) -> bool:
    """Whether the request cancels a job."""
    return request.path.endswith("/cancel")


class _Rewriting(WrappedResponder):
    def __init__(self, inner: Responder, change: Callable[[Answer], Answer]) -> None:
        super().__init__(inner)
        self._change = change
        self._head: tuple[int, HeaderList] = (500, ())

    async def start(self, status: int, headers: HeaderList = ()) -> None:
        self._head = status, headers

    async def send(self, data: bytes) -> None:
        status, headers = self._head
        body = json.dumps(self._change(json.loads(data))).encode()
        kept = [pair for pair in headers if pair[0] != "content-length"]
        await super().start(status, [*kept, ("content-length", str(len(body)))])
        await super().send(body)


def answering(change: Callable[[Request, Answer], Answer]) -> Wrap:
    """A server whose answers about jobs (not their streams) say what `change` makes of them."""

    def wrap(app: App) -> App:
        async def handle(request: Request, respond: Responder) -> None:
            if is_stream(request) or not job_of(request):
                await app(request, respond)
            else:
                await app(request, _Rewriting(respond, lambda answer: change(request, answer)))

        return handle

    return wrap


def starting(change: Callable[[Answer], Answer]) -> Wrap:
    """A server that starts another job than it was asked for."""

    def wrap(app: App) -> App:
        async def handle(request: Request, respond: Responder) -> None:
            if request.path == "/jobs" and request.method == "POST":
                body = json.dumps(change(json.loads(request.body or b"{}"))).encode()
                request = msgspec.structs.replace(request, body=body)
            await app(request, respond)

        return handle

    return wrap


async def answer(respond: Responder, status: int, content: Answer) -> None:
    """Answer a request without the application."""
    body = json.dumps(content).encode()
    await respond.start(status, [("content-type", "application/json"), ("content-length", str(len(body)))])
    await respond.send(body)
    await respond.finish()


async def own(app: App, method: str, path: str, body: Answer | None = None) -> Answer:
    """A request that the server makes of itself, and its answer."""
    kept = Probe()
    content = b"" if body is None else json.dumps(body).encode()
    await app(Request(method=method, path=path, body=content), kept)
    told: Answer = json.loads(kept.body)
    return told
