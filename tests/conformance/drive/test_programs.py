"""Specimens that end in a manner of their own, as processes: what the harness sees of each from outside."""

import sys
from pathlib import Path

import msgspec
import pytest
import trio

from conformance.drive.control import StopSignal
from conformance.drive.server_process import ServerProcess
from conformance.drive.target import ready
from conformance.judging import judge_by
from conformance.rules import RULES
from conformance.specimens import SPECIMEN, examine_process
from conformance.specimens.specimen import reference_config
from fault_injection.network import SocketNetwork

RULE = {rule.name: rule for rule in RULES}


async def serve(name: str, folder: Path, ask: StopSignal, patience: float) -> tuple[int | None, int, bool]:
    """Its exit code (None: it had not ended by then), how many processes it left, whether its port is taken."""
    config = reference_config()
    command = (sys.executable, "-m", "conformance", "serve", "--specimen", name, "--port", "{port}")
    config = msgspec.structs.replace(
        config, target=msgspec.structs.replace(config.target, url=None, command=command)
    )
    async with ready(config, SocketNetwork(), log=folder / "server.log") as reached:
        assert isinstance(reached.server, ServerProcess)
        reached.server.send_signal(ask)
        code = None
        with trio.move_on_after(patience):
            code = await reached.server.exited()
        left = 0 if code is None else len(reached.server.survivors())
        taken = await reached.server.listens()
        await reached.server.kill()
        return code, left, taken


@pytest.mark.parametrize(
    ("name", "ask", "seen"),
    [
        ("crashing-at-the-end", "SIGTERM", (1, 0, False)),
        ("deaf-to-ctrl-c", "SIGINT", (None, 0, True)),
        ("handing-down-its-port", "SIGTERM", (0, 1, True)),
        ("forgetting-a-child", "SIGTERM", (0, 1, False)),
        ("forgetting-a-daemon", "SIGTERM", (0, 1, False)),
    ],
)
async def test_what_is_seen_of_a_program_that_is_asked_to_end(
    name: str, ask: StopSignal, seen: tuple[int | None, int, bool], tmp_path: Path
) -> None:
    assert await serve(name, tmp_path, ask, 0.5 if seen[0] is None else 20) == seen


@pytest.mark.parametrize("name", ["cutting-off", "forgetting-a-daemon"])
async def test_what_a_program_does_wrong_at_its_end_is_caught_and_nothing_else(name: str) -> None:
    specimen = SPECIMEN[name]
    history = await examine_process(specimen)
    assert history.concluded is not None
    assert history.concluded.outcome == "done", history.concluded
    verdicts = {
        name: judge_by(history, rule).verdict for name, rule in RULE.items() if rule.area == "shutdown"
    }
    assert {name for name, verdict in verdicts.items() if verdict == "broken"} == set(specimen.breaks)
    assert verdicts["shutdown.exits"] == verdicts["shutdown.port-released"] == "conforms"


async def test_a_process_that_tells_time_by_its_specimen_s_clock_is_caught_as_in_virtual_time() -> None:
    specimen = SPECIMEN["live-after-return"]
    history = await examine_process(specimen)
    assert [judge_by(history, RULE[name]).verdict for name in specimen.breaks] == ["broken"]
