"""Drives the target once for the whole session; every test is one case of it."""

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec
import pytest
import trio

from conformance.cli.common import Failure, read_config
from conformance.cli.files import prepare, write
from conformance.drive.target import built_in
from conformance.job import Job, do
from conformance.known_failures import excuse, load_known_failures
from conformance.rules import RULES
from conformance.scenarios import SCENARIOS
from reports.results import Case, Results, summarise

NAMES = [(s.name, r.name) for s in SCENARIOS for r in RULES if s.name in r.scenarios]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "case_id" in metafunc.fixturenames:
        metafunc.parametrize("case_id", [f"{scenario}/{rule}" for scenario, rule in NAMES])


@pytest.fixture(scope="session")
def results(request: pytest.FixtureRequest) -> Iterator[Results]:
    """What the run against the target came to. Fails where the target cannot be reached."""
    option = request.config.getoption
    config = option("--sse-config")
    try:
        given = read_config(option("--sse-url"), Path(config) if config else None)
    except Failure as failure:
        pytest.exit(str(failure), returncode=failure.code)
    with tempfile.TemporaryDirectory(prefix="sse-conformance-") as scratch:
        folder = Path(option("--sse-out") or scratch)
        job = Job(
            given or built_in(Path(scratch)),
            SCENARIOS,
            RULES,
            folder=folder,
            histories=prepare(folder),
            seed=option("--sse-seed"),
            duration=option("--sse-duration"),
            toxiproxy=option("--sse-toxiproxy"),
        )
        ran = trio.run(do, job)
        results = msgspec.structs.replace(ran.results, strict=option("--sse-strict"))
        if listed := option("--sse-known-failures"):
            cases = excuse(results.cases, load_known_failures(Path(listed)))
            results = msgspec.structs.replace(results, cases=cases, summary=summarise(cases))
        if option("--sse-out"):
            write(folder, results, ran.timelines)
        if results.unreached is not None:
            pytest.exit(results.unreached, returncode=3)
        yield results


@pytest.fixture(scope="session")
def cases(results: Results) -> Mapping[str, Case]:
    """The cases by their ids."""
    return {case.id: case for case in results.cases}
