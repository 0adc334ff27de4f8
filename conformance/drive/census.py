"""What the harness itself holds: connections, tasks, threads, sockets, child processes. After a scenario all of it
must be gone."""

import os
import re
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from weakref import WeakSet

import psutil
import trio

from conformance.drive.control import Restartable
from conformance.history import HARNESS_LEFT, HARNESS_LOOKED, Mark, Recorder
from fault_injection.network import Connection, Listener, Network

_IDLE = re.compile(r"Trio thread \d+")  # kept for the next who needs one, for ten seconds
_DESCRIPTORS = Path("/proc/self/fd")
_TASKS = Path("/proc/self/task")
_PATIENCE = 1.0  # seconds for a task or a thread that was told to end
_POLL = 0.01
_TURNS = 3  # of the event loop: what has said that it is over has then returned


class Counted:
    """A network that knows which of its connections are open."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._connections: WeakSet[Connection] = WeakSet()

    async def connect(self, host: str, port: int) -> Connection:
        """See `Network`."""
        connection = await self._network.connect(host, port)
        self._connections.add(connection)
        return connection

    async def listen(self, host: str = "127.0.0.1", port: int = 0) -> Listener:
        """See `Network`."""
        return await self._network.listen(host, port)

    def open(self) -> tuple[Connection, ...]:
        """The connections made here that were not closed."""
        return tuple(each for each in self._connections if not each.closed)


@dataclass(frozen=True)
class Census:
    """What the whole process holds, each by what tells it apart from others, and in words."""

    threads: dict[int, str]
    sockets: dict[str, str]
    processes: dict[int, str]

    def since(self, before: "Census", *, but: Collection[int] = ()) -> tuple[str, ...]:
        """What is here and was not before, in words, without the processes whose numbers are in `but`."""
        return (
            *(name for key, name in self.threads.items() if key not in before.threads),
            *(name for key, name in self.sockets.items() if key not in before.sockets),
            *(name for key, name in self.processes.items() if key not in before.processes and key not in but),
        )


def take_census() -> Census:
    """What this process holds now: its threads but for idle ones of trio's, its sockets, its children. Takes less
    than a millisecond on Linux."""
    return Census(
        threads={
            thread.ident or 0: f"the thread {thread.name}"
            for thread in threading.enumerate()
            if not _IDLE.fullmatch(thread.name)
        },
        sockets=dict(_sockets()),
        processes={pid: f"the child process {pid}" for pid in _children()},
    )


async def look_at_tasks(recorder: Recorder, nursery: trio.Nursery) -> None:
    """Write down which tasks of a scenario outlive it; those that are just ending are waited for."""
    for _ in range(_TURNS):
        await trio.lowlevel.checkpoint()
    deadline = trio.current_time() + _PATIENCE
    while nursery.child_tasks and trio.current_time() < deadline:  # noqa: ASYNC110  (nobody tells)
        await trio.sleep(_POLL)
    for task in nursery.child_tasks:
        _left(recorder, f"the task {task.name}")


async def look_back(recorder: Recorder, network: Counted, household: "Household | None") -> None:
    """Write down what is left of a scenario that is over: connections; and where nothing else is being driven now,
    what the process holds more than before anything was."""
    for connection in network.open():
        host, port = connection.peer
        _left(recorder, f"a connection to {host}:{port}")
    looked_at = "connection, task"
    if household is not None:
        deadline = trio.current_time() + _PATIENCE
        while household.alone and household.grown() and trio.current_time() < deadline:  # noqa: ASYNC110
            await trio.sleep(_POLL)
        if household.alone:
            looked_at += ", thread, socket, child process"
            for each in household.grown():
                _left(recorder, each)
    recorder.record(Mark(time=recorder.now(), what=HARNESS_LOOKED, detail=looked_at))


class Household:
    """What the process held before anything was driven, and how many scenarios are being driven.

    `servers` are those that the harness has started; their processes are none that it leaves behind.
    """

    def __init__(self) -> None:
        self.servers: list[Restartable] = []
        self._before = take_census()
        self._driven: list[tuple[str, int]] = []
        self._ended: dict[int, tuple[str, ...]] = {}

    @contextmanager
    def driving(self, name: str = "", server: int = 0) -> Iterator[None]:
        """A scenario of this name is being driven, on a server with this key."""
        self._driven.append((name, server))
        try:
            yield
        finally:
            self._driven.remove((name, server))

    @property
    def alone(self) -> bool:
        """Whether one is being driven and no other."""
        return len(self._driven) == 1

    def driven_at_the_end_of(self, server: int) -> tuple[str, ...]:
        """Which scenarios were being driven on a server when it was first seen to have ended; none where it was one
        alone. To be asked whenever one sees that it has."""
        found = self._ended.setdefault(server, tuple(name for name, key in self._driven if key == server))
        return found if len(found) > 1 else ()

    def grown(self) -> tuple[str, ...]:
        """What the process holds more than before, in words."""
        servers = [pid for server in self.servers for pid in server.children]
        return take_census().since(self._before, but=servers)


def _left(recorder: Recorder, what: str) -> None:
    recorder.record(Mark(time=recorder.now(), what=HARNESS_LEFT, detail=what))


def _sockets() -> Iterator[tuple[str, str]]:
    """What tells each socket apart, and words for it."""
    if not _DESCRIPTORS.is_dir():
        for each in psutil.Process().net_connections("all"):
            yield str(each), f"the socket {each.laddr} to {each.raddr}"
        return
    for name in os.listdir(_DESCRIPTORS):  # noqa: PTH208  (a fifth of the time)
        try:
            target = os.readlink(f"{_DESCRIPTORS}/{name}")  # noqa: PTH115
        except OSError:  # the one that is open for listing
            continue
        if target.startswith("socket:"):
            yield target, f"the {target} at descriptor {name}"


def _children() -> list[int]:
    """The numbers of this process's children."""
    try:
        lists = [
            Path(f"{_TASKS}/{task}/children").read_text("ascii")
            for task in os.listdir(_TASKS)  # noqa: PTH208
        ]
    except OSError:  # not on Linux, or a kernel without it, or a thread that has just ended
        return [child.pid for child in psutil.Process().children()]
    return [int(pid) for text in lists for pid in text.split()]
