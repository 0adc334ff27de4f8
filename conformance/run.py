"""The main job: drive every scenario, judge every history, put the results together."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import msgspec
import trio

from conformance.drive.scene import Setting, file_name, play
from conformance.history import History
from conformance.judging import judge, on_assumed_terms
from conformance.outcome import Run, put_together
from conformance.rules import Rule
from conformance.scenarios import Scenario
from reports.results import Case, Verdict

What: TypeAlias = Literal["started", "ended", "again"]
Told: TypeAlias = Callable[[What, str], None]

_SUSPECT = frozenset({Verdict.FAIL, Verdict.WARN})


@dataclass
class _Driving:
    """What has been driven so far: the history that counts for each scenario, and how often it was driven."""

    setting: Setting
    told: Told
    histories: dict[str, History] = field(default_factory=dict)
    takes: dict[str, int] = field(default_factory=dict)

    async def drive(self, scenario: Scenario) -> None:
        def keep(history: History) -> None:
            self.histories[scenario.name] = history

        self.takes[scenario.name] = 1
        self.told("started", scenario.name)
        await play(self.setting, scenario, keep=keep)
        self.told("ended", scenario.name)

    async def drive_again(self, scenario: Scenario) -> History:
        self.takes[scenario.name] += 1
        self.told("again", scenario.name)
        history = await play(self.setting, scenario, take=self.takes[scenario.name])
        self.told("ended", scenario.name)
        return history.on(self.histories[scenario.name].terms)


async def run(
    setting: Setting,
    scenarios: Sequence[Scenario],
    rules: Sequence[Rule],
    *,
    told: Told = lambda _what, _name: None,
    stop: trio.Event | None = None,
) -> Run:
    """Drive the scenarios, judge them, and confirm what timing rules found by driving again.

    Those that do not disturb each other are driven at once, the others alone and last. `told` hears what is
    being driven. When `stop` is set driving ends at once, and what has been driven by then is judged.
    """
    driving = _Driving(setting, told)
    started, wall = trio.current_time(), setting.wall()
    cases: dict[str, list[Case]] = {}
    stop = trio.Event() if stop is None else stop
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_cancel_when, stop, nursery.cancel_scope)
        async with trio.open_nursery() as together:
            for scenario in scenarios:
                if not scenario.exclusive:
                    together.start_soon(driving.drive, scenario)
        for scenario in scenarios:
            if scenario.exclusive:
                await driving.drive(scenario)
        cases = _judged(driving, rules)
        for scenario in scenarios:
            if suspects := _unconfirmed(cases[scenario.name], rules):
                cases[scenario.name] = await _confirmed(driving, scenario, cases[scenario.name], suspects)
        nursery.cancel_scope.cancel()
    cases = cases or _judged(driving, rules)
    order = [scenario.name for scenario in scenarios if scenario.name in driving.histories]
    return put_together(
        {name: driving.histories[name] for name in order},
        [case for name in order for case in cases.get(name, ())],
        rules,
        target=setting.origin,
        seed=setting.seed,
        started=wall,
        duration=trio.current_time() - started,
        interrupted=stop.is_set(),
    )


async def _cancel_when(stop: trio.Event, scope: trio.CancelScope) -> None:
    await stop.wait()
    scope.cancel()


def _judged(driving: _Driving, rules: Sequence[Rule]) -> dict[str, list[Case]]:
    """The cases of each scenario, all judged on the terms that the streams themselves settled."""
    driving.histories = on_assumed_terms(driving.histories)
    return {
        name: judge(history, rules, file=_kept_as(driving.setting, name))
        for name, history in driving.histories.items()
    }


def _kept_as(setting: Setting, name: str, take: int = 1) -> str | None:
    return f"{setting.histories.name}/{file_name(name, take)}" if setting.histories else None


def _unconfirmed(cases: Iterable[Case], rules: Iterable[Rule]) -> list[Rule]:
    """The timing rules that found something: machines are noisy, so once is not enough."""
    suspected = {case.rule for case in cases if case.verdict in _SUSPECT}
    return [rule for rule in rules if rule.timing and rule.name in suspected]


async def _confirmed(
    driving: _Driving, scenario: Scenario, cases: Sequence[Case], suspects: Sequence[Rule]
) -> list[Case]:
    """The cases, with those of the suspects as a second drive of the scenario has them.

    What was found once and not again is no finding, and the reason says so.
    """
    again = await driving.drive_again(scenario)
    file = _kept_as(driving.setting, scenario.name, driving.takes[scenario.name])
    second = {case.rule: case for case in judge(again, suspects, file=file)}
    return [case if case.rule not in second else _of_two(case, second[case.rule]) for case in cases]


def _of_two(first: Case, second: Case) -> Case:
    if second.verdict in _SUSPECT:
        return msgspec.structs.replace(first, reason=f"{first.reason} (driven twice, seen twice)")
    reason = f"{second.reason}; seen once and not again when driven a second time: {first.reason}"
    return msgspec.structs.replace(second, reason=reason)
