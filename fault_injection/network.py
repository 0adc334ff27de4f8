"""What a network is to everything above it: addresses to listen on, addresses to connect to.

`SocketNetwork` is the machine's own; `fault_injection.virtual.VirtualNetwork` is in memory. Nothing above
this seam knows on which of the two it runs.
"""

import socket
import struct
from abc import abstractmethod
from typing import Protocol, TypeAlias

import trio
import trio.abc

Address: TypeAlias = tuple[str, int]

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER: on, zero seconds


class Connection(trio.abc.HalfCloseableStream):
    """One end of a connection: a half-closeable stream that can also be reset and knows its addresses."""

    local: Address
    peer: Address

    @abstractmethod
    def reset(self) -> None:
        """End both directions at once; the peer's next receive or send raises `trio.BrokenResourceError`."""


class Listener(trio.abc.Listener[Connection]):
    """Where connections are accepted; closing it refuses new ones and leaves accepted ones alone."""

    address: Address


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
        self.local = _address(stream.socket.getsockname())
        try:
            self.peer = _address(stream.socket.getpeername())
        except OSError:  # the peer reset it between accept and here
            self.peer = ("", 0)

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def send_eof(self) -> None:
        await self._stream.send_eof()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        return await self._stream.receive_some(max_bytes)

    async def aclose(self) -> None:
        await self._stream.aclose()

    def reset(self) -> None:
        sock = self._stream.socket
        if sock.fileno() != -1:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            sock.close()


class SocketListener(Listener):
    """A TCP listening socket."""

    def __init__(self, listener: trio.SocketListener) -> None:
        self._listener = listener
        self.address = _address(listener.socket.getsockname())

    async def accept(self) -> Connection:
        return SocketConnection(await self._listener.accept())

    async def aclose(self) -> None:
        await self._listener.aclose()


class SocketNetwork:
    """The machine's own TCP."""

    async def connect(self, host: str, port: int) -> Connection:
        return SocketConnection(await trio.open_tcp_stream(host, port))

    async def listen(self, host: str = "127.0.0.1", port: int = 0) -> Listener:
        listeners = await trio.open_tcp_listeners(port, host=host)
        for extra in listeners[1:]:  # a name with several addresses: one of them is enough
            await extra.aclose()
        return SocketListener(listeners[0])


def _address(name: tuple[str, int] | tuple[str, int, int, int]) -> Address:
    return name[0], name[1]
