"""A look into the server's processes from outside: what it and its children hold of the system."""

from collections.abc import Callable, Iterator

import psutil

from conformance.probes.reading import Reading

DESCRIPTORS = "process.descriptors"
THREADS = "process.threads"
MEMORY = "process.memory"
CHILDREN = "process.children"
SOCKETS = "process.sockets"
CLOSE_WAIT = "process.close-wait"
ESTABLISHED = "process.established"

NAMES = (DESCRIPTORS, THREADS, MEMORY, CHILDREN, SOCKETS, CLOSE_WAIT, ESTABLISHED)
"""All gauges of this probe. Memory is what is resident, in bytes; sockets are those of TCP, listening ones included."""

_MOST = 500  # processes


def read_process(pid: int) -> tuple[Reading, ...]:
    """The gauges of a process and all that descend from it, summed. Where one of them may not be looked into, or the
    system does not tell, the gauge has no value, and why. Takes some milliseconds, and waits for nothing."""
    try:
        root = psutil.Process(pid)
        family = [root, *root.children(recursive=True)]
        if root.status() == psutil.STATUS_ZOMBIE:
            return tuple(Reading(name, None, f"process {pid} has ended") for name in NAMES)
    except psutil.NoSuchProcess:
        return tuple(Reading(name, None, f"there is no process {pid} on this machine") for name in NAMES)
    except psutil.AccessDenied:
        return tuple(Reading(name, None, f"process {pid} may not be looked into") for name in NAMES)
    if len(family) > _MOST:
        return tuple(Reading(name, None, f"process {pid} has over {_MOST} descendants") for name in NAMES)
    states = _states(family)
    return (
        _summed(DESCRIPTORS, family, _descriptors),
        _summed(THREADS, family, _threads),
        _summed(MEMORY, family, lambda process: float(process.memory_info().rss)),
        Reading(CHILDREN, float(len(family) - 1)),
        _counted(SOCKETS, states, None),
        _counted(CLOSE_WAIT, states, psutil.CONN_CLOSE_WAIT),
        _counted(ESTABLISHED, states, psutil.CONN_ESTABLISHED),
    )


class _Unseen(Exception):
    """The system does not tell; the message says why."""


def _summed(name: str, family: list[psutil.Process], of: Callable[[psutil.Process], float]) -> Reading:
    try:
        return Reading(name, sum(_each(family, of)))
    except _Unseen as unseen:
        return Reading(name, None, str(unseen))


def _each(family: list[psutil.Process], of: Callable[[psutil.Process], float]) -> Iterator[float]:
    for process in family:
        try:
            yield of(process)
        except psutil.NoSuchProcess:  # it ended just now, or waits as a zombie, which holds nothing
            continue
        except psutil.AccessDenied as denied:
            raise _Unseen(f"process {process.pid} may not be looked into") from denied


def _threads(process: psutil.Process) -> float:
    return 0.0 if process.status() == psutil.STATUS_ZOMBIE else float(process.num_threads())


def _descriptors(process: psutil.Process) -> float:
    if not hasattr(process, "num_fds"):
        raise _Unseen("this system does not count descriptors")
    return float(process.num_fds())


def _states(family: list[psutil.Process]) -> list[str] | _Unseen:
    """The states of all TCP sockets; a socket that processes share counts once."""
    found: dict[tuple[object, ...], str] = {}
    for process in family:
        try:
            for socket in process.net_connections(kind="tcp"):
                found[socket.family, socket.laddr, socket.raddr] = socket.status
        except psutil.NoSuchProcess:
            continue
        except psutil.AccessDenied:
            return _Unseen(f"process {process.pid} may not be looked into")
    return list(found.values())


def _counted(name: str, states: list[str] | _Unseen, state: str | None) -> Reading:
    if isinstance(states, _Unseen):
        return Reading(name, None, str(states))
    return Reading(name, float(len(states) if state is None else states.count(state)))
