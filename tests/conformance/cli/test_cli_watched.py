"""`sse-conformance run --pid` and `--cycles`, and servers that are wrong on purpose: `serve --specimen`."""

import re
import subprocess
from collections.abc import Callable, Iterator
from importlib import resources
from pathlib import Path

import pytest
from cli_world import Sse, in_folder
from hostile_servers import events, served
from ways_in import COMMAND, ENVIRON

from reports.results import Results, Verdict, from_json

sse = pytest.fixture(in_folder)

Served = Callable[[str], tuple[str, int]]


@pytest.fixture
def specimen() -> Iterator[Served]:
    """Serves a specimen in a process, and gives its URL and its pid."""
    started: list[subprocess.Popen[str]] = []

    def start(name: str) -> tuple[str, int]:
        process = subprocess.Popen(
            [*COMMAND, "serve", "--port", "0", "--specimen", name],
            env=ENVIRON,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert process.stderr is not None
        told = re.search(r"http://[\d.:]+", process.stderr.readline())
        assert told is not None
        return told[0], process.pid

    yield start
    for process in started:
        with process:
            process.kill()


def configured(folder: Path, url: str) -> None:
    """The reference's own configuration, for a server that runs already."""
    text = (resources.files("conformance.reference") / "sse-conformance.toml").read_text("utf-8")
    text = text.replace("http://127.0.0.1:8000", url)
    text = text.replace("silence = 1.5", "silence = 0.3").replace("cancellation = 2", "cancellation = 0.2")
    (folder / "sse-conformance.toml").write_text(text, encoding="utf-8")


def results(folder: Path) -> Results:
    return from_json((folder / "sse-conformance-report" / "results.json").read_bytes())


def test_a_server_that_runs_already_is_watched_by_its_pid(sse: Sse, specimen: Served, tmp_path: Path) -> None:
    url, pid = specimen("left-files")
    configured(tmp_path, url)
    storm = ("run", "-s", "connect-storm", "-r", "resource", "--cycles", "80")
    code, out, _ = sse(*storm, "--pid", str(pid))
    assert code == 1
    assert "resource.descriptors" in out
    verdicts = {case.rule: case.verdict for case in results(tmp_path).cases}
    assert verdicts["resource.descriptors"] is Verdict.FAIL
    assert verdicts["resource.threads"] is Verdict.PASS
    assert results(tmp_path).cases[0].history == "histories/connect-storm.jsonl"
    page = (tmp_path / "sse-conformance-report" / "report.html").read_text("utf-8")
    assert 'data-name="process.descriptors"' in page


def test_without_a_pid_what_only_a_process_shows_is_not_judged(
    sse: Sse, specimen: Served, tmp_path: Path
) -> None:
    url, _ = specimen("reference")
    configured(tmp_path, url)
    assert sse("run", "-s", "connect-storm", "-r", "resource", "--cycles", "10").code == 0
    verdicts = {case.rule: (case.verdict, case.reason) for case in results(tmp_path).cases}
    verdict, reason = verdicts["resource.memory"]
    assert verdict is Verdict.NOT_APPLICABLE
    assert "--pid" in reason
    assert verdicts["resource.gauges-return"][0] is Verdict.PASS


def test_a_stream_without_a_look_into_its_server_is_not_stormed(sse: Sse, tmp_path: Path) -> None:
    with served(events(2)) as url:
        assert sse("run", url, "-s", "connect-storm", "-s", "subscribe", "--duration", "1").code == 0
    reasons = {case.reason for case in results(tmp_path).cases if case.scenario == "connect-storm"}
    assert reasons
    assert all("target.pid" in reason or "target.probe" in reason for reason in reasons), reasons


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ("run", "http://127.0.0.1:9/", "--pid", "4194305"),
            "--pid 4194305: there is no process with this number",
        ),
        (("run", "http://127.0.0.1:9/", "--pid", "0"), "--pid"),
        (("run", "--pid", "1"), "the process of target.command is known"),
        (("serve", "--specimen", "left-file"), "there is no such specimen; did you mean"),
    ],
)
def test_a_wrong_call_is_told_as_one(sse: Sse, arguments: tuple[str, ...], said: str) -> None:
    code, _, err = sse(*arguments)
    assert code == 2
    assert said in " ".join(err.split())
