"""`explore` and `replay`, as they are typed."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cli_world import fresh_modules
from typer.testing import CliRunner, Result
from ways_in import ROOT

from conformance.cli.app import make_app
from conformance.cli.common import MISUSED, Failure
from conformance.explore import Break, Choice, Replay, Schedule, load_replay, save_replay
from fault_injection.faults import AtTrigger, Disconnect

CONFIG = Path("conformance/races/races.toml").resolve()
RACE = "conformance.races.orphaned_producer:Racy()"


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(CONFIG, "sse-conformance.toml")


def typed(*arguments: str) -> Result:
    return CliRunner().invoke(make_app(), arguments)


def test_a_race_is_found_and_replayed() -> None:
    found = typed("explore", "--app", RACE, "--schedules", "100", "--out", "out")
    assert found.exit_code == 1, found.output
    assert "resource.tasks-left" in found.output
    assert "subscriber a leaves before the response begins by FIN and does not come back" in found.output
    assert "again: sse-conformance replay out/replay.json" in found.output
    assert Path("out/report.html").is_file()
    again = typed("replay", "out/replay.json", "--out", "again")
    assert again.exit_code == 1
    assert "the identical history" in again.output
    assert (
        Path("again/histories/explore.jsonl").read_bytes() == Path("out/histories/explore.jsonl").read_bytes()
    )


def test_in_several_processes_the_same_is_found() -> None:
    one, two = (
        typed(
            "explore", "--app", RACE, "--schedules", "200", "--jobs", jobs, "--out", "out", "--database", jobs
        )
        for jobs in ("1", "2")
    )
    assert (one.exit_code, two.exit_code) == (1, 1), two.output
    assert _untimed(two.output) == _untimed(one.output)
    assert typed("replay", "out/replay.json").output.count("the identical history") == 1


def _untimed(said: str) -> str:
    return re.sub(r"in [\d.]+ s, seed", "seed", said)


@pytest.mark.parametrize("jobs", ["1", "2"])
@pytest.mark.parametrize("name", ["app", "Racy()"])
def test_an_application_that_goes_elsewhere_takes_no_path_with_it(
    name: str, jobs: str, tmp_path: Path
) -> None:
    for folder in ("source", "elsewhere"):
        Path(folder).mkdir()
    Path("source/goes.py").write_text(
        "import os\nos.chdir('elsewhere')\nfrom conformance.races.orphaned_producer import Racy\napp = Racy()\n"
    )
    call = ("--config", "sse-conformance.toml", "--app-dir", "source", "--out", "out", "--database", "db")
    with fresh_modules():
        found = typed("explore", "--app", f"goes:{name}", "--schedules", "200", "--jobs", jobs, *call)
    assert found.exit_code == 1, found.output
    assert (tmp_path / "out" / "report.html").is_file()
    assert (tmp_path / "db").is_dir()
    assert list((tmp_path / "elsewhere").iterdir()) == []
    os.chdir(tmp_path)
    with fresh_modules():
        again = typed("replay", "out/replay.json", "--app-dir", "source", "--out", "again")
    assert "the identical history" in again.output
    assert (tmp_path / "again" / "report.html").is_file()


def test_another_history_is_told() -> None:
    typed("explore", "--app", RACE, "--schedules", "100", "--out", "out")
    path = Path("out/replay.json")
    save_replay(path, msgspec.structs.replace(load_replay(path), digest="0" * 64))
    again = typed("replay", str(path))
    assert again.exit_code == 1
    assert "the history differs" in again.output


MOODY = """
from itertools import count
from conformance.races.base import Service

class Moody(Service):
    def __init__(self, number):
        super().__init__()
        self.number = number

    async def publish(self, job, event):
        if self.number == 7:
            raise ValueError("not in the mood")
        await super().publish(job, event)

numbers = count()

def make():
    return Moody(next(numbers))
"""


def test_what_does_not_repeat_is_reported_all_the_same() -> None:
    Path("moody.py").write_text(MOODY)
    with fresh_modules():
        found = typed("explore", "--app", "moody:make()", "--schedules", "20", "--out", "out")
    assert found.exit_code == 1, found.output
    assert "ValueError: not in the mood" in found.output
    assert "it does not repeat exactly: played again, the same schedule gave another" in found.output
    assert "the two part at record" in found.output
    assert "a set of the application's own objects" in found.output
    assert "not in the mood" in Path("out/histories/explore.jsonl").read_text()
    assert "it does not repeat exactly" in Path("out/report.html").read_text()


def test_what_does_not_repeat_is_played_until_it_breaks() -> None:
    Path("moody.py").write_text(MOODY.replace("self.number == 7", "self.number % 4 == 2"))
    with fresh_modules():
        found = typed("explore", "--app", "moody:make()", "--schedules", "20", "--out", "out")
    assert found.exit_code == 1, found.output
    with fresh_modules():
        again = typed("replay", "out/replay.json", "--out", "again")
    assert again.exit_code == 1, again.output
    assert "it does not repeat exactly" in again.output
    assert "not in the mood" in Path("again/histories/explore.jsonl").read_text()


CLIENTS = """
import asyncio
from conformance.races.base import EVENTS, Service

class Client:
    def __init__(self):
        self.queue = asyncio.Queue()

class Racy(Service):
    def __init__(self):
        super().__init__()
        self.clients = set()

    async def publish(self, job, event):
        await super().publish(job, event)
        for client in list(self.clients):
            client.queue.put_nowait(None)
            await asyncio.sleep(0.001)

    async def stream(self, job, after, response):
        client = Client()
        self.clients.add(client)  # and never taken out
        for event in job.log[after:]:
            await response.event(event)
            after = event.number
        while after < EVENTS:
            await client.queue.get()
            await response.event(job.log[after])
            after += 1
            if len(self.clients) > 2 and client is next(iter(self.clients)):
                raise ValueError("the first of many")

app = Racy()
"""


@pytest.mark.parametrize("name", ["app", "Racy()"])
def test_an_application_with_a_set_of_its_own_objects_repeats(name: str, tmp_path: Path) -> None:
    Path("clients.py").write_text(CLIENTS)
    with fresh_modules():
        found = typed("explore", "--app", f"clients:{name}", "--schedules", "200", "--out", "out")
    assert found.exit_code == 1, found.output
    assert "it does not repeat" not in found.output
    for hash_seed in ("1", "2"):
        again = subprocess.run(
            [sys.executable, "-m", "conformance", "replay", "out/replay.json"],
            env={**os.environ, "PYTHONPATH": ROOT, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=False,
        )
        assert again.returncode == 1, again.stderr
        assert "the identical history" in again.stdout


def test_what_is_right_passes() -> None:
    passed = typed("explore", "--app", "conformance.races.orphaned_producer:Twin()", "--schedules", "20")
    assert passed.exit_code == 0, passed.output
    assert "20 schedules of conformance.races.orphaned_producer:Twin() from seed 0: no rule" in passed.output


def test_a_broken_should_is_told_and_looked_for_only_when_it_is_wanted() -> None:
    call = ("explore", "--app", "conformance.races.late_heartbeat:Racy()", "--schedules", "60")
    told = typed(*call, "--out", "out")
    assert told.exit_code == 0, told.output
    assert "no rule was broken, but a SHOULD is: resource.no-errors (--strict looks for it)" in told.output
    assert "warn  resource.no-errors  in explore" in told.output
    assert re.search("^Conforms", told.output, re.MULTILINE)
    again = typed("replay", "out/replay.json")
    assert again.exit_code == 0, again.output
    assert "the identical history" in again.output
    assert "warn  resource.no-errors  in explore" in again.output

    found = typed(*call, "--strict", "--out", "strict")
    assert found.exit_code == 1, found.output
    assert "Does not conform: 1 rule broken" in found.output
    assert "shrunk in" in found.output
    again = typed("replay", "strict/replay.json")
    assert again.exit_code == 1, again.output
    assert "Does not conform: 1 rule broken" in again.output


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_a_rule_can_be_left_out(jobs: str) -> None:
    call = ("explore", "--app", RACE, "--schedules", "120", "--jobs", jobs)
    passed = typed(*call, "--without", "resource.tasks-left", "--without", "resource.no-errors")
    assert passed.exit_code == 0, passed.output
    assert typed(*call, "--without", "order.no-gap", "--out", "out").exit_code == 1
    assert load_replay(Path("out/replay.json")).without == ("order.no-gap",)
    assert "28 cases: 28 rules in 1 scenario" in typed("replay", "out/replay.json").output


def test_the_reference_is_explored_where_nothing_is_named_and_nothing_is_configured() -> None:
    Path("sse-conformance.toml").unlink()
    passed = typed("explore", "--schedules", "10")
    assert passed.exit_code == 0, passed.output
    assert "10 schedules of the built-in reference service from seed 0" in passed.output


def test_the_application_of_the_configuration_of_this_folder_is_explored() -> None:
    config = Path("sse-conformance.toml")
    config.write_text(config.read_text().replace("conformance.races.base:Service()", RACE))
    found = typed("explore", "--schedules", "100")
    assert found.exit_code == 1, found.output
    assert "resource.tasks-left" in found.output


def test_a_configuration_of_another_target_is_not_passed_over() -> None:
    Path("sse-conformance.toml").write_text('[target]\nurl = "http://127.0.0.1:8000/events"\n')
    refused = typed("explore")
    assert isinstance(refused.exception, Failure)
    assert "has no target.app: name the application with --app" in str(refused.exception)


@pytest.mark.parametrize(
    ("config", "choices", "says"),
    [
        ("x" * 300, (), "replay.json: its config can be no path: File name too long"),
        ("a\0b", (), "there is no such file"),
        (None, (Break(Disconnect(when=AtTrigger("zzz"))),), "replay.json: the plan names the trigger 'zzz'"),
    ],
)
def test_a_damaged_replay_file_is_told(config: str | None, choices: tuple[Choice, ...], says: str) -> None:
    save_replay(Path("replay.json"), Replay(subject=RACE, config=config, schedule=Schedule(choices)))
    result = typed("replay", "replay.json")
    assert isinstance(result.exception, Failure)
    assert result.exception.code == MISUSED
    assert says in str(result.exception)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"config": "none.toml"}, "replay.json: config none.toml: there is no such file"),
        (
            {"without": ("order.no-gpa",)},
            "replay.json: without: 'order.no-gpa' is no rule that is explored; did",
        ),
        ({"subject": "nowhere:app"}, "replay.json: subject 'nowhere:app': there is no module 'nowhere'"),
        ({"subject": "reference", "config": "url.toml"}, "replay.json: subject must name the application"),
    ],
)
def test_what_is_wrong_in_a_replay_file_is_told_of_its_field(fields: dict[str, Any], says: str) -> None:
    Path("url.toml").write_text('[target]\nurl = "http://127.0.0.1:8000/events"\n')
    replay = Replay(subject=RACE, config="sse-conformance.toml", schedule=Schedule())
    save_replay(Path("replay.json"), msgspec.structs.replace(replay, **fields))
    result = typed("replay", "replay.json")
    assert isinstance(result.exception, Failure)
    assert result.exception.code == MISUSED
    assert says in str(result.exception)
    assert "--" not in str(result.exception)


def test_a_replay_file_that_names_no_configuration_where_there_is_none_is_told() -> None:
    Path("sse-conformance.toml").unlink()
    save_replay(Path("replay.json"), Replay(subject=RACE, schedule=Schedule()))
    result = typed("replay", "replay.json")
    assert isinstance(result.exception, Failure)
    assert "replay.json: config names no configuration, and there is none in this folder" in str(
        result.exception
    )


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("explore", "--app", "nowhere:app"), "no module 'nowhere'"),
        (("explore", "--app", RACE, "--config", "none.toml"), "there is no such file"),
        (
            ("explore", "--without", "order.no-gpa"),
            "--without: 'order.no-gpa' is no rule that is explored; did",
        ),
        (("replay", "none.json"), "No such file"),
        (("replay", "sse-conformance.toml"), "not a replay file"),
    ],
)
def test_a_wrong_call_is_told(arguments: tuple[str, ...], says: str) -> None:
    result = typed(*arguments)
    assert isinstance(result.exception, Failure)
    assert result.exception.code == MISUSED
    assert says in str(result.exception)
