"""What a scenario is: a way to drive the target, with the faults that its link shall have."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias

from conformance.drive.stage import Stage
from fault_injection.faults import Plan

Drive: TypeAlias = Callable[[Stage], Awaitable[None]]


@dataclass(frozen=True)
class Scenario:
    """A scenario of the catalogue.

    `summary` says in one sentence what it does. `plan` are the faults of its link. `needs` are configuration
    keys without which it cannot be driven. `exclusive`: it measures or disturbs the whole server, so nothing
    else is driven meanwhile.
    """

    name: str
    summary: str
    drive: Drive
    plan: Plan = Plan()
    needs: tuple[str, ...] = ()
    exclusive: bool = False


def scenario(
    name: str,
    *,
    summary: str,
    plan: Plan | None = None,
    needs: tuple[str, ...] = (),
    exclusive: bool = False,
) -> Callable[[Drive], Scenario]:
    """Makes a scenario of the function that drives it."""

    def make(drive: Drive) -> Scenario:
        return Scenario(name, summary, drive, plan or Plan(), needs, exclusive)

    return make
