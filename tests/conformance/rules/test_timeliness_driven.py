"""A burst behind a middlebox that holds 4 KiB, driven in virtual time: seen, its buffer estimated, padding tried.

The middlebox is the link's own `Buffer(4096)`. Where a test forgets what the link knew, the history is what a
harness records that is told of no middlebox: then it must see it in the stream.
"""

import re
from collections.abc import Callable, Iterable

import msgspec
import pytest
import trio

from conformance.config import Config
from conformance.figures import figures
from conformance.history import Fired, History, Relayed, history
from conformance.judging import judge_by
from conformance.reference.app import Request
from conformance.rules import order, timeliness
from conformance.rules.timeliness_bursts import no_burst
from conformance.rules.timeliness_delivery import delivery
from conformance.specimens import REFERENCE, Specimen, examine
from conformance.specimens.order import sending
from conformance.specimens.timeliness import long_job, untimed
from conformance.wire import encode_comment
from fault_injection.faults import Plan
from fault_injection.virtual import VirtualNetwork

MIDDLEBOX = 4096
RULES = (*order.RULES, *timeliness.RULES)


async def driven(specimen: Specimen, scenario: str = "buffering-middlebox") -> History:
    with trio.fail_after(600):  # of virtual time
        found = await examine(specimen, VirtualNetwork(), scenario=scenario)
    assert found.concluded is not None
    assert found.concluded.outcome == "done"
    return found


def forgotten(known: History) -> History:
    """The history without what the link knew, as if nobody had put it there."""
    began = msgspec.structs.replace(known.began, plan=Plan(), link="none")
    return history([began, *(each for each in known.records[1:] if not isinstance(each, Relayed | Fired))])


def padded(by: int, configure: Callable[[Config], Config] = long_job) -> Specimen:
    """A server that sends a comment of so many bytes behind each event."""
    padding = encode_comment(" " * by)

    def change(data: bytes) -> Iterable[bytes]:
        return [data + padding if b"data:" in data else data]

    def make(_: Request) -> Callable[[bytes], Iterable[bytes]]:
        return change

    return Specimen(f"padded by {by}", "", (), "subscribe", sending(make), configure=configure)


def paced(interval: float, events: int = 100) -> Specimen:
    """A server whose events come at this pace."""
    return Specimen(
        "paced",
        "",
        (),
        "subscribe",
        configure=lambda config: long_job(config, events=events, interval=interval),
    )


def size_in(text: str) -> int:
    found = re.search(r"about (\d+) bytes", text)
    assert found, text
    return int(found[1])


@pytest.mark.parametrize(
    "configure", [long_job, lambda config: untimed(long_job(config))], ids=["timed", "untimed"]
)
async def test_a_buffer_on_the_way_is_seen_and_measured(
    configure: Callable[[Config], Config], autojump_clock: object
) -> None:
    recorded = forgotten(await driven(Specimen("long", "", (), "subscribe", configure=configure)))
    judgement = no_burst.judge(recorded)
    assert judgement.verdict == "broken"
    assert size_in(judgement.reason) == pytest.approx(MIDDLEBOX, rel=0.25)


async def test_a_short_stream_comes_in_one_burst_at_its_end(autojump_clock: object) -> None:
    recorded = forgotten(await driven(REFERENCE))
    judgement = no_burst.judge(recorded)
    assert judgement.reason.startswith(
        "9 of 9 live events on connection a were made over 1.400 s and came within 0"
    )
    assert "a buffer of at least" in judgement.reason


@pytest.mark.parametrize("pace", [0.0, 0.001, 0.01])
async def test_a_fast_producer_is_no_burst(pace: float, autojump_clock: object) -> None:
    assert no_burst.judge(await driven(paced(pace), "subscribe")).verdict == "conforms"


async def test_without_timestamps_a_fast_producer_is_not_called_a_burst(autojump_clock: object) -> None:
    fast = Specimen("fast", "", (), "subscribe", configure=lambda config: untimed(long_job(config, 500, 0.0)))
    judgement = no_burst.judge(await driven(fast, "subscribe"))
    assert judgement.verdict == "inconclusive"
    assert "dialect.timestamp" in judgement.reason


async def test_the_server_is_not_blamed_for_our_own_buffer(autojump_clock: object) -> None:
    known = await driven(paced(0.1), "buffering-middlebox")
    assert no_burst.judge(known).verdict == "conforms"
    assert delivery.judge(known).verdict == "conforms"


@pytest.mark.parametrize(
    ("padding", "verdict"), [(0, "broken"), (64, "broken"), (2048, "conforms"), (4096, "conforms")]
)
async def test_padding_is_seen_to_work_or_not(padding: int, verdict: str, autojump_clock: object) -> None:
    recorded = forgotten(await driven(padded(padding)))
    judgement = no_burst.judge(recorded)
    assert judgement.verdict == verdict, judgement
    assert delivery.judge(recorded).verdict == verdict
    if verdict == "broken":
        assert size_in(judgement.reason) == pytest.approx(MIDDLEBOX, rel=0.25)


@pytest.mark.parametrize(("pace", "verdict"), [(0.1, "broken"), (0.01, "conforms")])
async def test_more_frequent_events_are_seen_to_get_through(
    pace: float, verdict: str, autojump_clock: object
) -> None:
    recorded = forgotten(await driven(paced(pace), "buffering-middlebox"))
    assert no_burst.judge(recorded).verdict == verdict
    assert delivery.judge(recorded).verdict == verdict


async def test_the_figures_show_what_the_middlebox_did(autojump_clock: object) -> None:
    plain, helped = (
        figures(await driven(paced(0.1), "buffering-middlebox")),
        figures(await driven(padded(2048))),
    )
    assert size_in(plain["buffer"]) == pytest.approx(MIDDLEBOX, rel=0.25)
    assert int(plain["largest burst"].partition(" ")[0]) > 20
    assert "largest burst" not in helped
    assert float(plain["worst lag"].removesuffix(" s")) > 2
    assert float(helped["worst lag"].removesuffix(" s")) < 0.3
    assert plain["held by the link"] == plain["worst lag"]


def rewriting(old: bytes, new: bytes) -> Specimen:
    def make(_: Request) -> Callable[[bytes], Iterable[bytes]]:
        return lambda data: [data.replace(old, new)]

    return Specimen(f"{old!r} to {new!r}", "", (), "subscribe", sending(make))


def cutting(size: int) -> Specimen:
    def make(_: Request) -> Callable[[bytes], Iterable[bytes]]:
        return lambda data: [data[at : at + size] for at in range(0, len(data), size)]

    return Specimen(f"in pieces of {size}", "", (), "subscribe", sending(make))


@pytest.mark.parametrize(
    "scenario", ["subscribe", "two-subscribers", "late-subscriber", "long-silence", "slow-network"]
)
@pytest.mark.parametrize(
    "decoy",
    [
        rewriting(b"\n", b"\r\n"),
        rewriting(b"\n", b"\r"),
        rewriting(b": ", b":"),
        cutting(7),
        padded(2048, lambda config: config),
    ],
    ids=lambda decoy: decoy.name,
)
async def test_no_rule_reports_a_server_that_only_looks_strange(
    decoy: Specimen, scenario: str, autojump_clock: object
) -> None:
    recorded = await driven(decoy, scenario)
    for rule in RULES:
        if scenario in rule.scenarios:
            judgement = judge_by(recorded, rule)
            assert judgement.verdict in {"conforms", "not-applicable"}, (rule.name, judgement)
