"""Each request for a shared stream may hold an id of its own, as JSON-RPC wants it: the stream is one even so."""

import json
from collections.abc import Iterable

import msgspec
import pytest
from made_up import TYPED, made_up, stream, terms

from conformance.config import Expect
from conformance.history import Chunk, History, Record, Requested
from conformance.rules import Rule
from conformance.rules.order_subscribers import subscribers_agree
from conformance.rules.order_unique import unique_ids
from conformance.rules.timeliness_subscribers import subscribers_agree as in_time

SHARED = Expect(terminates=True, shared=True)


def asked(records: Iterable[Record], body: str) -> list[Record]:
    return [
        msgspec.structs.replace(each, body=body) if isinstance(each, Requested) else each for each in records
    ]


def of(
    name: str,
    steps: Iterable[int],
    *,
    names: dict[str, str] | None = None,
    id: object = None,
    ids: bool = False,
) -> list[Record]:
    """Who asks by JSON-RPC for these steps, under its own name, and is answered under it."""
    own = name if id is None else id
    events = [
        (
            step / 10,
            (f"id: {step}\n" if ids else "")
            + f"data: {json.dumps({'jsonrpc': '2.0', 'id': own, 'result': {'step': step}})}\n\n",
        )
        for step in steps
    ]
    body = json.dumps({"jsonrpc": "2.0", "id": own, "method": "watch"})
    return asked(stream(events, name=name, head=0.05, ended=2.0, method="POST", names=names), body)


def _with(records: Iterable[Record], old: str, new: str) -> list[Record]:
    return [
        msgspec.structs.replace(each, text=each.text.replace(old, new)) if isinstance(each, Chunk) else each
        for each in records
    ]


def told(*groups: list[Record], expect: Expect = SHARED) -> History:
    return made_up(*groups, terms=terms(TYPED, expect), scenario="two-subscribers")


@pytest.mark.parametrize("rule", [subscribers_agree, in_time], ids=lambda rule: rule.name)
def test_two_who_ask_under_names_of_their_own_are_compared(rule: Rule) -> None:
    judgement = rule.judge(told(of("a", [1, 2, 3]), of("b", [1, 2, 3])))
    assert judgement.verdict == "conforms"
    assert judgement.reason.startswith("3 events in common")


def test_what_only_one_of_them_got_is_found() -> None:
    judgement = subscribers_agree.judge(told(of("a", [1, 2, 3]), of("b", [1, 3])))
    assert judgement.verdict == "broken"
    assert judgement.reason.startswith("b never got the event at byte ")


def test_an_id_names_one_event_whoever_it_answers() -> None:
    resumable = msgspec.structs.replace(SHARED, resumable=True)
    one, same = of("a", [1, 2], ids=True), of("b", [1, 2], ids=True)
    assert unique_ids.judge(told(one, same, expect=resumable)).verdict == "conforms"
    marked = _with(same, '"id": "b"', '"replayed": true, "id": "b"')
    assert unique_ids.judge(told(one, marked, expect=resumable)).verdict == "conforms"
    other = _with(same, '"step": ', '"step": 1')
    assert unique_ids.judge(told(one, other, expect=resumable)).verdict == "broken"


def test_the_id_of_another_request_is_content() -> None:
    """A server that answers one subscriber under the id of the other tells it something else."""
    stolen = asked(of("b", [1, 2], id="a"), json.dumps({"jsonrpc": "2.0", "id": "b", "method": "watch"}))
    judgement = subscribers_agree.judge(told(of("a", [1, 2]), stolen))
    assert judgement.verdict == "inconclusive"
    assert "no event in common" in judgement.reason


@pytest.mark.parametrize(
    ("names", "expect"),
    [
        ({"job": "j1"}, Expect(terminates=True)),  # each call has a stream of its own
        ({}, SHARED),  # nothing says which work it is but the request
    ],
    ids=["not shared", "without names"],
)
def test_who_asks_for_something_else_is_not_compared(names: dict[str, str], expect: Expect) -> None:
    history = told(of("a", [1, 2], names=names), of("b", [3, 4], names=names), expect=expect)
    assert in_time.check(history).verdict == "inconclusive"
    assert unique_ids.check(history).verdict != "broken"
    if expect.shared:
        assert subscribers_agree.judge(history).reason == "only one subscriber got the stream"


def test_other_work_is_another_stream() -> None:
    other = of("b", [1, 2], names={"job": "j2"})
    assert (
        subscribers_agree.judge(told(of("a", [1, 2]), other)).reason == "only one subscriber got the stream"
    )
