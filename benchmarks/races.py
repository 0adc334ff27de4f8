"""What exploration finds: the planted races, and nothing on their corrected twins and the reference.

Run from the checkout: `python -m benchmarks.races`. Prints Markdown. `--seeds 5 --twin 5000 --processes 2` is what
docs/performance.md shows; it takes a while. Exits with 1 where a race is not found, not shrunk to three choices, or
where something is reported on a twin or on the reference.
"""

import argparse
import sys
import time
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

from conformance.explore import Exploration, Searched, asgi_subject, reference_subject, search, words
from conformance.races import RACES
from conformance.specimens.specimen import reference_config

MOST = 500  # schedules within which a race is to be found
CHOICES = 3  # of the smallest schedule
REFERENCE = "the reference"


@dataclass(frozen=True)
class Found:
    """What came of one search."""

    name: str
    seed: int
    tried: int
    until_found: int
    choices: int | None
    rules: tuple[str, ...]
    said: str
    seconds: float


def hunted(name: str, seed: int) -> Found:
    """Look for a race."""
    race = next(race for race in RACES if race.name == name)
    return _searched(name, Exploration(asgi_subject(race.make), race.config, seed=seed, strict=True), MOST)


def trusted(name: str, seed: int, schedules: int) -> Found:
    """Look for anything where nothing is wrong."""
    if name == REFERENCE:
        return _searched(name, Exploration(reference_subject(), reference_config(), seed=seed), schedules)
    race = next(race for race in RACES if race.name == name)
    return _searched(
        name, Exploration(asgi_subject(race.twin), race.config, seed=seed, strict=True), schedules
    )


def _searched(name: str, exploration: Exploration, most: int) -> Found:
    began = time.perf_counter()
    searched: Searched = search(exploration, most=most)
    found = searched.found
    return Found(
        name,
        exploration.seed,
        searched.tried,
        searched.until_found,
        None if found is None else len(found.schedule.choices),
        () if found is None else tuple(dict.fromkeys(case.rule for case in found.broken)),
        "" if found is None else "; ".join(words(found.schedule)),
        time.perf_counter() - began,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=1, help="from how many seeds each race is looked for")
    parser.add_argument(
        "--twin", type=int, default=500, help="schedules for each twin, and for the reference"
    )
    parser.add_argument("--processes", type=int, default=1)
    options = parser.parse_args()
    names = [race.name for race in RACES]
    with ProcessPoolExecutor(options.processes) as pool:
        hunts = [pool.submit(hunted, name, seed) for name in names for seed in range(options.seeds)]
        clean = [pool.submit(trusted, name, 0, options.twin) for name in [*names, REFERENCE]]
        wrong = _tell_hunts([hunt.result() for hunt in hunts]) + _tell_twins(
            [each.result() for each in clean]
        )
    if wrong:
        sys.exit("\n".join(wrong))


def _tell_hunts(hunts: Iterable[Found]) -> list[str]:
    """The table of the races; what is wrong."""
    wrong: list[str] = []
    by_name: dict[str, list[Found]] = {}
    for each in hunts:
        by_name.setdefault(each.name, []).append(each)
    print("| race | found after | choices | by | the smallest schedule of the first seed |")
    print("|---|---:|---:|---|---|")
    for name, found in by_name.items():
        race = next(race for race in RACES if race.name == name)
        after = ", ".join(str(each.until_found) if each.choices is not None else "never" for each in found)
        choices = ", ".join("-" if each.choices is None else str(each.choices) for each in found)
        rules = ", ".join(dict.fromkeys(rule for each in found for rule in each.rules))
        print(f"| {name} | {after} | {choices} | {rules} | {found[0].said} |")
        for each in found:
            if each.choices is None:
                wrong.append(f"{name}, seed {each.seed}: not found in {MOST} schedules")
            elif each.choices > CHOICES:
                wrong.append(f"{name}, seed {each.seed}: {each.choices} choices: {each.said}")
            elif not {*each.rules} & {*race.breaks}:
                wrong.append(f"{name}, seed {each.seed}: found by {each.rules} and not by {race.breaks}")
    return wrong


def _tell_twins(clean: Iterable[Found]) -> list[str]:
    wrong: list[str] = []
    print("\n| where nothing is wrong | schedules | reported | schedules/s |")
    print("|---|---:|---|---:|")
    for each in clean:
        reported = "nothing" if each.choices is None else ", ".join(each.rules)
        print(f"| {each.name} | {each.tried} | {reported} | {each.tried / each.seconds:.0f} |")
        if each.choices is not None:
            wrong.append(f"{each.name}: {reported}: {each.said}")
    return wrong


if __name__ == "__main__":
    main()
