"""The moments at which an application and its server meet, and what may be made to happen there.

Between the two lie few boundaries: the application is called, it calls `receive` and `send`, these return, it
returns. What an application can get wrong about a disconnect depends on where it stands when it learns of it.
So each crossing is put before a `Moments`, which answers as data what shall happen there. Nothing here waits.

A boundary has a name that stays the same whenever the same schedule is driven again: `0.send.2.before` is the
third `send` of the first exchange, before anything of it is done.
"""

import random
from collections.abc import Mapping
from typing import Literal, Protocol, TypeAlias

import msgspec

Kind: TypeAlias = Literal["call", "receive", "send", "return"]
Side: TypeAlias = Literal["before", "after"]


class Boundary(msgspec.Struct, frozen=True):
    """One crossing. `exchange` and `index` count from 0; `call` and `return` happen once, and have no sides."""

    exchange: int
    kind: Kind
    index: int = 0
    side: Side = "before"

    @property
    def name(self) -> str:
        """Its name, for a plan or a replay file."""
        if self.kind in ("call", "return"):
            return f"{self.exchange}.{self.kind}"
        return f"{self.exchange}.{self.kind}.{self.index}.{self.side}"


class Choice(msgspec.Struct, frozen=True, omit_defaults=True):
    """What happens at a boundary.

    `delay`: seconds that the crossing takes; 0 lets the other runnable tasks go first; None: no waiting beyond
    what the flavour does by itself (asyncio: none, as uvicorn's `send` and `receive` do not yield while there is
    room; trio: a checkpoint). `cut`: the connection is reset here, before the delay; the client gets what was sent
    before it, and the application can know.
    """

    delay: float | None = None
    cut: bool = False


class News(msgspec.Struct, frozen=True, omit_defaults=True):
    """When an exchange learns that its client has gone: at once, or when it crosses the boundary `until`.

    If it does not come there, it learns `at_most` seconds after the disconnect.
    """

    until: str | None = None
    at_most: float = 60.0


UNDISTURBED = Choice()
AT_ONCE = News()


class Moments(Protocol):
    """Decides what happens at the boundaries."""

    def at(self, boundary: Boundary) -> Choice:
        """What happens at this crossing. Called once for each, in the order in which they happen."""
        ...

    def news(self, exchange: int) -> News:
        """When this exchange learns that its client has gone. Called once, at the disconnect."""
        ...


class Plan(msgspec.Struct, frozen=True, omit_defaults=True):
    """Choices by the name of their boundary, news by exchange; nothing happens elsewhere. JSON in and out."""

    choices: Mapping[str, Choice] = {}
    held: Mapping[int, News] = {}

    def at(self, boundary: Boundary) -> Choice:
        return self.choices.get(boundary.name, UNDISTURBED) if self.choices else UNDISTURBED

    def news(self, exchange: int) -> News:
        return self.held.get(exchange, AT_ONCE)


class Drawn:
    """Choices from a random source.

    At a crossing: with probability `pause` a delay, which is 0 in half of the cases, else up to `longest` seconds;
    with probability `cut` the connection is reset. With probability `hold` the news of a disconnect is held back
    for up to `longest` seconds.
    """

    def __init__(
        self,
        rng: random.Random,
        *,
        pause: float = 0.2,
        longest: float = 1.0,
        cut: float = 0.0,
        hold: float = 0.0,
    ) -> None:
        self._rng = rng
        self._pause = pause
        self._longest = longest
        self._cut = cut
        self._hold = hold

    def at(self, boundary: Boundary) -> Choice:
        rng = self._rng
        cut = rng.random() < self._cut
        if rng.random() >= self._pause:
            return Choice(cut=cut)
        return Choice(delay=0.0 if rng.random() < 0.5 else rng.uniform(0, self._longest), cut=cut)

    def news(self, exchange: int) -> News:
        if self._rng.random() >= self._hold:
            return AT_ONCE
        return News(until="never", at_most=self._rng.uniform(0, self._longest))


class Noted:
    """Passes on what another decides, and notes it: `crossed` in order, and `plan`, which replays it."""

    def __init__(self, inner: Moments | None = None) -> None:
        self.crossed: list[str] = []
        self._inner = inner or Plan()
        self._choices: dict[str, Choice] = {}
        self._held: dict[int, News] = {}

    @property
    def plan(self) -> Plan:
        """What was decided, without what changed nothing."""
        return Plan(choices=dict(self._choices), held=dict(self._held))

    def at(self, boundary: Boundary) -> Choice:
        choice = self._inner.at(boundary)
        self.crossed.append(boundary.name)
        if choice != UNDISTURBED:
            self._choices[boundary.name] = choice
        return choice

    def news(self, exchange: int) -> News:
        news = self._inner.news(exchange)
        if news != AT_ONCE:
            self._held[exchange] = news
        return news
