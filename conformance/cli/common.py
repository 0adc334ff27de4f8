"""What the commands share: consoles, exit codes, errors, and reading the configuration."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
from rich.console import Console
from rich.markup import escape

from conformance.config import (
    ConfigError,
    Loaded,
    Stream,
    config_for_url,
    find_config,
    literal,
    load_config,
)
from conformance.history.redact import ALWAYS_SECRET
from reports.outcome import Outcome, outcome
from reports.results import Results
from reports.text import visible

CONFORMS: Final = 0
BREAKS: Final = 1
MISUSED: Final = 2
CONFUSED: Final = 3  # the target could not be reached, or the harness failed

INTERRUPTED: Final = 130  # as shells have it for SIGINT

out = Console(soft_wrap=True)
err = Console(stderr=True, soft_wrap=True)


class Failure(Exception):
    """Ends the command with a sentence and an exit code."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code

    @property
    def shown(self) -> str:
        """The message, safe to print: what a server sent steers neither rich nor the terminal."""
        return escape("\n".join(map(visible, str(self).split("\n"))))


def read_config(url: str | None, config: Path | None) -> Loaded | None:
    """The configuration that the call names, or finds in the folder; None: there is none.

    Raises `Failure` (2) for what cannot be read.
    """
    try:
        if config is not None:
            if not config.is_file():
                raise Failure(f"{config}: no such file", MISUSED)
            loaded = load_config(config, environ=os.environ)
        elif url is not None:
            return config_for_url(url if "://" in url else f"http://{url}")
        elif (found := find_config(Path.cwd())) is not None:
            loaded = load_config(found, environ=os.environ)
        else:
            return None
    except ConfigError as error:
        raise Failure(str(error), MISUSED) from error
    except OSError as error:
        raise Failure(f"{error.filename}: {error.strerror}", MISUSED) from error
    if url is not None:
        raise Failure("give a URL or --config, not both: the configuration names its target", MISUSED)
    return loaded


def apply_request(
    loaded: Loaded, headers: Sequence[str] | None, method: str | None, data: str | None
) -> Loaded:
    """The configuration with what the call says of the stream's request, as curl has it: headers (their values
    are secret where they carry credentials), the method, the body. Raises `Failure` (2)."""
    stream, secrets = loaded.config.target.stream, set(loaded.secrets)
    merged = dict(stream.headers)
    for header in headers or ():
        name, colon, value = header.partition(":")
        if not colon or not name.strip():
            raise Failure(f"--header wants 'NAME: VALUE', not {header!r}", MISUSED)
        merged[name.strip()] = literal(value.strip())
        if name.strip().lower() in ALWAYS_SECRET and value.strip():
            secrets |= {value.strip(), value.strip().rpartition(" ")[2]}
    if data is not None:
        if not any(name.lower() == "content-type" for name in merged):
            merged["Content-Type"] = "application/json"
        stream = msgspec.structs.replace(stream, body=literal(data), json=None, method="POST")
    stream = msgspec.structs.replace(stream, headers=merged)
    if method is not None:
        try:
            stream = msgspec.convert(msgspec.to_builtins(stream) | {"method": method.upper()}, Stream)
        except msgspec.ValidationError as error:
            raise Failure(f"--request {method}: {error}", MISUSED) from error
    target = msgspec.structs.replace(loaded.config.target, stream=stream)
    return Loaded(msgspec.structs.replace(loaded.config, target=target), frozenset(secrets), loaded.source)


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
