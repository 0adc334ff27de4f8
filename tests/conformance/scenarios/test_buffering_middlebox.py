"""A middlebox that lets nothing through shows nothing, and the history says why."""

import msgspec
import trio.testing

from conformance.config import Config
from conformance.dialect import Dialect
from conformance.specimens import REFERENCE, Specimen, examine
from fault_injection.virtual import VirtualNetwork


def _slow(config: Config) -> Config:
    """A job of a few short events that takes longer than the subscriber waits."""
    target, start = config.target, config.target.start
    assert start is not None
    start = msgspec.structs.replace(start, json={"events": 8, "interval": 60})
    return msgspec.structs.replace(config, target=msgspec.structs.replace(target, start=start))


def _slow_and_unknown(config: Config) -> Config:
    return msgspec.structs.replace(_slow(config), dialect=Dialect())


async def _concluded(specimen: Specimen) -> tuple[str, str]:
    history = await examine(specimen, VirtualNetwork(), scenario="buffering-middlebox")
    assert history.concluded is not None
    return history.concluded.outcome, history.concluded.reason


async def test_a_stream_that_ends_is_let_through(autojump_clock: trio.testing.MockClock) -> None:
    assert await _concluded(REFERENCE) == ("done", "")


async def test_a_stream_whose_end_was_due_is_not_judged(autojump_clock: trio.testing.MockClock) -> None:
    slow = Specimen("slow", "Takes its time.", (), "buffering-middlebox", configure=_slow)
    outcome, reason = await _concluded(slow)
    assert outcome == "unreached"
    assert "let nothing through, as less than 4 KiB came" in reason
    assert "Connection: close" in reason


async def test_a_stream_that_need_not_end_is_skipped(autojump_clock: trio.testing.MockClock) -> None:
    endless = Specimen("endless", "Need not end.", (), "buffering-middlebox", configure=_slow_and_unknown)
    outcome, reason = await _concluded(endless)
    assert outcome == "skipped"
    assert "endless stream" in reason
