"""What a rule is: a claim about histories, with a pure function that judges one.

A rule does no I/O, never sleeps, reads no clock. It answers with a `Judgement`, and it must say what it saw:
`conforms` wants the count of observations behind it, because unobserved is not passed.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from conformance.history import History
from conformance.rules.singular import singular
from reports.outcome import plural
from reports.results import Evidence, Finding, Level, RuleInfo, Verdict

Check: TypeAlias = Callable[[History], "Judgement"]


@dataclass(frozen=True)
class Judgement:
    """What a rule says of one history."""

    verdict: Literal["conforms", "broken", "not-applicable", "inconclusive"]
    reason: str = ""
    findings: tuple[Finding, ...] = ()

    def at(self, level: Level) -> Verdict:
        """The verdict of a case: a broken SHOULD warns, a broken MUST fails."""
        match self.verdict:
            case "conforms":
                return Verdict.PASS
            case "broken":
                return Verdict.FAIL if level is Level.MUST else Verdict.WARN
            case "not-applicable":
                return Verdict.NOT_APPLICABLE
            case "inconclusive":
                return Verdict.INCONCLUSIVE


def conforms(observed: int, what: str) -> Judgement:
    """It held `observed` times, for `what` (plural, as "events": see `singular`). Nothing observed is inconclusive."""
    if observed < 1:
        return inconclusive(f"no {what} to judge by")
    return Judgement("conforms", plural(observed, singular(what), what))


def broken(findings: Iterable[Finding]) -> Judgement:
    """It did not hold; at least one finding says how."""
    listed = tuple(findings)
    assert listed, "broken without a finding"
    kept = listed[:MOST_FINDINGS]
    if more := len(listed) - len(kept):
        kept += (Finding(f"and {more} more of the same kind"),)
    return Judgement("broken", listed[0].message, kept)


MOST_FINDINGS = 20


def not_applicable(reason: str) -> Judgement:
    """The rule has nothing to say of this subject; why."""
    return Judgement("not-applicable", reason)


def inconclusive(reason: str) -> Judgement:
    """The rule would have something to say, but the record does not show it; why."""
    return Judgement("inconclusive", reason)


def settle(findings: Iterable[Finding], observed: int, what: str) -> Judgement:
    """`broken` with findings, else `conforms` with what was observed."""
    listed = tuple(findings)
    return broken(listed) if listed else conforms(observed, what)


@dataclass(frozen=True)
class Rule:
    """A rule of the catalogue.

    `name` is `area.rule`. `scenarios` are the names of those in whose histories it is judged. `needs` are
    configuration keys without which it has nothing to go by. `timing`: it judges moments, so a broken
    verdict is confirmed by driving the scenario again. `always`: it has its say also where the target did not answer.
    """

    name: str
    level: Level
    claim: str
    why: str
    source: str
    mend: str
    scenarios: tuple[str, ...]
    needs: tuple[str, ...]
    timing: bool
    check: Check
    always: bool = False

    @property
    def area(self) -> str:
        return self.name.partition(".")[0]

    @property
    def info(self) -> RuleInfo:
        """The rule as the report shows it."""
        return RuleInfo(
            name=self.name,
            level=self.level,
            claim=self.claim,
            why=self.why,
            source=self.source,
            mend=self.mend,
        )

    def judge(self, history: History) -> Judgement:
        """Judge a history. A scenario that was skipped, or a missing key, is said as such."""
        if missing := [key for key in self.needs if key not in history.terms.declared]:
            return not_applicable(f"needs {' and '.join(missing)} in the configuration")
        concluded = history.concluded
        if concluded is not None and concluded.outcome == "skipped":
            return not_applicable(concluded.reason)
        return self.check(history)


def rule(
    name: str,
    *,
    level: Level = Level.MUST,
    claim: str,
    why: str,
    source: str,
    mend: str,
    scenarios: tuple[str, ...],
    needs: tuple[str, ...] = (),
    timing: bool = False,
    always: bool = False,
) -> Callable[[Check], Rule]:
    """Makes a rule of the function that checks it."""

    def make(check: Check) -> Rule:
        return Rule(name, level, claim, why, source, mend, scenarios, needs, timing, check, always)

    return make


def evidence_at(
    time: float,
    exchange: str,
    *,
    offset: int | None = None,
    excerpt: str = "",
    expected: str = "",
    actual: str = "",
) -> Evidence:
    """Evidence from a moment of an exchange, times rounded to a millisecond."""
    return Evidence(
        connection=exchange,
        time=round(time, 3),
        offset=offset,
        excerpt=excerpt,
        expected=expected,
        actual=actual,
    )
