"""For people's own tests: explore an application. As a fixture: `sse_explore`."""

import os
from collections.abc import Callable, Collection
from pathlib import Path

from conformance.asgi.types import ASGIApp
from conformance.config import load_config
from conformance.explore import (
    EXPLORED,
    Exploration,
    Replay,
    Schedule,
    asgi_subject,
    digest,
    play_schedule,
    save_replay,
    search,
    words,
)
from conformance.words import explain


class Explore:
    """Explores applications; a schedule that breaks a rule is kept in `folder`, to be read."""

    def __init__(self, folder: Path, beside: Path) -> None:
        self._folder = folder
        self._beside = beside

    def __call__(
        self,
        make: Callable[[], ASGIApp],
        config: str | Path,
        *,
        schedules: int = 200,
        seed: int = 0,
        without: Collection[str] = (),
    ) -> None:
        """Try so many schedules. `make` gives a fresh application for each; `config` is the file of its
        configuration, beside the test. `without`: names of rules that are left out.

        Raises `AssertionError` with the smallest schedule that breaks a rule, `ConfigError`, `NotRepeatable`.
        """
        loaded = load_config(self._beside / config, environ=os.environ)
        rules = tuple(rule for rule in EXPLORED if rule.name not in without)
        exploration = Exploration(asgi_subject(make), loaded.config, rules, seed=seed, secrets=loaded.secrets)
        concluded = play_schedule(exploration, Schedule()).history.concluded
        assert concluded is not None
        if concluded.outcome != "done":
            raise AssertionError(f"the application cannot be driven: {concluded.reason}")
        found = search(exploration, most=schedules, database=self._folder / "examples").found
        if found is None:
            return
        replay = Replay(
            subject="(of a test)",
            seed=seed,
            schedule=found.schedule,
            breaks=tuple(dict.fromkeys(case.rule for case in found.broken)),
            digest=digest(found),
        )
        save_replay(self._folder / "replay.json", replay)
        mends = {rule.name: rule.mend for rule in EXPLORED}
        parts = [*words(found.schedule), "", *(explain(case, mends[case.rule]) for case in found.broken)]
        raise AssertionError("\n".join(("this schedule breaks it:", *parts)))
