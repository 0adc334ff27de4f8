"""Draws schedules, through Hypothesis: so they shrink to the smallest that still fails."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from itertools import chain
from typing import Any

from hypothesis import strategies as st

from conformance.explore.play import Exploration
from conformance.explore.schedule import (
    OTHER,
    Beside,
    Break,
    Cancel,
    Choice,
    Hold,
    Late,
    Leave,
    Order,
    Schedule,
    Unaware,
)
from fault_injection.faults import AtTrigger, Disconnect, Fault, Latency, Slice
from fault_injection.strategies import faults

_SECONDS = (0.0, 0.001, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0)
_AT_ONCE = (0.0, 0.001, 0.05)
_UNNOTICED = (0.1, 0.25, 0.5, 1.0)
_MOST_EVENTS = 12
_MOST_EXCHANGES = 6
_SLOW = ("*.send.*.before", "*.send.*.after", "1.send.*.before", "2.send.*.before")  # a slow client
_NOTHING: st.SearchStrategy[tuple[Choice, ...]] = st.just(())
_CUTS = (*(AtTrigger("events", count) for count in range(1, 6)), AtTrigger("completion"))


@contextmanager
def by_the_seed_alone() -> Iterator[None]:
    """What is drawn in this block depends on the seed, and not on what is imported.

    Hypothesis now and then draws a constant that stands in a module of the user's; which those are differs from process
    to process. There is no setting for that. Versions that do not do it (before 6.131) are left alone.
    """
    providers: Any = import_module("hypothesis.internal.conjecture.providers")
    collect = getattr(providers, "_get_local_constants", None)
    if collect is None:
        yield
        return
    none = providers.Constants()
    providers.CONSTANTS_CACHE.cache.clear()
    providers._get_local_constants = lambda: none
    try:
        yield
    finally:
        providers._get_local_constants = collect
        providers.CONSTANTS_CACHE.cache.clear()


def schedules_of(exploration: Exploration) -> st.SearchStrategy[Schedule]:
    """Schedules that can be played there."""
    cancel = exploration.config.target.cancel is not None
    return schedules(exploration.coming, beside=exploration.apart, cancel=cancel)


def schedules(
    subscribers: tuple[str, ...] = ("a", "b"), *, most: int = 5, beside: bool = False, cancel: bool = False
) -> st.SearchStrategy[Schedule]:
    """Schedules of about `most` choices at the most, for these subscribers. `beside`: some with other
    work; `cancel`: some in which the work is cancelled."""
    names = st.sampled_from(subscribers)
    seconds = st.sampled_from(_SECONDS)
    waits = st.sampled_from(_SECONDS[1:])
    leave = _leaves(names, waits, st.none() | seconds)
    unaware = st.builds(Unaware, waits)
    slow = st.builds(Hold, st.sampled_from(_SLOW), waits)
    hold = st.builds(Hold, _boundaries(), waits)
    kinds: tuple[st.SearchStrategy[Choice], ...] = (
        st.builds(Late, names, waits),
        slow,
        hold,
        unaware,
        leave,
        st.builds(Order, st.integers(1, 1_000)),
        st.builds(Break, _faults()),
    )
    alone = st.one_of(kinds).map(lambda choice: (choice,))
    overlap = st.tuples(_returns(names), st.builds(Unaware, st.sampled_from(_UNNOTICED)))
    together = (
        st.tuples(leave, unaware) | st.tuples(leave, slow | hold) | overlap
    )  # what most races at a leave take
    others = st.lists(alone | together, max_size=most)
    first = _in_half(_other_work(waits)) if beside else _NOTHING
    second = _in_half(_cancelled()) if cancel else _NOTHING
    return st.tuples(first, second, others).map(
        lambda parts: Schedule((*parts[0], *parts[1], *chain.from_iterable(parts[2])))
    )


def _in_half(choices: st.SearchStrategy[tuple[Choice, ...]]) -> st.SearchStrategy[tuple[Choice, ...]]:
    """In half of the schedules: what is looked for in the others must be left."""
    return _NOTHING | choices.map(tuple)  # which makes one alternative of it, and not as many as it has


def _other_work(waits: st.SearchStrategy[float]) -> st.SearchStrategy[tuple[Choice, ...]]:
    """Other work; now and then who watches it leaves."""
    begins = st.builds(Beside, st.just(0.0) | st.sampled_from(_SECONDS))
    leaves = _leaves(st.just(OTHER), waits, st.none() | st.sampled_from(_SECONDS))
    return st.tuples(begins) | st.tuples(begins, leaves)


def _cancelled() -> st.SearchStrategy[tuple[Choice, ...]]:
    """After some of its time, or just when an event has come."""
    seconds, events = st.sampled_from(_SECONDS), st.integers(0, _MOST_EVENTS)
    return st.tuples(
        st.builds(Cancel, seconds=seconds)
        | st.builds(Cancel, events=events)
        | st.builds(Cancel, events=events, seconds=seconds)
    )


def _leaves(
    names: st.SearchStrategy[str], waits: st.SearchStrategy[float], away: st.SearchStrategy[float | None]
) -> st.SearchStrategy[Leave]:
    """Each moment with the numbers that it looks at, and no others."""
    how = st.sampled_from(("fin", "rst"))
    at_once = st.builds(Leave, names, st.sampled_from(("before-head", "head")), how=how, away=away)
    events = st.builds(
        Leave, names, st.just("events"), count=st.integers(1, _MOST_EVENTS), how=how, away=away
    )
    time = st.builds(Leave, names, st.just("time"), seconds=waits, how=how, away=away)
    return at_once | events | time


def _returns(names: st.SearchStrategy[str]) -> st.SearchStrategy[Leave]:
    """Back before anybody could notice: two connections of one subscriber overlap, if the news takes its time."""
    how, away = st.sampled_from(("fin", "rst")), st.sampled_from(_AT_ONCE)
    head = st.builds(Leave, names, st.just("head"), how=how, away=away)
    return head | st.builds(Leave, names, st.just("events"), count=st.integers(1, 3), how=how, away=away)


def _faults() -> st.SearchStrategy[Fault]:
    """Faults under which a stream still comes to its end long before the patience does."""
    others = faults(
        kinds=(Latency, Disconnect),
        directions=("downstream",),
        most_seconds=2.0,
        most_connections=2,
        triggers=_CUTS,
    )
    small = st.builds(Slice, size=st.integers(1, 64))
    slow = st.builds(Slice, size=st.integers(64, 1024), gap=st.sampled_from((0.001, 0.01)))
    return others | small | slow


def _boundaries() -> st.SearchStrategy[str]:
    """Names of crossings, those of the first few calls first; one that does not happen changes nothing."""
    exchanges = st.sampled_from(("*", "1", "2")) | st.integers(0, _MOST_EXCHANGES).map(str)
    numbers = st.sampled_from(("*", "0", "1", "2")) | st.integers(0, _MOST_EVENTS).map(str)
    sides = st.sampled_from(("before", "after"))
    sends = st.tuples(exchanges, st.just("send"), numbers, sides)
    receives = st.tuples(exchanges, st.just("receive"), st.sampled_from(("*", "0", "1")), sides)
    calls = st.tuples(exchanges, st.sampled_from(("call", "return")))
    return st.one_of(sends, receives, calls).map(".".join)
