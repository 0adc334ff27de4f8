"""The main job: drive every scenario, judge every history, put the results together."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

import msgspec
import trio

from conformance.drive.scene import Setting, file_name, play
from conformance.history import History
from conformance.history.redact import Redaction
from conformance.judging import judge, on_assumed_terms
from conformance.outcome import Examined, Run, examine, put_together
from conformance.rules import Rule
from conformance.scenarios import Scenario
from reports.results import Case, Verdict

What: TypeAlias = Literal["started", "ended", "again"]
Told: TypeAlias = Callable[[What, str], None]

_SUSPECT = frozenset({Verdict.FAIL, Verdict.WARN})


@dataclass
class _Driving:
    """What has been driven so far: each scenario's history, and that of its second drive."""

    setting: Setting
    scenarios: tuple[Scenario, ...]
    told: Told
    histories: dict[str, History] = field(default_factory=dict)
    again: dict[str, History] = field(default_factory=dict)

    async def drive(self, scenario: Scenario) -> None:
        def keep(history: History) -> None:
            self.histories[scenario.name] = history

        self.told("started", scenario.name)
        await play(self.setting, scenario, keep=keep)
        self.told("ended", scenario.name)

    async def drive_again(self, scenario: Scenario) -> None:
        self.told("again", scenario.name)
        self.again[scenario.name] = await play(self.setting, scenario, take=2)
        self.told("ended", scenario.name)


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
    driving = _Driving(setting, tuple(scenarios), told)
    started, wall = trio.current_time(), setting.wall()
    examined: dict[str, Examined] = {}
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
        examined = _examined(driving, rules)
        suspects = _suspects(examined, rules)
        async with trio.open_nursery() as together:
            for scenario in scenarios:
                if scenario.name in suspects and not scenario.exclusive:
                    together.start_soon(driving.drive_again, scenario)
        for scenario in scenarios:
            if scenario.name in suspects and scenario.exclusive:
                await driving.drive_again(scenario)
        nursery.cancel_scope.cancel()
    examined = examined or _examined(driving, rules)
    for name, found in _suspects(examined, rules).items():
        examined[name] = _confirmed(driving, examined[name], found)
    return put_together(
        examined,
        rules,
        target=Redaction(setting.secrets).url(setting.target),
        seed=setting.seed,
        started=wall,
        duration=trio.current_time() - started,
        interrupted=stop.is_set(),
    )


async def _cancel_when(stop: trio.Event, scope: trio.CancelScope) -> None:
    await stop.wait()
    scope.cancel()


def _examined(driving: _Driving, rules: Sequence[Rule]) -> dict[str, Examined]:
    """What each scenario came to, in the order of the catalogue, all judged on the terms that the streams
    themselves settled."""
    driven = {
        each.name: driving.histories[each.name]
        for each in driving.scenarios
        if each.name in driving.histories
    }
    driving.histories = on_assumed_terms(driven)
    return {
        name: examine(history, rules, file=_kept_as(driving.setting, name))
        for name, history in driving.histories.items()
    }


def _kept_as(setting: Setting, name: str, take: int = 1) -> str | None:
    return f"{setting.histories.name}/{file_name(name, take)}" if setting.histories else None


def _suspects(examined: Mapping[str, Examined], rules: Sequence[Rule]) -> dict[str, list[Rule]]:
    """By scenario: the rules whose findings are to be confirmed."""
    return {name: found for name, each in examined.items() if (found := _unconfirmed(each, rules))}


def _unconfirmed(examined: Examined, rules: Iterable[Rule]) -> list[Rule]:
    """The timing rules that found something: machines are noisy, so once is not enough."""
    suspected = {case.rule for case in examined.cases if case.verdict in _SUSPECT}
    return [rule for rule in rules if rule.timing and rule.name in suspected]


def _confirmed(driving: _Driving, first: Examined, suspects: Sequence[Rule]) -> Examined:
    """The cases, with those of the suspects as the second drive of the scenario has them.

    What was found once and not again is no finding, and the reason says so; nor is what could not be looked at
    again, because driving was stopped.
    """
    name = first.history.scenario
    if name not in driving.again:
        timing = {rule.name for rule in suspects}
        return replace(
            first, cases=tuple(_unsettled(case) if case.rule in timing else case for case in first.cases)
        )
    again = driving.again[name].on(first.history.terms)
    file = _kept_as(driving.setting, name, 2)
    second = {case.rule: case for case in judge(again, suspects, file=file)}
    cases = tuple(_of_two(case, second[case.rule]) if case.rule in second else case for case in first.cases)
    return replace(first, cases=cases)


def _unsettled(case: Case) -> Case:
    reason = f"seen once, and stopped before it could be driven a second time: {case.reason}"
    return msgspec.structs.replace(case, verdict=Verdict.INCONCLUSIVE, reason=reason, findings=())


def _of_two(first: Case, second: Case) -> Case:
    if second.verdict in _SUSPECT:
        return msgspec.structs.replace(first, reason=f"{first.reason} (driven twice, seen twice)")
    reason = f"{second.reason}; seen once and not again when driven a second time: {first.reason}"
    return msgspec.structs.replace(second, reason=reason)
