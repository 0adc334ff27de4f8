"""examples/virtual_time, as its README has it: each of its commands, in a copy of its folder."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from ways_in import COMMAND, ENVIRON, PLUGIN, ROOT

EXAMPLE = Path(ROOT, "examples", "virtual_time")
PATIENCE = 300.0  # seconds; none takes a tenth of it on a machine that is not busy


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    copy = tmp_path / "virtual_time"
    shutil.copytree(
        EXAMPLE, copy, ignore=shutil.ignore_patterns(".*", "__pycache__", "sse-conformance-report")
    )
    return copy


def typed(folder: Path, *command: str) -> tuple[int, str]:
    done = subprocess.run(
        command, cwd=folder, env=ENVIRON, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    return done.returncode, done.stdout + done.stderr


def verdicts(folder: Path, verdict: str) -> set[str]:
    results = json.loads((folder / "sse-conformance-report" / "results.json").read_bytes())
    assert results["how"] == "in this process on asyncio, in virtual time"
    return {case["rule"] for case in results["cases"] if case["verdict"] == verdict}


def test_run_tells_of_the_race(folder: Path) -> None:
    code, said = typed(folder, *COMMAND, "run")
    assert code == 1, said
    assert {"order.subscribers-agree", "completion.late-subscriber"} <= verdicts(folder, "fail")
    assert "late never got event 1" in said


def test_run_of_the_corrected_one_does_not(folder: Path) -> None:
    code, said = typed(folder, *COMMAND, "run", "--app", "app:make_correct()", "--strict")
    assert code == 0, said
    assert {"order.subscribers-agree", "completion.late-subscriber"} <= verdicts(folder, "pass")


def test_explore_finds_the_race_and_replay_plays_it(folder: Path) -> None:
    code, said = typed(folder, *COMMAND, "explore", "--app", "app:make_app()")
    assert code == 1, said
    again, played = typed(folder, *COMMAND, "replay", "sse-conformance-report/replay.json")
    assert again == 1, played
    assert "the identical history" in played


def test_its_tests_pass(folder: Path) -> None:
    code, said = typed(folder, COMMAND[0], "-m", "pytest", *PLUGIN, "-p", "no:cacheprovider")
    assert code == 0, said
    assert "2 passed" in said
