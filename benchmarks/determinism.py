"""Whether the same seed gives the same history, byte for byte: across runs, processes and hash seeds.

Run from the checkout: `python -m benchmarks.determinism --runs 1000`. Prints Markdown. Schedules are drawn once and
played once here, and then by several processes, each with a PYTHONHASHSEED of its own and in an order of its own;
every history must be that of the first time. Exits with 1 where one is not.
"""

import argparse
import importlib.util
import json
import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import msgspec
from hypothesis import HealthCheck, Phase, given, seed, settings

from conformance.config import load_config
from conformance.explore import Exploration, Schedule, asgi_subject, digest, play_schedule, reference_subject
from conformance.explore.draw import schedules_of
from conformance.races import RACES
from conformance.specimens.specimen import reference_config

ROOT = Path(__file__).parents[1]
_FIRST = 4_242  # the hash seed of the first process


def _reference() -> Exploration:
    return Exploration(reference_subject(), reference_config(), seed=1)


def _race() -> Exploration:
    race = next(race for race in RACES if race.name == "superseded-stream")
    return Exploration(asgi_subject(race.make), race.config, seed=2)


def _fastapi() -> Exploration:
    folder = ROOT / "examples" / "virtual_time"
    config = load_config(folder / "sse-conformance.toml", environ={}).config
    return Exploration(asgi_subject(_module(folder, "app_on_fastapi").make_app), config, seed=3)


def _sse_starlette() -> Exploration:
    folder = ROOT / "examples" / "sse_starlette_issue_156"
    config = load_config(folder / "sse-conformance.toml", environ={}).config
    return Exploration(asgi_subject(_module(folder, "app_on_sse_starlette").make_app), config, seed=4)


SUBJECTS: dict[str, tuple[Callable[[], Exploration], tuple[str, ...]]] = {
    "the reference": (_reference, ()),
    "a race on asyncio": (_race, ()),
    "FastAPI": (_fastapi, ("fastapi",)),
    "sse-starlette": (_sse_starlette, ("starlette", "sse_starlette")),
}
"""By name: what is explored, and the packages that it takes."""


def _module(folder: Path, name: str) -> ModuleType:
    """The `app.py` of this folder, under a name of its own."""
    spec = importlib.util.spec_from_file_location(name, folder / "app.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def drawn(exploration: Exploration, count: int) -> list[Schedule]:
    """So many different schedules."""
    found: dict[bytes, Schedule] = {}

    @settings(
        max_examples=2 * count + 10,
        database=None,
        deadline=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    @seed(exploration.seed)
    @given(schedules_of(exploration))
    def take(schedule: Schedule) -> None:
        found.setdefault(msgspec.json.encode(schedule), schedule)

    take()
    return list(found.values())[:count]


def played(name: str, listed: list[Schedule], order: int | None = None) -> list[str]:
    """The digest of each schedule's history, played in some order."""
    exploration = SUBJECTS[name][0]()
    numbers = list(range(len(listed)))
    if order is not None:
        random.Random(order).shuffle(numbers)
    digests = {number: digest(play_schedule(exploration, listed[number])) for number in numbers}
    return [digests[number] for number in range(len(listed))]


def elsewhere(name: str, listed: list[Schedule], hash_seed: int) -> list[str]:
    """The same in another process."""
    environment = {**os.environ, "PYTHONHASHSEED": str(hash_seed)}
    command = [sys.executable, "-m", "benchmarks.determinism", "--child", name, "--order", str(hash_seed)]
    ended = subprocess.run(
        command,
        input=msgspec.json.encode(listed),
        stdout=subprocess.PIPE,
        env=environment,
        cwd=ROOT,
        check=True,
    )
    found: list[str] = json.loads(ended.stdout)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=100, help="how many runs of each subject are compared")
    parser.add_argument("--processes", type=int, default=10)
    parser.add_argument("--child", choices=SUBJECTS, help=argparse.SUPPRESS)
    parser.add_argument("--order", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child is not None:
        listed = msgspec.json.decode(sys.stdin.buffer.read(), type=list[Schedule])
        print(json.dumps(played(options.child, listed, options.order)))
        return
    print("| subject | schedules | processes | the same history |")
    print("|---|---:|---:|---|")
    wrong = False
    for name, (make, packages) in SUBJECTS.items():
        if missing := [package for package in packages if importlib.util.find_spec(package) is None]:
            print(f"| {name} | - | - | not run: {', '.join(missing)} not installed |")
            continue
        listed = drawn(make(), max(1, options.runs // options.processes))
        first = played(name, listed)
        same = total = 0
        for number in range(options.processes):
            again = elsewhere(name, listed, _FIRST + number)
            same += sum(one == other for one, other in zip(first, again, strict=True))
            total += len(listed)
        different = len(set(first))
        print(
            f"| {name} | {len(listed)} ({different} histories) | {options.processes} | {same:,} of {total:,} |",
            flush=True,
        )
        wrong |= same < total
    if wrong:
        sys.exit("the same seed gave another history")


if __name__ == "__main__":
    main()
