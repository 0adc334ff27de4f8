"""A server that the harness started is asked to end: its exit, its code, its processes, its port."""

import os
import re
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil
import pytest
import trio

from conformance.drive.control import StopSignal
from conformance.drive.server_process import ServerError, ServerProcess
from fault_injection.network import SocketNetwork

SERVER = """
import os, signal, socket, subprocess, sys
port, *words = sys.argv[1:]
listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind(("127.0.0.1", int(port)))
if "child" in words:
    inherited = {"pass_fds": [listener.fileno()]} if "listening" in words else {}
    escapes = {"start_new_session": True} if "escapes" in words else {}
    ignore = "import signal; [signal.signal(s, signal.SIG_IGN) for s in (2, 15)]"
    code = ignore + "; print('ready', flush=True); signal.pause()"
    if "orphan" in words:
        code = "os.fork() and os._exit(0); " + code
    if "daemon" in words:
        code = "os.setsid(); " + code
    code = "import os; " + code
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, **inherited, **escapes)
    child.stdout.readline()
    if "orphan" in words:
        child.wait()
def end(number, frame):
    sys.exit(7 if "crashes" in words else 0)
if "default" not in words:
    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
print("ready", flush=True)
listener.listen()
while True:
    connection, _ = listener.accept()
    connection.close()
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def make(folder: Path, *words: str, wrapper: Sequence[str] = ()) -> ServerProcess:
    port = free_port()
    script = folder / "server.py"
    script.write_text(SERVER)
    return started_by([*wrapper, sys.executable, str(script), str(port), *words], port, folder)


def started_by(command: Sequence[str], port: int, folder: Path) -> ServerProcess:
    return ServerProcess(
        command,
        network=SocketNetwork(),
        origin=f"http://127.0.0.1:{port}",
        ready=None,
        log=folder / "server.log",
        patience=20,
        stop_patience=5,
    )


async def ended(server: ServerProcess, name: StopSignal) -> int:
    server.send_signal(name)
    with trio.fail_after(10):
        return await server.exited()


async def settles(holds: Callable[[], bool]) -> bool:
    """Whether it comes true; the system takes a moment."""
    with trio.move_on_after(5):
        while not holds():  # noqa: ASYNC110  (nobody tells)
            await trio.sleep(0.02)
        return True
    return False


@pytest.mark.parametrize(
    ("words", "name", "code"),
    [
        ((), "SIGTERM", 0),
        ((), "SIGINT", 0),
        (("default",), "SIGTERM", -15),
        (("default",), "SIGINT", -2),  # Python ends itself by the signal that it raised KeyboardInterrupt for
        (("crashes",), "SIGTERM", 7),
    ],
)
async def test_its_exit_code_is_given(
    tmp_path: Path, words: tuple[str, ...], name: StopSignal, code: int
) -> None:
    server = make(tmp_path, *words)
    async with server.running():
        assert await server.listens()
        assert await ended(server, name) == code
        assert server.survivors() == ()
        assert not await server.listens()
        await server.kill()
        await server.start()
        assert await server.listens()


@pytest.mark.parametrize("words", [("child",), ("child", "escapes"), ("child", "orphan", "daemon")])
async def test_what_it_started_is_found_after_it_and_killed(tmp_path: Path, words: tuple[str, ...]) -> None:
    server = make(tmp_path, *words)
    async with server.running():
        assert await ended(server, "SIGTERM") == 0
        (left,) = server.survivors()
        found = re.match(r"process (\d+): ", left)
        assert found
        assert "signal.pause()" in left
        assert not await server.listens()
        await server.kill()
        assert await settles(lambda: server.survivors() == ())
        assert not psutil.pid_exists(int(found[1])) or psutil.Process(int(found[1])).status() == "zombie"


async def test_an_orphan_without_an_environment_is_found_by_its_session(tmp_path: Path) -> None:
    server = make(tmp_path, "child", "orphan", wrapper=("env", "-i"))
    async with server.running():
        await ended(server, "SIGTERM")
        assert len(server.survivors()) == 1
        await server.kill()
        assert await settles(lambda: server.survivors() == ())


PASSES_ON = 'trap "kill \\$!" TERM; "$0" "$@" & wait; wait'


@pytest.mark.parametrize(
    ("wrapper", "name"),
    [
        (("sh", "-c", 'exec "$0" "$@"'), "SIGTERM"),
        (("sh", "-c", '"$0" "$@"; exit $?'), "SIGINT"),
        (("sh", "-c", PASSES_ON), "SIGTERM"),
    ],
)
async def test_a_wrapper_that_passes_the_signal_on_leaves_nothing(
    tmp_path: Path, wrapper: tuple[str, ...], name: StopSignal
) -> None:
    server = make(tmp_path, wrapper=wrapper)
    async with server.running():
        await ended(server, name)
        assert await settles(lambda: server.survivors() == ())
        assert not await server.listens()


async def test_a_wrapper_that_keeps_the_signal_to_itself_leaves_the_server(tmp_path: Path) -> None:
    server = make(tmp_path, wrapper=("sh", "-c", '"$0" "$@"; exit $?'))
    async with server.running():
        await ended(server, "SIGTERM")
        assert [each for each in server.survivors() if "server.py" in each]


async def test_workers_of_uvicorn_are_gone_with_it(tmp_path: Path) -> None:
    """Two processes, and the one that multiprocessing has for itself."""
    (tmp_path / "shop.py").write_text("async def app(scope, receive, send): ...\n")
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "shop:app", "--app-dir", str(tmp_path), "--lifespan", "off"]
    server = started_by([*command, "--workers", "2", "--port", str(port)], port, tmp_path)
    async with server.running():
        assert server.pid is not None
        leader = psutil.Process(server.pid)
        assert await settles(lambda: len(leader.children()) >= 3)
        assert await ended(server, "SIGTERM") == 0
        with trio.fail_after(1):  # what the scenario has patience for
            while server.survivors():  # noqa: ASYNC110  (nobody tells)
                await trio.sleep(0.02)


async def test_a_child_that_inherited_the_port_keeps_it(tmp_path: Path) -> None:
    server = make(tmp_path, "child", "listening")
    async with server.running():
        assert await ended(server, "SIGINT") == 0
        assert len(server.survivors()) == 1
        assert await server.listens()
        await server.kill()
        await server.start()  # raises where the port is still taken


async def test_what_it_left_is_gone_after_the_block(tmp_path: Path) -> None:
    server = make(tmp_path, "child", "escapes")
    async with server.running():
        await ended(server, "SIGTERM")
        assert len(server.survivors()) == 1
    assert await settles(lambda: server.survivors() == ())


async def test_a_server_that_had_ended_cannot_be_asked_to(tmp_path: Path) -> None:
    server = make(tmp_path)
    async with server.running():
        await ended(server, "SIGTERM")
        with pytest.raises(ServerError, match=r"exited with code 0 before it was sent SIGINT; it printed:\n"):
            server.send_signal("SIGINT")


async def test_ctrl_c_reaches_a_server_of_a_harness_that_a_shell_put_into_the_background(
    tmp_path: Path,
) -> None:
    """There SIGINT is ignored, and what is ignored is inherited."""
    server = make(tmp_path, "default")
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        async with server.running():
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
            assert await ended(server, "SIGINT") == -2
    finally:
        signal.signal(signal.SIGINT, before)


async def test_it_is_in_a_group_of_its_own_so_that_a_signal_for_it_reaches_nobody_else(
    tmp_path: Path,
) -> None:
    server = make(tmp_path)
    async with server.running():
        assert server.pid is not None
        assert os.getpgid(server.pid) == server.pid != os.getpgid(0)
