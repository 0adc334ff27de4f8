"""`sse-conformance serve`: the reference producer on its own."""

from pathlib import Path
from typing import Annotated

import trio
import typer

from conformance.cli.common import MISUSED, Failure, err, said
from conformance.drive.outcome import first_of
from conformance.reference.service import ServiceOptions, serve_reference

EXAMPLES = """
[bold]Examples[/]

  sse-conformance serve --port 8000

  curl -s -d '{"events": 8, "interval": 0.5}' http://127.0.0.1:8000/jobs

  curl -N http://127.0.0.1:8000/jobs/[italic]ID[/]/events
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
) -> None:
    """Serve jobs as event streams: a correct server, to copy from and to test clients with."""
    try:
        trio.run(_serve, host, port, ServiceOptions(state=state, token=token))
    except* (OSError, ValueError) as group:
        error = first_of(group)
        raise Failure(
            f"cannot serve on {host}:{port}: {said(error)}. --port 0 takes a free port", MISUSED
        ) from error


async def _serve(host: str, port: int, options: ServiceOptions) -> None:
    await serve_reference(
        host,
        port,
        options=options,
        on_ready=lambda url: err.print(f"serving jobs at {url}; Ctrl-C stops", highlight=False, markup=False),
    )
