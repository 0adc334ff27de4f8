"""Whom the keeper ends when the harness is gone, and whom not."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator

import psutil
import pytest

from conformance.drive import keeper

MARK = "SSE_CONFORMANCE_TEST_OF_THE_KEEPER"
WAITS = "import signal; print('ready', flush=True); signal.pause()"
HAS_A_CHILD = (
    f"import signal, subprocess, sys; subprocess.Popen([sys.executable, '-c', {WAITS!r}]); signal.pause()"
)

Started = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def started() -> Iterator[Started]:
    """Starts Python in a session of its own, and waits until it says that it is ready."""
    processes: list[subprocess.Popen[str]] = []

    def start(code: str, *variables: str) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [sys.executable, "-c", code],
            env={**os.environ, **dict.fromkeys(variables, "1")},
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        processes.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def keep(told: str, *ended: "subprocess.Popen[str]") -> list[int]:
    """A keeper hears this from a harness that is gone then. How those end that it should end, once it has."""
    with subprocess.Popen(
        [sys.executable, "-P", keeper.__file__, MARK], stdin=subprocess.PIPE, text=True
    ) as kept:
        assert kept.stdin is not None
        kept.stdin.write(told)
        kept.stdin.close()
        codes = [process.wait(20) for process in ended]
        assert kept.wait(20) == 0
    return codes


def line(process: "subprocess.Popen[str]", later: float = 0.0) -> str:
    """What a keeper is told of it; as if it had begun so many seconds later."""
    return f"{process.pid} {psutil.Process(process.pid).create_time() + later}\n"


def test_who_carries_the_mark_is_ended_and_nobody_else(started: Started) -> None:
    marked, other, bare = started(WAITS, MARK), started(WAITS, MARK + "S"), started(WAITS)
    assert keep("", marked) == [-signal.SIGTERM]
    assert other.poll() is bare.poll() is None


def test_who_was_told_of_is_ended_with_its_children(started: Started) -> None:
    server = started(HAS_A_CHILD)
    (child,) = psutil.Process(server.pid).children()
    assert keep(line(server), server) == [-signal.SIGTERM]
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


def test_who_has_the_number_of_a_server_by_now_is_left_alone(started: Started) -> None:
    other, server = started(WAITS), started(WAITS)
    assert keep(line(other, later=-3600.0) + line(server), server) == [-signal.SIGTERM]
    assert other.poll() is None


def test_a_server_that_had_ended_before_is_nobody_s(started: Started) -> None:
    server, marked = started(WAITS), started(WAITS, MARK)
    told = line(server)
    server.kill()
    server.wait(5)
    assert keep(told, marked) == [-signal.SIGTERM]


def test_nobody_is_ended_where_all_is_well(started: Started) -> None:
    server = started(WAITS, MARK)
    assert keep(line(server) + ".") == []
    assert server.poll() is None
