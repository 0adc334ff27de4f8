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
from collections.abc import Callable

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
        await trio.lowlevel.checkpoint_if_cancelled()
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
        self._accepting = False

    def arrive(self, connection: "VirtualConnection") -> None:
        """A client connected."""
        self._waiting.append(connection)
        self._changed.set()

    async def accept(self) -> "VirtualConnection":
        if self._accepting:
            raise trio.BusyResourceError("another task is accepting here")
        await trio.lowlevel.checkpoint_if_cancelled()
        self._accepting = True
        try:
            while not self._waiting:
                if self._closed:
                    raise trio.ClosedResourceError("this listener is closed")
                self._changed = trio.Event()
                await self._changed.wait()
            return self._waiting.popleft()
        finally:
            self._accepting = False

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
        self._receiving = False
        self._sending = False

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        self._check_alone()
        await trio.lowlevel.checkpoint_if_cancelled()
        self._check_sendable()
        pipe = self._outgoing
        if len(data) <= pipe.capacity - pipe.size and isinstance(data, bytes):
            if data:
                pipe.put(data)
            return
        rest = memoryview(data).cast("B")
        while rest:
            await self._wait_for_room()
            taken = min(len(rest), pipe.capacity - pipe.size)
            pipe.put(bytes(rest[:taken]))
            rest = rest[taken:]

    async def wait_send_all_might_not_block(self) -> None:
        self._check_alone()
        await trio.lowlevel.checkpoint_if_cancelled()
        self._check_sendable()
        await self._wait_for_room()

    async def send_eof(self) -> None:
        self._check_alone()
        await trio.lowlevel.checkpoint_if_cancelled()
        self.end_now()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        if max_bytes is not None and max_bytes < 1:
            raise ValueError("max_bytes must be 1 or more")
        if self._receiving:
            raise trio.BusyResourceError("another task is receiving here")
        await trio.lowlevel.checkpoint_if_cancelled()
        while (data := self.receive_now(max_bytes or _CHUNK)) is None:
            self._receiving = True
            try:
                await self._incoming.change()
            finally:
                self._receiving = False
        return data

    def send_now(self, data: bytes) -> int:
        self._check_alone()
        self._check_sendable()
        room = self._outgoing.capacity - self._outgoing.size
        piece = data if len(data) <= room else data[:room]
        if piece:
            self._outgoing.put(piece)
        return len(piece)

    def receive_now(self, max_bytes: int) -> bytes | None:
        if self._closed:
            raise trio.ClosedResourceError("this connection is closed")
        pipe = self._incoming
        if pipe.size:
            return pipe.take(max_bytes)
        if pipe.reset:
            raise trio.BrokenResourceError("the peer reset this connection")
        return b"" if pipe.ended else None

    def end_now(self) -> None:
        if self._closed:
            raise trio.ClosedResourceError("this connection is closed")
        if self._incoming.reset:
            raise trio.BrokenResourceError("the peer reset this connection")
        self._outgoing.end()

    def watch(self, told: Callable[[], None] | None) -> bool:
        self._incoming.receiver = self._outgoing.sender = told
        return True

    async def aclose(self) -> None:
        self.close_now()
        await trio.lowlevel.checkpoint_if_cancelled()

    def close_now(self) -> None:
        if not self._closed:
            if self._incoming.size:
                self.reset()
            else:
                self._closed = True
                self._incoming.abandon()
                self._outgoing.end()

    @property
    def closed(self) -> bool:
        return self._closed

    def reset(self) -> None:
        if not self._closed:
            self._closed = True
            self._incoming.abandon()
            self._outgoing.break_off()

    def _check_alone(self) -> None:
        if self._sending:
            raise trio.BusyResourceError("another task is sending here")

    def _check_sendable(self) -> None:
        if self._closed:
            raise trio.ClosedResourceError("this connection is closed")
        if self._outgoing.ended:
            raise trio.ClosedResourceError("cannot send after send_eof")
        if self._outgoing.abandoned:
            raise trio.BrokenResourceError("the peer closed or reset this connection")

    async def _wait_for_room(self) -> None:
        self._sending = True
        try:
            while self._outgoing.size >= self._outgoing.capacity:
                await self._outgoing.change()
                self._check_sendable()
        finally:
            self._sending = False


class _Pipe:
    """One direction of a connection: the sender's and the receiver's kernel buffer in one."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.size = 0
        self.ended = False  # the sender will send no more
        self.reset = False  # the sender reset the connection
        self.abandoned = False  # the receiver will receive no more
        self.sender: Callable[[], None] | None = None  # who watches that end
        self.receiver: Callable[[], None] | None = None
        self._chunks: deque[bytes | memoryview] = deque()
        self._changed: trio.Event | None = None  # somebody waits for it

    async def change(self) -> None:
        """Wait until something is different."""
        if self._changed is None:
            self._changed = trio.Event()
        await self._changed.wait()

    def put(self, data: bytes) -> None:
        """Bytes for which there is room."""
        self._chunks.append(data)
        self.size += len(data)
        self._tell(self.receiver)

    def take(self, limit: int) -> bytes:
        """The oldest chunk, or as much of it as the limit allows."""
        chunk = self._chunks.popleft()
        if len(chunk) > limit:
            view = memoryview(chunk)
            self._chunks.appendleft(view[limit:])
            chunk = view[:limit]
        was_full = self.size >= self.capacity
        self.size -= len(chunk)
        self._tell(self.sender if was_full else None)
        return bytes(chunk)

    def end(self) -> None:
        self.ended = True
        self._tell(self.receiver)

    def break_off(self) -> None:
        self.ended = self.reset = True
        self._tell(self.receiver)

    def abandon(self) -> None:
        self.abandoned = True
        self._chunks.clear()
        self.size = 0
        self._tell(self.sender)

    def _tell(self, watching: Callable[[], None] | None) -> None:
        if self._changed is not None:
            self._changed.set()
            self._changed = None
        if watching is not None:
            watching()


def _pair(client: Address, server: Address, capacity: int) -> tuple[VirtualConnection, VirtualConnection]:
    up, down = _Pipe(capacity), _Pipe(capacity)
    return VirtualConnection(client, server, down, up), VirtualConnection(server, client, up, down)


def _canonical(host: str) -> str:
    return "127.0.0.1" if host == "localhost" else host
