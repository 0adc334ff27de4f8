"""`sse-conformance serve`: the reference producer on its own."""

from collections.abc import Callable
from functools import partial
from importlib import resources
from pathlib import Path
from typing import Annotated

import msgspec
import trio
import typer

from conformance.cli.common import MISUSED, Failure, err, said
from conformance.config import did_you_mean
from conformance.errors import first_of
from conformance.reference.service import ServiceOptions, serve_reference

EXAMPLES = """
[bold]Examples[/]

  sse-conformance serve --port 8000

  curl -s -d '{"events": 8, "interval": 0.5}' http://127.0.0.1:8000/jobs

  curl -N http://127.0.0.1:8000/jobs/[italic]ID[/]/events

  sse-conformance serve --specimen live-after-return   [dim]wrong on purpose; it says how to drive it[/]
"""


def serve_command(
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 takes a free one.")] = 8000,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    state: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Keep jobs here, so that they outlive the server.")
    ] = None,
    token: Annotated[
        str | None, typer.Option(envvar="SSE_CONFORMANCE_TOKEN", help="Bearer token that /jobs wants.")
    ] = None,
    specimen: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Serve one that is wrong on purpose, to see what a run makes of it."
        ),
    ] = None,
) -> None:
    """Serve jobs as event streams: a correct server, to copy from and to test clients with."""
    try:
        if specimen is None:
            options = ServiceOptions(state=state, token=token)
            trio.run(partial(serve_reference, host, port, options=options, on_ready=_serving("jobs")))
            return
        code = _serve_specimen(specimen, host, port, state, token)
    except* (OSError, ValueError) as group:
        error = first_of(group)
        raise Failure(
            f"cannot serve on {host}:{port}: {said(error)}. --port 0 takes a free port", MISUSED
        ) from error
    if code:
        raise typer.Exit(code)


def _serving(what: str) -> Callable[[str], None]:
    return lambda url: err.print(f"serving {what} at {url}; Ctrl-C stops", highlight=False, markup=False)


def _serve_specimen(name: str, host: str, port: int, state: Path | None, token: str | None) -> int:
    """Serve it, and give the exit code. Raises `Failure` (2) where there is none of this name."""
    from conformance.specimens import (
        SPECIMEN,  # servers and all that drives them: the reference starts without
    )
    from conformance.specimens.clock import WALL, SinceWall
    from conformance.specimens.program import GRACEFUL, serve_program
    from conformance.specimens.specimen import reference_config

    if name not in SPECIMEN:
        raise Failure(
            f"--specimen {name!r}: there is no such specimen{did_you_mean(name, SPECIMEN) or '.'} "
            "`sse-conformance rules RULE` lists those that break a rule",
            MISUSED,
        )
    specimen = SPECIMEN[name]
    options = msgspec.structs.replace(
        specimen.options, epoch=WALL, state=state, token=token or specimen.options.token
    )
    serving = _serving(f"jobs, wrong on purpose ({specimen.summary.rstrip('.')}),")

    def on_ready(url: str) -> None:
        serving(url)
        copy = "" if url == reference_config().target.url else f" (a copy with target.url = {url!r})"
        own = resources.files("conformance.reference") / "sse-conformance.toml"
        err.print(f"to drive it: sse-conformance run --config {own}{copy}", highlight=False, markup=False)

    async def serve() -> int:
        if specimen.manner != GRACEFUL:
            return await serve_program(
                specimen.manner, host=host, port=port, options=options, wrap=specimen.wrap, on_ready=on_ready
            )
        await serve_reference(host, port, options=options, wrap=specimen.wrap, on_ready=on_ready)
        return 0

    return trio.run(serve, clock=SinceWall())
