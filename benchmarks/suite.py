"""How much waiting a run saves: its wall time against the sum of its scenarios' own times.

Run from the checkout: `python -m benchmarks.suite [--config FILE]`. Prints Markdown; exits with 1 if the run does not
conform. Without a configuration it runs what the command line runs without a target: the reference, on a full one.

Most of a run is waiting. Scenarios that do not disturb each other are driven at once; those that measure or disturb
the whole server run alone, last. So the best that can be is the longest of the former plus all of the latter.
"""

import argparse
import json
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from conformance import __version__
from conformance.scenarios import SCENARIOS

ROOT = Path(__file__).parents[1]
EXCLUSIVE = {scenario.name for scenario in SCENARIOS if scenario.exclusive}


def run(config: Path | None, folder: Path) -> tuple[dict[str, Any], float, int]:
    """The results of one run, the seconds that the whole process took, its exit code."""
    command = [sys.executable, "-m", "conformance", "run", "--out", str(folder)]
    if config is not None:
        command += ["--config", str(config)]
    began = time.monotonic()
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    taken = time.monotonic() - began
    return json.loads((folder / "results.json").read_text(encoding="utf-8")), taken, done.returncode


def own_times(results: dict[str, Any]) -> dict[str, float]:
    """Each scenario's own time in seconds, of those that were driven at all."""
    return {case["scenario"]: case["duration"] for case in results["cases"] if case["duration"] > 0}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config", type=Path, help="the configuration of another target")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        results, taken, code = run(arguments.config, Path(name) / "report")
    times = own_times(results)
    together = {scenario: seconds for scenario, seconds in times.items() if scenario not in EXCLUSIVE}
    alone = {scenario: seconds for scenario, seconds in times.items() if scenario in EXCLUSIVE}
    least = max(together.values(), default=0.0) + sum(alone.values())
    total = sum(times.values())
    print(f"sse-conformance {__version__}, Python {platform.python_version()}, {platform.machine()}\n")
    print("| what | seconds |")
    print("|---|---:|")
    print(f"| the sum of the own times of {len(times)} scenarios | {total:.1f} |")
    print(
        f"| the longest of the {len(together)} that are driven at once | {max(together.values(), default=0.0):.1f} |"
    )
    print(f"| the sum of the {len(alone)} that are driven alone | {sum(alone.values()):.1f} |")
    print(f"| the best that can be: the longest, then those alone | {least:.1f} |")
    print(f"| the run | {results['duration']:.1f} |")
    print(f"| the whole process, with its start and its reports | {taken:.1f} |")
    print(f"\n{total / results['duration']:.1f} to 1, and to the whole process {total / taken:.1f} to 1.\n")
    print("| scenario | own time, s | driven |")
    print("|---|---:|---|")
    for scenario, seconds in sorted(times.items(), key=lambda item: -item[1]):
        print(f"| {scenario} | {seconds:.2f} | {'alone' if scenario in EXCLUSIVE else 'at once'} |")
    raise SystemExit(min(code, 1))


if __name__ == "__main__":
    main()
