"""The rules that hold however subscribers come and go, and whatever the link does: these are explored."""

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
        "resource.tasks-left",
        "resource.generators-left",
        "resource.no-errors",
        "resource.gauges-return",
    }
)

EXPLORED: tuple[Rule, ...] = tuple(rule for rule in RULES if rule.name in _HOLD_ANYWHERE)
