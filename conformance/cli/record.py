"""`sse-conformance record`: a live monitor that keeps the history.

What `curl -N | while read` with a clock in front of each line is for, with the lag of each event besides.
"""

import time
from pathlib import Path
from typing import Annotated, Final

import msgspec
import trio
import typer

from conformance.cli.common import (
    CONFUSED,
    LONGEST,
    MISUSED,
    Failure,
    check_duration,
    err,
    needs_server,
    out,
    read_config,
)
from conformance.cli.interrupt import interruptible
from conformance.cli.monitor import Monitor, no_stream
from conformance.cli.request import DataOption, HeaderOption, MethodOption, apply_request
from conformance.config import Limits, Loaded
from conformance.dialect import Dialect, Parsed, Role, effective_dialect
from conformance.drive.scene import Setting, play
from conformance.drive.server_process import ServerError
from conformance.drive.stage import Stage
from conformance.drive.target import TargetError, ready
from conformance.errors import first_of
from conformance.history import Head, History
from conformance.history.redact import Redaction
from conformance.judging import held
from conformance.scenarios import Scenario
from conformance.unreached import unreached
from fault_injection.network import SocketNetwork

EXAMPLES = """
[bold]Examples[/]

  sse-conformance record http://127.0.0.1:8000/events

  sse-conformance record -H 'Authorization: Bearer ...' https://example.org/events --out events.jsonl

  sse-conformance record --timestamp /timestamp http://127.0.0.1:8000/events   [dim]with the lag of each event[/]

  sse-conformance judge sse-conformance.jsonl   [dim]what the rules say of what was recorded[/]

One connection, watched until the server ends it or Ctrl-C: it does not reconnect.
"""

_LIMITS: Final = Limits(body=32 * 2**20, events=200_000)
"""What is taken of a stream, at the most: hours are to be recorded, in bounded memory."""

_LEAVING: Final = 2.0  # seconds in which a stream is left by the rules of HTTP


def record_command(
    url: Annotated[
        str | None,
        typer.Argument(help="The event stream. Without it: the configuration of this folder."),
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="A sse-conformance.toml or pyproject.toml.")
    ] = None,
    header: HeaderOption = None,
    method: MethodOption = None,
    data: DataOption = None,
    file: Annotated[
        Path, typer.Option("--out", "-o", metavar="FILE", help="The history, as JSON Lines.")
    ] = Path("sse-conformance.jsonl"),
    duration: Annotated[
        float | None,
        typer.Option(min=0.1, help="Stop after so many seconds; otherwise at the end, or Ctrl-C."),
    ] = None,
    timestamp: Annotated[
        str | None,
        typer.Option(metavar="POINTER", help="Where in an event's JSON its timestamp is, e.g. /timestamp."),
    ] = None,
    behind: Annotated[
        float, typer.Option(min=0.0, help="Mark events that arrive so many seconds after their timestamp.")
    ] = 5.0,
    whole: Annotated[bool, typer.Option("--whole", help="Print data whole, however long it is.")] = False,
    insecure: Annotated[bool, typer.Option("--insecure", "-k", help="Accept any TLS certificate.")] = False,
) -> None:
    """Watch an event stream live: each event with its time, its gap and its lag; keeps the history."""
    if duration is not None:
        check_duration(duration)
    loaded = read_config(url, config)
    if loaded is None:
        raise Failure("give a URL, or a configuration with --config", MISUSED)
    needs_server(loaded)
    loaded = _with_timestamp(apply_request(loaded, header, method, data), timestamp)
    try:
        file.open("ab").close()
    except OSError as error:
        raise Failure(f"--out {file}: {error.strerror}", MISUSED) from error
    history = trio.run(_record, loaded, file, duration, behind, whole, not insecure)
    if (nothing := next(filter(None, map(no_stream, history.streams)), None)) is not None:
        raise Failure(nothing, CONFUSED)
    if (why := unreached([history])) is not None:
        raise Failure(why, CONFUSED)
    if (concluded := history.concluded) is not None and concluded.outcome in {"unreached", "failed"}:
        raise Failure(concluded.reason, CONFUSED)
    err.print(
        f"the history is in {file}; `sse-conformance judge {file}` judges it", markup=False, highlight=False
    )


def _with_timestamp(loaded: Loaded, pointer: str | None) -> Loaded:
    if pointer is None:
        return loaded
    given = msgspec.to_builtins(loaded.config.dialect) | {"timestamp": pointer}
    try:
        dialect = msgspec.convert(given, Dialect)
    except msgspec.ValidationError as error:
        raise Failure(
            f"--timestamp {pointer!r} is no JSON Pointer; one looks like /timestamp or /meta/sent", MISUSED
        ) from error
    return msgspec.structs.replace(loaded, config=msgspec.structs.replace(loaded.config, dialect=dialect))


async def _record(
    loaded: Loaded, file: Path, duration: float | None, behind: float, whole: bool, verify: bool
) -> History:
    config, network = loaded.config, SocketNetwork()
    without = Redaction(loaded.secrets)  # what is on a terminal is soon in a log or in an issue
    watched = LONGEST if duration is None else duration
    kept: list[History] = []
    try:
        async with (
            interruptible("the history is kept") as stop,
            ready(
                config,
                network,
                log=file.with_suffix(".server.log"),
                verify=verify,
                reach=False,
                folder=loaded.folder,
            ) as target,
            trio.open_nursery() as nursery,
        ):
            monitor = Monitor(
                out,
                effective_dialect(config.dialect),
                trio.current_time(),
                time.time(),
                behind,
                whole=whole,
                gone=stop.set,
            )
            monitor.opening(without.url(config.target.url or target.origin))
            setting = Setting(
                network=network,
                config=config,
                origin=target.origin,
                seed=0,
                duration=watched,
                declared=held(config),
                secrets=loaded.secrets,
                verify=verify,
                wall=time.time,
            )

            async def watch(stage: Stage) -> None:
                await _watch(stage, monitor, watched, stop)

            async def drive() -> None:
                await play(setting, Scenario("subscribe", "", watch), keep=kept.append, file=file)
                nursery.cancel_scope.cancel()

            nursery.start_soon(drive)
            await stop.wait()
            nursery.cancel_scope.deadline = trio.current_time() + _LEAVING
    except* (TargetError, ServerError) as group:
        raise Failure(without.text(str(first_of(group))), CONFUSED) from group
    for stream in kept[0].streams:
        monitor.ended(stream)
    return kept[0]


async def _watch(stage: Stage, monitor: Monitor, watched: float, stop: trio.Event) -> None:
    await stage.start()
    # What is said to be a completion does not make a monitor leave, and hours hold more than a test's stream.
    stage.config = msgspec.structs.replace(stage.config, limits=_patient(stage.config.limits, watched))
    said = False

    def announce() -> None:
        nonlocal said
        if not said:
            heads = (each for each in reversed(stage.recorder.records) if isinstance(each, Head))
            monitor.head(next(heads))
            said = True

    def heard(parsed: Parsed, role: Role | None) -> None:
        announce()
        monitor.heard(parsed, role)

    async with stage.subscribe(heard=heard, watch=watched) as a, trio.open_nursery() as nursery:

        async def leave() -> None:
            await stop.wait()
            await a.drop()

        nursery.start_soon(leave)
        if await a.head():
            announce()
        await a.finished()
        nursery.cancel_scope.cancel()


def _patient(limits: Limits, watched: float) -> Limits:
    return msgspec.structs.replace(
        limits,
        close=watched,
        body=max(limits.body, _LIMITS.body),
        events=max(limits.events, _LIMITS.events),
    )
