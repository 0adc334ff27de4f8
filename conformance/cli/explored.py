"""What a call of `explore` or `replay` explores, in this process and in those beside it."""

import os
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import trio

from conformance.asgi import Moments, Options
from conformance.asgi.flavours import FlavourName
from conformance.cli.common import MISUSED, Failure, read_config
from conformance.cli.ended import saying_who_ended_it
from conformance.cli.in_process import in_process, read_app_config
from conformance.cli.watchdog import watchdog
from conformance.explore import Exploration, asgi_subject, explored_without, reference_subject
from conformance.explore.subjects import Running
from conformance.in_process import ANEW
from conformance.specimens.specimen import reference_config
from fault_injection.network import Network

REFERENCE: Final = "reference"
"""The name of the built-in reference service, in a replay file."""


@dataclass(frozen=True)
class Judged:
    """How it is judged: a broken SHOULD as a broken MUST, and without which rules."""

    strict: bool
    without: tuple[str, ...]


@dataclass(frozen=True)
class Explored:
    """What is explored, by which names a replay file finds it again, and the options that are no part of it."""

    exploration: Exploration
    subject: str
    config: str | None
    options: tuple[str, ...] = ()


def explored(
    app: str | None,
    config: Path | None,
    seed: int,
    judged: Judged,
    *,
    app_dir: Path | None,
    app_loop: FlavourName | None,
    replay: Path | None = None,
) -> Explored:
    """What to explore. `replay`: the file in which app, config and `judged` stand; else they are options. Raises
    `Failure` (2)."""

    def given(option: str, field: str) -> str:
        return option if replay is None else f"{replay}: {field}"

    try:
        rules = explored_without(judged.without)
    except ValueError as error:
        raise Failure(f"{given('--without', 'without')}: {error}", MISUSED) from error
    loaded = None
    if config is not None or replay is None:
        loaded = read_config(None, config, option=given("--config", "config"))
    if app is None and loaded is not None:
        app = loaded.config.target.app
        if app is None:
            naming = given("name the application with --app", "subject must name the application")
            raise Failure(f"{loaded.source} has no target.app: {naming}", MISUSED)
    if app is None:
        reference = Exploration(
            reference_subject(), reference_config(), rules, seed=seed, strict=judged.strict
        )
        return Explored(reference, REFERENCE, None)
    if loaded is None and replay is not None:
        loaded = read_config(None, None)
        if loaded is None:
            raise Failure(
                f"{replay}: config names no configuration, and there is none in this folder: it says which path of "
                f"{app!r} is the stream",
                MISUSED,
            )
    if loaded is None:
        loaded = read_app_config(app, None, None)
    subject = in_process(
        app, loaded, folder=app_dir, loop=app_loop, named=f"{replay}: subject" if replay else None
    )
    exploration = Exploration(
        asgi_subject(subject.make, Options(flavour=subject.loop)),
        loaded.config,
        rules,
        seed=seed,
        secrets=loaded.secrets,
        strict=judged.strict,
    )
    elsewhere = {"--app-dir": app_dir, "--app-loop": app_loop}
    options = tuple(word for name, value in elsewhere.items() if value for word in (name, str(value)))
    return Explored(exploration, app, loaded.source, options)


@contextmanager
def watched(named: Explored) -> Iterator[Exploration]:
    """The exploration, watched in real time for an application that hangs."""
    usual = named.exploration
    with saying_who_ended_it(named.subject), watchdog(named.subject) as turns:

        def subject(network: Network, moments: Moments) -> AbstractAsyncContextManager[Running]:
            trio.lowlevel.add_instrument(turns)
            return usual.subject(network, moments)

        yield replace(usual, subject=subject)


@contextmanager
def opened(
    start: Path,
    app: str | None,
    config: Path | None,
    seed: int,
    judged: Judged,
    app_dir: Path | None,
    app_loop: FlavourName | None,
) -> Iterator[Exploration]:
    """The same exploration in another process, watched there. That one has begun where this one is now; the call was
    made in `start`."""
    os.chdir(start)
    call = explored(app, config, seed, judged, app_dir=app_dir, app_loop=app_loop)
    with watched(call) as exploration:
        yield exploration


def anew(named: Explored) -> str:
    """What is to be said with the error of one that does not start the second time."""
    return "" if named.subject.endswith("()") else ANEW
