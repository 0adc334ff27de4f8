"""A schedule: what happens to the subscribers, the link and the application in one run, as data.

Nothing chosen is the plain run. Every choice is one departure from it, so a failing schedule that has been
shrunk says in a few words what it takes. A replay file holds one schedule, its seed, and what it broke.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

import msgspec
import trio

from conformance.asgi import Boundary, Moments, News
from conformance.asgi import Choice as MomentsChoice
from conformance.asgi.moments import AT_ONCE, UNDISTURBED
from conformance.files import read_small
from fault_injection.faults import Fault, Plan
from fault_injection.plans import describe

VERSION = 1

_HELD = 120.0  # seconds of virtual time

Seconds: TypeAlias = Annotated[float, msgspec.Meta(ge=0, le=86400)]
Count: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]
Name: TypeAlias = Annotated[str, msgspec.Meta(max_length=4096)]

_CROSSING = re.compile(r"(\*|\d{1,9})\.(call|return|(send|receive)\.(\*|\d{1,9})\.(before|after))")


class _Choice(msgspec.Struct, frozen=True, tag_field="choice", forbid_unknown_fields=True):
    """What all choices share: the name of their kind in JSON."""


class Late(_Choice, frozen=True, tag="late"):
    """A subscriber comes so many seconds after the work has begun."""

    subscriber: str
    seconds: Seconds


class Leave(_Choice, frozen=True, tag="leave"):
    """A subscriber leaves and comes back `away` seconds later with its last event ID; never, if None.

    It leaves the first of its connections that gets so far: `before-head` right after its request is sent,
    `head` when the response begins, `events` after `count` events, `time` after `seconds`.
    """

    subscriber: str
    when: Literal["before-head", "head", "events", "time"]
    count: Count = 0
    seconds: Seconds = 0.0
    how: Literal["fin", "rst"] = "fin"
    away: Seconds | None = None


class Hold(_Choice, frozen=True, tag="hold"):
    """Where the application crosses the boundary to its server, it is held up for `seconds`.

    `boundary` is named as in `conformance.asgi.moments`: `1.send.2.before` is the third `send` of the second
    exchange, before anything of it is done. `*` stands for every exchange, or every `send` or `receive`.
    Raises `ValueError` for what names none.
    """

    boundary: str
    seconds: Seconds

    def __post_init__(self) -> None:
        if _CROSSING.fullmatch(self.boundary) is None:
            raise ValueError(
                f"{self.boundary[:40]!r} names no boundary: write e.g. 1.send.2.before, *.receive.*.after, or 0.call"
            )


class Unaware(_Choice, frozen=True, tag="unaware"):
    """The application learns `seconds` late that a client has gone."""

    seconds: Seconds


class Break(_Choice, frozen=True, tag="fault"):
    """The link has this fault, after those of the choices before."""

    fault: Fault


class Order(_Choice, frozen=True, tag="order"):
    """Of tasks that could run at the same moment, another one goes first: the scheduler's seed."""

    seed: Count


class Beside(_Choice, frozen=True, tag="beside"):
    """Other work begins `seconds` after the first is asked for, and has a subscriber of its own: `OTHER`."""

    seconds: Seconds


class Cancel(_Choice, frozen=True, tag="cancel"):
    """The work is cancelled by request `seconds` after event number `events` has come to the first subscriber, counted
    over its connections; 0: after the work has begun. Where that event never comes it is not cancelled."""

    events: Count = 0
    seconds: Seconds = 0.0


OTHER = "other"
"""Who watches the other work."""

MOST_CHOICES = 200
"""In a schedule that is read: what is drawn has a dozen at the most, and each costs time."""

Choice: TypeAlias = Late | Leave | Hold | Unaware | Break | Order | Beside | Cancel


class Schedule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The choices of one run, in the order in which they were drawn."""

    choices: Annotated[tuple[Choice, ...], msgspec.Meta(max_length=MOST_CHOICES)] = ()

    @property
    def plan(self) -> Plan:
        """The faults of the link."""
        return Plan(tuple(choice.fault for choice in self.choices if isinstance(choice, Break)))

    @property
    def order(self) -> int:
        """The scheduler's seed; 0 where nothing was chosen."""
        return next((choice.seed for choice in reversed(self.choices) if isinstance(choice, Order)), 0)

    @property
    def moments(self) -> Moments:
        """What happens where the application crosses the boundary to its server."""
        holds = {choice.boundary: choice.seconds for choice in self.choices if isinstance(choice, Hold)}
        late = max((choice.seconds for choice in self.choices if isinstance(choice, Unaware)), default=None)
        return _Held(holds, late)

    @property
    def beside(self) -> Beside | None:
        """The other work; None where there is none."""
        return next((choice for choice in self.choices if isinstance(choice, Beside)), None)

    @property
    def cancel(self) -> Cancel | None:
        """When the work is cancelled; None where it is not."""
        return next((choice for choice in self.choices if isinstance(choice, Cancel)), None)

    def alone(self, subscriber: str) -> "Schedule":
        """The same without other work: what befalls who watches that befalls this subscriber."""
        return Schedule(
            tuple(
                msgspec.structs.replace(each, subscriber=subscriber)
                if isinstance(each, Leave | Late) and each.subscriber == OTHER
                else each
                for each in self.choices
                if not isinstance(each, Beside)
            )
        )

    def late(self, subscriber: str) -> float:
        """How many seconds after the beginning this subscriber comes."""
        return sum(
            each.seconds for each in self.choices if isinstance(each, Late) and each.subscriber == subscriber
        )

    def leaves(self, subscriber: str) -> tuple[Leave, ...]:
        """How this subscriber's connections end early, one after the other."""
        return tuple(
            each for each in self.choices if isinstance(each, Leave) and each.subscriber == subscriber
        )


@dataclass(frozen=True)
class _Held:
    """`Moments` by the names of boundaries, with `*` in them. After a while nothing is held up any more, so that what
    is left then is not left because of that."""

    holds: Mapping[str, float]
    late: float | None

    def at(self, boundary: Boundary) -> MomentsChoice:
        if not self.holds or trio.current_time() > _HELD:
            return UNDISTURBED
        exchange, kind, *rest = boundary.name.split(".")
        for index in dict.fromkeys((rest[0], "*")) if rest else ("",):
            for number in (exchange, "*"):
                name = ".".join((number, kind, index, rest[1])) if rest else f"{number}.{kind}"
                if name in self.holds:
                    return MomentsChoice(delay=min(self.holds[name], _HELD - trio.current_time()))
        return UNDISTURBED

    def news(self, exchange: int) -> News:
        return AT_ONCE if self.late is None else News(until="never", at_most=min(self.late, _HELD))


class Replay(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A replay file. `subject`: the application (`module:attr`) or `reference`. `breaks`: the rules that the
    schedule breaks, or at the level warn, where it breaks none. `strict`: a broken SHOULD counts as a broken MUST.
    `without`: names of rules that were left out. `digest`: SHA-256 of the history that it gives, in hexadecimal."""

    version: int = VERSION
    subject: Name
    config: Name | None = None
    seed: int = 0
    schedule: Schedule
    breaks: tuple[str, ...] = ()
    strict: bool = False
    without: tuple[str, ...] = ()
    digest: str = ""


class ReplayError(ValueError):
    """A file is no replay file that this version reads; the message says why."""


class _Versioned(msgspec.Struct):
    """What a file of any version says."""

    version: int = VERSION


def load_replay(path: Path) -> Replay:
    """Read a replay file. Raises `ReplayError`, `OSError`."""
    if path.exists() and not path.is_file():  # a pipe that nobody writes to would be waited for
        raise ReplayError(f"{path}: not a replay file: it is no regular file")
    try:
        content = read_small(path)
        version = msgspec.json.decode(content, type=_Versioned).version
        if not 1 <= version <= VERSION:
            raise ReplayError(
                f"{path}: version {version} of the format; this sse-conformance reads up to {VERSION}"
            )
        return msgspec.json.decode(content, type=Replay)
    except RecursionError:
        raise ReplayError(f"{path}: not a replay file: it is nested too deeply") from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ReplayError(f"{path}: not a replay file: {error}") from error


def save_replay(path: Path, replay: Replay) -> None:
    """Write a replay file."""
    path.write_bytes(msgspec.json.format(msgspec.json.encode(replay), indent=2) + b"\n")


def words(schedule: Schedule) -> list[str]:
    """The schedule in words, a line for each choice."""
    return [_phrase(choice) for choice in schedule.choices] or ["nothing out of the ordinary"]


def _phrase(choice: Choice) -> str:
    match choice:
        case Late(subscriber, seconds):
            return f"{_who(subscriber)} comes {seconds:g} s late"
        case Leave(subscriber=subscriber, how=how, away=away):
            back = "and does not come back" if away is None else f"and comes back {away:g} s later"
            return f"{_who(subscriber)} leaves {_moment(choice)} by {how.upper()} {back}"
        case Hold(boundary, seconds):
            return f"the application is held up for {seconds:g} s {_place(boundary)}"
        case Unaware(seconds):
            return f"the application learns {seconds:g} s late that a client has gone"
        case Break(fault):
            return f"the link: {describe(fault)}"
        case Beside(seconds):
            when = "at the same time" if seconds == 0 else f"{seconds:g} s later"
            return f"other work begins {when}, and somebody watches it"
        case Cancel(events, seconds):
            when = f"{seconds:g} s after" if seconds else "as soon as"
            return f"the work is cancelled {when} {f'event {events} has come' if events else 'it has begun'}"
        case Order(seed):
            return f"tasks that are ready at the same moment run in order {seed}"


def _who(subscriber: str) -> str:
    return "who watches the other work" if subscriber == OTHER else f"subscriber {subscriber}"


_EXPLAINED = {"call": "when it is called", "return": "when it returns"}


def _place(boundary: str) -> str:
    exchange, kind, *rest = boundary.split(".")
    of = "in every exchange" if exchange == "*" else f"in exchange {exchange}"
    if len(rest) != 2:
        return f"{_EXPLAINED.get(kind, kind)} {of}"
    index, side = rest
    which = f"each {kind}" if index == "*" else f"{kind} {index}"
    return f"{side} {which} {of}"


def _moment(leave: Leave) -> str:
    match leave.when:
        case "before-head":
            return "before the response begins"
        case "head":
            return "when the response begins"
        case "events":
            return f"after event {leave.count}"
        case "time":
            return f"after {leave.seconds:g} s"
