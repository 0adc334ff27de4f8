"""The examples that `--help` shows work as they are typed."""

import os
import re
import shlex
import signal
import subprocess
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
from cli_world import Sse, in_folder
from hostile_servers import events, served
from ways_in import COMMAND, ENVIRON

sse = pytest.fixture(in_folder)

_COMMANDS = ("run", "record", "init", "judge", "serve", "proxy", "rules")


def examples(command: str) -> Iterator[str]:
    """The lines of a command's examples that call sse-conformance, without the remarks."""
    text = import_module(f"conformance.cli.{command}").EXAMPLES
    for line in text.splitlines():
        if line.startswith("  sse-conformance "):
            yield re.sub(r"\[dim\].*\[/\]", "", line).strip()


_SHOP = """
async def app(scope, receive, send):
    assert scope["type"] == "http"
    headers = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-store")]
    headers += [(b"x-accel-buffering", b"no"), (b"pragma", b"no-cache"), (b"expires", b"0")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for number in range(3):
        body = b'data: {"seq": %d}\\n\\n' % number
        await send({"type": "http.response.body", "body": body, "more_body": True})
    await send({"type": "http.response.body"})
"""
_BUILT_IN = ("sse-conformance run", "sse-conformance run --scenario 'resume-*' --rule resume")
ALL = [example for command in _COMMANDS for example in examples(command)]
SHOWN_ELSEWHERE = {
    "sse-conformance rules --matrix",  # takes a minute: tests/conformance/test_matrix.py and test_cli_rules.py
}
WAITING = [example for example in ALL if example.split()[1] in {"serve", "proxy"}]


def test_every_command_has_examples_and_shows_them(sse: Sse) -> None:
    for command in _COMMANDS:
        shown = " ".join(re.sub(r"[^\x20-\x7e]", " ", sse(command, "--help").out).split())
        assert list(examples(command))
        for example in examples(command):
            assert " ".join(example.split()) in shown


@pytest.mark.parametrize(
    "example", [example for example in ALL if example not in WAITING and example not in SHOWN_ELSEWHERE]
)
def test_an_example_works(sse: Sse, tmp_path: Path, example: str) -> None:
    with served(events(3)) as url:
        site = url.rpartition("/")[0]
        (tmp_path / "sse-conformance.toml").write_text(
            f'[target]\nurl = "{url}"\n[dialect]\nsequence = "/seq"\n', "utf-8"
        )
        histories = tmp_path / "sse-conformance-report" / "histories"
        if " judge " in example:
            histories.mkdir(parents=True)
            for file in (
                "sse-conformance.jsonl",
                "recorded.jsonl",
                "sse-conformance-report/histories/a.jsonl",
            ):
                assert sse("record", url, "--out", file).code == 0
        (tmp_path / "shop.py").write_text(_SHOP, "utf-8")
        if example in _BUILT_IN or " init " in example:  # in a folder without a configuration
            (tmp_path / "sse-conformance.toml").unlink()
        typed = example.replace("http://127.0.0.1:8000", site).replace("https://example.org", site)
        words = shlex.split(typed)[1:]
        expanded = [
            str(each) for word in words for each in (sorted(tmp_path.glob(word)) if "*.j" in word else [word])
        ]
        said = sse(*expanded)
    assert said.code == 0, said
    assert said.out
    if example in _BUILT_IN:
        assert re.search(r"✓ \d+ pass", said.out)
        assert "fail" not in said.out
        assert "Conforms" in said.out
        assert (tmp_path / "sse-conformance-report" / "report.html").exists()


@pytest.mark.parametrize("example", WAITING)
def test_an_example_that_waits_works_until_ctrl_c(tmp_path: Path, example: str) -> None:
    plan = import_module("conformance.cli.proxy").EXAMPLES.partition("e.g. ")[2]
    (tmp_path / "plan.json").write_text(plan, "utf-8")
    free = re.sub(r"--port \d+", "--port 0", re.sub(r"--listen \S+", "--listen 127.0.0.1:0", example))
    process = subprocess.Popen(
        [*COMMAND, *shlex.split(free)[1:]],
        cwd=tmp_path,
        env=ENVIRON,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stderr is not None
    opening = process.stderr.readline()
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert "Ctrl-C stops" in opening
    assert process.returncode == 0, err
