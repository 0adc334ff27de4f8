"""For people's own tests: explore an application, and replay what was found. As a fixture: `sse_explore`."""

import os
import shlex
import warnings
from collections.abc import Callable, Collection, Iterable
from functools import partial
from pathlib import Path
from typing import Final

from conformance.asgi import Options
from conformance.asgi.load import no_app, no_factory
from conformance.asgi.types import ASGIApp
from conformance.config import load_config
from conformance.explore import (
    EXPLORED,
    Exploration,
    Played,
    Replay,
    Schedule,
    asgi_subject,
    digest,
    explored_without,
    load_replay,
    play_again,
    play_schedule,
    save_replay,
    search,
    told_unlike,
    undriven,
    words,
)
from conformance.words import BrokenShould, explain
from reports.results import Case

OF_A_TEST: Final = "test "
"""How the subject of a replay file begins that only its test can play: its application has no name."""


class Explore:
    """Explores applications; a schedule that breaks a rule is kept in `folder`, to be replayed.

    `beside`: the folder of the test, where its configuration is. `test`: what pytest calls the test. `replay`: a
    replay file, of which the schedule is played instead of exploring (`pytest --sse-replay=FILE`). `strict`: a broken
    SHOULD fails (`pytest --sse-strict`); else it is a warning.
    """

    def __init__(
        self, folder: Path, beside: Path, test: str = "", replay: Path | None = None, strict: bool = False
    ) -> None:
        self._folder = folder
        self._beside = beside
        self._test = test
        self._replay = replay
        self._strict = strict
        self._calls = 0

    def __call__(
        self,
        make: Callable[[], ASGIApp],
        config: str | Path,
        *,
        schedules: int = 200,
        seed: int = 0,
        without: Collection[str] = (),
        strict: bool = False,
    ) -> None:
        """Try so many schedules. `make` gives a fresh application for each; `config` is the file of its
        configuration, beside the test. `without`: names of rules that are left out. `strict`: a
        broken SHOULD fails, too; else it is a `BrokenShould`, which is a warning.

        Raises `AssertionError` with the smallest schedule that breaks a rule, `ConfigError`, `ValueError`
        for a name in `without` that is none, `TypeError` where `make` is no factory or makes no application;
        of a replay file also `ReplayError`, `OSError`, and `NotRepeatable` where it gives different histories that
        break nothing.
        """
        __tracebackhide__ = True
        if schedules < 1:
            raise ValueError(f"schedules={schedules}: at least one must be tried")
        if wrong := no_factory(make):
            raise TypeError(f"sse_explore: {wrong}")
        self._calls += 1
        loaded = load_config(self._beside / config, environ=os.environ)
        rules = explored_without(without)
        subject = asgi_subject(
            partial(_made, make), Options(flavour=loaded.config.target.app_loop or "asyncio")
        )

        replay = load_replay(self._replay) if self._replay is not None else None
        strict |= self._strict or (replay is not None and replay.strict)

        def exploration(seed: int) -> Exploration:
            return Exploration(
                subject,
                loaded.config,
                rules,
                seed=seed,
                secrets=loaded.secrets,
                strict=strict,
            )

        if replay is not None:
            self._play_again(replay, exploration)
            return
        if reason := undriven(play_schedule(exploration(seed), Schedule())):
            raise AssertionError(reason)
        searched = search(exploration(seed), most=schedules, database=self._folder / "examples")
        if (found := searched.found) is not None:
            again = f"again: {self._kept(found, seed)}"
            raise AssertionError("\n".join((*_told(found, searched.unlike), "", again)))
        if (warned := searched.warned) is not None:
            warnings.warn("\n".join(_explained(warned, warned.warned)), BrokenShould, stacklevel=2)

    @property
    def _name(self) -> str:
        """Which call of which test this is."""
        return f"{OF_A_TEST}{self._test}" + (f" (call {self._calls})" if self._calls > 1 else "")

    def _kept(self, found: Played, seed: int) -> str:
        """Write the replay file; gives the command that plays it."""
        path = self._folder / ("replay.json" if self._calls == 1 else f"replay-{self._calls}.json")
        replay = Replay(
            subject=self._name,
            seed=seed,
            schedule=found.schedule,
            breaks=tuple(dict.fromkeys(case.rule for case in found.broken)),
            strict=found.strict,
            digest=digest(found),
        )
        save_replay(path, replay)
        # In one word: apart, pytest takes the file for a test when it looks for its root, by which it names tests.
        return shlex.join(["pytest", self._test, f"--sse-replay={path}"])

    def _play_again(self, replay: Replay, exploration: Callable[[int], Exploration]) -> None:
        if replay.subject.startswith(OF_A_TEST) and replay.subject != self._name:
            whose = replay.subject.removeprefix(OF_A_TEST).partition(" (call ")[0]
            if whose == self._test:
                return  # it is of another call in this test
            raise AssertionError(f"{self._replay} is of another test: select {whose}")
        played, other = play_again(exploration(replay.seed), replay.schedule)
        same = digest(played) == replay.digest
        history = "the identical history" if same else "the history differs from the one that was found"
        if played.broken:
            raise AssertionError("\n".join((*_told(played, other), "", f"{self._replay}: {history}")))


def _made(make: Callable[[], ASGIApp]) -> ASGIApp:
    app = make()
    if wrong := no_app("what the factory made", app):
        raise TypeError(f"sse_explore: {wrong}")
    return app


def _told(played: Played, other: Played | None) -> list[str]:
    unlike = ["", *told_unlike(played, other)] if other is not None else []
    return [*_explained(played, played.broken), *unlike]


def _explained(played: Played, cases: Iterable[Case]) -> list[str]:
    mends = {rule.name: rule.mend for rule in EXPLORED}
    broken = (explain(case, mends[case.rule]) for case in cases)
    return ["this schedule breaks it:", *words(played.schedule), "", *broken]
