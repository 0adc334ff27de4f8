"""What the harness says of servers that nobody here wrote: the verdicts that docs/gallery.md explains.

Each was checked by hand with curl. Where one changes, look at the server again before you change it here.
"""

import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
PATIENCE = 120.0  # seconds for one run; none takes a tenth of it on a machine that is not busy


class Ran(NamedTuple):
    """What a run came to: exit code, and for each verdict the rules that have it, with the scenarios."""

    code: int
    cases: dict[str, dict[str, set[str]]]
    said: str

    @property
    def fails(self) -> dict[str, set[str]]:
        return self.cases.get("fail", {})

    @property
    def rules(self) -> set[str]:
        return {rule for rules in self.cases.values() for rule in rules}

    @property
    def warns(self) -> dict[str, set[str]]:
        return self.cases.get("warn", {})


def run(folder: Path, tmp_path: Path, *arguments: str) -> Ran:
    """`sse-conformance run` in an example's folder, as its README has it."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        [sys.executable, "-m", "conformance", "run", "--out", str(tmp_path), "--duration", "2", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PATH": path, "JOBS_DATABASE": str(tmp_path / "jobs")},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    said = done.stdout + done.stderr
    assert done.returncode in {0, 1}, said
    cases: dict[str, dict[str, set[str]]] = {}
    for case in json.loads((tmp_path / "results.json").read_bytes())["cases"]:
        cases.setdefault(case["verdict"], {}).setdefault(case["rule"], set()).add(case["scenario"])
    assert "error" not in cases, said
    return Ran(done.returncode, cases, said)


def run_bare(folder: Path, tmp_path: Path, path: str) -> Ran:
    """The same with nothing configured but where the stream is, as `sse-conformance run URL` has it. The command
    runs where its configuration is, so that comes to lie beside a copy of the application."""
    bare = tmp_path / "bare"
    shutil.copytree(folder, bare, symlinks=True)
    command = tomllib.loads((folder / "sse-conformance.toml").read_text("utf-8"))["target"]["command"]
    config = bare / "bare.toml"
    config.write_text(
        f"[target]\ncommand = {json.dumps(command)}\nstream.path = {json.dumps(path)}\n", "utf-8"
    )
    return run(bare, tmp_path, "--config", str(config))


@pytest.fixture(scope="session")
def better_sse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the example on Node; a copy of it, where its package is not installed in place."""
    folder = EXAMPLES / "better_sse"
    if (folder / "node_modules").is_dir():
        return folder
    copy = tmp_path_factory.mktemp("node") / folder.name
    shutil.copytree(folder, copy)
    done = subprocess.run(
        ["npm", "install", "--no-audit", "--no-fund"],
        cwd=copy,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return copy


def test_sse_starlette_conforms_in_every_rule(tmp_path: Path) -> None:
    ran = run(EXAMPLES / "sse_starlette", tmp_path)
    assert (ran.fails, ran.warns, ran.code) == ({}, {}, 0)
    silent = ran.rules - ran.cases["pass"].keys()
    assert silent - {"http.head-before-first-event"} == {
        "completion.end-marker",  # its protocol has none
        *("cancel.superseded", "isolation.superseded-silent"),  # it lets streams of a session be
        "cancel.work-survives",  # it does not promise that
        *("resource.tasks-left", "resource.generators-left", "resource.no-errors"),  # in process only
    }


def test_aiohttp_conforms(tmp_path: Path) -> None:
    ran = run(EXAMPLES / "aiohttp", tmp_path)
    assert (ran.fails, ran.warns, ran.code) == ({}, {}, 0)
    assert ran.cases["pass"].keys() >= {
        *("cancel.noticed", "cancel.work-stops", "cancel.stream-told", "isolation.no-stealing"),
        *("resource.gauges-return", "resource.descriptors", "resource.memory", "resource.stalled-reader"),
        *("shutdown.exits", "shutdown.streams-ended", "security.event-injection", "completion.delivered"),
    }


def test_fastapi_as_its_tutorial_has_it_conforms(tmp_path: Path) -> None:
    ran = run(EXAMPLES / "fastapi", tmp_path)
    assert (ran.fails, ran.warns, ran.code) == ({}, {}, 0)
    assert ran.cases["pass"].keys() >= {
        *("resume.no-gap", "resume.no-duplicate", "resume.completion-survives", "resume.after-restart"),
        *("completion.delivered", "completion.clean-close", "http.cache-control", "http.proxy-buffering"),
    }


def test_fastapi_unconfigured(tmp_path: Path) -> None:
    ran = run_bare(EXAMPLES / "fastapi", tmp_path, "/readings/stream")
    assert (ran.fails, ran.warns, ran.code) == ({}, {}, 0)
    assert 'assumed  dialect.completion = [{ data = "[DONE]" }]' in ran.said


NO_HEADERS = {
    "http.cache-control": {"subscribe", "resume-after-cut"},
    "http.proxy-buffering": {"subscribe", "resume-after-cut"},
}


CUT_OFF = {"shutdown.streams-ended": {"shutdown", "shutdown-sigint"}}
"""Flask's own server, and Node where nobody handles SIGTERM, take no leave of anybody."""


def test_a_plain_flask_generator_cannot_be_resumed(tmp_path: Path) -> None:
    ran = run(EXAMPLES / "flask", tmp_path)
    assert ran.fails == {"resume.no-gap": {"resume-after-cut", "resume-mid-event"}, **CUT_OFF}
    assert "the events carry no id field" in ran.said
    assert ran.warns == NO_HEADERS
    assert ran.code == 1


@pytest.mark.parametrize("path", ["/progress", "/clock"])
def test_a_plain_flask_generator_unconfigured(path: str, tmp_path: Path) -> None:
    ran = run_bare(EXAMPLES / "flask", tmp_path, path)
    assert (ran.fails, ran.code) == (CUT_OFF, 1)
    assert ran.warns == {rule: {"subscribe"} for rule in NO_HEADERS}


@pytest.mark.needs("node")
def test_a_channel_of_better_sse_keeps_nothing_for_who_was_away(better_sse: Path, tmp_path: Path) -> None:
    ran = run(better_sse, tmp_path)
    cut = ran.fails.pop("resume.no-gap")
    assert {"resume-mid-event"} <= cut <= {"resume-mid-event", "resume-after-cut"}  # the second: by luck
    assert ran.fails == {
        "completion.late-subscriber": {"after-completion"},
        "resume.completion-survives": {"completion-while-away", "completion-unwatched"},
        **CUT_OFF,
    }
    assert (ran.warns, ran.code) == ({}, 1)
    assert "let nothing through, as less than 4 KiB came and the connection was not closed" in ran.said


@pytest.mark.needs("node")
def test_text_with_line_breaks_loses_them_in_better_sse(better_sse: Path, tmp_path: Path) -> None:
    ran = run_bare(better_sse, tmp_path, "/log")
    assert (ran.fails, ran.code) == (CUT_OFF, 1)
    assert ran.warns == {"wire.fields": {"subscribe"}}
    assert "a line without a colon is ignored: '  at read'" in ran.said
