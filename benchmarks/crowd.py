"""A crowd: thousands of complete streams at once against the reference, every event and every completion counted.

Run from the checkout: `python -m benchmarks.crowd [--streams 2000]`. Prints Markdown; exits with 1 if an event or a
completion was lost, or if the streams were never all open at once. The server is a process of its own, as in
`sse-conformance run`; harness and server share this machine's cores. Each stream needs two descriptors.
"""

import argparse
import os
import platform
import tempfile
import time
from pathlib import Path

import msgspec
import trio

from conformance.config import Config, Override, Variant
from conformance.drive.scene import Setting, play
from conformance.drive.target import built_in, ready
from conformance.figures import figures
from conformance.history import History
from conformance.judging import held, judge
from conformance.rules import RULES
from conformance.scenarios.crowd import crowd
from fault_injection.network import SocketNetwork
from reports.results import Verdict

EVENTS = 8  # that the work tells, the completion included; the end marker comes on top


def configured(config: Config, streams: int, interval: float) -> Config:
    """The reference's configuration for a crowd whose work is slow enough for all to come before it is over."""
    patience = 10 * EVENTS * interval
    limits = msgspec.structs.replace(
        config.limits, crowd=streams, completion=patience, head=patience, close=patience
    )
    work = Variant(start=Override(json={"events": EVENTS, "interval": interval}))
    target = msgspec.structs.replace(config.target, variants={**config.target.variants, "crowd": work})
    return msgspec.structs.replace(config, limits=limits, target=target)


async def driven(streams: int, interval: float, folder: Path) -> History:
    """The history of a crowd."""
    loaded = built_in(folder / "state")
    config = configured(loaded.config, streams, interval)
    network = SocketNetwork()
    async with ready(config, network, log=folder / "server.log") as target:
        setting = Setting(
            network=network,
            config=config,
            origin=target.origin,
            seed=0,
            duration=60.0,
            declared=held(config),
            secrets=loaded.secrets,
            wall=time.time,
            histories=folder,
            server=target.server,
        )
        return await play(setting, crowd)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--streams", type=int, default=2000)
    parser.add_argument("--interval", type=float, default=5.0, help="seconds between two events of a stream")
    arguments = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        history = trio.run(driven, arguments.streams, arguments.interval, Path(name))
    taken = time.monotonic() - began
    cases = judge(history, [rule for rule in RULES if history.scenario in rule.scenarios])
    events = sum(len(stream.events) for stream in history.streams)
    completed = sum(stream.completed is not None for stream in history.streams)
    measured = figures(history)
    print(f"Python {platform.python_version()}, {platform.machine()}, {os.cpu_count()} cores\n")
    print("| what | how many |")
    print("|---|---:|")
    print(f"| streams | {len(history.streams)} |")
    print(f"| open at once | {measured['open at once']} |")
    print(f"| events, of {arguments.streams * (EVENTS + 1)} | {events} |")
    print(f"| completions | {completed} |")
    print(f"| events per second, all streams | {measured['events per second, all']} |")
    print(f"| memory per stream, on the harness's side | {measured['memory per stream, harness']} |")
    print(f"| seconds | {taken:.0f} |")
    print("\n" + "\n".join(f"- {case.rule}: {case.verdict.value}: {case.reason}" for case in cases))
    whole = (
        events == arguments.streams * (EVENTS + 1)
        and completed == arguments.streams == int(measured["open at once"])
        and all(case.verdict in {Verdict.PASS, Verdict.NOT_APPLICABLE} for case in cases)
    )
    raise SystemExit(0 if whole else 1)


if __name__ == "__main__":
    main()
