"""What a network is to everything above it: addresses to listen on, addresses to connect to.

`SocketNetwork` is the machine's own; `fault_injection.virtual.VirtualNetwork` is in memory. Nothing above
this seam knows on which of the two it runs.
"""

import socket
import struct
import sys
from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol, TypeAlias

import trio
import trio.abc

Address: TypeAlias = tuple[str, int]

_BACKLOG = 128  # connections that may wait to be accepted
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER: on, zero seconds


class Connection(trio.abc.HalfCloseableStream):
    """One end of a connection: a half-closeable stream that can also be reset and knows its addresses."""

    local: Address
    peer: Address

    @property
    @abstractmethod
    def closed(self) -> bool:
        """Whether this end was closed or reset, and holds nothing any more."""

    @abstractmethod
    def reset(self) -> None:
        """End both directions at once; the peer's next receive or send raises `trio.BrokenResourceError`."""

    @abstractmethod
    def close_now(self) -> None:
        """What `aclose` does, which never waits."""

    @abstractmethod
    def end_now(self) -> None:
        """What `send_eof` does, which never waits."""

    # What follows spares tasks where a network can do without; it changes nothing of what happens.

    def send_now(self, data: bytes, /) -> int:
        """Send as much of this as takes no waiting; how many bytes that was. Raises as `send_all`."""
        return 0

    def receive_now(self, max_bytes: int, /) -> bytes | None:
        """What `receive_some` would give at once; None where it would have to wait. Raises as that does."""
        return None

    def watch(self, told: Callable[[], None] | None, /) -> bool:
        """From now on call this (and nobody else; None: nobody) whenever there is something to receive, or room to
        send, that was not there before, or an end. It must not raise. False: this network cannot tell.

        Who watches receives by `receive_now`, and nobody else receives meanwhile.
        """
        return False


class Listener(trio.abc.Listener[Connection]):
    """Where connections are accepted; closing it refuses new ones and leaves accepted ones alone."""

    address: Address

    @abstractmethod
    def pause(self) -> None:
        """Refuse connections, but keep the address. Those not accepted yet are reset. Not while a task accepts."""

    @abstractmethod
    def resume(self) -> None:
        """Accept connections again. Raises `OSError` if the system took the address away meanwhile."""


class Network(Protocol):
    """Where connections come from."""

    async def connect(self, host: str, port: int) -> Connection:
        """Connect. Raises `OSError` (`ConnectionRefusedError` where nobody listens)."""
        ...

    async def listen(self, host: str = "127.0.0.1", port: int = 0) -> Listener:
        """Listen; port 0 takes a free one. Raises `OSError` where the address is taken."""
        ...


class SocketConnection(Connection):
    """A TCP connection's end."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._broken = False
        self.local = _address(stream.socket.getsockname())
        try:
            self.peer = _address(stream.socket.getpeername())
        except OSError:  # the peer reset it between accept and here
            self.peer = ("", 0)

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        with self._remembering():
            await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        with self._remembering():
            await self._stream.wait_send_all_might_not_block()

    async def send_eof(self) -> None:
        with self._remembering():
            await self._stream.send_eof()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        with self._remembering():
            data = await self._stream.receive_some(max_bytes)
        if not data and self._broken:
            raise trio.BrokenResourceError("the peer reset this connection")
        return data

    async def aclose(self) -> None:
        await self._stream.aclose()

    def close_now(self) -> None:
        self._stream.socket.close()

    def end_now(self) -> None:
        with self._remembering():
            try:
                self._stream.socket.shutdown(socket.SHUT_WR)
            except OSError as error:
                raise trio.BrokenResourceError(str(error)) from error

    @property
    def closed(self) -> bool:
        return self._stream.socket.fileno() == -1

    def reset(self) -> None:
        sock = self._stream.socket
        if sock.fileno() != -1:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            sock.close()

    @contextmanager
    def _remembering(self) -> Iterator[None]:
        """The kernel tells of a reset once, to whichever call comes first; to the next it looks like an end."""
        try:
            yield
        except trio.BrokenResourceError:
            self._broken = True
            raise


class SocketListener(Listener):
    """A TCP listening socket."""

    def __init__(self, listener: trio.SocketListener) -> None:
        self._listener = listener
        self._held: socket.socket | None = None  # while paused: has the address, does not listen
        self.address = _address(listener.socket.getsockname())

    async def accept(self) -> Connection:
        return SocketConnection(await self._listener.accept())

    def pause(self) -> None:
        if self._held is None:
            old = self._listener.socket
            name = old.getsockname()
            self._held = socket.socket(old.family, old.type)
            if sys.platform != "win32":  # where it means something else
                self._held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if old.family == socket.AF_INET6:
                self._held.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)  # as trio's own
            old.close()
            self._held.bind(name)

    def resume(self) -> None:
        if self._held is not None:
            self._held.listen(_BACKLOG)
            self._listener = trio.SocketListener(trio.socket.from_stdlib_socket(self._held))
            self._held = None

    async def aclose(self) -> None:
        if self._held is not None:
            self._held.close()
        await self._listener.aclose()


class SocketNetwork:
    """The machine's own TCP."""

    async def connect(self, host: str, port: int) -> Connection:
        try:
            return SocketConnection(await trio.open_tcp_stream(host, port))
        except OSError as error:
            match error.__cause__:
                case ExceptionGroup(exceptions=[OSError() as first, *_]):  # one for each address of the host
                    raise first from None
            raise

    async def listen(self, host: str = "127.0.0.1", port: int = 0) -> Listener:
        listeners = await trio.open_tcp_listeners(port, host=host)
        for extra in listeners[1:]:  # a name with several addresses: one of them is enough
            await extra.aclose()
        return SocketListener(listeners[0])


def _address(name: tuple[str, int] | tuple[str, int, int, int]) -> Address:
    return name[0], name[1]
