"""The main job: drive every scenario, judge every history, put the results together."""

from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, nullcontext
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

import msgspec
import trio

from conformance.drive.census import Household
from conformance.drive.scene import Setting, file_name, play
from conformance.history import History
from conformance.history.redact import Redaction
from conformance.judging import judge, on_assumed_terms
from conformance.outcome import Examined, Run, examine, put_together
from conformance.rules import Rule
from conformance.rules.resource_up import fell
from conformance.scenarios import Scenario
from reports.results import Case, Verdict

What: TypeAlias = Literal["started", "ended", "again", "alone"]
Told: TypeAlias = Callable[[What, str], None]

_SUSPECT = frozenset({Verdict.FAIL, Verdict.WARN})
_ALONE = 3  # the take of a scenario that has the server to itself, because it ended when several had


Beside: TypeAlias = Callable[[int], AbstractAsyncContextManager[Setting]]
"""Makes a further server ready, the second, the third ..., and gives the setting that drives it."""


@dataclass
class _Driving:
    """What has been driven so far: each scenario's history, and that of its second drive."""

    setting: Setting
    scenarios: tuple[Scenario, ...]
    told: Told
    beside: Beside | None
    instances: int
    histories: dict[str, History] = field(default_factory=dict)
    again: dict[str, History] = field(default_factory=dict)
    takes: dict[str, int] = field(default_factory=dict)

    async def first(self) -> None:
        """Drive all. Where the server ended by itself meanwhile, those who shared it are driven one by one: what it did
        to all of them says nothing of them, and which of them ended it is not known."""
        await self.all(self.drive, self.scenarios)
        shared = [each for each in self.scenarios if not each.exclusive and each.name in self.histories]
        if (
            self.setting.server is None
            or len(shared) < 2
            or not any(fell(self.histories[each.name]) for each in shared)
        ):
            return
        alone: dict[str, History] = {}
        for scenario in shared:
            self.told("alone", scenario.name)
            alone[scenario.name] = await play(self.setting, replace(scenario, exclusive=True), take=_ALONE)
            self.told("ended", scenario.name)
        if any(map(fell, alone.values())):  # else it takes several of them to end it
            self.histories.update(alone)
            self.takes.update(dict.fromkeys(alone, _ALONE))

    async def drive(self, scenario: Scenario, setting: Setting) -> None:
        def keep(history: History) -> None:
            self.histories[scenario.name] = history

        self.told("started", scenario.name)
        await play(setting, scenario, keep=keep)
        self.told("ended", scenario.name)

    async def drive_again(self, scenario: Scenario, setting: Setting) -> None:
        self.told("again", scenario.name)
        self.again[scenario.name] = await play(setting, scenario, take=2)
        self.told("ended", scenario.name)

    async def all(
        self, drive: Callable[[Scenario, Setting], Awaitable[None]], scenarios: Iterable[Scenario]
    ) -> None:
        """Drive those at once that do not disturb each other; the others meanwhile on servers of their own, if there
        may be some, or else alone and last."""
        scenarios = tuple(scenarios)
        alone = deque(scenario for scenario in scenarios if scenario.exclusive)
        async with trio.open_nursery() as nursery:
            for scenario in scenarios:
                if not scenario.exclusive:
                    nursery.start_soon(drive, scenario, self.setting)
            if self.beside is not None:
                for number in range(2, 2 + min(self.instances - 1, len(alone))):
                    nursery.start_soon(self._apart, self.beside(number), drive, alone)
        while alone:
            await drive(alone.popleft(), self.setting)

    async def _apart(
        self,
        further: AbstractAsyncContextManager[Setting],
        drive: Callable[[Scenario, Setting], Awaitable[None]],
        alone: deque[Scenario],
    ) -> None:
        household = self.setting.household
        async with AsyncExitStack() as stack:
            # Its processes are not known before it is ready: whoever ends meanwhile is not alone.
            with nullcontext() if household is None else household.driving():
                setting = await stack.enter_async_context(further)
            setting = replace(setting, household=household)
            if household is not None and setting.server is not None:
                household.servers.append(setting.server)
            while alone:
                await drive(alone.popleft(), setting)


async def run(
    setting: Setting,
    scenarios: Sequence[Scenario],
    rules: Sequence[Rule],
    *,
    told: Told = lambda _what, _name: None,
    stop: trio.Event | None = None,
    beside: Beside | None = None,
    instances: int = 1,
) -> Run:
    """Drive the scenarios, judge them, and confirm what timing rules found by driving again.

    Those that do not disturb each other are driven at once, the others alone and last; or meanwhile, where `beside`
    makes further servers for them, up to `instances` in all. `told` hears what is being driven. When `stop` is set
    driving ends at once, and what has been driven by then is judged.
    """
    if setting.clock == "real" and setting.serve is None:  # else this process is the server's, too
        household = Household()
        household.servers += [setting.server] if setting.server is not None else []
        setting = replace(setting, household=household)
    driving = _Driving(setting, tuple(scenarios), told, beside, instances)
    started, wall = trio.current_time(), setting.wall()
    examined: dict[str, Examined] = {}
    stop = trio.Event() if stop is None else stop
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_cancel_when, stop, nursery.cancel_scope)
        await driving.first()
        examined = _examined(driving, rules)
        suspects = _suspects(examined, rules)
        again = (
            replace(each, exclusive=each.exclusive or each.name in driving.takes)
            for each in scenarios
            if each.name in suspects
        )
        await driving.all(driving.drive_again, again)
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
        name: examine(history, rules, file=_kept_as(driving.setting, name, driving.takes.get(name, 1)))
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
