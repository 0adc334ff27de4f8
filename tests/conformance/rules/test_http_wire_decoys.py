"""Servers that look odd and are right: no rule of HTTP or the wire may report them."""

from collections.abc import Callable

import pytest
import trio

from conformance.judging import judge_by
from conformance.reference.app import HeaderList, Responder, WrappedResponder
from conformance.rules.http import RULES as HTTP
from conformance.rules.wire import RULES as WIRE
from conformance.specimens import Specimen, examine
from conformance.specimens.http import GUARDED, heading, on_streams, working
from conformance.specimens.wire import writing
from fault_injection.virtual import VirtualNetwork

BOM = b"\xef\xbb\xbf"


# heads


class _Polite(WrappedResponder):
    async def start(self, status: int, headers: HeaderList = ()) -> None:
        await super().start(status, [(name.upper(), value) for name, value in headers])


HEADS = [
    Specimen("shouting", "Writes header names in capitals.", (), "subscribe", on_streams(_Polite)),
    Specimen(
        "with-parameters",
        "Writes its type in capitals, with a quoted charset.",
        (),
        "subscribe",
        heading(content_type='Text/Event-Stream ;charset="UTF-8"'),
    ),
    Specimen(
        "only-no-store",
        "Sends one directive and no header of HTTP/1.0.",
        (),
        "subscribe",
        heading(cache_control="no-store", pragma=None, expires=None),
    ),
    Specimen("closing", "Closes the connection after it.", (), "subscribe", heading(connection="close")),
    Specimen(
        "for-one-origin",
        "Allows one origin, always the same.",
        (),
        "other-origin",
        heading(access_control_allow_origin="https://shop.example"),
    ),
    Specimen("silent-on-cors", "Allows none.", (), "other-origin", heading(access_control_allow_origin=None)),
    GUARDED,
]


@pytest.mark.parametrize("decoy", HEADS, ids=lambda decoy: decoy.name)
async def test_heads_that_are_right_are_not_reported(decoy: Specimen, autojump_clock: object) -> None:
    with trio.fail_after(60):
        history = await examine(decoy, VirtualNetwork())
    said = {rule.name: judge_by(history, rule).verdict for rule in HTTP if history.scenario in rule.scenarios}
    assert "conforms" in {*said.values()} or decoy.name == "silent-on-cors"
    assert not {*said.values()} & {"broken", "inconclusive"}, said


# bodies


class _ByteByByte(WrappedResponder):
    async def send(self, data: bytes) -> None:
        for at in range(len(data)):
            await super().send(data[at : at + 1])


class _Marked(WrappedResponder):
    """Begins with a byte order mark."""

    def __init__(self, inner: Responder) -> None:
        super().__init__(inner)
        self._mark = BOM

    async def send(self, data: bytes) -> None:
        mark, self._mark = self._mark, b""
        await super().send(mark + data)


def decoy(name: str, change: Callable[[bytes], bytes]) -> Specimen:
    return Specimen(name, "Right, though it looks odd.", (), "subscribe", writing(change))


BODIES = [
    decoy("crlf", lambda block: block.replace(b"\n", b"\r\n")),
    decoy("cr", lambda block: block.replace(b"\n", b"\r")),
    decoy("no-space", lambda block: block.replace(b"data: ", b"data:").replace(b"id: ", b"id:")),
    decoy("padded", lambda block: block + b":" + b" " * 2048 + b"\n\n"),
    decoy("pinging", lambda block: b"event: ping\n\n" + block),
    decoy("many-data-lines", lambda block: block.replace(b', "', b',\ndata: "').replace(b"{", b"{\ndata: ")),
    decoy("word-ids", lambda block: block.replace(b"id: ", b"id: step-")),
    decoy("data-first", lambda block: b"".join(reversed(block[:-1].splitlines(keepends=True))) + b"\n"),
    Specimen("byte-by-byte", "Sends single bytes.", (), "subscribe", on_streams(_ByteByByte)),
    Specimen("marked", "Begins with a byte order mark.", (), "subscribe", on_streams(_Marked)),
    Specimen(
        "foreign",
        "Sends all of Unicode.",
        (),
        "subscribe",
        configure=working(echo="Grüße 😀 \ufeff\u2028\x85"),
    ),
]


@pytest.mark.parametrize("decoy", BODIES, ids=lambda decoy: decoy.name)
async def test_bodies_that_are_right_are_not_reported(decoy: Specimen, autojump_clock: object) -> None:
    with trio.fail_after(60):
        history = await examine(decoy, VirtualNetwork())
    said = {rule.name: judge_by(history, rule).verdict for rule in WIRE if history.scenario in rule.scenarios}
    assert {*said.values()} == {"conforms"}, said
