"""What a run found: cases, verdicts, findings, evidence. The contract of `results.json`.

Everything that a peer sent stands here as it was sent (decoded with replacement characters): it is hostile
until a renderer has escaped it.
"""

from collections.abc import Iterable
from enum import StrEnum
from math import isfinite
from typing import Any

import msgspec

SCHEMA = 1
"""The version of the form that this module writes and reads."""


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
    `unreached`: why the target could not be reached, if it could not. `strict`: a broken SHOULD fails too. `how`: how
    the target was served, where it is no server of its own: `in this process on asyncio, in virtual time`.
    """

    schema: int = SCHEMA
    target: str
    seed: int
    how: str = ""
    started: str = ""
    duration: float = 0.0
    version: str = ""
    interrupted: bool = False
    unreached: str | None = None
    strict: bool = False
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


class ResultsError(ValueError):
    """A document is not a `results.json` that this version can read. The message names the path in it."""


def _fit(value: Any, path: str) -> Any:
    """`value` as JSON can hold it: half a surrogate pair becomes U+FFFD, as any decoder would have it."""
    match value:
        case str():
            return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        case float() if not isfinite(value):
            raise ValueError(f"results cannot be written: {path} is {value}, JSON has only finite numbers")
        case dict():
            return {_fit(key, path): _fit(item, f"{path}.{key}") for key, item in value.items()}
        case list() | tuple():
            return [_fit(item, f"{path}[{index}]") for index, item in enumerate(value)]
        case _:
            return value


def to_json(results: Results) -> bytes:
    """`results.json`: UTF-8, indented by two spaces, keys of mappings sorted. Equal results give equal bytes.

    A lone surrogate, which has no UTF-8, is written as U+FFFD. Raises `ValueError`, naming the path, for a
    number that is not finite.
    """
    fit = msgspec.convert(_fit(msgspec.to_builtins(results), "$"), Results)
    return msgspec.json.format(msgspec.json.encode(fit, order="deterministic"), indent=2) + b"\n"


def from_json(document: bytes) -> Results:
    """The results in a `results.json`. Unknown keys are ignored, so that a newer minor form can be read.

    Raises `ResultsError` with the path in the document and what was found there (`$.cases[3].verdict: ...`).
    """
    try:
        version = msgspec.json.decode(document, type=_Version).schema
        if version != SCHEMA:
            raise ResultsError(
                f"not results of this version: $.schema is {version}, this version reads {SCHEMA}; "
                "read them with the version that wrote them, or run again"
            )
        return msgspec.json.decode(document, type=Results)
    except msgspec.ValidationError as error:
        raise ResultsError(_complaint(error)) from error
    except RecursionError as error:
        raise ResultsError("not results: the document is nested too deeply") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ResultsError(f"not results: the document is no JSON in UTF-8: {error}") from error


class _Version(msgspec.Struct):
    schema: int


def _complaint(error: msgspec.ValidationError) -> str:
    """msgspec says `what - at path`; people look for the path first. Without one it is the document."""
    what, _, path = str(error).rpartition(" - at ")
    return f"not results: {path.strip('`')}: {what}" if what else f"not results: $: {error}"


def json_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of `results.json`."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **msgspec.json.schema(Results)}
