"""`sse-conformance init`: looks at a server, and writes a configuration with its guesses marked as guesses."""

import os
import time
from pathlib import Path
from typing import Annotated, Final

import msgspec
import trio
import typer
from rich.console import Console
from rich.text import Text

from conformance.cli.common import CONFUSED, MISUSED, Failure, check_duration, err, out, read_config
from conformance.cli.interrupt import interruptible
from conformance.cli.monitor import ending, no_stream
from conformance.cli.request import HeaderOption, apply_request
from conformance.config import FILE_NAME, Loaded, base_url, fill, fill_header
from conformance.dialect.learning import REMEMBERED
from conformance.drive.scene import Setting, play
from conformance.drive.stage import Stage
from conformance.first_look import look
from conformance.history import Exchange, History
from conformance.history.redact import Redaction
from conformance.judging import held
from conformance.proposal import Address, Proposal, address, file_text, propose
from conformance.proposal.file import assignment
from conformance.scenarios import Scenario
from conformance.unreached import unreached
from fault_injection.network import SocketNetwork
from reports.outcome import plural
from reports.text import line, seconds, visible

EXAMPLES = """
[bold]Examples[/]

  sse-conformance init http://127.0.0.1:8000/events

  sse-conformance init -H "Authorization: Bearer $TOKEN" https://example.org/events --out events.toml

  sse-conformance init http://127.0.0.1:8000/events --out -   [dim]to standard output[/]

It sends three GET requests at the most: one reads the stream, one joins
meanwhile, one comes back with the id of an event in the middle. Nothing
is posted, nothing is cancelled. To have a job looked at, begin one that
takes some seconds, and look while it runs. Where each GET begins new
work, it is begun three times.

No credential is written: values of headers, and what looks like one in
the URL, become ${NAME}, which a run takes from the environment.
"""

_STDOUT: Final = Path("-")
_PYPROJECT: Final = "pyproject.toml"
_CUT: Final = frozenset({"truncated", "reset", "protocol"})
_WIDTH: Final = 200  # characters of a line that is printed


def init_command(
    url: Annotated[str, typer.Argument(help="The event stream.")],
    header: HeaderOption = None,
    file: Annotated[
        Path,
        typer.Option(
            "--out", "-o", metavar="FILE", help="The configuration to write; - is the standard output."
        ),
    ] = Path(FILE_NAME),
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file if it exists.")] = False,
    duration: Annotated[
        float, typer.Option(min=0.1, help="Watch the stream for so many seconds, unless it ends before.")
    ] = 10.0,
    insecure: Annotated[bool, typer.Option("--insecure", "-k", help="Accept any TLS certificate.")] = False,
) -> None:
    """Look at a server and write a configuration, with its guesses marked as guesses."""
    check_duration(duration)
    _check_file(file, force=force)
    loaded = read_config(url, None)
    assert loaded is not None, "there is a URL"
    loaded = apply_request(loaded, header, None, None)
    written = _address(loaded)
    loaded = msgspec.structs.replace(loaded, secrets=loaded.secrets | {*written.variables.values()})
    console = err if file == _STDOUT else out
    history = trio.run(_look, loaded, duration, not insecure, console)
    first = _first(history, duration)
    proposal = propose(history)
    for stream in history.streams:
        console.print(_line(_told(stream)))
    _show(proposal, console)
    text = file_text(proposal, written, _how_it_was_looked(history, loaded))
    _write(file, text, force=force)
    if first.how in _CUT:
        where = "" if file == _STDOUT else f"{file} has what was seen until then. "
        raise Failure(
            f"{first.requested.url}: the stream was cut: {ending(first)}. {where}"
            "Look again when the server ends its responses properly",
            CONFUSED,
        )
    _say_what_next(file, proposal, written)


def _check_file(file: Path, *, force: bool) -> None:
    """Raise `Failure` (2) for a file that cannot be written, or must not be."""
    if file == _STDOUT:
        return
    if file.name == _PYPROJECT:
        raise Failure(
            f"--out {file}: a whole file is written, and this one holds more. Write another, and copy its tables to "
            "[tool.sse-conformance.target] and so on",
            MISUSED,
        )
    if file.is_dir():
        raise Failure(f"--out {file}: it is a folder; name a file", MISUSED)
    if not force and (file.exists() or file.is_symlink()):
        raise Failure(_exists(file), MISUSED)
    folder = file.parent
    if not folder.is_dir():
        raise Failure(f"--out {file}: there is no folder {folder}", MISUSED)
    if not os.access(file if file.exists() else folder, os.W_OK):
        raise Failure(f"--out {file}: it cannot be written: Permission denied", MISUSED)


def _exists(file: Path) -> str:
    return f"{file} exists already: --force overwrites it, --out names another file"


async def _look(loaded: Loaded, duration: float, verify: bool, console: Console) -> History:
    limits = msgspec.structs.replace(loaded.config.limits, events=REMEMBERED)
    config = msgspec.structs.replace(loaded.config, limits=limits)
    setting = Setting(
        network=SocketNetwork(),
        config=config,
        origin=base_url(config.target),
        seed=0,
        duration=duration,
        declared=held(config),
        secrets=loaded.secrets,
        verify=verify,
        wall=time.time,
    )
    shown = Redaction(loaded.secrets).url(fill(config.target.url or "", {}))
    console.print(
        _line(f"looking at {shown} for {duration:g} s at the most, then briefly again; Ctrl-C ends it", "dim")
    )
    async with interruptible("guessing from what there is") as stop:

        async def drive(stage: Stage) -> None:
            await look(stage, duration, stop)

        return await play(setting, Scenario("init", "a first look", drive))


def _first(history: History, duration: float) -> Exchange:
    """The stream that was read. Raises `Failure` (3) where there was none, or it said nothing."""
    concluded = history.concluded
    first = next(iter(history.streams), None)
    if concluded is not None and (concluded.outcome == "failed" or first is None):
        raise Failure(concluded.reason, CONFUSED)
    assert first is not None, "it was asked for"
    url = first.requested.url
    if first.head is not None and first.head.status == 204:
        raise Failure(
            f"{url} answered 204 {first.head.reason}: to an event source this says that the stream is over. Begin new "
            "work, and give the address of its stream",
            CONFUSED,
        )
    if (why := no_stream(first) or unreached([history])) is not None:
        raise Failure(why, CONFUSED)
    if first.head is None:
        raise Failure(f"{url} had not answered when you left: nothing is known of it", CONFUSED)
    if not first.arrivals:
        raise Failure(
            f"{url} is an event stream that said nothing in {seconds(_watched(first))} ({ending(first)}): there is "
            "nothing to guess from. Make something happen that it tells of, or let --duration be longer than "
            f"{duration:g}",
            CONFUSED,
        )
    return first


def _watched(stream: Exchange) -> float:
    return stream.ended.time - stream.requested.time if stream.ended else 0.0


def _address(loaded: Loaded) -> Address:
    target = loaded.config.target
    headers = {name: fill_header(value, {}) for name, value in target.stream.headers.items()}
    return address(fill(target.url or "", {}), headers)


_WHO: Final = {"first": "read", "second": "joined", "back": "came back"}


def _told(stream: Exchange) -> str:
    who = _WHO.get(stream.requested.subscriber, stream.requested.subscriber)
    if stream.came_with is not None:
        who = f"{who} with Last-Event-ID {line(stream.came_with, 40)}"
    if stream.head is None:
        return f"  {who}: no response; {ending(stream)}"
    kinds = [plural(len(stream.all_events), "event")]
    if stream.comments:
        kinds.append(plural(len(stream.comments), "comment"))
    return (
        f"  {who} after {seconds(stream.requested.time)}: {stream.head.status} {stream.head.reason}; "
        f"{', '.join(kinds)} in {seconds(_watched(stream))}; {ending(stream)}"
    )


def _show(proposal: Proposal, console: Console) -> None:
    for entry in proposal.guesses:
        console.print(_line(f"  a guess: {entry.table}.{assignment(entry)}", "bold"))
        console.print(_line(f"    {entry.reason}"))
    for entry in proposal.entries:
        if not entry.guessed:
            console.print(_line(f"  not known: {entry.name}: {entry.reason}", "dim"))


def _line(text: str, style: str = "") -> Text:
    return Text(line(text, _WIDTH), style=style)


def _how_it_was_looked(history: History, loaded: Loaded) -> str:
    requests = plural(len(history.streams), "GET request")
    day = time.strftime("%Y-%m-%d", time.gmtime(history.began.at))
    return f"{requests} to {base_url(loaded.config.target).rpartition('@')[2]} on {day}"


def _write(file: Path, text: str, *, force: bool) -> None:
    if file == _STDOUT:
        out.print(Text(text), end="")
        return
    try:
        with file.open("w" if force else "x", encoding="utf-8") as opened:
            opened.write(text)
    except FileExistsError as error:  # since the look began
        raise Failure(_exists(file), MISUSED) from error
    except OSError as error:
        raise Failure(f"--out {file}: {error.strerror}", CONFUSED) from error


def _say_what_next(file: Path, proposal: Proposal, written: Address) -> None:
    many = plural(len(proposal.guesses), "guess", "guesses")
    if file == _STDOUT:
        return
    if written.variables:
        names = " and ".join(f"${{{name}}}" for name in written.variables)
        err.print(
            f"for a run, set what the file takes from the environment: {names}", markup=False, highlight=False
        )
    call = "sse-conformance run" + ("" if str(file) == FILE_NAME else f" --config {file}")
    err.print(
        f"{visible(str(file))} is written, with {many}: look at each, then `{visible(call)}`",
        markup=False,
        highlight=False,
    )
