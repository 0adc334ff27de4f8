"""Which configuration keys would let which further rules be judged: what to write next."""

from collections.abc import Mapping, Sequence

from conformance.history import History
from conformance.rules import Rule
from conformance.scenarios import SCENARIOS

_NEEDS = {scenario.name: scenario.needs for scenario in SCENARIOS}


def unlocks(rules: Sequence[Rule], histories: Mapping[str, History]) -> tuple[str, ...]:
    """A line for each set of keys that is missing, with the rules that wait for it; the most rules first.

    None where no event stream was seen: then it is not the configuration that rules wait for.
    """
    if not any(stream.is_event_stream for history in histories.values() for stream in history.streams):
        return ()
    waiting: dict[tuple[str, ...], set[str]] = {}
    driven = {history.scenario: history for history in histories.values()}
    for rule in rules:
        keys = [_missing(rule, driven[name]) for name in rule.scenarios if name in driven]
        if keys and all(keys):  # judged nowhere
            waiting.setdefault(min(keys, key=len), set()).add(rule.name)
    return tuple(
        f"{' and '.join(keys)}: {', '.join(sorted(names))}"
        for keys, names in sorted(waiting.items(), key=lambda item: (-len(item[1]), item[0]))
    )


def _missing(rule: Rule, history: History) -> tuple[str, ...]:
    wanted = dict.fromkeys((*_NEEDS.get(history.scenario, ()), *rule.needs))
    return tuple(key for key in wanted if key not in history.terms.declared)
