"""`sse-conformance record`: a live monitor that keeps the history.

What `curl -N | while read` with a clock in front of each line is for, with the lag of each event besides.
"""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import trio
import typer
from rich.text import Text

from conformance.cli.common import CONFUSED, Failure, apply_request, err, out, read_config
from conformance.cli.interrupt import interruptible
from conformance.config import Loaded
from conformance.dialect import Dialect, Parsed, Role, effective_dialect, timestamp_of
from conformance.drive.outcome import first_of
from conformance.drive.scene import Setting, play
from conformance.drive.server_process import ServerError
from conformance.drive.stage import Stage
from conformance.drive.target import TargetError, ready
from conformance.history import History
from conformance.judging import held
from conformance.scenarios import Scenario
from conformance.wire import Comment, Event, Reconnection, Violation
from fault_injection.network import SocketNetwork
from reports.text import brief, visible

EXAMPLES = """
[bold]Examples[/]

  sse-conformance record http://127.0.0.1:8000/events

  sse-conformance record -H 'Authorization: Bearer ...' https://example.org/events --out events.jsonl

  sse-conformance judge events.jsonl   [dim]what the rules say of what was recorded[/]
"""

_FOREVER: Final = 30 * 86400.0  # seconds: longer than anybody watches
_WIDTH: Final = 160  # characters of data on a line


def record_command(
    url: Annotated[str | None, typer.Argument(help="The event stream.")] = None,
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="A sse-conformance.toml or pyproject.toml.")
    ] = None,
    header: Annotated[
        list[str] | None, typer.Option("--header", "-H", metavar="'NAME: VALUE'", help="As curl has it.")
    ] = None,
    method: Annotated[
        str | None, typer.Option("--request", "-X", metavar="METHOD", help="As curl has it.")
    ] = None,
    data: Annotated[
        str | None,
        typer.Option("--data", "-d", metavar="BODY", help="As curl has it, but JSON unless said otherwise."),
    ] = None,
    file: Annotated[
        Path, typer.Option("--out", "-o", metavar="FILE", help="The history, as JSON Lines.")
    ] = Path("sse-conformance.jsonl"),
    duration: Annotated[
        float | None,
        typer.Option(min=0.1, help="Stop after so many seconds; otherwise at the end, or Ctrl-C."),
    ] = None,
    behind: Annotated[
        float, typer.Option(min=0.0, help="Mark events that arrive so many seconds after their timestamp.")
    ] = 5.0,
    insecure: Annotated[bool, typer.Option("--insecure", "-k", help="Accept any TLS certificate.")] = False,
) -> None:
    """Watch an event stream live: each event with its time, its gap and its lag; keeps the history."""
    loaded = read_config(url, config)
    if loaded is None:
        raise Failure("give a URL, or a configuration with --config", 2)
    loaded = apply_request(loaded, header, method, data)
    trio.run(_record, loaded, file, duration, behind, not insecure)
    err.print(
        f"the history is in {file}; `sse-conformance judge {file}` judges it", markup=False, highlight=False
    )


async def _record(loaded: Loaded, file: Path, duration: float | None, behind: float, verify: bool) -> None:
    config, network = loaded.config, SocketNetwork()
    monitor = _Monitor(effective_dialect(config.dialect), trio.current_time(), time.time(), behind)

    async def watch(stage: Stage) -> None:
        await stage.start()
        async with stage.subscribe(
            heard=monitor.heard, watch=_FOREVER if duration is None else duration
        ) as a:
            if await a.head():
                monitor.say(f"status {a.status}", "dim")
            await a.finished()

    def report(history: History) -> None:
        for stream in history.streams:
            if stream.ended is not None:
                monitor.say(
                    f"{stream.how}: {stream.ended.detail}" if stream.ended.detail else stream.how, "bold"
                )
        if history.concluded is not None and history.concluded.reason:
            monitor.say(history.concluded.reason, "bold")

    try:
        async with (
            interruptible() as stop,
            ready(config, network, log=file.with_suffix(".server.log")) as target,
        ):
            setting = Setting(
                network=network,
                config=config,
                origin=target.origin,
                seed=0,
                duration=_FOREVER if duration is None else duration,
                declared=held(config),
                secrets=loaded.secrets,
                verify=verify,
                wall=time.time,
            )
            async with trio.open_nursery() as nursery:

                async def drive() -> None:
                    await play(setting, Scenario("subscribe", "", watch), keep=report, file=file)
                    nursery.cancel_scope.cancel()

                nursery.start_soon(drive)
                await stop.wait()
                nursery.cancel_scope.cancel()
    except* (TargetError, ServerError) as group:
        error = first_of(group)
        raise Failure(str(error), CONFUSED) from error


@dataclass
class _Monitor:
    """Prints what arrives, a line each. `zero` and `wall` are the same moment on both clocks."""

    dialect: Dialect
    zero: float
    wall: float
    behind: float
    last: float | None = None
    catching_up: bool = False

    def heard(self, parsed: Parsed, role: Role | None) -> None:
        now = trio.current_time() - self.zero
        gap = 0.0 if self.last is None else now - self.last
        self.last = now
        stamp = timestamp_of(self.dialect, parsed)
        lag = None if stamp is None else self.wall + now - stamp
        if lag is not None and (lag > self.behind) is not self.catching_up:
            self.catching_up = lag > self.behind
            self.say(f"catching up: {lag:.1f} s behind" if self.catching_up else "caught up", "bold yellow")
        line = Text(f"{now:10.3f}  +{gap:<8.3f} ")
        line.append(
            " " * 10 if lag is None else f"lag {lag:<6.3f}", style="yellow" if self.catching_up else "dim"
        )
        line.append("  ").append_text(_shown(parsed, role))
        out.print(line)

    def say(self, text: str, style: str) -> None:
        out.print(Text(f"{trio.current_time() - self.zero:10.3f}  -- {visible(text)}", style=style))


_STYLES: Final = {Role.COMPLETION: "green", Role.END: "green", Role.FAILURE: "red", Role.HEARTBEAT: "dim"}


def _shown(parsed: Parsed, role: Role | None) -> Text:
    match parsed.item:
        case Event(type=kind, data=data, id=event_id):
            name = kind if event_id is None else f"{kind} #{event_id}"
            text, style = f"{name}  {data}", _STYLES.get(role, "") if role else "dim"
        case Comment(text=said):
            text, style = f":{said}", "dim"
        case Reconnection(milliseconds=milliseconds):
            text, style = f"retry: {milliseconds}", "dim"
        case Violation(message=message):
            text, style = f"violation: {message}", "bold red"
    return Text(brief(visible(text), _WIDTH), style=style)
