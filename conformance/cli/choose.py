"""Choosing scenarios and rules by patterns, and telling who mistypes one."""

from collections.abc import Sequence
from fnmatch import fnmatchcase

from conformance.cli.common import MISUSED, Failure
from conformance.config import did_you_mean
from conformance.rules import RULES, Rule
from conformance.scenarios import SCENARIOS, Scenario


def chosen_scenarios(patterns: Sequence[str] | None) -> tuple[Scenario, ...]:
    """The scenarios that match one of the patterns, e.g. `resume-*`; all where there are none.

    Raises `Failure` (2) for a pattern that matches nothing.
    """
    names = [scenario.name for scenario in SCENARIOS]
    _all_match("--scenario", patterns, names, f"Scenarios: {', '.join(names)}")
    return tuple(scenario for scenario in SCENARIOS if _matches(scenario.name, patterns))


def chosen_rules(patterns: Sequence[str] | None, what: str = "--rule") -> tuple[Rule, ...]:
    """The rules that match one of the patterns: a name, an area such as `resume`, or `http.*`; all where there
    are none. Raises `Failure` (2) for a pattern that matches nothing."""
    patterns = [_whole(pattern) for pattern in patterns or ()]
    _all_match(what, patterns, [rule.name for rule in RULES], "`sse-conformance rules` lists them")
    return tuple(rule for rule in RULES if _matches(rule.name, patterns))


def judged_together(scenarios: Sequence[Scenario], rules: Sequence[Rule]) -> None:
    """Raise `Failure` (2) where no rule that was chosen is judged in a scenario that was chosen."""
    names = {scenario.name for scenario in scenarios}
    if not any(names & {*rule.scenarios} for rule in rules):
        where = list(dict.fromkeys(name for rule in rules for name in rule.scenarios))
        raise Failure(
            f"nothing would be judged: {', '.join(rule.name for rule in rules[:5])} "
            f"{'is' if len(rules) == 1 else 'are'} judged in other scenarios: {', '.join(where)}",
            MISUSED,
        )


def _whole(pattern: str) -> str:
    return f"{pattern}.*" if any(rule.area == pattern for rule in RULES) else pattern


def _matches(name: str, patterns: Sequence[str] | None) -> bool:
    return not patterns or any(fnmatchcase(name, pattern) for pattern in patterns)


def _all_match(what: str, patterns: Sequence[str] | None, names: Sequence[str], more: str) -> None:
    for pattern in patterns or ():
        if not any(fnmatchcase(name, pattern) for name in names):
            areas = dict.fromkeys(name.partition(".")[0] for name in names)
            hint = did_you_mean(pattern, [*names, *areas]) or "."
            raise Failure(f"{what} {pattern!r} matches none{hint} {more}", MISUSED)
