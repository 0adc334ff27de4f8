"""The named dialects: a table of data, each row with its source.

A row also says how a stream of it is recognised (`Signs`). A `Sign` is told by one event that all its
matchers fit. What no document promises is left out.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, TypeAlias

import msgspec

from conformance.dialect.dialect import Dialect, Matcher

Sign: TypeAlias = tuple[Matcher, ...]


class Signs(msgspec.Struct, frozen=True):
    """How a stream of a preset is recognised: its first event fits one of `first`, every event one of
    `every`, some event one of `seen`, and no event one of `never`: that is another protocol of the same shape."""

    first: tuple[Sign, ...]
    every: tuple[Sign, ...]
    seen: tuple[Sign, ...]
    never: tuple[Sign, ...] = ()


class Preset(msgspec.Struct, frozen=True):
    """A named dialect: what it is, where its protocol is written down, what its events mean, its signs. `optional`: the
    keys of the dialect that its protocol leaves to the server, so that a stream without is one of it as well."""

    name: str
    summary: str
    source: str
    dialect: Dialect
    signs: Signs
    optional: tuple[str, ...] = ()


def _event(name: str) -> Matcher:
    return Matcher(event=name)


def _type(name: str) -> Matcher:
    return Matcher(pointer="/type", equals=name)


def _has(pointer: str) -> Matcher:
    return Matcher(pointer=pointer)


def _is(pointer: str, value: str) -> Matcher:
    return Matcher(pointer=pointer, equals=value)


_DONE = Matcher(data="[DONE]")
_COMMENT = Matcher(comment=True)
_CHUNK = _is("/object", "chat.completion.chunk")
_TASK: Sign = (_has("/seq"), _has("/job"), _has("/timestamp"), _has("/type"))
_EXECUTE: Sign = (_has("/type"), _has("/jobId"), _has("/timestamp"))
_CHAT: tuple[Sign, ...] = ((_type("status"), _has("/status")), (_type("delta"),), (_has("/choices/0/delta"),))
_RPC = _is("/jsonrpc", "2.0")
_MCP: tuple[Sign, ...] = ((_event("message"), _RPC), (Matcher(data=""),))
_A2A_KINDS = ("task/id", "statusUpdate", "artifactUpdate", "message/messageId")
_A2A_MESSAGES = ("/result/message", "/message")
_A2A_RPC: tuple[Sign, ...] = (  # Agent2Agent is JSON-RPC too, but there each event is a whole response
    *((_RPC, _has(f"/result/{kind}")) for kind in _A2A_KINDS),
    *((_RPC, _is("/result/kind", kind)) for kind in ("task", "status-update", "artifact-update", "message")),
)
_A2A: tuple[Sign, ...] = (*_A2A_RPC, *((_has(f"/{kind}"),) for kind in _A2A_KINDS))


_A2A_UPDATES = ("/result/statusUpdate", "/statusUpdate")
_A2A_TASKS = ("/result/task", "/task")
_A2A_OVER = ("FAILED", "CANCELED", "CANCELLED", "REJECTED")  # version 0.3 has two l's on HTTP


def _state(places: tuple[str, ...], *states: str) -> tuple[Matcher, ...]:
    """The events of Agent2Agent that tell in one of these places that a task is in one of these states."""
    return tuple(_is(f"{place}/status/state", f"TASK_STATE_{state}") for place in places for state in states)


def _state_03(*states: str) -> tuple[Matcher, ...]:
    """The same of version 0.3 on JSON-RPC, where tasks and updates tell it in one place."""
    return tuple(_is("/result/status/state", state) for state in states)


_BUS: Sign = (_has("/type"), _has("/properties"))
_UI_PARTS = ("start-step", "text-start", "reasoning-start", "tool-input-start", "tool-input-available")


_ROWS: Final = (
    Preset(
        name="task-stream",
        summary="the reference producer of this project: progress, complete or error, stream_end",
        source="conformance/reference",
        dialect=Dialect(
            json=True,
            sequence="id",
            stream="/job",
            timestamp="/timestamp",
            completion=(_event("complete"),),
            failure=(_event("error"),),
            end=(_event("stream_end"),),
            heartbeat=(_COMMENT,),
        ),
        signs=Signs(
            first=tuple((_event(name), *_TASK) for name in ("progress", "complete", "error")),
            every=tuple((_event(name), *_TASK) for name in ("progress", "complete", "error", "stream_end")),
            seen=tuple((_event(name), *_TASK) for name in ("progress", "complete", "error")),
        ),
    ),
    Preset(
        name="openai-chat",
        summary="OpenAI chat completions with stream = true: chunks, then [DONE]",
        source="https://platform.openai.com/docs/api-reference/chat-streaming",
        dialect=Dialect(
            # not json: [DONE] is none; `created` is one time for all chunks, so it is no timestamp
            completion=(_DONE,),
            failure=(_has("/error"),),
            heartbeat=(_COMMENT,),
        ),
        signs=Signs(
            first=((_event("message"), _CHUNK),),
            every=((_event("message"), _CHUNK), (_event("message"), _DONE), (_has("/error"),)),
            seen=((_has("/choices/0/delta"),),),
        ),
    ),
    Preset(
        name="openai-responses",
        summary="OpenAI responses with stream = true: typed events, numbered",
        source="https://platform.openai.com/docs/api-reference/responses-streaming",
        dialect=Dialect(
            json=True,
            sequence="/sequence_number",
            # an incomplete response is final too: a limit ended it, not an error
            completion=(_type("response.completed"), _type("response.incomplete")),
            failure=(_type("response.failed"), _type("error")),
            heartbeat=(_COMMENT,),
        ),
        signs=Signs(
            first=((_type("response.created"), _has("/response")),),
            every=((_has("/type"), _has("/sequence_number")),),
            seen=((_type("response.created"), _has("/response")),),
        ),
    ),
    Preset(
        name="anthropic-messages",
        summary="Anthropic messages with stream = true: message_start, content blocks, message_stop",
        source="https://docs.anthropic.com/en/api/messages-streaming",
        dialect=Dialect(
            json=True,
            completion=(_event("message_stop"),),
            failure=(_event("error"),),
            heartbeat=(_event("ping"), _COMMENT),
        ),
        signs=Signs(
            first=((_event("message_start"), _type("message_start"), _has("/message")),),
            every=((_has("/type"),),),
            seen=((_event("message_start"), _type("message_start"), _has("/message")),),
        ),
    ),
    Preset(
        name="vercel-ai",
        summary="the AI SDK's UI message stream, version 1: typed parts, finish, then [DONE]",
        source="https://ai-sdk.dev/docs/ai-sdk-ui/stream-protocol",
        dialect=Dialect(
            completion=(_type("finish"),),
            failure=(_type("abort"),),  # a part of type error is shown in the message, which goes on
            end=(_DONE,),
            heartbeat=(_COMMENT,),
        ),
        signs=Signs(
            first=((_event("message"), _type("start")),),
            every=((_event("message"), _has("/type")), (_event("message"), _DONE)),
            seen=tuple((_type(part),) for part in _UI_PARTS),
        ),
    ),
    Preset(
        name="ag-ui",
        summary="the Agent User Interaction protocol over SSE: RUN_STARTED to RUN_FINISHED or RUN_ERROR",
        source="https://docs.ag-ui.com/concepts/events",
        dialect=Dialect(
            json=True,
            timestamp="/timestamp",
            completion=(_type("RUN_FINISHED"),),
            failure=(_type("RUN_ERROR"),),
            heartbeat=(_COMMENT,),
        ),
        signs=Signs(
            first=((_type("RUN_STARTED"), _has("/runId")),),
            every=((_has("/type"),),),
            seen=((_type("RUN_STARTED"), _has("/runId")),),
        ),
        optional=("timestamp",),
    ),
    Preset(
        name="mcp",
        summary="the answer to one Model Context Protocol request: notifications, then the response",
        source="https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#streamable-http",
        dialect=Dialect(
            # not json: an event with an id and empty data may come first, to make resumption possible
            completion=(_has("/result"),),
            failure=(_has("/error"),),
            heartbeat=(_COMMENT,),
        ),
        signs=Signs(
            first=_MCP,
            every=_MCP,
            # without a response it may be the endless stream of server messages, which never completes
            seen=((_has("/id"), _has("/result")), (_has("/id"), _has("/error"))),
            never=_A2A_RPC,
        ),
    ),
    Preset(
        name="a2a",
        summary="Agent2Agent on JSON-RPC or HTTP+JSON, versions 0.3 and 1.0: a task, its updates, its last state",
        source="https://a2a-protocol.org/latest/specification/#31-core-operations",
        dialect=Dialect(
            json=True,
            # not a task that is over: it comes first, for who subscribes, or once more at the end
            completion=(
                *_state(_A2A_UPDATES, "COMPLETED"),
                *_state_03("completed"),
                *(_has(f"{place}/messageId") for place in _A2A_MESSAGES),  # the one event of its stream
            ),
            failure=(
                *_state(_A2A_UPDATES, *_A2A_OVER),
                *_state_03("failed", "canceled", "rejected"),
                _has("/error"),
            ),
            heartbeat=(_COMMENT,),
        ),
        signs=Signs(
            first=_A2A,
            every=(*_A2A, (_has("/error"),)),
            seen=(
                *(
                    (told,)
                    for told in _state(
                        (*_A2A_TASKS, *_A2A_UPDATES), "SUBMITTED", "WORKING", "COMPLETED", *_A2A_OVER
                    )
                ),
                *(
                    (_RPC, _is("/result/kind", kind), _has("/result/contextId"))
                    for kind in ("task", "status-update")
                ),
                *(
                    (_has(f"{place}/messageId"), _is(f"{place}/role", "ROLE_AGENT"))
                    for place in _A2A_MESSAGES
                ),
            ),
        ),
    ),
    Preset(
        name="agent-bus",
        summary="one bus for all sessions of an agent server; session.idle completes one, the bus goes on",
        source="https://opencode.ai/docs/server (GET /event)",
        dialect=Dialect(
            json=True,
            stream="/properties/sessionID",
            completion=(_type("session.idle"),),
            failure=(_type("session.error"),),
            end=(),
            heartbeat=(_type("server.heartbeat"), _COMMENT),
        ),
        signs=Signs(
            first=(_BUS,),
            every=(_BUS,),
            seen=((_type("server.connected"),), (_type("session.idle"), _has("/properties/sessionID"))),
        ),
    ),
    Preset(
        name="execute-stream",
        summary="one job a stream: progress, completion, stream_end, all with jobId and timestamp",
        source="a write-up of a job API whose client closed its stream too early",
        dialect=Dialect(
            json=True,
            stream="/jobId",
            timestamp="/timestamp",
            completion=(_type("completion"), _type("complete")),
            end=(_type("stream_end"),),
            heartbeat=(_COMMENT,),
        ),
        signs=Signs(
            first=(_EXECUTE,),
            every=(_EXECUTE,),
            seen=((_type("stream_end"),), (_type("completion"),)),
        ),
    ),
    Preset(
        name="chat-status",
        summary="a chat: status, then deltas (its own or OpenAI's), then done, with an error if it failed",
        source="a write-up of a chat completion API whose work went on after the disconnect",
        dialect=Dialect(
            json=True,
            completion=(_type("done"),),
            failure=(_has("/error"),),
            heartbeat=(_COMMENT,),
        ),
        signs=Signs(
            first=(_CHAT[0],),
            every=(*_CHAT, (_type("done"),)),
            seen=((_type("delta"), _has("/content")), _CHAT[2]),
        ),
    ),
    Preset(
        name="job-progress",
        summary="a job's progress: typed events, heartbeats of their own type, done last",
        source="a write-up of a job API behind a proxy that buffers",
        dialect=Dialect(
            json=True,
            completion=(_type("done"),),
            heartbeat=(_type("heartbeat"), _COMMENT),
        ),
        signs=Signs(
            first=((_event("message"), _type("heartbeat")),),
            every=((_event("message"), _has("/type")),),
            seen=((_has("/pct"),),),
        ),
    ),
)

PRESETS: Final[Mapping[str, Preset]] = MappingProxyType({row.name: row for row in _ROWS})
"""The presets by name."""


def is_optional(dialect: Dialect, key: str) -> bool:
    """Whether the dialect has this key from its preset, and the preset's protocol leaves it to the server."""
    preset = PRESETS.get(dialect.preset or "")
    return (
        preset is not None
        and key in preset.optional
        and getattr(dialect, key) == getattr(preset.dialect, key)
    )


def effective_dialect(dialect: Dialect) -> Dialect:
    """`dialect` with its preset resolved: its own keys override the preset's, a key at a time.

    Raises KeyError for a preset that does not exist, which a loaded configuration never has.
    """
    if dialect.preset is None:
        return dialect
    base = PRESETS[dialect.preset].dialect
    own = {name: value for name in dialect.__struct_fields__ if (value := getattr(dialect, name)) is not None}
    return msgspec.structs.replace(base, **own)
