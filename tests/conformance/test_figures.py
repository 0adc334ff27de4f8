"""The figures of a scenario, on made-up and on driven histories."""

import json
from datetime import UTC, datetime

import pytest
import trio

from conformance.dialect import Dialect, effective_dialect
from conformance.figures import figures
from conformance.history import Began, Chunk, Ended, Head, Record, Requested, Terms, history
from conformance.specimens import REFERENCE, examine
from conformance.wire import encode_comment, encode_event
from fault_injection.virtual import VirtualNetwork

WALL = 1_700_000_000.0
TERMS = Terms(dialect=effective_dialect(Dialect(preset="task-stream")))


def event(made: float, text: str = "") -> bytes:
    stamp = datetime.fromtimestamp(WALL + made, UTC).isoformat(timespec="microseconds")
    return encode_event(
        json.dumps({"text": text, "timestamp": stamp}), type="progress", id=str(round(made * 10))
    )


def connection(name: str, pieces: list[tuple[float, bytes]], at: float = 0.0) -> list[Record]:
    head = Head(time=at, exchange=name, status=200, headers=(("content-type", "text/event-stream"),))
    return [
        Requested(time=at, exchange=name, purpose="stream", method="GET", url="http://a/", subscriber=name),
        head,
        *(Chunk.of(time, name, data) for time, data in pieces),
        Ended(time=pieces[-1][0] if pieces else at, exchange=name, how="complete"),
    ]


def measured(*connections: list[Record], at: float = WALL) -> dict[str, str]:
    began = Began(at=at, clock="virtual", terms=TERMS)
    return figures(history([began, *(record for group in connections for record in group)]))


def test_what_one_subscriber_got() -> None:
    pieces = [(0.5, event(0.5)), (0.7, event(0.6)), (1.0, encode_comment(" beat")), (2.5, event(2.4))]
    found = measured(connection("a", pieces, at=0.1))
    assert found == {
        "connections": "1",
        "events": "3",
        "heartbeats": "1",
        "bytes": str(sum(len(data) for _, data in pieces)),
        "events per second": "1.0",
        "first event after": "0.400 s",
        "longest gap": "1.500 s",
        "median lag": "0.100 s",
        "worst lag": "0.100 s",
    }


def test_the_lag_of_each_of_two_monitors() -> None:
    made = [1.0, 2.0, 3.0]
    prompt = connection("orchestrator", [(time, event(time)) for time in made])
    late = connection(
        "monitor", [(time + lag, event(time)) for time, lag in zip(made, (0.5, 1.5, 2.5), strict=True)]
    )
    found = measured(prompt, late)
    assert found["connections"] == "2"
    assert found["median lag"] == "orchestrator 0.000 s, monitor 1.500 s"
    assert found["worst lag"] == "orchestrator 0.000 s, monitor 2.500 s"


def test_clocks_that_differ_are_named() -> None:
    found = measured(connection("a", [(1.0, event(61.0)), (2.0, event(61.5))]))
    assert found["worst lag"] == "0.500 s"
    assert "60.000 s ahead" in found["clocks"]


def test_a_burst_is_a_figure() -> None:
    held = [(2.0, event(0.2 * index)) for index in range(1, 10)]
    found = measured(connection("a", held))
    assert found["largest burst"] == "9 events, made over 1.600 s"
    assert found["buffer"] == f"at least {sum(len(data) for _, data in held)} bytes"


def test_without_a_timestamp_there_is_no_lag() -> None:
    found = measured(connection("a", [(1.0, b"data: one\n\n"), (1.5, b"data: two\n\n")]))
    assert found["events per second"] == "2.0"
    assert not {"median lag", "worst lag", "largest burst"} & found.keys()


def test_a_stream_of_tokens_tells_its_rate() -> None:
    tokens = [(0.05 * index, encode_event(f"token {index}")) for index in range(41)]
    assert measured(connection("a", tokens))["events per second"] == "20.0"


@pytest.mark.parametrize("pieces", [[], [(1.0, b": only a comment\n\n")]])
def test_a_stream_without_events(pieces: list[tuple[float, bytes]]) -> None:
    found = measured(connection("a", pieces))
    assert found["events"] == "0"
    assert not {"events per second", "first event after", "median lag"} & found.keys()


def test_nothing_to_measure() -> None:
    assert figures(history([Began(terms=TERMS)])) == {}


async def test_what_a_slow_link_did_is_shown(autojump_clock: object) -> None:
    with trio.fail_after(600):
        known = await examine(REFERENCE, VirtualNetwork(), scenario="slow-network")
    found = figures(known)
    assert 0.2 <= float(found["held by the link"].removesuffix(" s")) <= 0.6
    assert 0.2 <= float(found["median lag"].removesuffix(" s")) <= 0.6
    assert found["events"] == "9"
