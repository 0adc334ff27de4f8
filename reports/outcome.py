"""What a whole run comes to: one outcome, one line of words. Pure, and the same for every rendering."""

from collections.abc import Iterable
from enum import StrEnum

from reports.results import Case, Results, Verdict


class Outcome(StrEnum):
    """What is said of a run. Only `CONFORMS` is good; what was not observed is not passed."""

    CONFORMS = "conforms"
    BROKEN = "broken"  # a rule is broken, or the list of known failures is out of date
    ERROR = "error"  # no rule is known to be broken, but the harness itself failed
    INTERRUPTED = "interrupted"  # Ctrl-C came before the end
    UNREACHED = "unreached"  # the target did not answer
    NOTHING_JUDGED = "nothing-judged"  # not one rule could be judged


class Status(StrEnum):
    """How one case counts: its verdict, unless it is in the list of known failures."""

    FAIL = "fail"
    STALE = "stale"  # listed as a known failure, but it passes
    ERROR = "error"
    WARN = "warn"
    INCONCLUSIVE = "inconclusive"
    EXCUSED = "excused"  # listed as a known failure
    PASS = "pass"
    NOT_APPLICABLE = "not-applicable"


SEVERITY = tuple(Status)
"""From worst to least. An excused case is worse than a passed one; a rule that does not apply is silent."""


def status(case: Case) -> Status:
    """How `case` counts. An excused case that passes is `STALE`: the list of known failures must not rot."""
    if case.excused is None:
        return Status(case.verdict.value)
    return Status.STALE if case.verdict is Verdict.PASS else Status.EXCUSED


def worst(statuses: Iterable[Status]) -> Status:
    """The worst of at least one status, by `SEVERITY`."""
    return min(statuses, key=SEVERITY.index)


def broken_rules(results: Results) -> tuple[str, ...]:
    """The names of the rules that make the run fail, in the order of the cases: every broken MUST, and in a
    strict run every broken SHOULD. Excused cases do not count."""
    fatal = {Status.FAIL, Status.WARN} if results.strict else {Status.FAIL}
    return tuple(dict.fromkeys(case.rule for case in results.cases if status(case) in fatal))


def undecided_rules(results: Results) -> tuple[str, ...]:
    """The names of the rules that came to a verdict in no scenario, and were inconclusive in one at least."""
    decided = {
        case.rule for case in results.cases if status(case) in {Status.PASS, Status.WARN, Status.EXCUSED}
    }
    return tuple(
        dict.fromkeys(
            case.rule
            for case in results.cases
            if status(case) is Status.INCONCLUSIVE and case.rule not in decided
        )
    )


def outcome(results: Results) -> Outcome:
    """What the run comes to. A run that did not get to its end has not conformed, whatever was judged."""
    found = {status(case) for case in results.cases}
    if results.unreached is not None:
        return Outcome.UNREACHED
    if results.interrupted:
        return Outcome.INTERRUPTED
    if broken_rules(results) or Status.STALE in found:
        return Outcome.BROKEN
    if Status.ERROR in found:
        return Outcome.ERROR
    if not found & {Status.PASS, Status.WARN, Status.EXCUSED}:
        return Outcome.NOTHING_JUDGED
    return Outcome.CONFORMS


def conforms(results: Results) -> bool:
    """Whether the run reached its end, judged something, and found no rule broken."""
    return outcome(results) is Outcome.CONFORMS


def plural(count: int, noun: str, many: str = "") -> str:
    """`1 rule`, `2 rules`, `1,000 rules`."""
    return f"{count:,} {noun if count == 1 else many or noun + 's'}"


def _breakage(results: Results) -> str:
    """What is wrong, in a few words: `3 rules broken, 1 known failure passes now`."""
    broken = len(broken_rules(results))
    stale = sum(status(case) is Status.STALE for case in results.cases)
    errors = sum(status(case) is Status.ERROR for case in results.cases)
    parts = [f"{plural(broken, 'rule')} broken"] if broken else []
    if stale:
        parts.append(f"{plural(stale, 'known failure')} {'passes' if stale == 1 else 'pass'} now")
    if errors:
        parts.append(f"the harness failed in {plural(errors, 'case')}")
    return ", ".join(parts)


def headline(results: Results) -> str:
    """The run in one line, for the top of a report: `Conforms`, `Conforms, with 1 rule undecided`,
    `Does not conform: 3 rules broken`, `Interrupted`, `Not reached` ... Holds no text that a peer sent."""
    breakage = _breakage(results)
    match outcome(results):
        case Outcome.CONFORMS:
            undecided = len(undecided_rules(results))
            return f"Conforms, with {plural(undecided, 'rule')} undecided" if undecided else "Conforms"
        case Outcome.BROKEN:
            return f"Does not conform: {breakage}"
        case Outcome.ERROR:
            return f"Not decided: {breakage}"
        case Outcome.INTERRUPTED:
            return f"Interrupted: {breakage} so far" if breakage else "Interrupted"
        case Outcome.UNREACHED:
            return f"Not reached: {breakage} before that" if breakage else "Not reached"
        case Outcome.NOTHING_JUDGED:
            return "Nothing was judged"
