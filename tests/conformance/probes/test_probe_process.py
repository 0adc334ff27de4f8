"""What a process holds, seen from outside: it rises with what the process takes, and is said to be unknown else."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import pytest

from conformance.probes import process, read_process

# Does what it is told, a word a line, and answers each.
SUBJECT = """
import socket, subprocess, sys, threading
held, forever = [], threading.Event()
for line in sys.stdin:
    word, _, rest = line.strip().partition(" ")
    if word == "descriptors":
        held += [open("/dev/null") for _ in range(int(rest))]
    elif word == "threads":
        for _ in range(int(rest)):
            threading.Thread(target=forever.wait, daemon=True).start()
    elif word == "memory":
        held.append(bytearray(b"x" * int(rest)))
    elif word == "children":
        held += [subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) for _ in range(int(rest))]
    elif word == "zombies":
        held += [subprocess.Popen([sys.executable, "-c", ""]) for _ in range(int(rest))]
    elif word == "grandchildren":
        code = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'input()'], stdin=0); print(); input()"
        child = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        child.stdout.readline()
        held.append(child)
    elif word == "connect":
        held.append(socket.create_connection(("127.0.0.1", int(rest))))
    print("done", flush=True)
for each in held:
    if isinstance(each, subprocess.Popen):
        each.kill()
"""


class Subject:
    def __init__(self, running: "subprocess.Popen[str]") -> None:
        self._running = running
        self.pid = running.pid

    def tell(self, *words: object) -> dict[str, float | None]:
        """What the gauges show when this has been done."""
        assert self._running.stdin is not None
        assert self._running.stdout is not None
        print(*words, file=self._running.stdin, flush=True)
        assert self._running.stdout.readline() == "done\n"
        return gauges(self.pid)


def gauges(pid: int) -> dict[str, float | None]:
    return {reading.name: reading.value for reading in read_process(pid)}


@contextmanager
def running() -> Iterator[Subject]:
    with subprocess.Popen(
        [sys.executable, "-c", SUBJECT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield Subject(process)
        assert process.stdin is not None
        process.stdin.close()
        process.wait(10)


@pytest.fixture
def subject() -> Iterator[Subject]:
    with running() as one:
        one.tell("begin")
        yield one


def change(after: dict[str, float | None], before: dict[str, float | None], name: str) -> float:
    one, two = after[name], before[name]
    assert one is not None
    assert two is not None
    return one - two


@pytest.mark.skipif(not hasattr(psutil.Process, "num_fds"), reason="this system does not count descriptors")
def test_descriptors_threads_and_memory_are_counted(subject: Subject) -> None:
    start = gauges(subject.pid)
    assert change(subject.tell("descriptors", 7), start, process.DESCRIPTORS) == 7
    assert change(subject.tell("threads", 5), start, process.THREADS) == 5
    assert change(subject.tell("memory", 20_000_000), start, process.MEMORY) >= 19_000_000


def test_children_and_what_they_hold_belong_to_the_server(subject: Subject) -> None:
    start = gauges(subject.pid)
    after = subject.tell("children", 2)
    assert change(after, start, process.CHILDREN) == 2
    assert change(after, start, process.THREADS) == 2
    assert change(after, start, process.MEMORY) > 2_000_000


def test_children_that_nobody_reaps_hold_nothing_and_are_children(subject: Subject) -> None:
    start = gauges(subject.pid)
    subject.tell("zombies", 3)
    family = psutil.Process(subject.pid).children()
    for _ in range(200):
        if all(child.status() == psutil.STATUS_ZOMBIE for child in family):
            break
        subject.tell("nothing")
    after = gauges(subject.pid)
    assert change(after, start, process.CHILDREN) == 3
    assert change(after, start, process.THREADS) == 0


def test_the_children_of_children_belong_to_the_server(subject: Subject) -> None:
    start = gauges(subject.pid)
    assert change(subject.tell("grandchildren"), start, process.CHILDREN) == 2


def test_a_process_that_has_ended_and_is_not_reaped_has_no_gauges() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as ended:
        assert ended.stdin is not None
        ended.stdin.close()
        while psutil.Process(ended.pid).status() != psutil.STATUS_ZOMBIE:
            pass
        assert {(reading.value, reading.detail) for reading in read_process(ended.pid)} == {
            (None, f"process {ended.pid} has ended")
        }


def test_a_socket_whose_peer_has_closed_waits_to_be_closed(subject: Subject) -> None:
    start = gauges(subject.pid)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        connected = subject.tell("connect", listener.getsockname()[1])
        peer, _ = listener.accept()
        assert change(connected, start, process.SOCKETS) == 1
        assert change(connected, start, process.ESTABLISHED) == 1
        assert change(connected, start, process.CLOSE_WAIT) == 0
        peer.close()
        closed = subject.tell("nothing")  # the answer comes after the FIN: both went through this machine
        assert change(closed, start, process.CLOSE_WAIT) == 1
        assert change(closed, start, process.ESTABLISHED) == 0
        assert change(closed, start, process.SOCKETS) == 1


def test_a_process_that_is_gone_has_no_gauges_and_a_reason() -> None:
    with running() as one:
        pid = one.pid
    readings = read_process(pid)
    assert [reading.name for reading in readings] == list(process.NAMES)
    assert all(reading.value is None and f"process {pid}" in reading.detail for reading in readings)


def test_a_gauge_that_may_not_be_read_has_no_value_and_the_others_have(
    subject: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(_self: psutil.Process) -> int:
        raise psutil.AccessDenied(subject.pid)

    monkeypatch.setattr(psutil.Process, "num_threads", denied)
    found = {reading.name: reading for reading in read_process(subject.pid)}
    assert found[process.THREADS].value is None
    assert f"process {subject.pid} may not be looked into" in found[process.THREADS].detail
    assert found[process.MEMORY].value
