"""The rules that hold however subscribers come and go, and whatever the link does: these are explored."""

from collections.abc import Iterable

from conformance.config import did_you_mean
from conformance.rules import RULES, Rule

_HOLD_ANYWHERE = frozenset(
    {
        "http.status",
        "wire.utf-8",
        "wire.json",
        "wire.terminated",
        "order.increasing",
        "order.no-gap",
        "order.no-duplicate",
        "order.unique-ids",
        "order.subscribers-agree",
        "completion.delivered",
        "completion.once",
        "completion.last",
        "completion.end-marker",
        "completion.clean-close",
        "completion.server-closes",
        "completion.status-agrees",
        "resume.no-gap",
        "resume.no-duplicate",
        "resume.completion-survives",
        "cancel.noticed",
        "cancel.stream-told",
        "cancel.stays-cancelled",
        "cancel.others-unaffected",
        "cancel.twice",
        "isolation.no-cross-talk",
        "resource.tasks-left",
        "resource.generators-left",
        "resource.no-errors",
        "resource.gauges-return",
    }
)

EXPLORED: tuple[Rule, ...] = tuple(rule for rule in RULES if rule.name in _HOLD_ANYWHERE)


def explored_without(names: Iterable[str]) -> tuple[Rule, ...]:
    """The rules that are explored, but for those of these names. Raises `ValueError` for a name of none of them, and
    where none would be left."""
    out = {names} if isinstance(names, str) else set(names)
    known = {rule.name for rule in EXPLORED}
    for name in sorted(out - known):
        if any(rule.name == name for rule in RULES):
            raise ValueError(f"{name!r} is not explored: it is a rule of `sse-conformance run`")
        hint = did_you_mean(name, known, "'") or f"; those that are explored: {', '.join(sorted(known))}"
        raise ValueError(f"{name!r} is no rule that is explored{hint}")
    if out == known:
        raise ValueError("no rule is left to explore")
    return tuple(rule for rule in EXPLORED if rule.name not in out)
