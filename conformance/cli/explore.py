"""`sse-conformance explore` and `replay`: many schedules in virtual time, and one of them again."""

import os
import shlex
import time
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from conformance.asgi import AppNotFound, StartupError
from conformance.cli.common import (
    CONFORMS,
    CONFUSED,
    MISUSED,
    Failure,
    err,
    exit_code,
    out,
    said,
)
from conformance.cli.explored import REFERENCE, Explored, Judged, anew, explored, opened, watched
from conformance.cli.files import HISTORIES, prepare, seen_from, write
from conformance.cli.in_process import AppDirOption, AppLoopOption
from conformance.cli.interrupt import asked_for
from conformance.cli.summary import print_summary
from conformance.explore import (
    EXPLORED,
    NotRepeatable,
    Played,
    Replay,
    ReplayError,
    Schedule,
    Searched,
    WorkerEnded,
    digest,
    history_bytes,
    load_replay,
    play_again,
    play_schedule,
    save_replay,
    search,
    search_side_by_side,
    told_unlike,
    undriven,
    words,
)
from conformance.figures import figures
from conformance.outcome import Examined, put_together
from conformance.picture import picture
from conformance.testing_explore import OF_A_TEST
from conformance.triggers import triggers
from fault_injection.triggers import check_triggers
from reports.outcome import plural
from reports.results import Results
from reports.text import visible

EXPLORE_EXAMPLES = """
[bold]Examples[/]

  sse-conformance explore --app shop:app   [dim]with the sse-conformance.toml of this folder[/]

  sse-conformance explore --app 'shop:make_app()' --schedules 5000 --seed 7 --jobs 0   [dim]on all processors[/]

  sse-conformance explore   [dim]the target.app of this folder's configuration, else the built-in reference service[/]

[bold]Exit codes[/]  0 no schedule breaks a rule, or only a SHOULD without --strict · 1 one does ·
2 the call or the configuration is wrong · 3 the application does not start or cannot be driven, or the harness failed
"""

REPLAY_EXAMPLES = """
[bold]Examples[/]

  sse-conformance replay sse-conformance-report/replay.json
"""

OutOption = Annotated[
    Path, typer.Option("--out", "-o", metavar="DIR", help="The folder for report, history and replay file.")
]
_OUT = Path("sse-conformance-report")


def explore_command(
    app: Annotated[
        str | None,
        typer.Option(
            "--app",
            metavar="MODULE:ATTR",
            help="An ASGI application, or module:factory() that makes one. Without it: target.app of the "
            "configuration; where there is none, the built-in reference service.",
        ),
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="A sse-conformance.toml or pyproject.toml.")
    ] = None,
    schedules: Annotated[int, typer.Option(min=1, help="How many schedules to try.")] = 500,
    seed: Annotated[int, typer.Option(min=0, help="Every random choice comes from it.")] = 0,
    folder: OutOption = _OUT,
    database: Annotated[
        Path, typer.Option(metavar="DIR", help="Where found schedules are kept, to be tried first.")
    ] = Path(".sse-conformance"),
    jobs: Annotated[
        int,
        typer.Option(
            "--jobs",
            "-j",
            min=0,
            help="How many processes try schedules; 0 is one for each processor. What is found is the same.",
        ),
    ] = 1,
    strict: Annotated[
        bool, typer.Option("--strict", help="Look for a broken SHOULD too; else it is told at the end.")
    ] = False,
    without: Annotated[
        list[str] | None,
        typer.Option("--without", metavar="RULE", help="Leave out a rule; may be repeated."),
    ] = None,
    app_dir: AppDirOption = None,
    app_loop: AppLoopOption = None,
) -> None:
    """Try many schedules of an application in virtual time; shrink one that breaks a rule.

    A schedule is when subscribers come and leave, whether other work is begun beside the first, when the work is
    cancelled (target.cancel), what the link does, where the application is held up, and in which order tasks run.
    """
    start, examples = Path.cwd(), database.absolute() / "examples"  # an application may go elsewhere
    judged = Judged(strict, tuple(without or ()))
    named = explored(app, config, seed, judged, app_dir=app_dir, app_loop=app_loop)
    started = time.time()
    try:
        workers = _workers(jobs)
        interrupts = nullcontext(_no_ask) if workers else asked_for()  # with workers, this process only waits
        with interrupts as ask, watched(named) as exploration, err.status("exploring") as status:
            plain = play_schedule(exploration, Schedule())
            if reason := undriven(plain):
                raise Failure(reason, CONFUSED)

            def told(tried: int, found: bool) -> None:
                ask()
                what = "broken; shrinking" if found else "exploring"
                status.update(f"{what}: {plural(tried, 'schedule')}")

            if workers:
                elsewhere = partial(opened, start, app, config, seed, judged, app_dir, app_loop)
                searched = search_side_by_side(
                    exploration, elsewhere, most=schedules, workers=workers, database=examples, told=told
                )
            else:
                searched = search(exploration, most=schedules, database=examples, told=told)
    except (AppNotFound, StartupError) as error:
        raise Failure(f"{error}{anew(named)}", CONFUSED) from error
    except WorkerEnded as error:
        if error.code == CONFUSED:  # it has said why
            raise typer.Exit(CONFUSED) from error
        memory = (
            ": if the system ended it for want of memory, try fewer with --jobs" if error.code == -9 else ""
        )
        raise Failure(f"{error}{memory}", CONFUSED) from error
    played, folder = searched.found or searched.warned or plain, seen_from(start, folder)
    results, files = _report(folder, named, played, _account(searched, seed), time.time() - started)
    if searched.found is None:
        of = "the built-in reference service" if named.subject == REFERENCE else named.subject
        tried = f"{plural(searched.tried, 'schedule')} of {visible(of)} from seed {seed}"
        warned = ", ".join(dict.fromkeys(case.rule for case in played.warned))
        but = f", but a SHOULD is: {warned} (--strict looks for it)" if warned else ""
        out.print(f"{tried}: no rule was broken{but}", markup=False)
        if not warned:
            raise typer.Exit(CONFORMS)
    replay = folder / "replay.json"
    save_replay(replay, _replay(named, played))
    _tell(played)
    _tell_unlike(played, searched.unlike)
    if searched.found is not None:
        more = searched.tried - searched.until_found
        out.print(f"found as schedule {searched.until_found}, shrunk in {more} more")
    for file in (*files, replay):
        out.print(f"  {visible(str(file))}", markup=False, style="dim")
    again = shlex.join(["sse-conformance", "replay", str(replay), *named.options])
    out.print(f"again: {again}", markup=False)
    raise typer.Exit(exit_code(results))


def replay_command(
    file: Annotated[Path, typer.Argument(help="A replay file, as `explore` writes it.")],
    folder: OutOption = _OUT,
    app_dir: AppDirOption = None,
    app_loop: AppLoopOption = None,
) -> None:
    """Play one schedule again, exactly."""
    start = Path.cwd()
    try:
        replay = load_replay(file)
    except ReplayError as error:
        raise Failure(str(error), MISUSED) from error
    except OSError as error:
        raise Failure(f"{file}: {said(error)}", MISUSED) from error
    if replay.subject.startswith(OF_A_TEST):
        test = replay.subject.removeprefix(OF_A_TEST).partition(" (call ")[0]
        again = shlex.join(["pytest", test, f"--sse-replay={file}"])
        raise Failure(f"{file} is of a test, which has the application: {again}", MISUSED)
    config = None if replay.config is None else _found(Path(replay.config), file)
    name = None if replay.subject == REFERENCE else replay.subject
    judged = Judged(replay.strict, replay.without)
    named = explored(name, config, replay.seed, judged, app_dir=app_dir, app_loop=app_loop, replay=file)
    try:
        check_triggers(replay.schedule.plan, triggers(named.exploration.config.dialect))
    except ValueError as error:
        raise Failure(f"{file}: {error}", MISUSED) from error
    started = time.time()
    try:
        with watched(named) as exploration:
            played, other = play_again(exploration, replay.schedule)
    except (AppNotFound, StartupError) as error:
        raise Failure(f"{error}{anew(named)}", CONFUSED) from error
    except NotRepeatable as error:
        raise Failure(str(error), CONFUSED) from error
    folder = seen_from(start, folder)
    account = _whole("; ".join(words(replay.schedule)), played, other)
    results, files = _report(folder, named, played, account, time.time() - started)
    if digest(played) == replay.digest:
        out.print("the identical history")
    elif other is not None:
        out.print("the history differs from the one that was found")
    else:
        out.print(
            "the history differs from the one that was found: the application, its configuration or what is "
            "installed has changed since, or it does not repeat"
        )
    _tell(played)
    _tell_unlike(played, other)
    for path in files:
        out.print(f"  {visible(str(path))}", markup=False, style="dim")
    raise typer.Exit(exit_code(results) if played.broken else CONFORMS)


def _replay(named: Explored, played: Played) -> Replay:
    return Replay(
        subject=named.subject,
        config=named.config,
        seed=named.exploration.seed,
        schedule=played.schedule,
        breaks=tuple(dict.fromkeys(case.rule for case in played.broken or played.warned)),
        strict=played.strict,
        without=tuple(rule.name for rule in EXPLORED if rule not in named.exploration.rules),
        digest=digest(played),
    )


def _no_ask() -> None:
    """For what takes a Ctrl-C wherever it comes."""


def _workers(jobs: int) -> int:
    """How many processes work beside this one; 0: this one does it alone."""
    many = jobs or os.cpu_count() or 1
    return 0 if many == 1 else many


def _found(config: Path, replay: Path) -> Path:
    """The configuration that a replay file names: from here, or else beside the file. Raises `Failure` (2)."""
    beside = replay.parent / config
    try:
        return beside if not config.exists() and beside.exists() else config
    except (OSError, ValueError) as error:  # no path at all: too long, or with a zero byte in it
        raise Failure(f"{replay}: its config can be no path: {said(error)}", MISUSED) from error


def _account(searched: Searched, seed: int) -> str:
    if searched.found is not None:
        phrases = "; ".join(words(searched.found.schedule))
        account = f"The smallest schedule from seed {seed} that breaks a rule: {phrases}."
        return _whole(account, searched.found, searched.unlike)
    nothing = f"{plural(searched.tried, 'schedule')} from seed {seed} broke nothing"
    if searched.warned is not None:
        phrases = "; ".join(words(searched.warned.schedule))
        return f"{nothing} but a SHOULD; this is the smallest that broke one: {phrases}."
    return f"{nothing}; this is the plain one."


def _whole(account: str, played: Played, other: Played | None) -> str:
    """The account, with what is to be said where the schedule does not repeat."""
    return account if other is None else "\n".join((account, *told_unlike(played, other)))


def _report(
    folder: Path, named: Explored, played: Played, account: str, duration: float
) -> tuple[Results, list[Path]]:
    histories = prepare(folder)
    path = histories / "explore.jsonl"
    path.write_bytes(history_bytes(played))
    file = f"{HISTORIES}/{path.name}"
    cases = tuple(msgspec.structs.replace(case, history=file) for case in played.cases)
    examined = Examined(played.history, cases, figures(played.history), picture(played.history))
    run = put_together(
        {played.history.scenario: examined},
        named.exploration.rules,
        target=named.subject,
        seed=named.exploration.seed,
        started=time.time() - duration,
        duration=duration,
    )
    (shown,) = run.results.scenarios
    results = msgspec.structs.replace(
        run.results, scenarios=(msgspec.structs.replace(shown, summary=account),), strict=played.strict
    )
    if played.broken or played.warned:
        print_summary(out, results)
    return results, [*write(folder, results, run.timelines), path]


def _tell_unlike(played: Played, other: Played | None) -> None:
    if other is not None:
        for line in told_unlike(played, other):
            out.print(visible(line), markup=False)


def _tell(played: Played) -> None:
    out.print()
    out.print("the schedule:")
    for line in words(played.schedule):
        out.print(f"  {visible(line)}", markup=False)
