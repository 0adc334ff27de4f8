"""Servers whose bytes a client cannot read as they were meant."""

import json
from collections.abc import Callable

from conformance.reference.app import Responder, WrappedResponder
from conformance.specimens.http import on_streams, working
from conformance.specimens.specimen import Specimen, Wrap


def writing(change: Callable[[bytes], bytes]) -> Wrap:
    """A server that writes each block as `change` has it."""

    class Writing(WrappedResponder):
        async def send(self, data: bytes) -> None:
            await super().send(change(data))

    return on_streams(Writing)


def _as_latin_1(block: bytes) -> bytes:
    return block.decode().encode("latin-1")


def _pretty(block: bytes) -> bytes:
    head, found, data = block.partition(b"data: ")
    return head + found + json.dumps(json.loads(data), indent=2).encode() + b"\n\n" if found else block


def _as_repr(block: bytes) -> bytes:
    head, found, data = block.partition(b"data: ")
    return head + found + repr(json.loads(data)).encode() + b"\n\n" if found else block


def _with_field(block: bytes) -> bytes:
    return b"source: worker-1\n" + block if b"data:" in block else block


def _bare_completion(block: bytes) -> bytes:
    return block.partition(b"data:")[0] + b"\n" if b"event: complete\n" in block else block


class _Joining(WrappedResponder):
    """Writes the blank line between events, and none after the last one."""

    def __init__(self, inner: Responder) -> None:
        super().__init__(inner)
        self._between = b""

    async def send(self, data: bytes) -> None:
        await super().send(self._between + data.removesuffix(b"\n"))
        self._between = b"\n"


SPECIMENS = (
    Specimen(
        "latin-1",
        "Encodes text as Latin-1.",
        ("wire.utf-8",),
        "subscribe",
        writing(_as_latin_1),
        configure=working(echo="Prüfung läuft"),
    ),
    Specimen(
        "marking-each-write",
        "Opens a writer for each event that begins with a byte order mark.",
        ("wire.bom",),
        "subscribe",
        writing(lambda block: b"\xef\xbb\xbf" + block),
        implies=(
            "timeliness.heartbeat",
            "resume.no-gap",
        ),
    ),
    Specimen(
        "own-field",
        "Adds a field of its own to each event.",
        ("wire.fields",),
        "subscribe",
        writing(_with_field),
    ),
    Specimen(
        "pretty-printing",
        "Writes JSON over several lines without a `data:` for each.",
        ("wire.fields", "wire.json"),
        "subscribe",
        writing(_pretty),
    ),
    Specimen(
        "joining",
        "Joins events by a blank line, so that none comes after the last one.",
        ("wire.terminated",),
        "subscribe",
        on_streams(_Joining),
        implies=(
            "timeliness.not-held-by-one",
            "completion.end-marker",
            "resume.after-restart",
        ),
    ),
    Specimen(
        "bare-completion",
        "Sends its completion without data.",
        ("wire.no-data",),
        "subscribe",
        writing(_bare_completion),
        implies=(
            "order.no-gap",
            "resource.crowd",
        ),
    ),
    Specimen(
        "binary-ids",
        "Uses the bytes of a binary key as id.",
        ("wire.id-null",),
        "subscribe",
        writing(lambda block: block.replace(b"id: ", b"id: \0\0\0")),
        implies=("resume.no-gap",),
    ),
    Specimen(
        "retry-in-seconds",
        "Gives the reconnection time with its unit.",
        ("wire.retry",),
        "subscribe",
        writing(lambda block: b"retry: 3s\n\n" if block.startswith(b"retry:") else block),
    ),
    Specimen(
        "python-repr",
        "Writes data by str() instead of a JSON encoder.",
        ("wire.json",),
        "subscribe",
        writing(_as_repr),
    ),
    Specimen(
        "two-platforms",
        "Ends lines in LF, and events in a blank line of CRLF.",
        ("wire.line-endings",),
        "subscribe",
        writing(lambda block: block.removesuffix(b"\n") + b"\r\n"),
    ),
    Specimen(
        "wordy",
        "Sends lines of 70 KB.",
        ("wire.event-size",),
        "subscribe",
        configure=working(echo="x" * 70_000),
    ),
)
