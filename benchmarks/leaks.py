"""What the connect storm finds, and what it does not find where nothing is: `python -m benchmarks.leaks [RUNS]`.

Specimens that lose something with every subscriber who leaves, and servers that are right, each in a process of its
own on this machine's sockets, with 200 cycles. Prints the tables of docs/performance.md.
"""

import os
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import median

import msgspec
import trio

from conformance.config import Loaded, load_config
from conformance.drive.scene import Setting, play
from conformance.drive.target import built_in, ready
from conformance.history import History
from conformance.judging import held, judge_by
from conformance.rules import RULES
from conformance.rules.resource_leaks import STORM
from conformance.rules.trend import theil_sen
from conformance.specimens import SPECIMEN, examine_process
from conformance.specimens.specimen import scenario_named
from fault_injection.network import SocketNetwork

CYCLES = 200
LEAKS = {
    "left-tasks": "a task",
    "left-files": "a descriptor",
    "left-memory": "50 kB",
    "left-threads": "a thread",
    "left-children": "a child process",
    "kept-connections": "the connection",
}
"""Specimens, and what each loses."""

RIGHT = {"the reference": None, "uvicorn, sse-starlette": "sse_starlette", "Node, better-sse": "better_sse"}
"""Servers, and the folders of their examples."""

_EXAMPLES = Path(__file__).parents[1] / "examples"
_RULES = [rule for rule in RULES if STORM in rule.scenarios]


async def storm(folder: str | None) -> History:
    """One storm on a server that is right, in a process that was started for it."""
    with tempfile.TemporaryDirectory() as name:
        state = Path(name)
        loaded = built_in(state) if folder is None else _example(folder)
        config = loaded.config
        limits = msgspec.structs.replace(config.limits, cycles=CYCLES)
        config = msgspec.structs.replace(config, limits=limits)
        async with ready(config, SocketNetwork(), log=state / "log", folder=loaded.folder) as target:
            setting = Setting(
                network=SocketNetwork(),
                config=config,
                origin=target.origin,
                seed=0,
                duration=5.0,
                declared=held(config),
                secrets=loaded.secrets,
                server=target.server,
            )
            return await play(setting, scenario_named(STORM))


def _example(folder: str) -> Loaded:
    return load_config(_EXAMPLES / folder / "sse-conformance.toml", environ=os.environ)


def verdicts(history: History) -> dict[str, str]:
    """What each rule of the storm says."""
    assert history.concluded is not None
    assert history.concluded.outcome == "done", history.concluded
    return {rule.name: judge_by(history, rule).verdict for rule in _RULES}


def memory_slope(history: History) -> float:
    """Kilobytes per cycle behind the warm-up."""
    points = [
        (float(each.cycles), each.value)
        for each in history.gauges
        if each.name == "process.memory" and each.phase == "during" and each.value is not None
    ]
    return theil_sen([point for point in points if point[0] >= CYCLES / 5])[0] / 1000


def leaks(runs: int) -> Iterable[Sequence[object]]:
    """A row for each specimen."""
    for name, lost in LEAKS.items():
        rule = SPECIMEN[name].breaks[0]
        found, times, others = 0, list[float](), set[str]()
        for _ in range(runs):
            began = time.perf_counter()
            said = verdicts(trio.run(examine_process, SPECIMEN[name]))
            times.append(time.perf_counter() - began)
            found += said[rule] == "broken"
            others |= {each for each, verdict in said.items() if verdict == "broken"} - {
                *SPECIMEN[name].breaks
            }
        yield (
            lost,
            f"`{rule}`",
            f"{found} of {runs}",
            ", ".join(sorted(others)) or "none",
            f"{median(times):.1f}",
        )


def right(runs: int) -> Iterable[Sequence[object]]:
    """A row for each server that is right and can be run here."""
    for name, folder in RIGHT.items():
        if folder == "better_sse" and not (_EXAMPLES / folder / "node_modules").is_dir():
            print(f"(left out: {name} needs npm install in examples/{folder})", file=sys.stderr)
            continue
        broken, undecided, slopes, times = list[str](), list[str](), list[float](), list[float]()
        for _ in range(runs):
            began = time.perf_counter()
            history = trio.run(storm, folder)
            times.append(time.perf_counter() - began)
            slopes.append(memory_slope(history))
            for rule, verdict in verdicts(history).items():
                broken += [rule] * (verdict == "broken")
                undecided += [rule] * (verdict == "inconclusive")
        said = (
            ", ".join(sorted(set(each))) + f" ({len(each)})" if each else "none"
            for each in (broken, undecided)
        )
        span = f"{min(slopes):.1f} to {max(slopes):.1f}"
        yield name, runs, *said, span, f"{median(times):.1f}"


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table of Markdown, row by row."""
    print("| " + " | ".join(head) + " |")
    print("|" + "---|" * len(head))
    for row in rows:
        print("| " + " | ".join(map(str, row)) + " |", flush=True)
    print()


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    assert shutil.which("uvicorn"), "needs the extra dev"
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors"
    print(f"CPython {platform.python_version()}; {machine}; {CYCLES} cycles, {runs} runs each\n")
    table(
        ("server that is right", "runs", "findings", "inconclusive", "memory, kB per cycle", "seconds"),
        right(runs),
    )
    table(("lost with each subscriber who leaves", "rule", "found in", "also broken", "seconds"), leaks(runs))


if __name__ == "__main__":
    main()
