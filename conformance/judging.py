"""Histories in, cases out. Pure: the same histories give the same verdicts, today and years later."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import msgspec

from conformance.config import Config, Target, declared
from conformance.dialect import Dialect
from conformance.dialect.learning import REMEMBERED, assume
from conformance.errors import described
from conformance.history import Exchange, History, Terms
from conformance.rules import Judgement, Rule
from conformance.rules.resource import ERROR
from conformance.rules.rule import evidence_at, inconclusive
from fault_injection.plans import describe
from reports.results import Case, Finding, Verdict

_SEEN_IN_BYTES = frozenset({"http", "wire"})  # areas whose findings stand even where the record stops short

_RAISED = 2  # errors of the application that a finding shows

_READ_AS_A_WHOLE = frozenset({"complete", "watched", "timeout"})


def on_assumed_terms(histories: Mapping[str, History]) -> dict[str, History]:
    """The histories, to be judged on terms that include what the streams themselves make unambiguous.

    The first stream that was read as a whole decides for all.
    """
    terms = next(filter(None, map(_assumed, histories.values())), None)
    if terms is None:
        return dict(histories)
    return {name: history.on(terms) for name, history in histories.items()}


def _assumed(history: History) -> Terms | None:
    dialect = history.terms.dialect
    if dialect.completion is not None or dialect.preset is not None:
        return None  # nothing is assumed where something is declared
    for whole in history.streams:
        stream = _start_of(whole)
        if stream.how in _READ_AS_A_WHOLE and stream.events and len(stream.arrivals) <= REMEMBERED:
            dialect, assumption = assume(history.terms.dialect, [each.item for each in stream.arrivals])
            if assumption:
                return msgspec.structs.replace(
                    history.terms,
                    dialect=dialect,
                    declared=tuple(sorted({*history.terms.declared, *_declared_by(dialect)})),
                    assumed=(*history.terms.assumed, assumption),
                )
    return None


def _start_of(stream: Exchange) -> Exchange:
    """The stream, of which no more is derived than tells whether it is known; and that is gone with it."""
    limits = msgspec.structs.replace(stream.limits, events=min(stream.limits.events, REMEMBERED))
    return replace(stream, limits=limits)


def held(config: Config) -> frozenset[str]:
    """The keys that a rule or a scenario can build on: declared, and not as false."""
    expect = config.expect
    denied = {f"expect.{name}" for name in expect.__struct_fields__ if getattr(expect, name) is False}
    return declared(config) - denied


def _declared_by(dialect: Dialect) -> set[str]:
    keys = declared(Config(target=Target(), dialect=dialect))
    return {key for key in keys if key.startswith("dialect.")}


def judge(
    history: History,
    rules: Sequence[Rule],
    *,
    file: str | None = None,
    name: str | None = None,
    anywhere: bool = False,
) -> list[Case]:
    """The cases of one history: every rule that is judged in its scenario. `file` is where the history is kept;
    `name` what the scenario is called in the results, where that is not its own name. `anywhere`: these rules hold
    in any scenario."""
    faults = tuple(describe(fault) for fault in history.began.plan.faults)
    return [
        _case(history, rule, _judged(history, rule), file, name or history.scenario, faults)
        for rule in rules
        if anywhere or history.scenario in rule.scenarios
    ]


def judge_by(history: History, rule: Rule) -> Judgement:
    """What a rule says of a history, with regard to how the history ended."""
    concluded = history.concluded
    if concluded is not None and concluded.outcome == "unreached" and not rule.always:
        return inconclusive(concluded.reason)
    judgement = rule.judge(history)
    if concluded is not None and (concluded.outcome in {"done", "skipped"} or rule.always):
        return judgement
    stopped = "the record stops before the scenario ended"
    if judgement.verdict == "conforms" or (judgement.verdict == "broken" and rule.area not in _SEEN_IN_BYTES):
        return inconclusive(stopped)
    return judgement


def _judged(history: History, rule: Rule) -> Judgement | str:
    """The judgement; or why the rule, a fault of ours, came to none. The other rules shall still be heard."""
    if history.concluded is not None and history.concluded.outcome == "failed":
        return history.concluded.reason
    try:
        return judge_by(history, rule)
    except Exception as error:  # noqa: BLE001  (it is said in the results, as an error of ours)
        return f"the rule failed, which is a bug: {described(error)}"


def _case(
    history: History,
    rule: Rule,
    judgement: Judgement | str,
    file: str | None,
    name: str,
    faults: tuple[str, ...],
) -> Case:
    return Case(
        id=f"{name}/{rule.name}",
        rule=rule.name,
        level=rule.level,
        scenario=name,
        faults=faults,
        verdict=Verdict.ERROR if isinstance(judgement, str) else judgement.at(rule.level),
        reason=judgement if isinstance(judgement, str) else judgement.reason,
        findings=() if isinstance(judgement, str) else _with_errors(history, judgement.findings),
        history=file,
        duration=round(history.duration, 3),
    )


def _with_errors(history: History, findings: tuple[Finding, ...]) -> tuple[Finding, ...]:
    """The findings; the first also shows what the application raised, if that is known and none tells it itself."""
    errors = history.marked(ERROR)
    if not findings or not errors or any(finding.message == errors[0].detail for finding in findings):
        return findings
    first, *others = findings
    raised = [
        evidence_at(mark.time, "", expected="no error in the application", actual=mark.detail)
        for mark in errors[:_RAISED]
    ]
    evidence = (*first.evidence[:1], *raised, *first.evidence[1:])
    return (msgspec.structs.replace(first, evidence=evidence), *others)
