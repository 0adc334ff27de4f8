"""An application that holds up the event loop for ever, in virtual time: the process ends, and says where it stands."""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cli_world import Sse, in_folder
from ways_in import ROOT

from conformance.cli.slept import sleeping
from conformance.cli.watchdog import STALL, standing

sse = pytest.fixture(in_folder)

APP = """
import asyncio, multiprocessing, time

async def beat():
    return b"data: {}\\n\\n"

def waits_for_the_loop(loop):
    return asyncio.run_coroutine_threadsafe(beat(), loop).result()  # HERE

async def hangs(scope, receive, send):
    if scope["type"] != "http":
        raise RuntimeError("no lifespan")
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
    data = await asyncio.to_thread(waits_for_the_loop, asyncio.get_running_loop())
    await send({"type": "http.response.body", "body": data})

async def sleeps(scope, receive, send):
    if scope["type"] != "http":
        raise RuntimeError("no lifespan")
    await asyncio.to_thread(time.sleep, 1e6)

async def streams(scope, receive, send):
    if scope["type"] != "http":
        raise RuntimeError("no lifespan")
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
    for _ in range(20):
        await asyncio.sleep(10)
        await send({"type": "http.response.body", "body": await beat(), "more_body": True})
        time.sleep(0.1)  # PAUSE
    await send({"type": "http.response.body", "body": b"data: [DONE]\\n\\n"})

async def hangs_in_workers(scope, receive, send):
    await (hangs if multiprocessing.parent_process() else streams)(scope, receive, send)

async def leaves(scope, receive, send):
    await asyncio.gather(asyncio.create_task(exits()))

async def exits():
    raise SystemExit(0)  # LEAVES

async def is_interrupted(scope, receive, send):
    await asyncio.gather(asyncio.create_task(stops()))

async def stops():
    raise KeyboardInterrupt

class Retry:
    pause = time.sleep

async def hurries(scope, receive, send):
    if scope["type"] != "http":
        raise RuntimeError("no lifespan")
    await asyncio.to_thread(time.sleep, 0.001)
    await asyncio.to_thread(Retry().pause, 0.001)
    time.sleep(0)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
    await send({"type": "http.response.body", "body": b"data: [DONE]\\n\\n"})
"""


def line(mark: str) -> int:
    return 1 + APP[: APP.index(mark)].count("\n")


CONFIG = """
[target]
app = "stuck:{app}"
[target.stream]
path = "/events"
[dialect]
completion = [{{ data = "[DONE]" }}]
[limits]
completion = 2000
"""


def called(folder: Path, app: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command line in a process of its own, on this application of APP."""
    (folder / "stuck.py").write_text(APP, "utf-8")
    (folder / "sse-conformance.toml").write_text(CONFIG.format(app=app), "utf-8")
    return subprocess.run(
        [sys.executable, "-m", "conformance", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": ROOT, STALL: "1", "COLUMNS": "100"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("command", [("run",), ("explore", "--config", "sse-conformance.toml")])
def test_a_thread_that_waits_for_the_loop_ends_the_run_with_one_sentence(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    ended = called(tmp_path, "hangs", *command)
    assert ended.returncode == 3, ended
    (said,) = [line for line in ended.stderr.splitlines() if line.startswith("error: ")]
    assert "stuck:hangs has held up its event loop for 1 s" in said
    place = re.search(r"at (\S+):(\d+) in waits_for_the_loop: in virtual time threads run in place", said)
    assert place is not None, said
    assert Path(place[1]).samefile(tmp_path / "stuck.py")
    assert int(place[2]) == line("# HERE")
    assert "`sse-conformance run --real-time`" in said


def test_one_that_hangs_in_a_process_that_explores_ends_them_all(tmp_path: Path) -> None:
    ended = called(tmp_path, "hangs_in_workers", "explore", "--schedules", "200", "--jobs", "2")
    assert ended.returncode == 3, ended
    said = [line for line in ended.stderr.splitlines() if line.startswith("error: ")]
    assert 1 <= len(said) <= 2, ended.stderr  # both may hang at once
    assert "stuck:hangs_in_workers has held up its event loop for 1 s" in said[0]
    assert "Traceback" not in ended.stdout + ended.stderr


@pytest.mark.parametrize("command", [("run", "-s", "subscribe"), ("explore",), ("explore", "-j", "2")])
def test_one_that_ends_the_process_is_said_to(tmp_path: Path, command: tuple[str, ...]) -> None:
    ended = called(tmp_path, "leaves", *command)
    assert ended.returncode == 3, ended
    place = f"stuck.py:{line('# LEAVES')} in exits"
    assert f"stuck:leaves called sys.exit(0) at {place}: nothing was judged" in ended.stderr
    assert "Traceback" not in ended.stdout + ended.stderr


@pytest.mark.parametrize("command", [("run", "-s", "subscribe"), ("explore",)])
def test_a_ctrl_c_that_lands_in_it_is_a_ctrl_c(tmp_path: Path, command: tuple[str, ...]) -> None:
    ended = called(tmp_path, "is_interrupted", *command)
    assert ended.returncode == 130, ended
    assert "Traceback" not in ended.stdout + ended.stderr


@pytest.mark.parametrize("command", [("run", "--app", "endless:app", "/events"), ("explore",)])
def test_an_import_that_never_ends_is_ended(tmp_path: Path, command: tuple[str, ...]) -> None:
    (tmp_path / "endless.py").write_text("import time\nwhile True:\n    time.sleep(0.01)\n", "utf-8")
    options = ("--app", "endless:app") if command == ("explore",) else ()
    ended = called(tmp_path, "streams", *command, *options)
    assert ended.returncode == 3, ended
    still, last = ended.stderr.splitlines()
    place = rf"it stands at {re.escape(str(tmp_path / 'endless.py'))}:[23] in <module>"
    assert re.fullmatch(rf"endless:app is still being imported: {place}", still), still
    assert re.search(rf"error: endless:app was not imported within 1 s: {place} \({STALL}=10 waits", last), (
        last
    )


def test_work_of_a_thread_in_which_nothing_is_the_applications_own(tmp_path: Path) -> None:
    ended = called(tmp_path, "sleeps", "run")
    assert ended.returncode == 3, ended
    assert "stuck:sleeps has held up its event loop for 1 s, in work for a thread: " in ended.stderr


def test_an_application_that_goes_on_is_not_disturbed_however_long_the_run_is(tmp_path: Path) -> None:
    ended = called(tmp_path, "streams", "run", "-s", "subscribe", "-r", "completion.clean-close")
    assert ended.returncode == 0, (
        ended
    )  # it stands in `time.sleep` for two seconds, but for a tenth at a time
    assert "held up" not in ended.stderr
    how = json.loads((tmp_path / "sse-conformance-report" / "results.json").read_bytes())["how"]
    said = re.fullmatch(
        r"in this process on asyncio, in virtual time, of which its time\.sleep \(at (\S+):(\d+) in streams\) "
        r"takes none: --real-time shows its pace",
        how,
    )
    assert said is not None, how
    assert Path(said[1]).samefile(tmp_path / "stuck.py")
    assert int(said[2]) == line("# PAUSE")
    assert how in ended.stdout


def test_sleep_that_nothing_of_the_applications_own_calls(tmp_path: Path) -> None:
    ended = called(tmp_path, "hurries", "run", "-s", "subscribe", "-r", "completion.clean-close")
    assert ended.returncode == 0, ended
    assert "in virtual time, of which its time.sleep (in work for a thread) takes none: " in ended.stdout


def test_sleep_is_as_it_was_afterwards() -> None:
    before = time.sleep
    with sleeping() as slept:
        assert time.sleep is not before
        time.sleep(0.001)
        with pytest.raises(ValueError, match="non-negative"):
            time.sleep(-1)
    assert time.sleep is before
    assert slept() == ()  # not in an event loop


@pytest.mark.parametrize("value", ["soon", "0", "inf", "nan"])
def test_a_limit_that_is_none_is_said(
    sse: Sse, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, value: str
) -> None:
    (tmp_path / "stuck.py").write_text(APP, "utf-8")
    monkeypatch.setenv(STALL, value)
    said = sse("run", "--app", "stuck:streams", "/events")
    assert said.code == 2
    assert STALL in said.err


def test_outside_of_a_loop_nobody_holds_one_up() -> None:
    assert standing(sys._getframe()) == ""
