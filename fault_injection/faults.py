"""The vocabulary of faults: frozen data, read from and written to JSON.

One fault plan runs unchanged on every link: the virtual network, the embedded proxy, a real Toxiproxy.
Directions are Toxiproxy's: `downstream` is what the server sends to the subscriber, `upstream` what the
subscriber sends to the server. Times are seconds, sizes are bytes.
"""

from typing import Literal, TypeAlias

import msgspec

Direction: TypeAlias = Literal["downstream", "upstream"]
Ending: TypeAlias = Literal["fin", "rst"]


class AtBytes(msgspec.Struct, frozen=True, tag="bytes", forbid_unknown_fields=True):
    """When this many bytes of the fault's direction have passed; the cut is exact, also inside a chunk."""

    offset: int


class AtTime(msgspec.Struct, frozen=True, tag="time", forbid_unknown_fields=True):
    """This many seconds after the connection was accepted."""

    seconds: float


class AtTrigger(msgspec.Struct, frozen=True, tag="trigger", forbid_unknown_fields=True):
    """Where a trigger of this name says so. The link's owner supplies the trigger (see `link.Trigger`);
    `argument` is handed to it, e.g. a count of events."""

    name: str
    argument: str | int | None = None


When: TypeAlias = AtBytes | AtTime | AtTrigger


class _Fault(msgspec.Struct, frozen=True, kw_only=True, tag_field="fault", forbid_unknown_fields=True):
    """What all faults share: the direction they act on and the connections they hit.

    `connections` is how many of the link's connections, counted from the first, are hit; None: all of them.
    """

    direction: Direction = "downstream"
    connections: int | None = None


class Latency(_Fault, frozen=True, tag="latency"):
    """Delays every chunk by `delay` ± `jitter` seconds (uniform); order is kept. Toxiproxy: latency."""

    delay: float
    jitter: float = 0.0


class Bandwidth(_Fault, frozen=True, tag="bandwidth"):
    """Lets at most this many bytes through each second. Toxiproxy: bandwidth."""

    bytes_per_second: float


class Slice(_Fault, frozen=True, tag="slice"):
    """Re-cuts the bytes into pieces of `size` ± `variation` bytes, `gap` seconds apart. Toxiproxy: slicer."""

    size: int
    variation: int = 0
    gap: float = 0.0


class Buffer(_Fault, frozen=True, tag="buffer"):
    """Holds bytes until `size` are there, or the oldest was held `flush_after` seconds, or the stream closes.

    What nginx, Cloud Run and gzip do to a stream. Toxiproxy has none.
    """

    size: int
    flush_after: float | None = None


class Disconnect(_Fault, frozen=True, tag="disconnect"):
    """Ends the connection at `when`: by FIN or RST. Toxiproxy: limit_data, reset_peer."""

    when: When
    how: Ending = "fin"


class Blackhole(_Fault, frozen=True, tag="blackhole"):
    """From `when` on, for `duration` seconds (None: for ever), bytes vanish; the connection stays up.

    Toxiproxy: timeout.
    """

    when: When
    duration: float | None = None


class SlowClose(_Fault, frozen=True, tag="slow_close"):
    """The end of the stream arrives `delay` seconds late. Toxiproxy: slow_close."""

    delay: float


class Refuse(_Fault, frozen=True, tag="refuse"):
    """Refuses new connections for `duration` seconds, counted from the first attempt (None: for ever).

    Toxiproxy: a disabled proxy.
    """

    duration: float | None = None


Fault: TypeAlias = Latency | Bandwidth | Slice | Buffer | Disconnect | Blackhole | SlowClose | Refuse


class Plan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Faults in the order in which bytes meet them, from the sender to the receiver."""

    faults: tuple[Fault, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.faults)
