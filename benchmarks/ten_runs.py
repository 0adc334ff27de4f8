"""Whether the harness cries wolf: runs in a row against a server that is right, while every core is busy.

Run from the checkout: `python -m benchmarks.ten_runs`. Prints Markdown; exits with 1 if a run found a failure.

The server is examples/sse_starlette, which conforms in every rule, so each `fail` is a false alarm. The load is
one process a core that does nothing but look at the clock; it ends with this script, however that ends.
"""

import argparse
import contextlib
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "examples" / "sse_starlette"
LONGEST = 300.0  # seconds that a run may take before it is ended

_COUNT = """
import os, sys, time
parent, end = os.getppid(), time.monotonic() + float(sys.argv[1])
while time.monotonic() < end and os.getppid() == parent:
    pass
"""


@contextlib.contextmanager
def load(processes: int, seconds: float) -> Iterator[None]:
    """So many processes keep a core busy while the block runs, `seconds` at the most."""
    busy = [subprocess.Popen([sys.executable, "-c", _COUNT, str(seconds)]) for _ in range(processes)]
    try:
        yield
    finally:
        for process in busy:
            process.terminate()
        for process in busy:
            process.wait()


def run(seed: int, folder: Path) -> dict[str, Any]:
    """One run of the command line against the example; gives its results."""
    command = [sys.executable, "-m", "conformance", "run", "--seed", str(seed), "--out", str(folder)]
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    environ = {"PYTHONPATH": str(ROOT), "PATH": path, "JOBS_DATABASE": str(folder / "jobs.sqlite3")}
    folder.mkdir()
    with (folder / "output.txt").open("wb") as output:
        running = subprocess.Popen(
            command, cwd=EXAMPLE, env={**os.environ, **environ}, stdout=output, stderr=subprocess.STDOUT
        )
        try:
            running.wait(LONGEST)
        except subprocess.TimeoutExpired:
            running.send_signal(signal.SIGINT)  # it still stops its server, and reports what it has
            running.wait()
    written = folder / "results.json"
    if not written.is_file():
        raise SystemExit(f"\nrun {seed} wrote no results:\n{(folder / 'output.txt').read_text()}")
    results: dict[str, Any] = json.loads(written.read_bytes())
    return results


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument(
        "--load", type=int, default=os.cpu_count() or 1, help="processes that keep a core busy"
    )
    parser.add_argument("--keep", type=Path, help="a folder for the reports; default: they are thrown away")
    given = parser.parse_args()
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, {given.load} busy processes beside\n")
    print("| run | seconds | pass | fail | warn | inconclusive | not-applicable | error | driven again |")
    print("| --: | --: | --: | --: | --: | --: | --: | --: | --: |")
    found: dict[tuple[str, str, str], list[int]] = {}
    with contextlib.ExitStack() as stack:
        kept = given.keep or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        kept.mkdir(parents=True, exist_ok=True)
        stack.enter_context(load(given.load, given.runs * LONGEST))
        for number in range(1, given.runs + 1):
            started = time.monotonic()
            results = run(number, kept / f"run-{number}")
            counts = Counter(case["verdict"] for case in results["cases"])
            again = len(list((kept / f"run-{number}" / "histories").glob("*-2.jsonl")))
            row = [counts[v] for v in ("pass", "fail", "warn", "inconclusive", "not-applicable", "error")]
            cells = " | ".join(map(str, [number, f"{time.monotonic() - started:.0f}", *row, again]))
            print(f"| {cells} |", flush=True)
            for case in results["cases"]:
                if case["verdict"] not in {"pass", "not-applicable"}:
                    found.setdefault((case["verdict"], case["id"], case["reason"]), []).append(number)
            if not results["cases"]:
                found.setdefault(("error", "nothing was judged", results["unreached"]), []).append(number)
    print()
    for (verdict, case, reason), runs in sorted(found.items()):
        print(
            f"- {verdict} {case} in {'run' if len(runs) == 1 else 'runs'} {', '.join(map(str, runs))}: {reason}"
        )
    bad = sum(len(runs) for (verdict, _, _), runs in found.items() if verdict in {"fail", "error"})
    print(f"\nFalse alarms: {bad}")
    return int(bad > 0)


if __name__ == "__main__":
    raise SystemExit(main())
