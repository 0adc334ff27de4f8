"""Drives a `Link` through a made-up history of what its senders do, and keeps what came out."""

import random
from dataclasses import dataclass
from typing import Literal, TypeAlias

from fault_injection.faults import Direction, Fault, Plan
from fault_injection.link import Action, Fired, Link, Reset, Send, SendEof
from fault_injection.triggers import Triggers

BORN = 100.0

What: TypeAlias = bytes | Literal["fin", "rst"]


@dataclass(frozen=True)
class Fed:
    """What a sender does; `time` counts from when the connection was accepted."""

    time: float
    what: What
    direction: Direction = "downstream"


@dataclass(frozen=True)
class Outcome:
    """What came out, each with the time at which it did, counted as in `Fed`."""

    link: Link
    actions: list[tuple[float, Action]]

    def sent(self, direction: Direction = "downstream") -> list[tuple[float, bytes]]:
        return [(at, a.data) for at, a in self.actions if isinstance(a, Send) and a.direction == direction]

    def data(self, direction: Direction = "downstream") -> bytes:
        return b"".join(data for _, data in self.sent(direction))

    def eof(self, direction: Direction = "downstream") -> list[float]:
        return [at for at, a in self.actions if isinstance(a, SendEof) and a.direction == direction]

    def resets(self) -> list[float]:
        return [at for at, action in self.actions if isinstance(action, Reset)]

    def fired(self) -> list[Fired]:
        return [action for _, action in self.actions if isinstance(action, Fired)]


def make_link(
    *faults: Fault,
    seed: int = 0,
    connection: int = 0,
    triggers: Triggers | None = None,
    born: float = BORN,
) -> Link:
    plan = Plan(faults)
    return Link(plan, connection=connection, rng=random.Random(seed), now=born, triggers=triggers)


def feed(link: Link, fed: Fed, born: float = BORN) -> None:
    if isinstance(fed.what, bytes):
        link.receive(fed.direction, fed.what, born + fed.time)
    elif fed.what == "fin":
        link.receive_eof(fed.direction, born + fed.time)
    else:
        link.receive_reset(fed.direction, born + fed.time)


def drive(link: Link, feeds: list[Fed], *, until: float | None = None, born: float = BORN) -> Outcome:
    """Feed in order of time, advance exactly when the link asks for it, then go on until it asks no more."""
    actions: list[tuple[float, Action]] = []

    def advance(now: float) -> None:
        actions.extend((round(now - born, 9), action) for action in link.advance(now))

    def go_on(until: float | None) -> None:
        steps = 0
        while (now := link.next_time()) is not None and (until is None or now <= born + until):
            advance(now)
            steps += 1
            assert steps < 1_000_000, "the link never comes to rest"

    advance(born)
    for fed in feeds:
        go_on(fed.time)
        feed(link, fed, born)
        advance(born + fed.time)
    go_on(until)
    return Outcome(link, actions)
