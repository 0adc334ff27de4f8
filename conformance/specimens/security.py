"""Servers that let text become something else, let anybody in, or tell too much."""

from collections.abc import Callable, Iterable

import msgspec

from conformance.reference.app import App, HeaderList, Request, Responder, WrappedResponder
from conformance.reference.service import ServiceOptions
from conformance.specimens.http import TOKEN, with_token
from conformance.specimens.order import sending
from conformance.specimens.specimen import Specimen, Wrap

_PYTHON = (
    'Traceback (most recent call last):\\n  File \\"/srv/app/work.py\\", line 42, in run\\n    step()\\n'
    "ValueError: no such step"
)
_NODE = (
    "Error: no such job\n    at find (/srv/app/jobs.js:17:11)\n"
    "    at Layer.handle (/srv/app/node_modules/router.js:5:3)\n"
)


def _unescaping(escape: bytes, character: bytes) -> Wrap:
    """A server that formats text into its stream as it is, as far as these characters go."""
    return sending(lambda _: lambda data: (data.replace(escape, character),))


def _by_lines(_: Request) -> Callable[[bytes], Iterable[bytes]]:
    """Splits data with Python's `splitlines`, which knows more line ends than an event stream does."""

    def change(data: bytes) -> Iterable[bytes]:
        lines = data.decode().removesuffix("\n\n").split("\n")
        split = (
            f"data: {part}" for line in lines if line.startswith("data: ") for part in line[6:].splitlines()
        )
        others = (line for line in lines if not line.startswith("data: "))
        return ("\n".join([*others, *split, "", ""]).encode(),)

    return change


def _short(_: Request) -> Callable[[bytes], Iterable[bytes]]:
    """A queue whose messages are 64 KB long, and what is more is cut off."""

    def change(data: bytes) -> Iterable[bytes]:
        return (data if len(data) <= 65_536 else data[:65_534] + b"\n\n",)

    return change


def _letting_in(wanted: Callable[[Request], bool]) -> Wrap:
    """A server that takes whatever token these requests have for the right one."""

    def wrap(app: App) -> App:
        async def handle(request: Request, respond: Responder) -> None:
            if wanted(request) and request.header("authorization"):
                others = tuple(pair for pair in request.headers if pair[0] != "authorization")
                right = ("authorization", f"Bearer {TOKEN}")
                request = msgspec.structs.replace(request, headers=(*others, right))
            await app(request, respond)

        return handle

    return wrap


def _resumes(request: Request) -> bool:
    return request.header("last-event-id") is not None


class _DebugPage(WrappedResponder):
    """Answers errors with a page for developers."""

    _failed = False

    async def start(self, status: int, headers: HeaderList = ()) -> None:
        self._failed = status >= 400
        if self._failed:
            headers = (("content-type", "text/plain"), ("content-length", str(len(_NODE))))
        await super().start(status, headers)

    async def send(self, data: bytes) -> None:
        await super().send(_NODE.encode() if self._failed else data)


def _debugging(app: App) -> App:
    async def handle(request: Request, respond: Responder) -> None:
        await app(request, _DebugPage(respond))

    return handle


def _guarded(name: str, summary: str, wanted: Callable[[Request], bool]) -> Specimen:
    return Specimen(
        name,
        summary,
        ("security.auth",),
        "wrong-credentials",
        _letting_in(wanted),
        options=ServiceOptions(token=TOKEN),
        configure=with_token,
    )


SPECIMENS = (
    Specimen(
        "formatting-by-hand",
        "Writes text into its stream as it is, with an f-string.",
        ("security.event-injection",),
        "hostile-input",
        _unescaping(rb"\n", b"\n"),
    ),
    Specimen(
        "splitting-at-lf-only",
        "Writes `data: ` before every line, and takes only LF for the end of one.",
        ("security.event-injection",),
        "hostile-input",
        _unescaping(rb"\r", b"\r"),
    ),
    Specimen(
        "splitlines",
        "Splits data at everything that Python takes for the end of a line.",
        ("security.payload-survives",),
        "hostile-input",
        sending(_by_lines),
    ),
    Specimen(
        "short-messages",
        "Sends its events through a queue that cuts off what is over 64 KB.",
        ("security.payload-survives",),
        "hostile-input",
        sending(_short),
    ),
    _guarded("any-token", "Looks whether there is a token, and not which.", lambda _: True),
    _guarded("any-token-that-resumes", "Lets everybody in who comes with a Last-Event-ID.", _resumes),
    _guarded(
        "any-token-that-cancels",
        "Checks the token where streams are read, and not where work is cancelled.",
        lambda request: request.path.endswith("/cancel"),
    ),
    Specimen(
        "sending-its-trace",
        "Sends the stack trace of what failed as the failure event.",
        ("security.error-hygiene",),
        "failing-job",
        sending(lambda _: lambda data: (data.replace(b"the work failed", _PYTHON.encode()),)),
    ),
    Specimen(
        "debug-page",
        "Answers errors with a stack trace.",
        ("security.error-hygiene",),
        "unknown-stream",
        _debugging,
    ),
)
