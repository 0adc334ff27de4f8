"""How fast schedules are explored: schedules, events and simulated seconds a second, beside simloop's.

Run from the checkout: `python -m benchmarks.exploration`. Prints Markdown. Every schedule is a whole run: two
subscribers over HTTP through a link with faults, a history, and all rules that are explored. simloop
(https://pypi.org/project/simloop/, Python 3.12 or later) plays the same conversations as raw TCP in an interpreter of
its own (`simloop_side.py`), in the same run, by turns; `--simloop-python` says where that is.
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from conformance.config import Config
from conformance.explore import (
    Break,
    Exploration,
    Schedule,
    asgi_subject,
    play_schedule,
    reference_subject,
    search,
    search_side_by_side,
)
from conformance.races.base import Service, races_config
from conformance.reference.service import ServiceOptions
from conformance.specimens.specimen import reference_config
from fault_injection.faults import Latency

SCHEDULE = Schedule((Break(Latency(delay=0.05)),))
OPTIONS = ServiceOptions(epoch=1_700_000_000.0, heartbeat=60.0)
SIMLOOP = "simloop, raw TCP"


@dataclass(frozen=True)
class Figures:
    """What some schedules came to."""

    schedules: int
    events: int
    simulated: float  # seconds
    seconds: float  # of the processor

    @property
    def rates(self) -> tuple[float, float, float]:
        """Schedules, events and simulated seconds a second."""
        return self.schedules / self.seconds, self.events / self.seconds, self.simulated / self.seconds


def _long() -> Config:
    """Twenty events of progress in 300 seconds, and nothing but the streams is asked for."""
    config = reference_config()
    start = msgspec.structs.replace(config.target.start, json={"events": 20, "interval": 15})  # type: ignore[type-var]
    target = msgspec.structs.replace(config.target, start=start, status=None, probe=None)
    expect = msgspec.structs.replace(config.expect, events=20)
    limits = msgspec.structs.replace(config.limits, completion=310)
    return msgspec.structs.replace(config, target=target, expect=expect, limits=limits)


CONVERSATIONS = {
    "conversation": ("the reference", Exploration(reference_subject(), reference_config())),
    "short conversation": (
        "an ASGI application on asyncio",
        Exploration(asgi_subject(Service), races_config()),
    ),
    "long streams": ("the reference", Exploration(reference_subject(OPTIONS), _long())),
}
"""What is played, by the name that `simloop_side.py` has for it."""


def measured(exploration: Exploration, schedules: int) -> Figures:
    """Play so many schedules."""
    events, simulated = 0, 0.0
    began = time.process_time()
    for _ in range(schedules):
        played = play_schedule(exploration, SCHEDULE)
        events += sum(len(stream.events) for stream in played.history.streams)
        simulated += played.history.duration
    spent = time.process_time() - began
    assert not played.broken, played.broken
    return Figures(schedules, events, simulated, spent)


class Simloop:
    """simloop in its own interpreter."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self.said: dict[str, str] = self._read()

    def measured(self, name: str, schedules: int, jobs: int = 1) -> Figures:
        """Play so many schedules there."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{name} {schedules} {jobs}\n")
        self._process.stdin.flush()
        return Figures(*self._read())

    def _read(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            sys.exit("simloop's side ended; what it said is above")
        return json.loads(line)


@contextmanager
def reference() -> Iterator[Exploration]:
    """The same in a worker."""
    yield CONVERSATIONS["conversation"][1]


def searched(schedules: int, jobs: int) -> float:
    """Search through so many drawn schedules of the conversation; seconds on the wall, workers' start and all."""
    exploration = CONVERSATIONS["conversation"][1]
    began = time.perf_counter()
    if jobs == 1:
        found = search(exploration, most=schedules)
    else:
        found = search_side_by_side(exploration, reference, most=schedules, workers=jobs)
    assert found.found is None, found
    return time.perf_counter() - began


@contextmanager
def opened(python: str | None) -> Iterator[Simloop | None]:
    """simloop's side, or None where there is no interpreter that has it."""
    if python is None:
        yield None
        return
    command = [python, str(Path(__file__).with_name("simloop_side.py"))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield Simloop(process)
        process.terminate()


def found_python() -> str | None:
    """An interpreter on the path that has simloop."""
    for name in ("python3.14", "python3.13", "python3.12", "python3"):
        path = shutil.which(name)
        if (
            path is not None
            and not subprocess.run([path, "-c", "import simloop"], capture_output=True).returncode
        ):
            return path
    return None


def median(runs: list[Figures]) -> Figures:
    """The run that is in the middle by its schedules a second."""
    return sorted(runs, key=lambda each: each.rates[0])[len(runs) // 2]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="how often the two sides take turns")
    parser.add_argument("--schedules", type=int, default=40, help="schedules in a turn")
    parser.add_argument("--search", type=int, default=2000, help="schedules in a whole search")
    parser.add_argument("--simloop-python", help="an interpreter that has simloop (default: one on the path)")
    options = parser.parse_args()
    with opened(options.simloop_python or found_python()) as simloop:
        print(
            f"CPython {platform.python_version()}; {platform.system()} {platform.machine()}; processor time"
        )
        print(
            "No interpreter with simloop: its rows are missing. Give one by --simloop-python."
            if simloop is None
            else f"simloop {simloop.said['simloop']} on CPython {simloop.said['python']}"
        )
        for name, (subject, exploration) in CONVERSATIONS.items():
            _tell(name, subject, exploration, simloop, options.rounds, options.schedules)
        _tell_searches(simloop, options.search)


def _tell(
    name: str, subject: str, exploration: Exploration, simloop: Simloop | None, rounds: int, schedules: int
) -> None:
    ours: list[Figures] = []
    theirs: list[Figures] = []
    for turn in range(rounds + 1):  # the first does not count: what is imported, or remembered from then on
        ours.append(measured(exploration, schedules if turn else 5))
        if simloop is not None:
            theirs.append(simloop.measured(name, schedules if turn else 5))
    print(f"\n| {name} | schedules/s | events/s | simulated s/s |")
    print("|---|---:|---:|---:|")
    for who, runs in ((subject, ours[1:]), (SIMLOOP, theirs[1:])):
        if runs:
            print(f"| {who} | " + " | ".join(f"{rate:,.0f}" for rate in median(runs).rates) + " |")
    if theirs:
        pairs = zip(ours[1:], theirs[1:], strict=True)
        ratio = statistics.median(one.rates[0] / other.rates[0] for one, other in pairs)
        print(f"\nSchedules a second, in the median of {rounds} turns: {ratio:.2f} times simloop's.")


def _tell_searches(simloop: Simloop | None, schedules: int) -> None:
    """Whole searches, in one process and in as many as there are processors, by the clock on the wall."""
    processes = sorted({1, os.cpu_count() or 1})
    print(f"\n| a search through {schedules:,} schedules, on the wall | processes | schedules/s |")
    print("|---|---:|---:|")
    for jobs in processes:
        print(f"| the reference, drawn with faults | {jobs} | {schedules / searched(schedules, jobs):,.0f} |")
        if simloop is not None:
            theirs = simloop.measured("conversation", schedules, jobs)
            print(f"| {SIMLOOP} | {jobs} | {schedules / theirs.seconds:,.0f} |")


if __name__ == "__main__":
    main()
