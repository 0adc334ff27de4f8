"""An error of JSON-RPC comes with status 200. It is judged as the status would be that says the same."""

import json
from collections.abc import Iterable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up import TASK, answered, made_up, marked, stream, terms
from made_up_looks import JOB, cancelled, held_to, look
from made_up_tasks import RESUMABLE, SHARED, on, sent

from conformance.config import Expect
from conformance.history import Chunk, Head, Mark, Record, Terms, history
from conformance.payloads import NOT_TAKEN
from conformance.rules import RULES
from conformance.rules.refusals import failed, refused, rpc_error

JSON = [("content-type", "application/json")]
ERRORS = {404: {"code": -32001, "message": "Task not found"}, 500: {"code": -32603, "message": "oops"}}
DONE = sent("progress", "progress", "complete", "stream_end")
HAD = sent("progress", "progress")
ALSO = ("target.stream.headers", "target.start.capture", "target.command", "target.cancel")


def in_rpc(records: Iterable[Record]) -> list[Record]:
    """The same, where each 404 and 500 is an error of JSON-RPC."""
    found: list[Record] = []
    rewritten: set[str] = set()
    for record in records:
        if isinstance(record, Chunk) and record.exchange in rewritten:
            continue
        error = ERRORS.get(record.status) if isinstance(record, Head) else None
        if error is None or not isinstance(record, Head):
            found.append(record)
            continue
        rewritten.add(record.exchange)
        body = json.dumps({"jsonrpc": "2.0", "id": record.exchange, "error": error})
        found.append(msgspec.structs.replace(record, status=200, headers=tuple(JSON)))
        found.append(Chunk.of(record.time, record.exchange, body.encode()))
    return found


def also(given: Terms) -> Terms:
    return msgspec.structs.replace(given, declared=tuple({*given.declared, *ALSO}))


def came(status: int, name: str = "a", at: float = 1.0, **others: Any) -> list[Record]:
    """A request for the stream that was answered with this status."""
    return stream(name=name, at=at, status=status, **others)


FIRST = stream(DONE, ended=0.5)
LEFT = stream(HAD, how="dropped", ended=0.3)
CANCELLED = held_to(Expect(terminates=True))
STOPPED = (stream(HAD, how="dropped", ended=2.0), cancelled(1.0))

CASES: dict[str, tuple[str, Terms, tuple[list[Record], ...]]] = {
    "at first": ("subscribe", on(), (came(404),)),
    "failed at first": ("subscribe", on(), (came(500),)),
    "late": ("after-completion", SHARED, (FIRST, came(404, "late"))),
    "late, kept": ("after-completion", on(Expect(shared=True, replay="all")), (FIRST, came(404, "late"))),
    "late, failed": ("after-completion", SHARED, (FIRST, came(500, "late"))),
    "joined": ("side-by-side", on(), (stream(HAD, ended=9.0), came(404, "b"))),
    "failing": ("failing-job", on(), (came(404),)),
    "failing, failed": ("failing-job", on(), (came(500),)),
    "unknown": ("unknown-stream", terms(TASK), (came(404, "lost"),)),
    "unknown, failed": ("unknown-stream", terms(TASK), (came(500, "lost"),)),
    "stranger": ("without-credentials", terms(TASK), (came(404, "stranger"),)),
    "stranger, failed": ("without-credentials", terms(TASK), (came(500, "stranger"),)),
    "wrong": ("wrong-credentials", terms(TASK), (came(404), answered("other", at=2.0, status=404))),
    "wrong, failed": ("wrong-credentials", terms(TASK), (came(404), answered("other", at=2.0, status=500))),
    "strange id": ("unknown-id", RESUMABLE, (came(404, sent=[("Last-Event-ID", "x")]),)),
    "strange id, failed": ("unknown-id", RESUMABLE, (came(500, sent=[("Last-Event-ID", "x")]),)),
    "back": ("completion-while-away", RESUMABLE, (stream(DONE, name="witness"), LEFT, came(404, "a-2"))),
    **{
        f"restarted, {status}": (
            "restart",
            RESUMABLE,
            (LEFT, marked("server started again", 0.5), came(status, "a-2", sent=[("Last-Event-ID", "2")])),
        )
        for status in (404, 500)
    },
    **{
        f"cancelled, {first}, {again}": (
            "cancel",
            CANCELLED,
            (
                *(stream(HAD, how="dropped", ended=2.0), look(0.1, state="running")),
                *(cancelled(1.0, status=first), look(1.5, state="running")),
                answered("cancel", at=2.0, name="cancel-2", status=again, names=JOB),
                look(5.0, state="running"),
            ),
        )
        for first in (200, 404)
        for again in (404, 500)
    },
    **{
        f"back to cancelled, {status}, {len(seen)}": (
            "cancel",
            CANCELLED,
            (*STOPPED, seen, came(status, "back", at=3.0)),
        )
        for status in (404, 500)
        for seen in ([], look(1.5, state="cancelled"))
    },
    "not accepted": (
        "cancel",
        CANCELLED,
        (LEFT, cancelled(1.0, status=404), look(1.5, state="cancelled"), came(204, "back", at=3.0)),
    ),
    "not cancelled": (
        "explore",
        on(),
        (stream(HAD, ended=9.0), answered("cancel", at=0.1, status=404, names=JOB)),
    ),
    "status failed": (
        "close-at-completion",
        on(),
        (
            stream(DONE, name="hasty", how="dropped", ended=0.5),
            *(answered("status", at=0.1, name="status-1", names=JOB), stream(DONE, name="a")),
            answered("status", at=0.7, name="status-2", status=500, names=JOB),
        ),
    ),
    "next failed": (
        "close-at-completion",
        on(),
        (stream(DONE, name="hasty", how="dropped", ended=0.5), came(500)),
    ),
    "payload failed": (
        "hostile-input",
        terms(TASK, also=["target.variants.echo"]),
        (answered("start", status=500), [Mark(what=NOT_TAKEN, detail="null")], FIRST),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_an_error_of_json_rpc_is_judged_as_the_status_that_says_the_same(case: str) -> None:
    scenario, given, groups = CASES[case]
    plain = made_up(*groups, terms=also(given), scenario=scenario)
    told = history(in_rpc(plain.records))
    rules = RULES if scenario == "explore" else [rule for rule in RULES if scenario in rule.scenarios]
    said = {rule.name: rule.judge(told).verdict for rule in rules}
    assert said == {rule.name: rule.judge(plain).verdict for rule in rules}


def test_what_the_server_says_is_told() -> None:
    [status] = [rule for rule in RULES if rule.name == "http.status"]
    judgement = status.judge(history(in_rpc(made_up(came(404), terms=on()).records)))
    assert "200 and application/json (error -32001, Task not found)" in judgement.reason


def test_a_trace_in_an_error_of_json_rpc_is_found() -> None:
    [hygiene] = [rule for rule in RULES if rule.name == "security.error-hygiene"]
    trace = 'Traceback (most recent call last):\n  File "app.py", line 3, in f\nKeyError'
    error = {"code": -32001, "message": "no", "data": trace}
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "error": error})
    told = made_up(stream([(0.1, body)], headers=JSON), scenario="unknown-stream", terms=terms(TASK))
    assert hygiene.judge(told).verdict == "broken"


NO = {"jsonrpc": "2.0", "id": None, "error": {"code": -32001, "message": "no"}}


@pytest.mark.parametrize(
    ("body", "kind", "status", "said"),
    [
        (NO, "application/json", 200, "-32001, no"),
        (NO, "Application/JSON; charset=utf-8", 200, "-32001, no"),
        (NO | {"result": None}, "application/json", 200, "-32001, no"),
        (NO | {"error": {"code": 7}}, "application/json", 200, "7"),
        (NO | {"error": {"message": "a\nb"}}, "application/json", 200, "a‹LF›b"),
        (NO | {"result": {"task": {}}}, "application/json", 200, ""),
        (NO | {"jsonrpc": "1.0"}, "application/json", 200, ""),
        (NO | {"error": "no"}, "application/json", 200, ""),
        ({"error": NO["error"]}, "application/json", 200, ""),  # somebody's own JSON
        ([NO], "application/json", 200, ""),
        (NO, "text/event-stream", 200, ""),  # an event says so, or nobody hears of it
        (NO, "text/html", 200, ""),
        (NO, "application/json", 404, ""),
    ],
)
def test_what_is_an_error_of_json_rpc(body: Any, kind: str, status: int, said: str) -> None:
    pieces = [(0.1, json.dumps(body))]
    [answer] = made_up(stream(pieces, headers=[("content-type", kind)], status=status)).streams
    assert rpc_error(answer) == said
    assert refused(answer) is (bool(said) or status == 404)
    assert not failed(answer)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(anything, anything, st.sampled_from(["2.0", "1.0", 2]))
def test_whatever_comes_is_at_most_one_of_both(error: Any, result: Any, version: Any) -> None:
    body = json.dumps({"jsonrpc": version, "error": error, "result": result})
    [answer] = made_up(stream([(0.1, body)], headers=JSON)).streams
    assert not (refused(answer) and failed(answer))
    assert (refused(answer) or failed(answer)) == (
        isinstance(error, dict) and result is None and version == "2.0"
    )
    assert "\n" not in rpc_error(answer)
