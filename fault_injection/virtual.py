"""A network in memory: listeners and connections that behave as TCP on one Linux machine does.

Runs on any clock, costs no descriptors, and is deterministic: ports count up, every byte has its place. Where
TCP leaves a choice, this one always makes the same:

* `receive_some` gives what one `send_all` sent, or less; two sends are never joined.
* After the peer closed, the first `send_all` already raises `BrokenResourceError` (TCP accepts one more).
* What had arrived before a reset can still be received (as on Linux), then `BrokenResourceError`, for ever.
* Closing while received bytes are unread resets the peer instead of ending the stream (as on Linux).
"""

import errno
from collections import deque
from types import TracebackType

import trio

from fault_injection.network import Address, Connection, Listener

_CHUNK = 64 * 1024
_FIRST_PORT = 49152  # where IANA's range for private use begins (RFC 6335, section 6)


class VirtualNetwork:
    """Listeners and connections in memory. Any name is an address; `localhost` is `127.0.0.1`.

    `buffer_size`: how many bytes each direction of a connection takes before its sender must wait.
    """

    def __init__(self, *, buffer_size: int = 64 * 1024) -> None:
        if buffer_size < 1:
            raise ValueError(f"buffer_size must be 1 or more, not {buffer_size}")
        self._buffer_size = buffer_size
        self._listeners: dict[Address, VirtualListener] = {}
        self._next_port = _FIRST_PORT

    async def connect(self, host: str, port: int) -> "VirtualConnection":
        """Connect. Raises `ConnectionRefusedError` where nobody listens."""
        await trio.lowlevel.checkpoint()
        address = (_canonical(host), port)
        listener = self._listeners.get(address)
        if listener is None or listener.paused:
            raise ConnectionRefusedError(errno.ECONNREFUSED, f"nobody listens at {host}:{port}")
        ours, theirs = _pair(("127.0.0.1", self._free_port()), address, self._buffer_size)
        listener.arrive(theirs)
        return ours

    async def listen(self, host: str = "127.0.0.1", port: int = 0) -> "VirtualListener":
        """Listen; port 0 takes a free one. Raises `OSError` where the address is taken."""
        await trio.lowlevel.checkpoint()
        address = (_canonical(host), port or self._free_port())
        if address in self._listeners:
            raise OSError(errno.EADDRINUSE, f"somebody listens at {host}:{port} already")
        listener = self._listeners[address] = VirtualListener(address, self._listeners)
        return listener

    def _free_port(self) -> int:
        """Never gives a port twice: so an address names one connection in the whole of a history."""
        taken = {port for _, port in self._listeners}
        while self._next_port in taken:
            self._next_port += 1
        self._next_port += 1
        return self._next_port - 1


class VirtualListener(Listener):
    """Where virtual connections are accepted. Connections that nobody accepted are reset when it closes."""

    def __init__(self, address: Address, register: dict[Address, "VirtualListener"]) -> None:
        self.address = address
        self.paused = False
        self._register = register
        self._waiting: deque[VirtualConnection] = deque()
        self._changed = trio.Event()
        self._closed = False
        self._one_at_a_time = _OneAtATime("accepting")

    def arrive(self, connection: "VirtualConnection") -> None:
        """A client connected."""
        self._waiting.append(connection)
        self._changed.set()

    async def accept(self) -> "VirtualConnection":
        with self._one_at_a_time:
            await trio.lowlevel.checkpoint()
            while not self._waiting:
                if self._closed:
                    raise trio.ClosedResourceError("this listener is closed")
                self._changed = trio.Event()
                await self._changed.wait()
            return self._waiting.popleft()

    def pause(self) -> None:
        self.paused = True
        while self._waiting:
            self._waiting.popleft().reset()

    def resume(self) -> None:
        self.paused = False

    async def aclose(self) -> None:
        if not self._closed:
            self._closed = True
            self.pause()
            del self._register[self.address]
            self._changed.set()
        await trio.lowlevel.checkpoint()


class VirtualConnection(Connection):
    """One end of a virtual connection. Made by `VirtualNetwork`."""

    def __init__(self, local: Address, peer: Address, incoming: "_Pipe", outgoing: "_Pipe") -> None:
        self.local = local
        self.peer = peer
        self._incoming = incoming
        self._outgoing = outgoing
        self._closed = False
        self._receiving = _OneAtATime("receiving")
        self._sending = _OneAtATime("sending")

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        with self._sending:
            await trio.lowlevel.checkpoint()
            self._check_sendable()
            rest = memoryview(data).cast("B")
            while rest:
                await self._wait_for_room()
                taken = self._outgoing.put(rest)
                rest = rest[taken:]

    async def wait_send_all_might_not_block(self) -> None:
        with self._sending:
            await trio.lowlevel.checkpoint()
            self._check_sendable()
            await self._wait_for_room()

    async def send_eof(self) -> None:
        with self._sending:
            await trio.lowlevel.checkpoint()
            if self._closed:
                raise trio.ClosedResourceError("this connection is closed")
            if self._incoming.reset:
                raise trio.BrokenResourceError("the peer reset this connection")
            self._outgoing.end()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        if max_bytes is not None and max_bytes < 1:
            raise ValueError("max_bytes must be 1 or more")
        with self._receiving:
            await trio.lowlevel.checkpoint()
            pipe = self._incoming
            while True:
                if self._closed:
                    raise trio.ClosedResourceError("this connection is closed")
                if pipe.size:
                    return pipe.take(max_bytes or _CHUNK)
                if pipe.reset:
                    raise trio.BrokenResourceError("the peer reset this connection")
                if pipe.ended:
                    return b""
                await pipe.change()

    async def aclose(self) -> None:
        if not self._closed:
            if self._incoming.size:
                self.reset()
            else:
                self._closed = True
                self._incoming.abandon()
                self._outgoing.end()
        await trio.lowlevel.checkpoint()

    def reset(self) -> None:
        if not self._closed:
            self._closed = True
            self._incoming.abandon()
            self._outgoing.break_off()

    def _check_sendable(self) -> None:
        if self._closed:
            raise trio.ClosedResourceError("this connection is closed")
        if self._outgoing.ended:
            raise trio.ClosedResourceError("cannot send after send_eof")
        if self._outgoing.abandoned:
            raise trio.BrokenResourceError("the peer closed or reset this connection")

    async def _wait_for_room(self) -> None:
        while self._outgoing.size >= self._outgoing.capacity:
            await self._outgoing.change()
            self._check_sendable()


class _Pipe:
    """One direction of a connection: the sender's and the receiver's kernel buffer in one."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.size = 0
        self.ended = False  # the sender will send no more
        self.reset = False  # the sender reset the connection
        self.abandoned = False  # the receiver will receive no more
        self._chunks: deque[memoryview] = deque()
        self._changed = trio.Event()

    async def change(self) -> None:
        """Wait until something is different."""
        await self._changed.wait()

    def put(self, data: memoryview) -> int:
        """As many bytes as there is room for."""
        piece = memoryview(bytes(data[: self.capacity - self.size]))
        self._chunks.append(piece)
        self.size += len(piece)
        self._tell()
        return len(piece)

    def take(self, limit: int) -> bytes:
        """The oldest chunk, or as much of it as the limit allows."""
        chunk = self._chunks.popleft()
        if len(chunk) > limit:
            self._chunks.appendleft(chunk[limit:])
            chunk = chunk[:limit]
        self.size -= len(chunk)
        self._tell()
        return bytes(chunk)

    def end(self) -> None:
        self.ended = True
        self._tell()

    def break_off(self) -> None:
        self.ended = self.reset = True
        self._tell()

    def abandon(self) -> None:
        self.abandoned = True
        self._chunks.clear()
        self.size = 0
        self._tell()

    def _tell(self) -> None:
        self._changed.set()
        self._changed = trio.Event()


class _OneAtATime:
    """Raises `trio.BusyResourceError` when a second task does what one is doing, as trio's own streams do."""

    def __init__(self, doing: str) -> None:
        self._doing = doing
        self._busy = False

    def __enter__(self) -> None:
        if self._busy:
            raise trio.BusyResourceError(f"another task is {self._doing} here")
        self._busy = True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._busy = False


def _pair(client: Address, server: Address, capacity: int) -> tuple[VirtualConnection, VirtualConnection]:
    up, down = _Pipe(capacity), _Pipe(capacity)
    return VirtualConnection(client, server, down, up), VirtualConnection(server, client, up, down)


def _canonical(host: str) -> str:
    return "127.0.0.1" if host == "localhost" else host
