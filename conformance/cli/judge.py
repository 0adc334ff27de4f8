"""`sse-conformance judge`: recorded histories, offline."""

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from conformance.cli.common import BREAKS, CONFUSED, MISUSED, Failure, exit_code, out, read_config
from conformance.cli.files import make, write
from conformance.cli.summary import print_summary
from conformance.config import Config, PlaceholderError
from conformance.dialect import effective_dialect
from conformance.history import History, HistoryError, StatusTerms, Terms, load, schema
from conformance.judging import held
from conformance.outcome import judge_recorded
from conformance.rules import RULES
from reports.outcome import broken_rules

EXAMPLES = """
[bold]Examples[/]

  sse-conformance judge sse-conformance-report/histories/*.jsonl

  sse-conformance judge --config sse-conformance.toml recorded.jsonl   [dim]on other terms than it was recorded on[/]

  sse-conformance judge --schema   [dim]what a line of a history looks like[/]
"""


def _print_schema(wanted: bool) -> None:
    if wanted:
        typer.echo(msgspec.json.format(msgspec.json.encode(schema()), indent=2).decode())
        raise typer.Exit


def judge_command(
    files: Annotated[list[Path], typer.Argument(help="Histories, as `run` and `record` write them.")],
    config: Annotated[
        Path | None,
        typer.Option(
            "--config", "-c", help="Judge on the terms of this configuration, not on the recorded ones."
        ),
    ] = None,
    folder: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="DIR", help="Write the report into this folder.")
    ] = None,
    _schema: Annotated[
        bool,
        typer.Option(
            "--schema",
            callback=_print_schema,
            is_eager=True,
            help="Print the JSON Schema of a history's lines and exit.",
        ),
    ] = False,
) -> None:
    """Judge recorded histories by the rules, offline; also those of a run that was killed."""
    loaded = read_config(None, config) if config is not None else None
    if folder is not None:
        make(folder)
    histories = [_load(path) for path in files]
    if loaded is not None:
        histories = [history.on(terms_of(loaded.config)) for history in histories]
    named = {str(path): history for path, history in zip(files, histories, strict=True)}
    for path, history in named.items():
        _check_names(path, history)
    ran = judge_recorded(named, RULES)
    results = msgspec.structs.replace(ran.results, interrupted=any(map(_stops_short, histories)))
    written: list[str] = []
    if folder is not None:
        written = [str(path) for path in write(folder, results, ran.timelines)]
    print_summary(out, results, written)
    if results.interrupted and results.unreached is None:  # it was the run that ended early, not this command
        raise typer.Exit(BREAKS if broken_rules(results) else CONFUSED)
    raise typer.Exit(exit_code(results))


def _check_names(path: str, history: History) -> None:
    """On other terms, the dialect's scope may speak of a name that was not captured when this was recorded."""
    try:
        _ = history.exchanges
    except PlaceholderError as error:
        raise Failure(
            f"{path}: dialect.scope.equals holds {{{error.name}}}, and no such name was captured when this was "
            "recorded; judge it without --config, or record it again",
            MISUSED,
        ) from error


def _stops_short(history: History) -> bool:
    """Whether the run was killed or interrupted while this was recorded."""
    return history.concluded is None or history.concluded.outcome == "interrupted"


def terms_of(config: Config) -> Terms:
    """What a configuration holds a subject to."""
    return Terms(
        dialect=effective_dialect(config.dialect),
        expect=config.expect,
        limits=config.limits,
        status=StatusTerms.of(config.target.status),
        declared=tuple(sorted(held(config))),
    )


def _load(path: Path) -> History:
    try:
        return load(path)
    except HistoryError as error:
        raise Failure(str(error), MISUSED) from error
    except OSError as error:
        raise Failure(f"{path}: {error.strerror}", MISUSED) from error
