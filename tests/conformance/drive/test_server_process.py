"""The server under test as a process: started, awaited, killed with its children, stopped, and what it said."""

import os
import re
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest
import trio

from conformance.config import Config, Expect, Limits, Target
from conformance.drive.server_process import ServerError, ServerProcess, runs
from conformance.drive.target import TargetError, ready
from fault_injection.network import SocketNetwork

SERVER = """
import http.server, os, subprocess, sys, time
port, *words = sys.argv[1:]
print("starting with", words, flush=True)
if "child" in words:
    escape = "os.setsid()" if "escapes" in words else "0"
    code = f"import os, time; {escape}; print('child', os.getpid(), flush=True); time.sleep(600)"
    subprocess.Popen([sys.executable, "-c", code])
if "stubborn" in words:
    import signal
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if "daemon" in words:
    there, here = os.pipe()
    if os.fork() == 0:
        os.setsid()
        if os.fork():
            os._exit(0)
        print("child", os.getpid(), flush=True)
        os.write(here, b"!")
        time.sleep(600)
    os.read(there, 1)
if "leaves" in words:
    sys.exit(0)
if "fails" in words:
    for number in range(100):
        print("line", number)
    sys.exit("no database")
if "sleeps" in words:
    time.sleep(600)
begun = time.monotonic()
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        warm = "slow" not in words or time.monotonic() - begun > 0.5
        self.send_response(200 if warm else 503)
        self.end_headers()
        while self.path == "/endless":
            self.wfile.write(b"x" * 65536)
http.server.ThreadingHTTPServer.daemon_threads = True
http.server.ThreadingHTTPServer(("127.0.0.1", int(port)), Handler).serve_forever()
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def server(
    folder: Path,
    *words: str,
    port: int | None = None,
    ready: str | None = None,
    patience: float = 20,
    stop: float = 5,
) -> ServerProcess:
    port = port or free_port()
    script = folder / "server.py"
    script.write_text(SERVER)
    return ServerProcess(
        [sys.executable, str(script), str(port), *words],
        network=SocketNetwork(),
        origin=f"http://127.0.0.1:{port}",
        ready=ready,
        log=folder / "server.log",
        patience=patience,
        stop_patience=stop,
    )


def said(folder: Path) -> str:
    return (folder / "server.log").read_text()


async def child_of(folder: Path) -> int:
    """The number of the child, once it has said it."""
    with trio.fail_after(20):
        while not (found := re.search(r"^child (\d+)$", said(folder), re.MULTILINE)):  # noqa: ASYNC110  (a file tells nobody)
            await trio.sleep(0.02)
    return int(found[1])


async def is_gone(pid: int, patience: float = 5) -> bool:
    """Nobody, or a zombie that the init of a container has yet to reap; the system may take a moment."""
    with trio.move_on_after(patience):
        while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:  # noqa: ASYNC110
            await trio.sleep(0.02)
        return True
    return False


@pytest.mark.parametrize("words", [("child",), ("child", "escapes")])
async def test_it_runs_inside_the_block_and_nothing_of_it_is_left_after(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    process = server(tmp_path, *words)
    async with process.running():
        assert process.pid is not None
        assert os.getsid(process.pid) == process.pid
        child = await child_of(tmp_path)
    assert await is_gone(process.pid)
    assert await is_gone(child)


async def test_a_daemon_is_not_left_behind_by_a_server_that_did_not_start(tmp_path: Path) -> None:
    process = server(tmp_path, "daemon", "leaves")
    with pytest.raises(ServerError, match="exited with code 0 before it was ready"):
        async with process.running():
            pass
    assert await is_gone(await child_of(tmp_path))


async def test_a_daemon_is_not_left_behind_by_a_server_that_is_killed(tmp_path: Path) -> None:
    process = server(tmp_path, "daemon")
    async with process.running():
        child = await child_of(tmp_path)
        await process.kill()
        assert await is_gone(child)


async def test_a_daemon_is_what_a_server_leaves(tmp_path: Path) -> None:
    process = server(tmp_path, "daemon")
    async with process.running():
        child = await child_of(tmp_path)
        assert len(process.survivors()) == 1, "the server itself is none"
        process.send_signal("SIGTERM")
        await process.exited()
        (left,) = process.survivors()
    assert left.startswith(f"process {child}: ")


@pytest.mark.parametrize("words", [("child",), ("child", "escapes"), ("daemon",), ("daemon", "stubborn")])
async def test_nothing_is_left_of_it_where_the_harness_is_killed(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    """Nothing that the harness can do in time: there is no signal handler for SIGKILL."""
    script = f"""
import sys, trio
sys.path.insert(0, {str(Path(__file__).parent)!r})
from pathlib import Path
from test_server_process import server
async def main():
    process = server(Path({str(tmp_path)!r}), *{words!r})
    async with process.running():
        print(process.pid, flush=True)
        await trio.sleep_forever()
trio.run(main)
"""
    harness = await trio.lowlevel.open_process([sys.executable, "-c", script], stdout=subprocess.PIPE)
    assert harness.stdout is not None
    with trio.fail_after(30):
        pid = int(await harness.stdout.receive_some())
        child = await child_of(tmp_path)
        harness.kill()
        await harness.wait()
    assert await is_gone(pid, 20)
    assert await is_gone(child, 20)


async def test_nothing_is_left_of_it_where_stopping_it_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second Ctrl-C under pytest, for one."""

    async def interrupted() -> None:
        raise RuntimeError("interrupted")

    process = server(tmp_path, "child", "escapes")
    monkeypatch.setattr(process, "stop", interrupted)
    with pytest.raises(RuntimeError, match="interrupted"):
        async with process.running():
            child = await child_of(tmp_path)
    with trio.fail_after(5):
        await process.exited()
    assert await is_gone(child)
    assert _keepers() == []


async def test_its_keeper_goes_with_it(tmp_path: Path) -> None:
    process = server(tmp_path)
    async with process.running():
        keepers = _keepers()
        assert len(keepers) == 1
    assert _keepers() == []


def _keepers() -> list[psutil.Process]:
    return [
        each for each in psutil.Process().children() if any("keeper.py" in part for part in each.cmdline())
    ]


async def test_what_another_server_has_left_is_not_its_own(tmp_path: Path) -> None:
    folders = [tmp_path / "one", tmp_path / "other"]
    for folder in folders:
        folder.mkdir()
    one, other = (server(folder, "daemon") for folder in folders)
    async with one.running():
        child = await child_of(folders[0])
        async with other.running():
            await child_of(folders[1])
        assert psutil.Process(child).status() != psutil.STATUS_ZOMBIE


async def test_it_is_ready_when_its_path_answers_below_500(tmp_path: Path) -> None:
    process = server(tmp_path, "slow", ready="/healthz")
    began = trio.current_time()
    async with process.running():
        assert trio.current_time() - began > 0.4


async def test_a_ready_path_that_never_ends_is_ready_too(tmp_path: Path) -> None:
    with trio.fail_after(15):
        async with server(tmp_path, ready="/endless").running():
            pass


@pytest.mark.parametrize("words", [("child",), ("child", "escapes")])
async def test_killed_it_is_gone_with_its_children_and_can_be_started_again(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    process = server(tmp_path, *words)
    async with process.running():
        first, child = process.pid, await child_of(tmp_path)
        assert first is not None
        await process.kill()
        assert await is_gone(first)
        assert await is_gone(child)
        await process.start()
        assert process.pid != first
        assert said(tmp_path).count("starting") == 2


async def test_what_ignores_sigterm_is_killed_after_a_while(tmp_path: Path) -> None:
    process = server(tmp_path, "stubborn", "child", stop=0.3)
    async with process.running():
        pid, child = process.pid, await child_of(tmp_path)
        began = trio.current_time()
    assert pid is not None
    assert trio.current_time() - began >= 0.3
    assert await is_gone(pid)
    assert await is_gone(child)


async def test_a_start_that_fails_shows_the_last_lines(tmp_path: Path) -> None:
    with pytest.raises(ServerError) as caught:
        await server(tmp_path, "fails").start()
    message = str(caught.value)
    assert message.startswith("the server exited with code 1 before it was ready; it printed:\n")
    assert "no database" in message
    assert "line 99" in message
    assert "line 50" not in message


async def test_what_a_run_before_printed_is_not_shown(tmp_path: Path) -> None:
    (tmp_path / "server.log").write_text("of a run before\n")
    process = ServerProcess(
        [sys.executable, "-c", "raise SystemExit(3)"],
        network=SocketNetwork(),
        origin=f"http://127.0.0.1:{free_port()}",
        ready=None,
        log=tmp_path / "server.log",
        patience=20,
        stop_patience=1,
    )
    with pytest.raises(ServerError) as caught:
        await process.start()
    assert str(caught.value) == "the server exited with code 3 before it was ready; it printed nothing"


async def test_a_server_that_is_never_ready_is_stopped(tmp_path: Path) -> None:
    process = server(tmp_path, "sleeps", patience=0.5)
    with pytest.raises(
        ServerError, match=r"not ready within 0.5 s: .*; it printed:\n  starting with \['sleeps'\]"
    ):
        async with process.running():
            pytest.fail("it is not ready")
    assert process.pid is not None
    assert await is_gone(process.pid)


async def test_a_command_that_does_not_exist(tmp_path: Path) -> None:
    process = ServerProcess(
        ["/no/such/program"],
        network=SocketNetwork(),
        origin=f"http://127.0.0.1:{free_port()}",
        ready=None,
        log=tmp_path / "log",
        patience=1,
        stop_patience=1,
    )
    with pytest.raises(ServerError, match="could not be started: /no/such/program: No such file"):
        async with process.running():
            pytest.fail("it did not start")


async def test_somebody_else_on_the_port_is_not_taken_for_the_server(tmp_path: Path) -> None:
    async with server(tmp_path).running():
        pass
    other = await SocketNetwork().listen()
    with pytest.raises(ServerError, match=r"something else listens at http://127\.0\.0\.1:"):
        await server(tmp_path, port=other.address[1]).start()
    await other.aclose()


async def test_cancelled_while_it_starts_it_is_stopped(tmp_path: Path) -> None:
    process = server(tmp_path, "sleeps")
    with trio.move_on_after(1):
        async with process.running():
            pytest.fail("it is not ready")
    assert process.pid is not None
    assert await is_gone(process.pid)


@asynccontextmanager
async def made_ready(tmp_path: Path, target: Target) -> AsyncIterator[str]:
    config = Config(target=target, limits=Limits(connect=1, shutdown=5), expect=Expect())
    async with ready(config, SocketNetwork(), log=tmp_path / "server.log") as found:
        yield found.origin


async def test_a_target_with_a_command_gets_a_free_port(tmp_path: Path) -> None:
    (tmp_path / "server.py").write_text(SERVER)
    command = (sys.executable, str(tmp_path / "server.py"), "{port}")
    async with (
        made_ready(tmp_path, Target(command=command)) as one,
        made_ready(tmp_path, Target(command=command)) as two,
    ):
        assert one != two


async def test_a_target_that_nobody_serves_is_said_with_what_to_do(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(
        TargetError, match=r"refused the connection: nobody listens there\. Is the server running"
    ):
        async with made_ready(tmp_path, Target(url=url)):
            pytest.fail("nobody is there")


async def test_a_host_that_does_not_exist_is_said(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match=r"no-such-host\.invalid:80 (cannot be reached|did not answer)"):
        async with made_ready(tmp_path, Target(url="http://no-such-host.invalid/")):
            pytest.fail("nobody is there")


def test_a_process_that_may_not_be_looked_into_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(_: psutil.Process) -> str:
        raise psutil.AccessDenied

    monkeypatch.setattr(psutil.Process, "status", denied)
    assert runs(psutil.Process())
