"""From a configuration to a run: what is told of a target that was not reached."""

import sys
from pathlib import Path

import msgspec
import pytest

from conformance.config import Loaded, load_config
from conformance.drive.target import built_in
from conformance.job import Job, do
from conformance.outcome import Run
from conformance.rules import RULES
from conformance.scenarios import SCENARIOS
from reports.results import Verdict

SECRET = "sesame-opens-it"


async def not_reached(folder: Path, target: str) -> Run:
    file = folder / "sse-conformance.toml"
    file.write_text(f"[target]\n{target}\n[limits]\nconnect = 5\n")
    loaded: Loaded = load_config(file, environ={"TOKEN": SECRET})
    return await do(Job(loaded, scenarios=(), rules=(), folder=folder, histories=folder))


async def test_what_a_server_printed_is_told_without_secrets(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-c",
        "import sys; print('token', sys.argv[1]); sys.exit(3)",
        "${TOKEN}",
        "{port}",
    ]
    run = await not_reached(tmp_path, f"url = 'http://127.0.0.1:{{port}}'\ncommand = {command}")
    told = run.results.unreached or ""
    assert "exited with code 3" in told
    assert "token <redacted>" in told
    assert SECRET.encode() not in msgspec.json.encode(run.results)


@pytest.mark.parametrize(
    "url", ["http://bob:${TOKEN}@127.0.0.1:1/events", "http://127.0.0.1:1/events?key=${TOKEN}"]
)
async def test_the_address_is_told_without_secrets(tmp_path: Path, url: str) -> None:
    run = await not_reached(tmp_path, f'url = "{url}"')
    assert "nobody listens there" in (run.results.unreached or "")
    assert run.results.target.endswith("127.0.0.1:1/events")
    assert SECRET.encode() not in msgspec.json.encode(run.results)


async def test_what_disturbs_a_whole_server_gets_one_of_its_own(tmp_path: Path) -> None:
    loaded = built_in(tmp_path / "state")
    target = msgspec.structs.replace(loaded.config.target, instances=2)
    loaded = msgspec.structs.replace(loaded, config=msgspec.structs.replace(loaded.config, target=target))
    chosen = tuple(each for each in SCENARIOS if each.name in {"subscribe", "restart", "crowd"})
    ran = await do(Job(loaded, chosen, RULES, folder=tmp_path, histories=tmp_path))
    assert {case.verdict for case in ran.results.cases} <= {Verdict.PASS, Verdict.NOT_APPLICABLE}
    origins = {name: history.began.target.rpartition("/jobs")[0] for name, history in ran.histories.items()}
    assert origins["restart"] == origins["crowd"] != origins["subscribe"]
    assert (tmp_path / "server-2.log").exists()
    assert not (tmp_path / "server-3.log").exists()


async def test_without_leave_there_is_one_server(tmp_path: Path) -> None:
    loaded = built_in(tmp_path / "state")
    target = msgspec.structs.replace(loaded.config.target, instances=1)
    loaded = msgspec.structs.replace(loaded, config=msgspec.structs.replace(loaded.config, target=target))
    chosen = tuple(each for each in SCENARIOS if each.name in {"unknown-stream", "crowd"})
    ran = await do(Job(loaded, chosen, RULES, folder=tmp_path, histories=tmp_path))
    assert len({history.began.target.rpartition("/jobs")[0] for history in ran.histories.values()}) == 1
    assert not (tmp_path / "server-2.log").exists()
