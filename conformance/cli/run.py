"""`sse-conformance run`: the main job."""

import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import msgspec
import trio
import typer

from conformance.asgi.flavours import FlavourName
from conformance.cli.choose import chosen_rules, chosen_scenarios, judged_together
from conformance.cli.common import (
    MISUSED,
    Failure,
    check_duration,
    check_toxiproxy,
    err,
    exit_code,
    out,
    read_config,
)
from conformance.cli.ended import saying_who_ended_it
from conformance.cli.files import prepare, seen_from, write
from conformance.cli.in_process import (
    AppDirOption,
    AppLoopOption,
    configured_app,
    in_process,
    read_app_config,
)
from conformance.cli.interrupt import interruptible
from conformance.cli.progress import progress
from conformance.cli.request import DataOption, HeaderOption, MethodOption, apply_request
from conformance.cli.room import check_room
from conformance.cli.slept import sleeping, told_of_sleep
from conformance.cli.summary import print_summary
from conformance.cli.watchdog import watchdog
from conformance.cli.watched import CyclesOption, PidOption, apply_watched
from conformance.config import Loaded
from conformance.drive.target import built_in
from conformance.in_process import InProcess
from conformance.job import Job, do, perform
from conformance.known_failures import (
    KnownFailure,
    KnownFailuresError,
    excuse,
    load_known_failures,
    unmatched,
)
from conformance.outcome import Run
from reports.outcome import plural
from reports.results import summarise
from reports.text import seconds, visible

EXAMPLES = """
[bold]Examples[/]

  sse-conformance run   [dim]the built-in reference producer, through the fault proxy[/]

  sse-conformance run http://127.0.0.1:8000/events   [dim]any stream, nothing configured[/]

  sse-conformance run --config sse-conformance.toml   [dim]a target described whole; its server may be started[/]

  sse-conformance run --app shop:app /events   [dim]an ASGI application in this process, in virtual time[/]

  sse-conformance run --scenario 'resume-*' --rule resume   [dim]only this[/]

[bold]Exit codes[/]  0 conforms · 1 does not · 2 the call or the configuration is wrong ·
3 not reached, nothing judged, or the harness failed · 130 interrupted
"""


def run_command(
    url: Annotated[
        str | None,
        typer.Argument(
            help="The event stream; with --app its path. Without it: the configuration of this folder, "
            "or else the built-in reference producer."
        ),
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="A sse-conformance.toml or pyproject.toml.")
    ] = None,
    folder: Annotated[
        Path, typer.Option("--out", "-o", metavar="DIR", help="The folder for the report and the histories.")
    ] = Path("sse-conformance-report"),
    header: HeaderOption = None,
    method: MethodOption = None,
    data: DataOption = None,
    duration: Annotated[
        float, typer.Option(min=0.1, help="Seconds for which an endless stream is watched.")
    ] = 30.0,
    scenario: Annotated[
        list[str] | None,
        typer.Option("--scenario", "-s", help="Only scenarios that match, e.g. 'resume-*'; may be repeated."),
    ] = None,
    rule: Annotated[
        list[str] | None,
        typer.Option(
            "--rule",
            "-r",
            help="Only rules that match: a name, an area, or e.g. '*.no-gap'; may be repeated.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Every random choice comes from it.")] = 0,
    strict: Annotated[bool, typer.Option("--strict", help="A broken SHOULD fails the run.")] = False,
    known_failures: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="TOML: cases that are excused, each with a reason."),
    ] = None,
    toxiproxy: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Inject the faults with the Toxiproxy whose API is at this URL."),
    ] = None,
    insecure: Annotated[bool, typer.Option("--insecure", "-k", help="Accept any TLS certificate.")] = False,
    pid: PidOption = None,
    cycles: CyclesOption = None,
    app: Annotated[
        str | None,
        typer.Option(
            "--app",
            metavar="MODULE:ATTR",
            help="An ASGI application, or module:factory() that makes one: driven in this process and in virtual "
            "time. Without it: target.app, where the configuration names no server.",
        ),
    ] = None,
    app_dir: AppDirOption = None,
    app_loop: AppLoopOption = None,
    real_time: Annotated[
        bool, typer.Option("--real-time", help="Serve the application on sockets, on this machine's clock.")
    ] = False,
) -> None:
    """Drive a stream through faults, judge it, write the report.

    Writes report.html, results.json, junit.xml, summary.md and the histories.
    """
    scenarios, rules = chosen_scenarios(scenario), chosen_rules(rule)
    judged_together(scenarios, rules)
    listed = _known_failures(known_failures)
    check_duration(duration)
    if toxiproxy is not None:
        check_toxiproxy(toxiproxy)
    given = read_app_config(app, url, config) if app is not None else read_config(url, config)
    start = Path.cwd()
    served = _served(app, given, app_dir, app_loop, real_time)
    folder = seen_from(start, folder)
    if pid is not None and served is not None:
        raise Failure(
            "--pid is for a server in a process of its own; the application runs in this one", MISUSED
        )
    if given is not None:
        given = apply_request(given, header, method, data)
    elif header or method or data is not None:
        raise Failure(
            "--header, --request and --data need a URL, or a configuration, to send them to", MISUSED
        )
    histories = prepare(folder)
    with tempfile.TemporaryDirectory(prefix="sse-conformance-") as state:
        loaded = apply_watched(given or built_in(Path(state)), pid, cycles)
        job = Job(
            loaded,
            scenarios,
            rules,
            folder=folder,
            histories=histories,
            seed=seed,
            duration=duration,
            toxiproxy=toxiproxy,
            verify=not insecure,
            app=served,
        )
        check_room(job)
        what = visible(url if url is not None else loaded.source)
        if served is not None:
            what = f"{visible(served.name)} {served.how}"
        err.print(f"driving {what}: {plural(len(scenarios), 'scenario')}", highlight=False, markup=False)
        began = time.monotonic()
        ran = _performed(job)
        if served is not None:
            err.print(f"that took {seconds(time.monotonic() - began)}", highlight=False)
    results = msgspec.structs.replace(ran.results, strict=strict)
    if listed:
        cases = excuse(results.cases, listed)
        results = msgspec.structs.replace(results, cases=cases, summary=summarise(cases))
        for entry in unmatched(cases, listed):
            pattern = visible(entry.case or entry.rule or "")
            err.print(f"note: the known failure {pattern!r} lists no case of this run", markup=False)
    files = write(folder, results, ran.timelines)
    print_summary(out, results, [str(path) for path in files])
    raise typer.Exit(exit_code(results))


def _served(
    app: str | None, given: Loaded | None, folder: Path | None, loop: FlavourName | None, real_time: bool
) -> InProcess | None:
    """The application in this process that is to be driven; None: a server is. Raises `Failure` (2)."""
    app = configured_app(given) if app is None else app
    if app is not None and given is not None:
        return in_process(app, given, folder=folder, loop=loop, real_time=real_time)
    options = {"--app-dir": folder, "--app-loop": loop, "--real-time": real_time or None}
    if named := [name for name, value in options.items() if value is not None]:
        raise Failure(f"{named[0]} is about an application in this process: name it with --app", MISUSED)
    return None


def _performed(job: Job) -> Run:
    """The run of this job."""
    if job.app is None:
        return perform(job, _interruptibly)
    with saying_who_ended_it(job.app.name):
        return perform(job, _interruptibly) if job.app.real_time else _watched(job, job.app.name)


def _watched(job: Job, name: str) -> Run:
    """One in virtual time is watched, in real time, for an application that hangs or sleeps."""
    with watchdog(name) as turns, sleeping() as slept:

        async def watched(job: Job) -> Run:
            trio.lowlevel.add_instrument(turns)
            return await _interruptibly(job)

        ran = perform(job, watched)
    how = ran.results.how and ran.results.how + told_of_sleep(slept())
    return replace(ran, results=msgspec.structs.replace(ran.results, how=how))


async def _interruptibly(job: Job) -> Run:
    async with interruptible() as stop:
        with progress(err, len(job.scenarios)) as told:
            return await do(job, told=told, stop=stop)


def _known_failures(path: Path | None) -> tuple[KnownFailure, ...]:
    if path is None:
        return ()
    try:
        return load_known_failures(path)
    except KnownFailuresError as error:
        raise Failure(f"--known-failures {error}", MISUSED) from error
    except OSError as error:
        raise Failure(f"--known-failures {path}: {error.strerror}", MISUSED) from error
