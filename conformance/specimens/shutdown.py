"""Servers that do not end when they are asked to, or not well."""

import msgspec
import trio

from conformance.config import Config
from conformance.drive.scenario import Drive
from conformance.drive.stage import Stage
from conformance.reference.app import App, Request, Responder, WrappedResponder
from conformance.reference.service import ServiceOptions
from conformance.specimens.order import sending
from conformance.specimens.program import Manner
from conformance.specimens.resume import naming_no_ids
from conformance.specimens.specimen import Specimen
from conformance.transport import address_of
from fault_injection.network import Connection

_FOR_EVER = 1_000.0  # seconds: longer than anybody waits here


class _Unaware(WrappedResponder):
    """Its streams end when their work does, and nobody tells them that the server is to end."""

    def __init__(self, inner: Responder) -> None:
        super().__init__(inner)
        self._never = trio.Event()

    @property
    def closing(self) -> trio.Event:
        return self._never


def _unaware(app: App) -> App:
    async def handle(request: Request, respond: Responder) -> None:
        await app(request, _Unaware(respond))

    return handle


def _not_resumable(config: Config) -> Config:
    return msgspec.structs.replace(config, expect=msgspec.structs.replace(config.expect, resumable=False))


def _keeping_a_connection(drive: Drive) -> Drive:
    """A scenario that forgets to close what it opened."""
    kept: list[Connection] = []

    async def driven(stage: Stage) -> None:
        await drive(stage)
        kept.append(await stage.network.connect(*address_of(stage.origin)))

    return driven


def _keeping_a_task(drive: Drive) -> Drive:
    """A scenario that starts something and does not end it."""

    async def driven(stage: Stage) -> None:
        await drive(stage)
        stage.nursery.start_soon(trio.sleep_forever)

    return driven


SPECIMENS = (
    Specimen(
        "deaf-to-sigterm",
        "Knows Ctrl-C only: as process 1 of a container, or behind a shell, it never hears of SIGTERM.",
        ("shutdown.exits",),
        "shutdown",
        manner=Manner(heeds=("SIGINT",)),
    ),
    Specimen(
        "deaf-to-ctrl-c",
        "Ignores SIGINT.",
        ("shutdown.exits",),
        "shutdown-sigint",
        manner=Manner(heeds=("SIGTERM",)),
    ),
    Specimen(
        "waiting-for-its-streams",
        "Waits for open responses to end, and does not tell them to.",
        ("shutdown.exits",),
        "shutdown",
        _unaware,
        options=ServiceOptions(grace=_FOR_EVER),
    ),
    Specimen(
        "waiting-for-a-stalled-reader",
        "Waits until everything is sent, also to who reads nothing.",
        ("shutdown.exits",),
        "shutdown",
        options=ServiceOptions(grace=_FOR_EVER),
    ),
    Specimen(
        "cutting-off",
        "Exits with its streams as they are.",
        ("shutdown.streams-ended",),
        "shutdown",
        manner=Manner(abrupt=True),
    ),
    Specimen(
        "crashing-at-the-end",
        "Exits with code 1, for an exception in its shutdown.",
        ("shutdown.exit-code",),
        "shutdown",
        manner=Manner(code=1),
    ),
    Specimen(
        "forgetting-a-child",
        "Leaves a process behind that it started.",
        ("shutdown.no-orphans",),
        "shutdown",
        manner=Manner(child="idle"),
    ),
    Specimen(
        "forgetting-a-daemon",
        "Leaves a process behind that it started, in a session of its own.",
        ("shutdown.no-orphans",),
        "shutdown",
        manner=Manner(child="daemon"),
    ),
    Specimen(
        "handing-down-its-port",
        "Leaves a process behind that inherited its listening socket.",
        ("shutdown.port-released",),
        "shutdown",
        manner=Manner(child="listening"),
        implies=("shutdown.no-orphans",),
    ),
    Specimen(
        "leaving-without-a-word",
        "Ends its streams as if all had been said, without ids to resume by.",
        ("shutdown.ending-told",),
        "shutdown",
        sending(lambda _: lambda data: (naming_no_ids(data),)),
        configure=_not_resumable,
    ),
    Specimen(
        "taking-in-and-forgetting",
        "Accepts connections while it shuts down, and answers none.",
        ("shutdown.refuses-new",),
        "shutdown",
        manner=Manner(takes_in=3.0),
    ),
    Specimen(
        "client-with-a-connection",
        "The server is right, and the harness leaves a connection open.",
        ("shutdown.client-leaves-nothing",),
        "subscribe",
        misdrive=_keeping_a_connection,
    ),
    Specimen(
        "client-with-a-task",
        "The server is right, and the harness leaves a task behind.",
        ("shutdown.client-leaves-nothing",),
        "subscribe",
        misdrive=_keeping_a_task,
    ),
)
