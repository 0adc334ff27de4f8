"""What the harness can do with a server that it started: kill it, start it, ask it to end, see what is left of it."""

from typing import Literal, Protocol, TypeAlias

StopSignal: TypeAlias = Literal["SIGTERM", "SIGINT"]
"""The signals that ask a program to end; names, as numbers differ between systems."""


class Restartable(Protocol):
    """A server that the harness can end and start again at the same address."""

    @property
    def pid(self) -> int | None:
        """The number of its process; None where it has none of its own."""
        ...

    @property
    def children(self) -> tuple[int, ...]:
        """The numbers of the processes that the harness has for it: its own, and one that ends it should the harness be
        killed."""
        ...

    @property
    def ended(self) -> int | None:
        """Its exit code, if it has ended; negative where a signal ended it."""
        ...

    def last_words(self) -> str:
        """The last lines that it printed; "" where it printed nothing."""
        ...

    async def kill(self) -> None:
        """End it at once, without a word to anybody, and whatever is left of it."""
        ...

    async def start(self) -> None:
        """Start it, and return when it answers. Raises `ServerError`."""
        ...

    def send_signal(self, name: StopSignal) -> None:
        """Ask it to end, as its surroundings do: SIGTERM goes to the process that was started, as Docker and
        systemd's `KillMode=mixed` send it; SIGINT to its group, as Ctrl-C in a terminal does. Raises `ServerError`
        where it had ended before."""
        ...

    async def exited(self) -> int:
        """Wait for its end and give its exit code, negative where a signal ended it (-15: SIGTERM)."""
        ...

    def survivors(self) -> tuple[str, ...]:
        """Of a server that has exited: the processes it started that still run, each in words. Those in a session of
        their own, too, but for one whose environment cannot be read and that had no parent of the family any more when
        the server was asked to end."""
        ...

    async def listens(self) -> bool:
        """Whether connections to its address are accepted by anybody."""
        ...
