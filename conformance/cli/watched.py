"""What `run` is told of the server's process, and how long a storm shall last."""

from typing import Annotated

import msgspec
import psutil
import typer

from conformance.cli.common import MISUSED, Failure
from conformance.config import Loaded

PidOption = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="PID",
        help="The process of a server that runs already on this machine: whether it stays up, its descriptors, "
        "threads, memory, sockets and children are watched.",
    ),
]

CyclesOption = Annotated[
    int | None,
    typer.Option(
        min=1, metavar="N", help="How often the connect storm connects and drops; more find smaller leaks."
    ),
]


def apply_watched(loaded: Loaded, pid: int | None, cycles: int | None) -> Loaded:
    """The configuration with these in it. Raises `Failure` (2) for a process that is not there, or is known anyway."""
    config = loaded.config
    if pid is not None:
        if config.target.command is not None:
            raise Failure(
                "--pid is for a server that runs already; the process of target.command is known", MISUSED
            )
        if not psutil.pid_exists(pid):
            raise Failure(f"--pid {pid}: there is no process with this number on this machine", MISUSED)
        config = msgspec.structs.replace(config, target=msgspec.structs.replace(config.target, pid=pid))
    if cycles is not None:
        config = msgspec.structs.replace(config, limits=msgspec.structs.replace(config.limits, cycles=cycles))
    return msgspec.structs.replace(loaded, config=config)
