"""How fast schedules are explored: schedules, events and simulated seconds a second.

Run from the checkout: `python -m benchmarks.exploration`. Prints Markdown. Every schedule is a whole run: two
subscribers over HTTP with a drawn schedule of faults, judged by all rules that are explored.
"""

import argparse
import platform
import time

from conformance.explore import (
    Exploration,
    Hold,
    Late,
    Leave,
    Schedule,
    asgi_subject,
    play_schedule,
    reference_subject,
)
from conformance.races.base import Service, races_config
from conformance.specimens.specimen import reference_config

SCHEDULES = (
    Schedule(),
    Schedule((Late("b", 0.25),)),
    Schedule((Leave("a", "events", count=2, away=0.05),)),
    Schedule((Hold("*.send.*.before", 0.05), Leave("b", "before-head"))),
)


def measured(exploration: Exploration, rounds: int) -> tuple[float, ...]:
    """Schedules, events and simulated seconds, wall-clock seconds, processor seconds."""
    for schedule in SCHEDULES:
        play_schedule(exploration, schedule)  # what is imported or cached at first
    events, simulated = 0, 0.0
    wall, processor = time.perf_counter(), time.process_time()
    for _ in range(rounds):
        for schedule in SCHEDULES:
            history = play_schedule(exploration, schedule).history
            events += sum(len(stream.events) for stream in history.streams)
            simulated += history.duration
    spent = time.perf_counter() - wall, time.process_time() - processor
    return rounds * len(SCHEDULES), events, simulated, *spent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=50, help="how often the schedules are played")
    rounds: int = parser.parse_args().rounds
    print(f"CPython {platform.python_version()}; {platform.system()} {platform.machine()}\n")
    print("| subject | time | schedules/s | events/s | simulated s/s |")
    print("|---|---|---:|---:|---:|")
    subjects = {
        "the reference": Exploration(reference_subject(), reference_config()),
        "an ASGI application on asyncio": Exploration(asgi_subject(Service), races_config()),
    }
    for name, exploration in subjects.items():
        schedules, events, simulated, wall, processor = measured(exploration, rounds)
        for what, spent in (("wall-clock", wall), ("processor", processor)):
            figures = (schedules / spent, events / spent, simulated / spent)
            print(f"| {name} | {what} | " + " | ".join(f"{figure:,.0f}" for figure in figures) + " |")
    print(
        "\nOf the simulated seconds of a schedule 300 are the wait at its end, in which gauges may come back."
    )


if __name__ == "__main__":
    main()
