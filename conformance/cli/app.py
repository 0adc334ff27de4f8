"""The commands, put together."""

import io
import os
import sys
from typing import Annotated

import typer

from conformance import __version__
from conformance.cli import explore, judge, proxy, record, rules, run, serve
from conformance.cli.common import CONFUSED, INTERRUPTED, Failure, err
from conformance.errors import described

app = typer.Typer(
    name="sse-conformance",
    help="Drives event streams (Server-Sent Events) through faults, records everything, judges the record.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_DEBUG = "SSE_CONFORMANCE_DEBUG"


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"sse-conformance {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


app.command("run", epilog=run.EXAMPLES)(run.run_command)
app.command("record", epilog=record.EXAMPLES)(record.record_command)
app.command("judge", epilog=judge.EXAMPLES)(judge.judge_command)
app.command("explore", epilog=explore.EXPLORE_EXAMPLES)(explore.explore_command)
app.command("replay", epilog=explore.REPLAY_EXAMPLES)(explore.replay_command)
app.command("serve", epilog=serve.EXAMPLES)(serve.serve_command)
app.command("proxy", epilog=proxy.EXAMPLES)(proxy.proxy_command)
app.command("rules", epilog=rules.EXAMPLES)(rules.rules_command)


def main() -> None:
    """The entry point: errors are sentences, never tracebacks."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(
            stream, io.TextIOWrapper
        ):  # a terminal that cannot show a character is no reason to stop
            stream.reconfigure(errors="replace")
    try:
        app(prog_name="sse-conformance")
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
