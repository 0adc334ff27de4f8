"""`sse-conformance serve`: the reference producer on its own."""

from pathlib import Path
from typing import Annotated

import msgspec
import trio
import typer

from conformance.cli.common import MISUSED, Failure, err, said
from conformance.config import did_you_mean
from conformance.errors import first_of
from conformance.reference.service import ServiceOptions, serve_reference
from conformance.specimens import REFERENCE, SPECIMEN, Specimen
from conformance.specimens.program import GRACEFUL, serve_program

EXAMPLES = """
[bold]Examples[/]

  sse-conformance serve --port 8000

  curl -s -d '{"events": 8, "interval": 0.5}' http://127.0.0.1:8000/jobs

  curl -N http://127.0.0.1:8000/jobs/[italic]ID[/]/events

  sse-conformance serve --specimen full-broadcast   [dim]wrong on purpose: see what `run` says of it[/]
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
    served = _specimen(specimen or REFERENCE.name)
    options = msgspec.structs.replace(served.options, state=state, token=token or served.options.token)
    try:
        code = trio.run(_serve, host, port, options, served)
    except* (OSError, ValueError) as group:
        error = first_of(group)
        raise Failure(
            f"cannot serve on {host}:{port}: {said(error)}. --port 0 takes a free port", MISUSED
        ) from error
    if code:
        raise typer.Exit(code)


def _specimen(name: str) -> Specimen:
    """The specimen of this name. Raises `Failure` (2)."""
    if name not in SPECIMEN:
        raise Failure(
            f"--specimen {name!r}: there is no such specimen{did_you_mean(name, SPECIMEN)}", MISUSED
        )
    return SPECIMEN[name]


async def _serve(host: str, port: int, options: ServiceOptions, specimen: Specimen) -> int:
    """Serve, and give the exit code."""
    what = "jobs" if specimen is REFERENCE else f"jobs, wrong on purpose ({specimen.summary}),"

    def on_ready(url: str) -> None:
        err.print(f"serving {what} at {url}; Ctrl-C stops", highlight=False, markup=False)

    if specimen.manner != GRACEFUL:
        return await serve_program(
            specimen.manner, host=host, port=port, options=options, wrap=specimen.wrap, on_ready=on_ready
        )
    await serve_reference(host, port, options=options, wrap=specimen.wrap, on_ready=on_ready)
    return 0
