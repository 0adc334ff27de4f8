"""Who is told what happens on a proxy, so that it can be written down."""

from typing import Literal, TypeAlias

from fault_injection.faults import Direction
from fault_injection.link import Fired
from fault_injection.network import Address

HowClosed: TypeAlias = Literal["fin", "rst", "cancelled"]


class Observer:
    """Override what you want to hear of. Called at once and in order; must not block; an error in it ends the
    proxy. `connection` counts the connections that were let in, from 0; `time` is on the run's clock."""

    def accepted(self, connection: int, peer: Address, time: float) -> None:
        """A subscriber connected from `peer`."""

    def forwarded(self, connection: int, local: Address, time: float) -> None:
        """The proxy connected to the server; `local` is the peer that the server sees."""

    def ingress(self, connection: int, direction: Direction, data: bytes, time: float) -> None:
        """Bytes arrived at the link from a sender, before any fault."""

    def fired(self, connection: int, fired: Fired) -> None:
        """A fault acted."""

    def closed(self, connection: int, time: float, how: HowClosed) -> None:
        """The link let go of a connection: both directions ended, it was reset, or the proxy was told to end."""

    def refused(self, attempt: int, peer: Address, fired: Fired) -> None:
        """An attempt to connect was refused. `attempt` counts those that the proxy sees, from 0."""

    def upstream_unreachable(self, connection: int, error: OSError, time: float) -> None:
        """The server could not be connected to; the subscriber is reset."""
