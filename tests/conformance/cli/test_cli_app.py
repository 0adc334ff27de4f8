"""`sse-conformance run --app`: an ASGI application in this process, in virtual time, as it is typed."""

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cli_world import Said, Sse, fresh_modules, in_folder

sse = pytest.fixture(in_folder)

APP = """
import asyncio, trio

tasks = set()
life = []

def make(lib=asyncio, seconds=3, leaky=False, startup=None):
    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            await receive()
            life.append("up")
            if startup == "fails":
                await send({"type": "lifespan.startup.failed", "message": "no database at db:5432"})
                return
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        if not life:
            raise RuntimeError("the lifespan has not begun")
        head = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-store"),
                (b"x-accel-buffering", b"no")]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        if leaky:
            task = asyncio.create_task(asyncio.sleep(1e6))
            tasks.add(task)
        for number in range(seconds):
            await lib.sleep(1)
            data = b"id: %d\\ndata: {}\\n\\n" % number
            await send({"type": "http.response.body", "body": data, "more_body": True})
        await send({"type": "http.response.body", "body": b"data: [DONE]\\n\\n"})
    return app

app = make()
on_trio = make(trio)
ten_minutes = make(seconds=600)
leaky = make(leaky=True)
fails = make(startup="fails")
"""

CONFIG = """
[target]
app = "shop:ten_minutes"
[target.stream]
path = "/events"
[dialect]
completion = [{ data = "[DONE]" }]
[limits]
completion = 900
"""


@pytest.fixture(autouse=True)
def _shop(tmp_path: Path) -> Iterator[None]:
    (tmp_path / "shop.py").write_text(APP, "utf-8")
    with fresh_modules():
        yield


def results(folder: str = "sse-conformance-report") -> dict[str, Any]:
    read: dict[str, Any] = json.loads((Path(folder) / "results.json").read_bytes())
    return read


def cases(verdict: str) -> set[tuple[str, str]]:
    return {(case["rule"], case["scenario"]) for case in results()["cases"] if case["verdict"] == verdict}


def test_all_of_it_is_driven_in_virtual_time_and_the_reports_say_so(sse: Sse) -> None:
    said = sse("run", "--app", "shop:app", "/events")
    assert said.code == 0, said
    assert "driving shop:app in this process on asyncio, in virtual time: " in said.err
    how = "in this process on asyncio, in virtual time"
    assert how in said.out
    assert results()["how"] == how
    assert results()["target"] == "shop:app /events"
    assert {("resource.tasks-left", "subscribe"), ("http.status", "subscribe")} <= cases("pass")
    for file in ("report.html", "junit.xml", "summary.md"):
        assert how in (Path("sse-conformance-report") / file).read_text("utf-8"), file
    began = json.loads(
        Path("sse-conformance-report/histories/subscribe.jsonl").read_text("utf-8").split("\n")[0]
    )
    assert began["clock"] == "virtual"


def test_minutes_of_stream_take_seconds(sse: Sse, tmp_path: Path) -> None:
    (tmp_path / "sse-conformance.toml").write_text(CONFIG, "utf-8")
    began = time.monotonic()
    said = sse("run", "-s", "subscribe", "-s", "sliced-bytes")
    assert said.code == 0, said
    assert results()["duration"] > 1200
    assert time.monotonic() - began < 120  # it takes about one
    assert ("completion.clean-close", "subscribe") in cases("pass")


def test_the_same_seed_gives_the_same_histories(sse: Sse) -> None:
    for folder in ("one", "two"):
        assert sse("run", "--app", "shop:app", "/events", "--seed", "7", "--out", folder).code == 0
    one, two = (
        {path.name: path.read_bytes() for path in Path(folder, "histories").iterdir()}
        for folder in ("one", "two")
    )
    assert len(one) > 15
    assert one == two


def test_what_is_left_behind_is_told_of_the_scenario_that_left_it(sse: Sse) -> None:
    said = sse("run", "--app", "shop:leaky", "/events", "-s", "subscribe", "-s", "disconnect-mid-stream")
    assert said.code == 1
    assert ("resource.tasks-left", "disconnect-mid-stream") in cases("fail")
    assert re.search(r"shop\.py:\d+ in app", said.out)


def test_an_application_on_trio(sse: Sse) -> None:
    said = sse("run", "--app", "shop:on_trio", "/events", "--app-loop", "trio", "-s", "subscribe")
    assert said.code == 0, said
    assert "in this process on trio, in virtual time" in said.out
    wrong = sse("run", "--app", "shop:on_trio", "/events", "-s", "subscribe")
    assert wrong.code == 1
    assert "--app-loop trio" in " ".join(wrong.out.split())


def test_the_loop_can_stand_in_the_configuration(sse: Sse, tmp_path: Path) -> None:
    config = CONFIG.replace("shop:ten_minutes", "shop:on_trio").replace(
        "[target.stream]", "app_loop = 'trio'\n[target.stream]"
    )
    (tmp_path / "sse-conformance.toml").write_text(config, "utf-8")
    said = sse("run", "-s", "subscribe")
    assert said.code == 0, said


def test_an_application_on_trio_is_explored_too(sse: Sse, tmp_path: Path) -> None:
    (tmp_path / "sse-conformance.toml").write_text(CONFIG, "utf-8")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "shop.py").rename(tmp_path / "elsewhere" / "shop.py")
    named = ("explore", "--app", "shop:on_trio", "--schedules", "5", "--app-dir", "elsewhere")
    right = sse(*named, "--app-loop", "trio")
    assert (right.code, "no rule was broken" in right.out) == (0, True), right
    wrong = sse(*named, "--app-loop", "asyncio")
    assert wrong.code == 3, wrong
    assert "the application needs another event loop: " in wrong.err
    assert "--app-loop trio" in wrong.err


def test_what_it_cannot_be_asked_is_skipped_with_the_reason(sse: Sse, tmp_path: Path) -> None:
    (tmp_path / "sse-conformance.toml").write_text(
        f"{CONFIG}[expect]\nresumable = true\nshared = true\n", "utf-8"
    )
    said = sse("run", "-s", "restart", "-s", "slow-network", "--toxiproxy", "http://127.0.0.1:1")
    assert said.code == 3, said
    told = {each["name"]: each["summary"] for each in results()["scenarios"]}
    assert "needs a server in a process of its own, and the application runs in this one" in told["restart"]
    assert "Toxiproxy reaches no application in virtual time" in told["slow-network"]


def test_real_time_is_for_comparison(sse: Sse) -> None:
    said = sse("run", "--app", "shop:app", "/events", "--real-time", "-s", "subscribe", "-r", "http")
    assert said.code == 0, said
    assert "in this process on asyncio, in real time, on sockets" in said.out


def test_a_module_is_looked_for_where_uvicorn_does(sse: Sse, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "other_shop.py").write_text(APP, "utf-8")
    one = ("run", "--app", "other_shop:app", "/events", "-s", "subscribe", "-r", "http")
    assert "there is no module 'other_shop'" in refused(sse(*one)).err
    assert sse(*one, "--app-dir", "elsewhere").code == 0


def test_an_application_of_the_configuration_is_looked_for_beside_it(sse: Sse, tmp_path: Path) -> None:
    (tmp_path / "deeper").mkdir()
    (tmp_path / "deeper" / "third_shop.py").write_text(APP, "utf-8")
    (tmp_path / "deeper" / "sse-conformance.toml").write_text(CONFIG.replace("shop:", "third_shop:"), "utf-8")
    said = sse("run", "--config", "deeper/sse-conformance.toml", "-s", "subscribe", "-r", "http")
    assert said.code == 0, said


def refused(said: Said, code: int = 2) -> Said:
    assert said.code == code, said
    assert "Traceback" not in said.out + said.err
    return Said(said.code, said.out, " ".join(said.err.split()))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            "--app shop:app",
            "--app shop:app: which of its paths is the stream? Say so in a sse-conformance.toml in this folder, e.g. "
            'target.app = "shop:app" and target.stream.path = "/events"',
        ),
        ("--app nowhere:app /events", "--app 'nowhere:app': there is no module 'nowhere' in "),
        ("--app shop:ap /events", "--app 'shop:ap': shop has no 'ap'; did you mean 'app'?"),
        ("--app broken:app /events", "--app 'broken:app': importing broken failed: ZeroDivisionError"),
        ("--app exits:app /events", "--app 'exits:app': importing exits failed: SystemExit: 0"),
        ("--app shop /events", "--app 'shop' is no name of an application: write"),
        ("--app shop:life /events", "--app 'shop:life' is a list, which is not callable"),
        ("--app shop:app /events --app-dir no", "--app-dir no: there is no such folder"),
        ("http://127.0.0.1:1 --real-time", "--real-time is about an application in this process: name it"),
    ],
)
def test_a_wrong_name_is_one_sentence(sse: Sse, tmp_path: Path, arguments: str, sentence: str) -> None:
    (tmp_path / "broken.py").write_text("app = 1 / 0\n", "utf-8")
    (tmp_path / "exits.py").write_text("raise SystemExit(0)\n", "utf-8")
    assert sentence in refused(sse("run", *arguments.split())).err


def test_an_application_that_does_not_start_is_not_reached(sse: Sse) -> None:
    said = refused(sse("run", "--app", "shop:fails", "/events"), 3)
    assert "shop:fails: the application failed to start: no database at db:5432" in " ".join(said.out.split())


def test_an_application_may_ask_for_a_loop_while_it_is_imported(sse: Sse, tmp_path: Path) -> None:
    """As `uvloop.install()` does. It is imported again for each scenario, inside of a loop that cannot be changed."""
    asks = "import asyncio\nasyncio.set_event_loop_policy(asyncio.get_event_loop_policy())\nfrom shop import app\n"
    (tmp_path / "asks.py").write_text(asks, "utf-8")
    assert sse("run", "--app", "asks:app", "/events").code == 0
