"""The command in a process of its own: signals, pipes, what is left behind."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psutil
import pytest
from hostile_servers import events, served
from ways_in import COMMAND, ENVIRON

_PATIENCE = 30.0  # seconds for anything at all

_SERVER = """
import os, pathlib, signal, subprocess, sys, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

sleeps = "import time; time.sleep(600)"
subprocess.Popen([sys.executable, "-c", sleeps])
daemon = "import os, pathlib; os.setsid(); os.fork() and os._exit(0); "
daemon += "pathlib.Path('daemon.new').write_text(str(os.getpid())); os.rename('daemon.new', 'daemon'); "
if "daemon" in sys.argv:
    subprocess.run([sys.executable, "-c", daemon + sleeps])

def end(number, frame):
    pathlib.Path("asked").touch()
    os._exit(0)

class Endless(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        while True:
            self.wfile.write(b"data: hello\\n\\n")
            time.sleep(0.05)
    def log_message(self, *args): pass

signal.signal(signal.SIGTERM, signal.SIG_IGN if "stubborn" in sys.argv else end)
ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Endless).serve_forever()
"""

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a command as a terminal would: in a process group of its own, in the test's folder."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [*COMMAND, *arguments],
            cwd=tmp_path,
            env=ENVIRON,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            start_new_session=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture
def config(tmp_path: Path) -> Callable[..., str]:
    """A configuration whose server is started by its command, and has a child; "stubborn": it ignores SIGTERM,
    "daemon": it has one, "bare": it and what it starts have an empty environment."""

    def write(*words: str) -> str:
        (tmp_path / "server.py").write_text(_SERVER, "utf-8")
        bare = ["env", "-i"] if "bare" in words else []
        command = [*bare, sys.executable, "server.py", "{port}", *words]
        (tmp_path / "own.toml").write_text(
            f'[target]\ncommand = {command!r}\n[target.stream]\npath = "/"\n', "utf-8"
        )
        return "own.toml"

    return write


def until(reached: Callable[[], bool]) -> None:
    """Wait for something that another process does."""
    deadline = time.monotonic() + _PATIENCE
    while not reached():
        assert time.monotonic() < deadline, "it never came"
        threading.Event().wait(0.02)


def streaming(folder: Path) -> Callable[[], bool]:
    """Whether the history of the first scenario has events by now."""
    file = folder / "sse-conformance-report" / "histories" / "subscribe.jsonl"
    return lambda: file.exists() and '"record":"chunk"' in file.read_text("utf-8")


def family(process: "subprocess.Popen[str]") -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


def daemon_in(folder: Path) -> psutil.Process:
    return psutil.Process(int((folder / "daemon").read_text("utf-8")))


def gone(processes: list[psutil.Process]) -> bool:
    """Whether none of them runs; one that nobody has waited for does not."""
    return not [p for p in processes if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]


def test_ctrl_c_reports_what_was_judged_and_stops_the_server(
    start: Start, config: Callable[..., str], tmp_path: Path
) -> None:
    process = start("run", "--config", config(), "--duration", "60")
    until(streaming(tmp_path))
    children = family(process)
    assert len(children) == 3, "the server, its child, and who ends them should the harness be killed"
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=_PATIENCE)
    assert process.returncode == 130
    assert "interrupted: finishing with what there is; once more ends at once" in err
    assert "Interrupted" in out
    assert "the record stops before the scenario ended" in out
    assert "Traceback" not in out + err
    assert (tmp_path / "sse-conformance-report" / "report.html").exists()
    assert gone(children)


def test_ctrl_c_ends_all_processes_that_explore(start: Start) -> None:
    process = start("explore", "--schedules", "1000000", "--jobs", "2")
    until(lambda: len(family(process)) == 3)  # and the one that multiprocessing has for itself
    children = family(process)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=_PATIENCE)
    assert process.returncode == 130, err
    assert "Traceback" not in out + err
    until(lambda: gone(children))


_UNLUCKY = """
import asyncio, gc, pathlib

def callback(phase, info):  # what is raised in it goes nowhere
    pathlib.Path("collects").touch()
    for _ in range(200_000): pass

async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    try:
        if scope["path"] == "/hangs":
            pathlib.Path("collects").touch()
            while True: pass
        gc.callbacks.append(callback)
        gc.collect()
        gc.callbacks.remove(callback)
    except BaseException:
        pass
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
    await send({"type": "http.response.body", "body": b"data: 1\\n\\n"})
"""


@pytest.mark.parametrize("path", ["/", "/hangs"])
def test_no_ctrl_c_is_lost_wherever_it_finds_the_application(start: Start, tmp_path: Path, path: str) -> None:
    """In what swallows it, it comes between two schedules; where none ends, it ends all."""
    (tmp_path / "unlucky.py").write_text(_UNLUCKY, "utf-8")
    (tmp_path / "own.toml").write_text(
        f'[target]\napp = "unlucky:app"\n[target.stream]\npath = "{path}"\n', "utf-8"
    )
    process = start("explore", "--config", "own.toml", "--schedules", "1000000")
    until((tmp_path / "collects").exists)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=_PATIENCE)
    assert process.returncode == 130, err
    assert "Traceback" not in out + err


def test_whoever_explores_ends_with_who_started_it(start: Start) -> None:
    process = start("explore", "--schedules", "1000000", "--jobs", "2")
    until(lambda: len(family(process)) == 3)
    children = family(process)
    process.kill()
    process.communicate(timeout=_PATIENCE)
    until(lambda: gone(children))


def test_a_second_ctrl_c_ends_at_once_and_leaves_no_process(
    start: Start, config: Callable[..., str], tmp_path: Path
) -> None:
    process = start("run", "--config", config("stubborn", "daemon"), "--duration", "60", "-s", "subscribe")
    until(streaming(tmp_path))
    children = [*family(process), daemon_in(tmp_path)]
    os.killpg(process.pid, signal.SIGINT)
    assert process.stderr is not None
    assert "once more ends at once" in process.stderr.readline() + process.stderr.readline()
    assert process.poll() is None  # the server does not heed SIGTERM, and has ten seconds
    os.killpg(process.pid, signal.SIGINT)
    started = time.monotonic()
    out, err = process.communicate(timeout=_PATIENCE)
    assert time.monotonic() - started < 5
    assert process.returncode == 130
    assert "Traceback" not in out + err
    until(lambda: gone(children))


@pytest.mark.parametrize(
    "words",
    [(), ("stubborn", "daemon"), ("bare",)],
    ids=lambda words: " ".join(words) or "heeds",
)
def test_a_server_ends_with_a_run_that_is_killed(
    start: Start, config: Callable[..., str], tmp_path: Path, words: tuple[str, ...]
) -> None:
    process = start("run", "--config", config(*words), "--duration", "60", "-s", "subscribe")
    until(streaming(tmp_path))
    left = family(process) + ([daemon_in(tmp_path)] if "daemon" in words else [])
    assert len(left) == 3 + ("daemon" in words)
    process.kill()
    process.communicate(timeout=_PATIENCE)
    until(lambda: gone(left))
    assert (tmp_path / "asked").exists() == ("stubborn" not in words)


def test_a_run_that_is_killed_after_ctrl_c_leaves_nothing_either(
    start: Start, config: Callable[..., str], tmp_path: Path
) -> None:
    """A terminal sends it to all that are in its group."""
    process = start("run", "--config", config("stubborn"), "--duration", "60", "-s", "subscribe")
    until(streaming(tmp_path))
    left = family(process)
    os.killpg(process.pid, signal.SIGINT)
    assert process.stderr is not None
    assert "once more ends at once" in process.stderr.readline() + process.stderr.readline()
    assert process.poll() is None  # the server does not heed SIGTERM, and has ten seconds
    process.kill()
    process.communicate(timeout=_PATIENCE)
    until(lambda: gone(left))


def test_all_servers_of_the_built_in_reference_end_with_a_run_that_is_killed(start: Start) -> None:
    process = start("run")
    until(lambda: len(family(process)) >= 8)  # four, and a keeper for each
    left = family(process)
    process.kill()
    process.communicate(timeout=_PATIENCE)
    until(lambda: gone(left))


def test_what_a_killed_run_leaves_is_judged(start: Start, tmp_path: Path) -> None:
    with served(events(None)) as url:
        process = start("run", url, "--duration", "60")
        until(streaming(tmp_path))
        process.kill()
        process.communicate()
        histories = sorted((tmp_path / "sse-conformance-report" / "histories").iterdir())
        judge = start("judge", *map(str, histories))
        out, err = judge.communicate(timeout=_PATIENCE)
    assert judge.returncode == 3
    assert "Traceback" not in out + err
    assert "Interrupted" in out
    assert "▲ warn  http.proxy-buffering" in out


def test_ctrl_c_ends_a_recording_calmly(start: Start) -> None:
    with served(events(None)) as url:
        process = start("record", url)
        assert process.stdout is not None
        while "message #3" not in process.stdout.readline():
            pass
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=_PATIENCE)
        assert process.returncode == 0
        assert "-- the subscriber left; " in out
        assert "judges it" in err
        judge = start("judge", "sse-conformance.jsonl")
        judged, err = judge.communicate(timeout=_PATIENCE)
        assert "Conforms" in judged, err


@pytest.mark.parametrize("command", ["run", "record"])
def test_a_reader_that_leaves_changes_nothing_but_the_output(
    start: Start, tmp_path: Path, command: str
) -> None:
    with served(events(None if command == "record" else 3)) as url:
        process = start(command, url, *(["-s", "subscribe"] if command == "run" else []))
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr is not None
        err = process.stderr.read()
        assert process.wait(_PATIENCE) == 0, err
    assert "Traceback" not in err
    assert "rror" not in err


def test_what_goes_into_a_pipe_has_no_colours(start: Start) -> None:
    with served(events(2)) as url:
        for arguments in (("run", url, "-s", "subscribe"), ("rules", "http.status"), ("--help",)):
            out, err = start(*arguments).communicate(timeout=_PATIENCE)
            assert "\x1b" not in out + err
            assert out


def test_the_reference_is_served_and_the_proxy_cuts_it(start: Start, tmp_path: Path) -> None:
    server = start("serve", "--port", "0")
    assert server.stderr is not None
    jobs = server.stderr.readline().split()[3].rstrip(";")
    (tmp_path / "plan.json").write_text(
        '{"faults": [{"fault": "disconnect", "connections": 1, '
        '"when": {"type": "trigger", "name": "events", "argument": 3}}]}',
        "utf-8",
    )
    proxy = start("proxy", jobs.partition("://")[2], "--plan", "plan.json")
    assert proxy.stderr is not None
    opening = proxy.stderr.readline()
    assert "disconnect by FIN at events 3 downstream, first connection only; Ctrl-C stops" in opening
    job = httpx.post(f"{jobs}/jobs", json={"events": 6, "interval": 0.01}, trust_env=False).json()["id"]
    url = f"http://{opening.split()[0]}/jobs/{job}/events"
    first, second = (start("record", url).communicate(timeout=_PATIENCE) for _ in range(2))
    assert first[0].count("progress #") == 3
    assert "-- the connection ended before the response did; 3 events" in first[0]
    assert "complete #6" in second[0]
    for process in (proxy, server):
        os.killpg(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=_PATIENCE)
        assert process.returncode == 0, err
        assert "Traceback" not in err
