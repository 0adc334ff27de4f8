"""Tries schedules until one breaks a rule, and shrinks it to the smallest that still does.

They are drawn in batches, each from a seed of its own. So what is found does not depend on who tries which batch, and
when: here one after the other, in `crew.py` side by side.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final, TypeAlias

from hypothesis import HealthCheck, Phase, Verbosity, given, settings
from hypothesis import seed as seeded_by
from hypothesis.database import DirectoryBasedExampleDatabase, ExampleDatabase
from hypothesis.errors import Flaky

from conformance.explore.draw import by_the_seed_alone, schedules_of
from conformance.explore.play import Exploration, Played, play_schedule
from conformance.explore.schedule import Schedule
from conformance.explore.unlike import unlike
from reports.results import Case

BATCH: Final = 100
"""Schedules in a batch. In larger ones Hypothesis repeats more of the histories that it has had."""

_PLAYS: Final = 4  # of a schedule that may break a rule the next time

Told: TypeAlias = Callable[[int, bool], None]


@dataclass(frozen=True)
class Searched:
    """How many schedules were tried until the first one broke a rule (or in all), how many in all, and the
    smallest that breaks it, if one does. `unlike`: what it gave when it was played again, where that is another
    history; then what was found is true of the run in which it was seen, and need not be the smallest. `warned`: where
    nothing was found, the smallest that was tried of those that break a SHOULD.
    """

    until_found: int
    tried: int
    found: Played | None
    unlike: Played | None = None
    warned: Played | None = None

    def after(self, tried: int) -> "Searched":
        """The same, where so many schedules were tried before that broke nothing."""
        return replace(self, until_found=tried + self.until_found, tried=tried + self.tried)


@dataclass(frozen=True)
class Batch:
    """Some schedules of a search: the `number`th batch, counted from 0."""

    number: int
    schedules: int

    def seed(self, seed: int) -> int:
        """From what it is drawn, in a search from `seed`."""
        return seed + (self.number << 64)


def batches(most: int) -> Iterator[Batch]:
    """The batches of a search of up to `most` schedules."""
    for number, before in enumerate(range(0, most, BATCH)):
        yield Batch(number, min(BATCH, most - before))


def ignored(_tried: int, _found: bool) -> None:
    """Who does not want to be told."""


def search(
    exploration: Exploration, *, most: int, database: Path | None = None, told: Told = ignored
) -> Searched:
    """Try up to `most` schedules. What was found is kept in `database`, and tried first the next time.

    `told` hears of every schedule: how many were tried, and whether one that breaks a rule was found, so that
    it is being shrunk.
    """
    tried, kept = 0, kept_in(database)
    warned: list[Played] = []
    for batch in batches(most):
        searched = search_batch(
            exploration, batch, database=kept, told=partial(_told_after, told, tried)
        ).after(tried)
        if searched.found is not None:
            return searched
        tried = searched.tried
        warned += [searched.warned] if searched.warned is not None else []
    return nothing_found(exploration, tried, warned)


def nothing_found(exploration: Exploration, tried: int, warned: Iterable[Played]) -> Searched:
    """Of a search that broke no rule; `warned` is what its batches had of that, in their order."""
    smallest = min(warned, key=_choices, default=None)
    if smallest is not None:
        smallest, _ = _bare(exploration, smallest, lambda played: played.warned)
    return Searched(tried, tried, None, warned=smallest)


def _choices(played: Played) -> int:
    return len(played.schedule.choices)


def _told_after(told: Told, before: int, tried: int, found: bool) -> None:
    told(before + tried, found)


def kept_in(folder: Path | None) -> ExampleDatabase | None:
    """What was found, as Hypothesis keeps it."""
    return None if folder is None else DirectoryBasedExampleDatabase(folder)


def search_batch(
    exploration: Exploration, batch: Batch, *, database: ExampleDatabase | None = None, told: Told = ignored
) -> Searched:
    """Try the schedules of one batch; see `search`. Only the first looks for what was found before."""
    tried, until_found = 0, 0
    smallest: Played | None = None
    warned: Played | None = None
    by_rule: dict[str, type[_Broken]] = {}

    @settings(
        max_examples=batch.schedules,
        database=database,
        derandomize=False,  # else there is no database, and in CI that is the default
        deadline=None,
        phases=((Phase.reuse,) if batch.number == 0 else ()) + (Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
        print_blob=False,
        verbosity=Verbosity.quiet,
    )
    @seeded_by(batch.seed(exploration.seed))  # below: it takes away the database of settings that it finds
    @given(schedules_of(exploration))
    def attempt(schedule: Schedule) -> None:
        nonlocal tried, until_found, smallest, warned
        tried += 1
        if smallest is None:
            until_found += 1
        played = play_schedule(exploration, schedule)
        told(tried, smallest is not None)
        if played.broken:
            smallest = played
            rule = played.broken[0].rule
            raise by_rule.setdefault(rule, type("Broken", (_Broken,), {}))(rule)
        if played.warned and (warned is None or _choices(played) < _choices(warned)):
            warned = played

    try:
        with by_the_seed_alone():
            attempt()
    except (_Broken, Flaky):  # flaky: it broke the rule once, and not again; that it did stands
        pass
    if smallest is None:
        return Searched(until_found, tried, None, warned=warned)
    other = unlike(exploration, smallest)
    plays = 1 if other is None else _PLAYS
    bare, more = _bare(exploration, smallest, lambda played: played.broken, plays)
    if bare is not smallest:
        smallest, other = bare, unlike(exploration, bare)
    return Searched(until_found, tried + more, smallest, other)


def _bare(
    exploration: Exploration, played: Played, wrong: Callable[[Played], tuple[Case, ...]], plays: int = 1
) -> tuple[Played, int]:
    """The schedule without the choices that it does not take; and how many were tried for that. Hypothesis shrinks
    what it drew, and of two choices that were drawn together it cannot always leave one out; and it gives up where a
    schedule breaks a rule only now and then, for which there are `plays` of each."""
    rule, tried, index = wrong(played)[0].rule, 0, 0

    def still(less: Schedule) -> Played | None:
        nonlocal tried
        for _ in range(plays):
            again = play_schedule(exploration, less)
            tried += 1
            if rule in {case.rule for case in wrong(again)}:
                return again
        return None

    if played.schedule.beside is not None:
        played = still(played.schedule.alone(exploration.coming[0])) or played
    while index < len(choices := played.schedule.choices):
        if again := still(Schedule(choices[:index] + choices[index + 1 :])):
            played, index = again, 0
        else:
            index += 1
    return played, tried


class _Broken(AssertionError):
    """A schedule breaks a rule. There is a class for each rule, so that shrinking stays with the one it began with."""
