"""How a stream says "sequence", "alive", "done", "end", "failed": frozen data, the `[dialect]` table."""

from typing import Annotated, TypeAlias

import msgspec

from conformance.pointer import Pointer

Scalar: TypeAlias = str | int | float | bool

_END = r"(?![\s\S])"

Sequence: TypeAlias = Annotated[
    str,
    msgspec.Meta(
        pattern=rf"^(id|(/([^~/]|~[01])*)+){_END}",
        description='"id" or a JSON Pointer into data such as "/seq"',
    ),
]


class Matcher(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Tells one kind of event or comment; exactly one of these is set.

    `event`: the event type. `data`: the whole data, to the character. `pointer`: a JSON Pointer into data;
    with `equals` the value it leads to, without it any value but null, false and the empty string.
    `comment`: any comment.
    """

    event: (
        Annotated[str, msgspec.Meta(min_length=1, description='an event type such as "complete"')] | None
    ) = None
    pointer: Pointer | None = None
    equals: Annotated[Scalar, msgspec.Meta(description="a string, a number or a boolean")] | None = None
    data: Annotated[str, msgspec.Meta(description='the data of an event such as "[DONE]"')] | None = None
    comment: bool = False


Matchers: TypeAlias = Annotated[
    tuple[Matcher, ...], msgspec.Meta(description='a list of tables such as [{ event = "complete" }]')
]


class Scope(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """On a bus that carries many streams, only events whose value at `pointer` is `equals` are judged.

    `equals` may hold placeholders (`{session}`) until `conformance.config.bind_dialect` fills them.
    """

    pointer: Pointer
    equals: str


class Dialect(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a stream's events mean. None: not declared. An empty list: declared that there is none.

    `preset` names a row of `presets.PRESETS`; the other keys override it (see `presets.effective_dialect`).
    """

    preset: Annotated[str, msgspec.Meta(description="the name of a preset")] | None = None
    json: bool | None = None
    scope: Scope | None = None
    sequence: Sequence | None = None
    stream: Pointer | None = None
    timestamp: Pointer | None = None
    completion: Matchers | None = None
    failure: Matchers | None = None
    end: Matchers | None = None
    heartbeat: Matchers | None = None
