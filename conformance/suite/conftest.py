"""Drives the target once for the whole session; every test is one case of it."""

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec
import pytest

from conformance.cli.common import (
    CONFUSED,
    MISUSED,
    Failure,
    check_duration,
    check_toxiproxy,
    read_config,
)
from conformance.cli.files import prepare, write
from conformance.cli.in_process import configured_app, in_process
from conformance.cli.room import check_room
from conformance.config import Loaded
from conformance.drive.target import built_in
from conformance.job import Job, perform
from conformance.known_failures import KnownFailure, KnownFailuresError, excuse, load_known_failures
from conformance.outcome import Run
from conformance.rules import RULES, Rule
from conformance.scenarios import SCENARIOS, Scenario
from reports.results import Case, Results, summarise

NAMES = [(s.name, r.name) for s in SCENARIOS for r in RULES if s.name in r.scenarios]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "case_id" in metafunc.fixturenames:
        metafunc.parametrize("case_id", [f"{scenario}/{rule}" for scenario, rule in NAMES])


@pytest.fixture(scope="session")
def results(request: pytest.FixtureRequest) -> Iterator[Results]:
    """What the run against the target came to. Ends the session where there can be no run."""
    option = request.config.getoption
    if not hasattr(request.config.option, "sse_url"):
        pytest.exit(
            "conformance.suite needs the plugin sse-conformance, which is not loaded: "
            "install sse-conformance, or add -p conformance.pytest_plugin",
            returncode=pytest.ExitCode.USAGE_ERROR,
        )
    try:
        given, listed = _given(request.config)
        with tempfile.TemporaryDirectory(prefix="sse-conformance-") as scratch:
            folder = Path(option("--sse-out") or scratch)
            scenarios, rules = _selected(request.session)
            app = configured_app(given)
            job = Job(
                given or built_in(Path(scratch)),
                scenarios,
                rules,
                folder=folder,
                histories=prepare(folder),
                seed=option("--sse-seed"),
                duration=option("--sse-duration"),
                toxiproxy=option("--sse-toxiproxy"),
                verify=not option("--sse-insecure"),
                app=in_process(app, given) if app and given else None,
            )
            check_room(job)
            ran = perform(job)
            results = _results(ran, listed, strict=option("--sse-strict"))
            if option("--sse-out"):
                write(folder, results, ran.timelines)
            if results.unreached is not None:
                raise Failure(results.unreached, CONFUSED)
            yield results
    except Failure as failure:
        pytest.exit(failure.plain, returncode=failure.code)


def _given(config: pytest.Config) -> tuple[Loaded | None, tuple[KnownFailure, ...]]:
    """The configuration that the options name, if they name one, and the known failures. Raises `Failure`."""
    file, failures = config.getoption("--sse-config"), config.getoption("--sse-known-failures")
    check_duration(config.getoption("--sse-duration"), "--sse-duration")
    if (toxiproxy := config.getoption("--sse-toxiproxy")) is not None:
        check_toxiproxy(toxiproxy, "--sse-toxiproxy")
    given = read_config(config.getoption("--sse-url"), Path(file) if file else None, option="--sse-config")
    try:
        return given, load_known_failures(Path(failures)) if failures else ()
    except KnownFailuresError as error:
        raise Failure(f"--sse-known-failures {error}", MISUSED) from error
    except OSError as error:
        raise Failure(f"--sse-known-failures {failures}: {error.strerror}", MISUSED) from error


def _selected(session: pytest.Session) -> tuple[tuple[Scenario, ...], tuple[Rule, ...]]:
    """What the tests that were selected (`-k`, or by their ids) are cases of: no more is driven."""
    ids = {
        item.callspec.params.get("case_id", "")
        for item in session.items
        if isinstance(item, pytest.Function) and hasattr(item, "callspec")
    }
    wanted = [(scenario, rule) for scenario, rule in NAMES if f"{scenario}/{rule}" in ids]
    scenarios, rules = {scenario for scenario, _ in wanted}, {rule for _, rule in wanted}
    return (
        tuple(scenario for scenario in SCENARIOS if scenario.name in scenarios),
        tuple(rule for rule in RULES if rule.name in rules),
    )


def _results(ran: Run, listed: tuple[KnownFailure, ...], *, strict: bool) -> Results:
    results = msgspec.structs.replace(ran.results, strict=strict)
    if not listed:
        return results
    cases = excuse(results.cases, listed)
    return msgspec.structs.replace(results, cases=cases, summary=summarise(cases))


@pytest.fixture(scope="session")
def cases(results: Results) -> Mapping[str, Case]:
    """The cases by their ids."""
    return {case.id: case for case in results.cases}
