"""Each preset's stream is recognised as itself and no other; what is no preset's stream is never taken for one."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conformance.dialect import (
    PRESETS,
    Dialect,
    Matcher,
    Role,
    classify,
    effective_dialect,
    parse,
    recognise,
    sequence_of,
    stream_of,
    timestamp_of,
)
from conformance.wire.event import Comment, Event, Item


def event(name: str = "message", /, **data: Any) -> Event:
    return Event(type=name, data=json.dumps(data))


def _task(name: str, seq: int) -> Event:
    data = {"seq": seq, "job": "j1", "timestamp": 1762217825.5 + seq, "type": name}
    return Event(type=name, data=json.dumps(data), id=str(seq))


def _chunk(**delta: str) -> Event:
    choices = [{"index": 0, "delta": delta, "finish_reason": None if delta else "stop"}]
    return event(id="c1", object="chat.completion.chunk", created=1762217825, model="m", choices=choices)


def _named(name: str, **data: Any) -> Event:
    return event(name, type=name, **data)


DONE = Event(data="[DONE]")
PING = Comment(" ping")


def _task_of(state: str) -> dict[str, Any]:
    return {"id": "t1", "contextId": "c1", "status": {"state": state}}


def _update(**told: Any) -> dict[str, Any]:
    return {"taskId": "t1", "contextId": "c1", **told}


def _rpc(**result: Any) -> Event:
    return event(jsonrpc="2.0", id=1, result=result)


_PART = {"artifactId": "a", "parts": [{"text": "one"}]}
_LIVE: list[dict[str, Any]] = [
    {"task": _task_of("TASK_STATE_SUBMITTED")},
    {"statusUpdate": _update(status={"state": "TASK_STATE_WORKING"})},
    {"artifactUpdate": _update(artifact=_PART, lastChunk=True)},
    {"statusUpdate": _update(status={"state": "TASK_STATE_COMPLETED"})},
]
_MESSAGE = {"message": {"messageId": "m1", "role": "ROLE_AGENT", "parts": [{"text": "one"}]}}

A2A: dict[str, list[Item]] = {
    "HTTP": [PING, *(event(**each) for each in _LIVE)],
    "0.3": [
        _rpc(kind="task", **_task_of("submitted")),
        _rpc(kind="status-update", final=False, **_update(status={"state": "working"})),
        _rpc(kind="artifact-update", **_update(artifact=_PART)),
        _rpc(kind="status-update", final=True, **_update(status={"state": "completed"})),
    ],
    "over as somebody comes": [_rpc(task=_task_of("TASK_STATE_COMPLETED")), _rpc(**_LIVE[-1])],
    "a message": [_rpc(**_MESSAGE)],
    "a message on HTTP": [event(**_MESSAGE)],
}
"""Streams of Agent2Agent; the one on JSON-RPC is the preset's sample."""

SAMPLES: dict[str, list[Item]] = {
    "task-stream": [
        _task("progress", 0),
        PING,
        _task("progress", 1),
        _task("complete", 2),
        _task("stream_end", 3),
    ],
    "openai-chat": [_chunk(role="assistant", content=""), PING, _chunk(content="done"), _chunk(), DONE],
    "openai-responses": [
        _named("response.created", sequence_number=0, response={"id": "resp_1", "status": "in_progress"}),
        _named("response.output_text.delta", sequence_number=1, item_id="msg_1", delta="Hello"),
        _named("response.completed", sequence_number=2, response={"id": "resp_1", "status": "completed"}),
    ],
    "anthropic-messages": [
        _named("message_start", message={"id": "msg_1", "type": "message", "content": []}),
        _named("content_block_start", index=0, content_block={"type": "text", "text": ""}),
        _named("ping"),
        _named("content_block_delta", index=0, delta={"type": "text_delta", "text": "Hello"}),
        _named("content_block_stop", index=0),
        _named("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 15}),
        _named("message_stop"),
    ],
    "vercel-ai": [
        event(type="start", messageId="m1"),
        event(type="text-start", id="t1"),
        event(type="text-delta", id="t1", delta="Hello"),
        event(type="text-end", id="t1"),
        event(type="finish"),
        DONE,
    ],
    "ag-ui": [
        event(type="RUN_STARTED", threadId="t1", runId="r1", timestamp=1762217825470),
        event(type="TEXT_MESSAGE_CONTENT", messageId="m1", delta="Hello", timestamp=1762217825480),
        event(type="RUN_FINISHED", threadId="t1", runId="r1", timestamp=1762217825490),
    ],
    "mcp": [
        Event(data="", id="a1"),
        event(jsonrpc="2.0", method="notifications/progress", params={"progress": 1}),
        event(jsonrpc="2.0", id=1, result={}),
    ],
    "a2a": [_rpc(**each) for each in _LIVE],
    "agent-bus": [
        event(type="server.connected", properties={}),
        event(type="message.part.updated", properties={"part": {"id": "p1"}, "delta": "Hello"}),
        event(type="server.heartbeat", properties={}),
        event(type="session.idle", properties={"sessionID": "ses_1"}),
    ],
    "execute-stream": [
        event(type="progress", jobId="j1", timestamp="2025-11-04T00:57:05.470Z", message="half"),
        event(type="completion", jobId="j1", timestamp="2025-11-04T00:57:06.470Z", message="done"),
        event(type="stream_end", jobId="j1", timestamp="2025-11-04T00:57:06.520Z", message="Stream ending"),
    ],
    "chat-status": [
        event(type="status", status="thinking"),
        event(type="delta", content="hello"),
        event(id="c1", choices=[{"index": 0, "delta": {"content": " world"}}]),
        event(type="done"),
    ],
    "job-progress": [
        event(type="heartbeat"),
        event(type="step_progress", step="read", pct=40),
        event(type="insight", text="short"),
        event(type="done"),
    ],
}

FAILURES: dict[str, Event] = {
    "task-stream": _task("error", 3),
    "openai-chat": event(error={"message": "overloaded"}),
    "openai-responses": _named("response.failed", sequence_number=2, response={"status": "failed"}),
    "anthropic-messages": _named("error", error={"type": "overloaded_error"}),
    "vercel-ai": event(type="abort"),
    "ag-ui": event(type="RUN_ERROR", message="no"),
    "mcp": event(jsonrpc="2.0", id=1, error={"code": -32603, "message": "no"}),
    "a2a": _rpc(statusUpdate=_update(status={"state": "TASK_STATE_REJECTED"})),
    "agent-bus": event(type="session.error", properties={"sessionID": "ses_1"}),
    "chat-status": event(type="done", error="stream_cancelled"),
}


def test_every_preset_has_a_sample() -> None:
    assert set(SAMPLES) == set(PRESETS)
    assert set(FAILURES) == {name for name, preset in PRESETS.items() if preset.dialect.failure}


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_recognised_as_itself_and_no_other(name: str) -> None:
    recognition = recognise(SAMPLES[name])

    assert recognition.preset == name
    assert recognition.dialect == Dialect(preset=name)
    assert recognition.assumption == f'dialect.preset = "{name}"'
    assert name in recognition.reason


@pytest.mark.parametrize("name", PRESETS)
@given(data=st.data())
def test_a_beginning_is_recognised_as_itself_or_not_at_all(name: str, data: st.DataObject) -> None:
    sample = SAMPLES[name]
    length = data.draw(st.integers(0, len(sample)))

    assert recognise(sample[:length]).preset in (name, None)


@pytest.mark.parametrize("name", PRESETS)
@given(data=st.data())
def test_one_foreign_event_leaves_no_preset(name: str, data: st.DataObject) -> None:
    sample = list(SAMPLES[name])
    sample.insert(data.draw(st.integers(0, len(sample))), event(hello="world"))

    assert recognise(sample).preset is None


BEGINNINGS = ["openai-responses", "anthropic-messages", "vercel-ai", "ag-ui", "chat-status", "job-progress"]


@pytest.mark.parametrize("name", BEGINNINGS)
def test_a_protocol_with_a_first_event_is_not_recognised_without_it(name: str) -> None:
    first, second, *rest = SAMPLES[name]

    assert recognise([second, first, *rest]).preset is None


@pytest.mark.parametrize("name", PRESETS)
def test_each_sample_completes_once_and_is_otherwise_progress(name: str) -> None:
    dialect = effective_dialect(Dialect(preset=name))
    roles = [classify(dialect, parse(item)) for item in SAMPLES[name]]

    assert roles.count(Role.COMPLETION) == 1
    assert Role.FAILURE not in roles
    assert roles[0] in (Role.PROGRESS, Role.HEARTBEAT)
    assert roles[-1] in (Role.COMPLETION, Role.END)
    assert (roles[-1] is Role.END) is bool(dialect.end)


@pytest.mark.parametrize("name", FAILURES)
def test_a_failure_is_told_from_a_completion(name: str) -> None:
    assert classify(effective_dialect(Dialect(preset=name)), parse(FAILURES[name])) is Role.FAILURE


@pytest.mark.parametrize("name", PRESETS)
def test_what_a_preset_declares_stands_in_its_events(name: str) -> None:
    dialect = PRESETS[name].dialect
    events = [parse(item) for item in SAMPLES[name] if isinstance(item, Event)]

    if dialect.sequence:
        assert [sequence_of(dialect, item) for item in events] == list(range(len(events)))
    if dialect.timestamp:
        moments = [timestamp_of(dialect, item) for item in events]
        assert all(moment is not None and 1.7e9 < moment < 1.8e9 for moment in moments)
    if dialect.stream:
        assert len({stream_of(dialect, item) for item in events} - {None}) == 1
    if dialect.json:
        assert all(not isinstance(item.json, type(parse(PING).json)) for item in events)


def test_own_keys_override_a_preset_one_at_a_time() -> None:
    own = Dialect(preset="task-stream", sequence="/seq", heartbeat=())
    effective = effective_dialect(own)

    assert effective.sequence == "/seq"
    assert effective.heartbeat == ()
    assert effective.completion == PRESETS["task-stream"].dialect.completion
    assert effective_dialect(effective) == effective
    assert effective_dialect(Dialect(sequence="id")) == Dialect(sequence="id")


# generic completions


@pytest.mark.parametrize(
    ("last", "matcher"),
    [
        (DONE, Matcher(data="[DONE]")),
        (event("complete"), Matcher(event="complete")),
        (event("done"), Matcher(event="done")),
        (event(type="done"), Matcher(pointer="/type", equals="done")),
        (event(type="complete", x=1), Matcher(pointer="/type", equals="complete")),
    ],
)
def test_a_generic_completion_is_all_that_is_assumed(last: Event, matcher: Matcher) -> None:
    recognition = recognise([Event(data="hello"), Event(data="world"), last, PING])

    assert recognition.preset is None
    assert recognition.dialect == Dialect(completion=(matcher,))
    assert recognition.assumption.startswith("dialect.completion = [{ ")


@pytest.mark.parametrize(
    "items",
    [
        [],
        [PING, PING],
        [DONE],  # nothing came before it
        [Event(data="a"), DONE, Event(data="b")],  # it went on
        [event(type="done"), Event(data="a"), event(type="done")],  # a step's end, not the stream's
        [Event(data="a"), Event(data="I am done")],
        [Event(data="a"), Event(data="done")],
        [Event(data="a"), Event(data="complete [DONE]")],
        [Event(data="a"), Event(data='the server said {"type": "done"}')],
        [event(type="start"), event(type="finish")],
        [event(type="status"), event(type="delta")],
        [event(type="heartbeat"), event(type="tick")],
        [event("progress", pct=1), event("progress", pct=2)],
        [event(jsonrpc="2.0", method="notifications/message"), event(jsonrpc="2.0", method="ping", id=1)],
    ],
)
def test_nothing_is_assumed_in_doubt(items: list[Item]) -> None:
    recognition = recognise(items)

    assert recognition.preset is None
    assert recognition.dialect == Dialect()
    assert recognition.assumption == ""
    assert recognition.reason


@pytest.mark.parametrize(
    "result",
    [
        {"task": {"id": "t1", "status": {"state": "TASK_STATE_SUBMITTED"}}},
        {"statusUpdate": {"taskId": "t1", "status": {"state": "TASK_STATE_WORKING"}}},
        {"artifactUpdate": {"taskId": "t1", "artifact": {"parts": [{"text": "one"}]}}},
        {"message": {"messageId": "m1", "role": "ROLE_AGENT", "parts": [{"text": "one"}]}},
        {"kind": "status-update", "taskId": "t1", "status": {"state": "working"}, "final": False},
    ],
)
def test_the_stream_of_another_protocol_on_json_rpc_is_not_mcp(result: dict[str, Any]) -> None:
    """In Agent2Agent each event is a whole response: the first of them completes nothing."""
    first = _rpc(**result)
    for items in ([first], [first, first]):
        recognition = recognise(items)
        assert "mcp" not in {recognition.preset, *recognition.candidates}


@pytest.mark.parametrize("name", A2A)
def test_each_way_of_agent2agent_is_recognised(name: str) -> None:
    recognition = recognise(A2A[name])
    assert recognition.preset == "a2a"
    roles = [classify(effective_dialect(recognition.dialect), parse(item)) for item in A2A[name]]
    assert roles[-1] is Role.COMPLETION
    assert {*roles[:-1]} <= {Role.PROGRESS, Role.HEARTBEAT}


@pytest.mark.parametrize(
    "last",
    [
        *(
            event(statusUpdate=_update(status={"state": f"TASK_STATE_{state}"}))
            for state in ("FAILED", "CANCELED", "CANCELLED", "REJECTED")
        ),
        *(
            _rpc(kind="status-update", status={"state": state})
            for state in ("failed", "canceled", "rejected")
        ),
        event(jsonrpc="2.0", id=1, error={"code": -32603, "message": "no"}),
        event("error", error={"code": 500, "status": "INTERNAL"}),
    ],
)
def test_what_agent2agent_calls_failed_is_a_failure(last: Event) -> None:
    for sample in (SAMPLES["a2a"], A2A["HTTP"], A2A["0.3"]):
        recognition = recognise([*sample[:-1], last])
        assert recognition.preset == "a2a"
        assert classify(effective_dialect(recognition.dialect), parse(last)) is Role.FAILURE


@pytest.mark.parametrize(
    "items",
    [
        [
            event(task={"id": "t1", "status": {"state": "running"}}),
            event(task={"id": "t1"}),
        ],  # somebody's own
        [event(message={"messageId": "m1", "role": "assistant"})],
        [event(statusUpdate={"status": "completed"})],
        [event(artifactUpdate={"artifact": {}})],  # which says nothing of a state
        [event(error={"code": 500})],
        [_rpc(content=[{"type": "text", "text": "TASK_STATE_COMPLETED"}])],
        [_rpc(task={"taskId": "t1", "status": "working"})],  # a task of MCP
    ],
)
def test_what_only_looks_like_agent2agent_is_not_taken_for_it(items: list[Item]) -> None:
    assert recognise(items).preset in {None, "mcp"}


@pytest.mark.parametrize("state", ["INPUT_REQUIRED", "AUTH_REQUIRED", "WORKING"])
def test_a_task_that_waits_is_not_over(state: str) -> None:
    dialect = effective_dialect(Dialect(preset="a2a"))
    waits = event(statusUpdate=_update(status={"state": f"TASK_STATE_{state}"}))
    assert classify(dialect, parse(waits)) is Role.PROGRESS


def test_a_resemblance_is_named() -> None:
    recognition = recognise([*SAMPLES["openai-chat"][:3], event(hello="world")])

    assert recognition.candidates == ("openai-chat", "chat-status")
    assert recognition.reason == "its 3 events resemble openai-chat, chat-status, but not all of them"


words = st.sampled_from(
    ["done", "complete", "error", "progress", "status", "hello", "[DONE]", "data", "type", "ok"]
)
prose = st.lists(words, min_size=2, max_size=8).map(" ".join)
unrelated = st.builds(
    Event,
    type=words | st.just("message"),
    data=prose
    | st.dictionaries(words.filter(lambda word: word != "type"), words | st.integers()).map(json.dumps),
)


@given(st.lists(unrelated | st.builds(Comment, text=prose), max_size=20))
def test_unrelated_events_are_never_a_preset(items: list[Item]) -> None:
    recognition = recognise(items)

    assert recognition.preset is None
    if recognition.dialect.completion:  # at most what its last event says, literally, and only there
        last = next(item for item in reversed(items) if isinstance(item, Event))
        assert last.type in ("done", "complete")


anything = st.builds(Event, type=st.text(), data=st.text()) | st.builds(Comment, text=st.text())


@given(st.lists(anything, max_size=20))
def test_arbitrary_events_are_never_a_preset(items: list[Item]) -> None:
    assert recognise(items).preset is None
