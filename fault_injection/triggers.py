"""Triggers: how a link learns where to cut a stream whose meaning it does not know."""

from collections.abc import Callable, Mapping
from typing import Protocol, TypeAlias

from fault_injection.faults import AtTrigger, Blackhole, Disconnect, Plan


class Trigger(Protocol):
    """Bytes in, "cut here" out. Sans-IO; one is made for each fault of each connection."""

    def feed(self, data: bytes) -> int | None:
        """The index in `data` at which to cut (the bytes before it pass), or None: not in these bytes.

        `data` follows the bytes of the call before. Not called again once it has answered with an index.
        """
        ...


TriggerFactory: TypeAlias = Callable[[str | int | None], Trigger]
"""Makes a trigger from `AtTrigger.argument`; raises `ValueError` if the argument is not one it knows."""

Triggers: TypeAlias = Mapping[str, TriggerFactory]


class UnknownTriggerError(ValueError):
    """A plan names a trigger that nobody supplied."""


def make_trigger(when: AtTrigger, triggers: Triggers) -> Trigger:
    """The trigger that `when` names. Raises `UnknownTriggerError`, or what its factory raises."""
    factory = triggers.get(when.name)
    if factory is None:
        known = ", ".join(sorted(triggers)) or "none"
        raise UnknownTriggerError(f"the plan names the trigger {when.name!r}; this link knows: {known}")
    return factory(when.argument)


def check_triggers(plan: Plan, triggers: Triggers) -> None:
    """Raise now what a link with this plan would raise at its first connection."""
    for fault in plan.faults:
        if isinstance(fault, Disconnect | Blackhole) and isinstance(fault.when, AtTrigger):
            make_trigger(fault.when, triggers)
