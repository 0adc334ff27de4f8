"""What the commands share: consoles, exit codes, errors, and reading the configuration."""

import os
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from rich.console import Console
from rich.markup import escape

from conformance.config import ConfigError, Loaded, config_for_url, find_config, load_config
from reports.outcome import Outcome, outcome
from reports.results import Results
from reports.text import visible

CONFORMS: Final = 0
BREAKS: Final = 1
MISUSED: Final = 2
CONFUSED: Final = 3  # the target could not be reached, or the harness failed

INTERRUPTED: Final = 130  # as shells have it for SIGINT

SHORTEST: Final = 0.1  # seconds
LONGEST: Final = 30 * 86400.0  # seconds: longer than anybody watches a stream


class Terminal(Console):
    """A console whose reader may leave: `sse-conformance run | head` still gets to its end and its exit code."""

    def on_broken_pipe(self) -> None:
        """Nobody reads any more: say nothing from now on (`quiet` tells)."""
        self.quiet = True
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.file.fileno())
        os.close(nowhere)


out = Terminal(soft_wrap=True)
err = Terminal(stderr=True, soft_wrap=True)


class Failure(Exception):
    """Ends the command with a sentence and an exit code."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message, code)  # both, so that it can go to another process
        self.message = message
        self.code = code

    def __str__(self) -> str:
        return self.message

    @property
    def shown(self) -> str:
        """The message for rich to print: what a server sent steers neither rich nor the terminal."""
        return escape(self.plain)

    @property
    def plain(self) -> str:
        """The message, safe to print."""
        return "\n".join(map(visible, str(self).split("\n")))


def read_config(url: str | None, config: Path | None, *, option: str = "--config") -> Loaded | None:
    """The configuration that the call names (by `option`), or finds in the folder; None: there is none.

    Raises `Failure` (2) for what cannot be read.
    """
    if url is not None and config is not None:
        raise Failure(f"give a URL or {option}, not both: the configuration names its target", MISUSED)
    try:
        if config is not None:
            if not config.is_file():
                raise Failure(f"{option} {config}: there is no such file", MISUSED)
            return load_config(config, environ=os.environ)
        if url is not None:
            return config_for_url(url if "://" in url else f"http://{url}")
        found = find_config(Path.cwd())
        return None if found is None else load_config(found, environ=os.environ)
    except ConfigError as error:
        raise Failure(str(error), MISUSED) from error
    except OSError as error:
        raise Failure(f"{error.filename}: {error.strerror}", MISUSED) from error


def needs_server(loaded: Loaded) -> None:
    """Raise `Failure` (2) for a configuration that names nothing to send a request to."""
    target = loaded.config.target
    if target.url is None and target.command is None:
        raise Failure(
            f"{loaded.source}: target.app is an application in this process, and this command drives a server: "
            'give target.url, or the command that serves it, e.g. command = ["uvicorn", '
            f'"{target.app}", "--port", "{{port}}"]',
            MISUSED,
        )


def check_duration(seconds: float, option: str = "--duration") -> None:
    """Raise `Failure` (2) for a value of an option in seconds that never passes, or passes at once."""
    if not SHORTEST <= seconds <= LONGEST:
        raise Failure(f"{option} {seconds:g}: {SHORTEST:g} to {LONGEST:.0f} seconds (thirty days)", MISUSED)


def check_toxiproxy(url: str, option: str = "--toxiproxy") -> None:
    """Raise `Failure` (2) for what cannot be the address of Toxiproxy's API."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise Failure(
            f"{option} {url!r} is no URL; Toxiproxy's API is usually at http://127.0.0.1:8474", MISUSED
        )


def said(error: BaseException) -> str:
    """What the operating system said, without its numbers."""
    return error.strerror if isinstance(error, OSError) and error.strerror else str(error)


def exit_code(results: Results) -> int:
    """The exit code that the results come to."""
    match outcome(results):
        case Outcome.CONFORMS:
            return CONFORMS
        case Outcome.BROKEN:
            return BREAKS
        case Outcome.INTERRUPTED:
            return INTERRUPTED
        case Outcome.ERROR | Outcome.UNREACHED | Outcome.NOTHING_JUDGED:
            return CONFUSED
