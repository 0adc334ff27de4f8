"""The commands, put together."""

import io
import os
import sys
from collections.abc import Iterable
from importlib import import_module
from typing import Annotated, Final

import typer

from conformance import __version__
from conformance.cli.common import CONFUSED, INTERRUPTED, Failure, err
from conformance.errors import described

COMMANDS: Final = {
    "run": ("run", "EXAMPLES"),
    "record": ("record", "EXAMPLES"),
    "init": ("init", "EXAMPLES"),
    "judge": ("judge", "EXAMPLES"),
    "explore": ("explore", "EXPLORE_EXAMPLES"),
    "replay": ("explore", "REPLAY_EXAMPLES"),
    "serve": ("serve", "EXAMPLES"),
    "proxy": ("proxy", "EXAMPLES"),
    "rules": ("rules", "EXAMPLES"),
    "report": ("report", "EXAMPLES"),
}
"""The commands, in the order of the help; the module in `conformance.cli` that each is in, and its examples there."""

_DEBUG = "SSE_CONFORMANCE_DEBUG"


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"sse-conformance {__version__}")
        raise typer.Exit


def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


def make_app(commands: Iterable[str] = COMMANDS) -> typer.Typer:
    """The command line with these commands. Each brings along what it needs, and a server starts several times in a
    run, so that who calls one shall not wait for the others."""
    app = typer.Typer(
        name="sse-conformance",
        help="Drives event streams (Server-Sent Events) through faults, records everything, judges the record.",
        no_args_is_help=True,
        rich_markup_mode="rich",
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_main)
    for name in commands:
        place, examples = COMMANDS[name]
        module = import_module(f"conformance.cli.{place}")
        app.command(name, epilog=getattr(module, examples))(getattr(module, f"{name}_command"))
    return app


def main() -> None:
    """The entry point: errors are sentences, never tracebacks."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(
            stream, io.TextIOWrapper
        ):  # a terminal that cannot show a character is no reason to stop
            stream.reconfigure(errors="replace")
    try:
        called = next((each for each in sys.argv[1:] if not each.startswith("-")), "")
        make_app([called] if called in COMMANDS else COMMANDS)(prog_name="sse-conformance")
    except Failure as failure:
        err.print(f"[bold red]error:[/] {failure.shown}", highlight=False)
        sys.exit(failure.code)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except BrokenPipeError:  # whoever read our output has left
        sys.stderr.close()
        sys.exit(CONFUSED)
    except Exception as error:
        if os.environ.get(_DEBUG):
            raise
        bug = f"the harness failed, which is a bug: {described(error)}. {_DEBUG}=1 prints the traceback"
        err.print(f"[bold red]error:[/] {Failure(bug, CONFUSED).shown}", highlight=False)
        sys.exit(CONFUSED)
