"""The options that name an ASGI application in this process, and what they come to."""

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from conformance.asgi import AppNotFound
from conformance.asgi.flavours import FlavourName
from conformance.cli.common import MISUSED, Failure, read_config
from conformance.cli.importing import importing
from conformance.config import Loaded
from conformance.explore import fresh_app
from conformance.in_process import InProcess

AppDirOption: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--app-dir",
        metavar="DIR",
        file_okay=False,
        help="Where the application's module is looked for, as uvicorn's. Default: the current folder, and for "
        "target.app that of the configuration.",
    ),
]
AppLoopOption: TypeAlias = Annotated[
    FlavourName | None,
    typer.Option("--app-loop", help="The event loop that it runs on. Default: target.app_loop, or asyncio."),
]


def read_app_config(app: str, path: str | None, config: Path | None) -> Loaded:
    """The configuration for an application: `path` alone, e.g. `/events`, or that of a file or of this folder.

    Raises `Failure` (2), also where nothing says which of its paths is the stream.
    """
    url = f"http://127.0.0.1{path}" if path is not None and path.startswith("/") else path
    loaded = read_config(url, config)
    if loaded is None:
        raise Failure(
            f"--app {app}: which of its paths is the stream? Say so in a sse-conformance.toml in this folder, e.g. "
            f'target.app = "{app}" and target.stream.path = "/events", or name one with --config',
            MISUSED,
        )
    return loaded


def configured_app(loaded: Loaded | None) -> str | None:
    """The application of a configuration that names no server."""
    target = loaded.config.target if loaded is not None else None
    return target.app if target and target.url is None and target.command is None else None


def in_process(
    app: str,
    loaded: Loaded,
    *,
    folder: Path | None = None,
    loop: FlavourName | None = None,
    real_time: bool = False,
    named: str | None = None,
) -> InProcess:
    """The application of this name. `named`: where that name stands, if neither in the configuration nor in `--app`.
    Raises `Failure` (2) where there is none."""
    target = loaded.config.target
    if folder is not None and not folder.is_dir():
        raise Failure(f"--app-dir {folder}: there is no such folder", MISUSED)
    configured = app == target.app
    try:
        with importing(app):
            make = fresh_app(app, folder or (loaded.folder if configured else None))
    except AppNotFound as error:
        named = named or (f"{loaded.source}: target.app" if configured else "--app")
        raise Failure(f"{named} {error}", MISUSED) from error
    return InProcess(app, make, loop or target.app_loop or "asyncio", real_time)
