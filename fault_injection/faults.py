"""The vocabulary of faults: frozen data, read from and written to JSON.

One fault plan runs unchanged on every link: the virtual network, the embedded proxy, a real Toxiproxy.
Directions are Toxiproxy's: `downstream` is what the server sends to the subscriber, `upstream` what the
subscriber sends to the server. Times are seconds, sizes are bytes.
"""

import math
from typing import Literal, TypeAlias

import msgspec

Direction: TypeAlias = Literal["downstream", "upstream"]
Ending: TypeAlias = Literal["fin", "rst"]


class AtBytes(msgspec.Struct, frozen=True, tag="bytes", forbid_unknown_fields=True):
    """When this many bytes of the fault's direction have passed; the cut is exact, also inside a chunk.

    Looked at when bytes arrive: offset 0 is the arrival of the first byte, which does not pass.
    """

    offset: int

    def __post_init__(self) -> None:
        _check("offset", self.offset, least=0)


class AtTime(msgspec.Struct, frozen=True, tag="time", forbid_unknown_fields=True):
    """This many seconds after the connection was accepted."""

    seconds: float

    def __post_init__(self) -> None:
        _check("seconds", self.seconds, least=0)


class AtTrigger(msgspec.Struct, frozen=True, tag="trigger", forbid_unknown_fields=True):
    """Where a trigger of this name says so. The link's owner supplies the trigger (see `link.Trigger`);
    `argument` is handed to it, e.g. a count of events."""

    name: str
    argument: str | int | None = None

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError("a trigger needs a name")


When: TypeAlias = AtBytes | AtTime | AtTrigger


class _Fault(msgspec.Struct, frozen=True, kw_only=True, tag_field="fault", forbid_unknown_fields=True):
    """What all faults share: the direction they act on and the connections they hit.

    `connections` is how many of the link's connections, counted from the first, are hit; None: all of them.
    """

    direction: Direction = "downstream"
    connections: int | None = None

    def __post_init__(self) -> None:
        if self.connections is not None:
            _check("connections", self.connections, least=1)


class Latency(_Fault, frozen=True, tag="latency"):
    """Delays every chunk by `delay` ± `jitter` seconds (uniform); order is kept. Toxiproxy: latency."""

    delay: float
    jitter: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        _check("delay", self.delay, least=0)
        _check("jitter", self.jitter, least=0)
        if self.jitter > self.delay:
            raise ValueError(
                f"jitter ({self.jitter}) must not exceed delay ({self.delay}): bytes cannot arrive early"
            )


class Bandwidth(_Fault, frozen=True, tag="bandwidth"):
    """Lets at most this many bytes through each second. Toxiproxy: bandwidth."""

    bytes_per_second: float

    def __post_init__(self) -> None:
        super().__post_init__()
        _check("bytes_per_second", self.bytes_per_second, above=0)


class Slice(_Fault, frozen=True, tag="slice"):
    """Cuts every chunk into pieces of `size` ± `variation` bytes, `gap` seconds apart; the last piece of a
    chunk may be shorter. Toxiproxy: slicer."""

    size: int
    variation: int = 0
    gap: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        _check("size", self.size, least=1)
        _check("variation", self.variation, least=0)
        _check("gap", self.gap, least=0)
        if self.variation >= self.size:
            raise ValueError(
                f"variation ({self.variation}) must be less than size ({self.size}): no piece is empty"
            )


class Buffer(_Fault, frozen=True, tag="buffer"):
    """Holds bytes until `size` are there, or the oldest was held `flush_after` seconds, or the stream closes.

    Lets go in blocks of `size` bytes, as nginx, Cloud Run and gzip do to a stream. Toxiproxy has none.
    """

    size: int
    flush_after: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        _check("size", self.size, least=1)
        if self.flush_after is not None:
            _check("flush_after", self.flush_after, least=0)


class Disconnect(_Fault, frozen=True, tag="disconnect"):
    """Ends the connection at `when`: by FIN or RST. Toxiproxy: limit_data, reset_peer."""

    when: When
    how: Ending = "fin"


class Blackhole(_Fault, frozen=True, tag="blackhole"):
    """From `when` on, for `duration` seconds (None: for ever), bytes vanish; the connection stays up.

    While it holds for ever the end of the stream vanishes too; else the end arrives when it is over.
    Toxiproxy: timeout.
    """

    when: When
    duration: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.duration is not None:
            _check("duration", self.duration, above=0)


class SlowClose(_Fault, frozen=True, tag="slow_close"):
    """The end of the stream arrives `delay` seconds late. Toxiproxy: slow_close."""

    delay: float

    def __post_init__(self) -> None:
        super().__post_init__()
        _check("delay", self.delay, least=0)


class Refuse(_Fault, frozen=True, tag="refuse"):
    """Refuses new connections for `duration` seconds, counted from the first attempt (None: for ever).

    Its `connections` counts attempts, the refused ones included; that of the other faults counts connections
    that were let in. Its direction means nothing. Toxiproxy: a disabled proxy.
    """

    duration: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.duration is not None:
            _check("duration", self.duration, above=0)


Fault: TypeAlias = Latency | Bandwidth | Slice | Buffer | Disconnect | Blackhole | SlowClose | Refuse


class Plan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Faults in the order in which bytes meet them, from the sender to the receiver."""

    faults: tuple[Fault, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.faults)


def _check(name: str, value: float, *, least: float = -math.inf, above: float = -math.inf) -> None:
    if not math.isfinite(value):
        raise ValueError(f"{name} must be a finite number, not {value}")
    if value < least:
        raise ValueError(f"{name} must be {least:g} or more, not {value}")
    if value <= above:
        raise ValueError(f"{name} must be more than {above:g}, not {value}")
