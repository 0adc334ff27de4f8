"""Made-up histories of the task stream, for tests of the areas completion and resume."""

import json
from typing import Any

import msgspec
from made_up import TASK, answered, made_up, terms

from conformance.config import Expect, Limits
from conformance.dialect import Dialect, Matcher
from conformance.history import Record, StatusTerms, Terms
from conformance.rules import Judgement
from conformance.rules.rule import Rule
from conformance.wire import encode_comment, encode_event
from fault_injection.faults import AtTrigger, Disconnect, Plan

CUT = Disconnect(when=AtTrigger("events", 3))
STATUS = StatusTerms(pointer="/state", finished=("completed", "failed"))
LIMITS = Limits(completion=10, silence=2, close=2)
NAMES = {"job": "j1"}
HEARTBEAT = encode_comment("still here")

Pieces = list[tuple[float, str | bytes]]


def on(expect: Expect | None = None, dialect: Dialect = TASK) -> Terms:
    """The terms of most tests: the task stream, short limits, and a status endpoint."""
    also = ("target.status.pointer", "target.status.finished")
    return msgspec.structs.replace(terms(dialect, expect, LIMITS, also=also), status=STATUS)


PLAIN = on()
SHARED = on(Expect(shared=True))
ALL = on(Expect(shared=True, replay="all"))
RESUMABLE = on(Expect(resumable=True))
TERMINATING = on(Expect(terminates=True))
ENDLESS = on(Expect(terminates=False))
SILENT_ON_FAILURE = on(dialect=Dialect(completion=(Matcher(event="complete"),)))


def event(id: int | None, type: str = "progress", **data: Any) -> bytes:
    return encode_event(json.dumps({"job": "j1", **data}), type=type, id=None if id is None else str(id))


def sent(*types: str, at: float = 0.0, first: int = 1) -> Pieces:
    """One event of each type, 0.1 s apart; "progress", "complete", "error", "stream_end" as the task stream has it."""
    return [
        (round(at + 0.1 * (place + 1), 3), event(first + place, type)) for place, type in enumerate(types)
    ]


WHOLE = sent("progress", "progress", "complete", "stream_end")
UNTOLD = sent("progress", "progress")


def judged(
    rule: Rule,
    *groups: list[Record],
    terms: Terms = PLAIN,
    scenario: str = "subscribe",
    plan: Plan | None = None,
) -> Judgement:
    return rule.judge(made_up(*groups, terms=terms, scenario=scenario, plan=plan))


def asked(state: object, at: float = 1.0, **others: Any) -> list[Record]:
    """An answer of the status endpoint."""
    return answered("status", at=at, body=json.dumps({"state": state}), names=NAMES, **others)
