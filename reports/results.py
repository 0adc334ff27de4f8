"""What a run found: cases, verdicts, findings, evidence. The contract of `results.json`.

Everything that a peer sent stands here as it was sent (decoded with replacement characters): it is hostile
until a renderer has escaped it.
"""

from collections.abc import Iterable
from enum import StrEnum

import msgspec


class Verdict(StrEnum):
    """What a rule says of a history. Nothing passes by default."""

    PASS = "pass"
    FAIL = "fail"  # a broken MUST
    WARN = "warn"  # a broken SHOULD
    NOT_APPLICABLE = "not-applicable"  # with the reason
    INCONCLUSIVE = "inconclusive"  # with the reason
    ERROR = "error"  # the harness itself failed


class Level(StrEnum):
    """RFC 2119: a broken MUST fails the run, a broken SHOULD warns."""

    MUST = "MUST"
    SHOULD = "SHOULD"


class Evidence(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One observation behind a finding.

    `time`: seconds since the run began. `offset`: bytes into the body of `connection`. `excerpt`: the bytes
    around it as text, or a header, or a request line. `expected` and `actual`: in words or values.
    """

    connection: str | None = None
    time: float | None = None
    offset: int | None = None
    excerpt: str = ""
    expected: str = ""
    actual: str = ""


class Finding(msgspec.Struct, frozen=True, omit_defaults=True):
    """One way in which the subject broke a rule, in one sentence, with what was seen."""

    message: str
    evidence: tuple[Evidence, ...] = ()


class RuleInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A rule as the report shows it. `source` is a link or a citation; `mend` is what to do about it."""

    name: str
    level: Level
    claim: str
    why: str
    source: str
    mend: str


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """One rule judged on one scenario's history. `id` is `scenario/rule`; `history` is a file's name beside
    the results, if it was kept; `duration` is the scenario's, in seconds. `excused` is the reason from the
    known-failures file, if the case is listed there."""

    id: str
    rule: str
    level: Level
    scenario: str
    faults: tuple[str, ...] = ()
    verdict: Verdict
    reason: str = ""
    findings: tuple[Finding, ...] = ()
    history: str | None = None
    duration: float = 0.0
    excused: str | None = None

    @property
    def area(self) -> str:
        return self.rule.partition(".")[0]


class Scenario(msgspec.Struct, frozen=True, kw_only=True):
    """A scenario as the report shows it: its name, what it does in one sentence, how long it took (seconds),
    figures measured on the way (name to value with its unit, e.g. `events per second` → `19.8`)."""

    name: str
    summary: str
    duration: float = 0.0
    figures: dict[str, str] = {}


class Results(msgspec.Struct, frozen=True, kw_only=True):
    """A whole run. `summary` counts the cases by verdict. `started` is wall-clock time, ISO 8601 with zone.

    `assumptions`: what was taken for granted because the stream made it unambiguous. `unlocks`: which
    configuration keys would let which further rules be judged. `interrupted`: Ctrl-C came before the end.
    """

    schema: int = 1
    target: str
    seed: int
    started: str = ""
    duration: float = 0.0
    version: str = ""
    interrupted: bool = False
    assumptions: tuple[str, ...] = ()
    unlocks: tuple[str, ...] = ()
    scenarios: tuple[Scenario, ...] = ()
    rules: dict[str, RuleInfo] = {}
    cases: tuple[Case, ...] = ()
    summary: dict[str, int] = {}


def summarise(cases: Iterable[Case]) -> dict[str, int]:
    """How many cases have which verdict; every verdict is there, also with 0. Excused cases count under
    `excused` instead of under their verdict."""
    counts = {verdict.value: 0 for verdict in Verdict} | {"excused": 0}
    for case in cases:
        counts["excused" if case.excused is not None else case.verdict.value] += 1
    return counts
