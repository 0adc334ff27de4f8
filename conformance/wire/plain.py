"""The decoder's fast path: plain events, many at a time.

Nearly all blocks of real streams are one data line, or id and event fields and then data lines. Whatever does
not look so is left to the general path, right or wrong.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from itertools import permutations
from operator import itemgetter

from conformance.wire.event import Comment, Event

_LAYOUTS = frozenset(
    names for count in (1, 2, 3) for names in permutations(("id", "event", "data"), count) if "data" in names
)
"""The fields of blocks that are taken many at a time, in their order."""

_D = ord("d")


@dataclass(frozen=True, slots=True)
class Shape:
    """Plain events whose lines all end in `ending`.

    `block` matches one block with its empty line. Its groups are an id before the event type, the event type,
    an id after it, and the data: lines joined by `joint`, of which all but the first may begin with the space
    to remove. Its quantifiers are possessive where they could meet again what they gave back: linear time.
    """

    ending: bytes
    blank: bytes
    between: str  # from the data of a block that is one data line to that of the next
    late: int  # bytes of an ending after the one that ends the line
    block: re.Pattern[str]
    joint: str
    quiet: re.Pattern[bytes]  # lines that say nothing before their block ends, but for wrong characters


def _value(ending: str) -> str:
    """A character of a value, for patterns: anything but the ending's first character."""
    return "." if ending == "\n" else f"[^{ending[0]}]"


def _shape(ending: str) -> Shape:
    value = _value(ending) + "*+"
    block = re.compile(
        f"(?:id: ?+({value}){ending})?+(?:event: ?+({value}){ending})?+(?:id: ?+({value}){ending})?+"
        f"data: ?+({value}(?:{ending}data:{value})*+){ending}{ending}"
    )
    blank = 2 * ending
    quiet = re.compile(f"(?:(?:data|event|id):[^\\r\\n\\0]*+{ending})*".encode())
    return Shape(
        ending.encode(), blank.encode(), f"{blank}data: ", len(ending) - 1, block, f"{ending}data:", quiet
    )


LF = _shape("\n")
CRLF = _shape("\r\n")


def is_uniform(text: str, shape: Shape) -> bool:
    """Whether all lines end in the shape's ending."""
    if shape is LF:
        return "\r" not in text
    return text.count("\r") == text.count("\n") == text.count("\r\n")


def is_quiet(lines: bytes, shape: Shape) -> bool:
    """Whether whole lines can wait for the end of their block: until then they make no item known."""
    if shape.quiet.fullmatch(lines) is None:
        return False
    try:
        return lines.isascii() or "\ufeff" not in lines.decode()
    except UnicodeDecodeError:
        return False


def one_event(chunk: bytes, shape: Shape, start: int, last_event_id: str) -> Event | None:
    """The event of a chunk that is one plain block, as servers send them that flush each event."""
    end = start + len(chunk) - shape.late
    try:
        if chunk[0] == _D:
            value = chunk.removeprefix(b"data: ").removesuffix(shape.blank)
            if len(chunk) - len(value) == len("data: ") + len(shape.blank):
                data = value.decode()
                if "\n" not in data and "\r" not in data and "\ufeff" not in data:
                    return Event("message", data, last_event_id, None, start, end)
        text = chunk.decode()
    except UnicodeDecodeError:
        return None
    found = shape.block.fullmatch(text)
    if found is None or "\0" in text or "\ufeff" in text or ("\r" in text and not is_uniform(text, shape)):
        return None
    block_id, type_, later_id, data = found.groups()
    if later_id is not None:
        block_id = later_id
    if "\n" in data:
        data = join(data, shape)
    id_ = last_event_id if block_id is None else block_id
    return Event(type_ or "message", data, id_, block_id, start, end)


def one_comment(chunk: bytes, shape: Shape, start: int) -> Comment | None:
    """The comment of a chunk that is one comment, as heartbeats are; an empty line may be after it."""
    line = chunk.removesuffix(shape.blank)
    if len(line) == len(chunk):
        line = chunk.removesuffix(shape.ending)
        if len(line) == len(chunk):
            return None
    try:
        text = line[1:].decode()
    except UnicodeDecodeError:
        return None
    # one call for the three that are looked for: none of them is printable
    if not text.isprintable() and ("\n" in text or "\r" in text or "\ufeff" in text):
        return None
    return Comment(text, start, start + len(line) + 1)


def data_events(text: str, blocks: bytes, shape: Shape, start: int, last_event_id: str) -> list[Event] | None:
    """The events of whole blocks, if each is one "data: " line; None otherwise.

    `text` is what `blocks` decodes to, without a byte order mark; `start` is where they begin. Data is found
    in C, as what is between two "data: ", and checked to be one line.
    """
    if not text.startswith("data: "):
        return None
    parts = text.split(shape.between)
    parts[0] = parts[0][len("data: ") :]
    parts[-1] = parts[-1][: -len(shape.blank)]
    at, around, late = start, len("data: ") + len(shape.blank), shape.late
    if text.isascii():
        joined = "".join(parts)  # to look for line endings once, not in each
        if "\n" in joined or "\r" in joined:
            return None
        return [
            Event("message", data, last_event_id, None, at, (at := at + len(data) + around) - late)
            for data in parts
        ]
    raw = blocks.split(shape.between.encode())
    raw[0] = raw[0][len("data: ") :]
    raw[-1] = raw[-1][: -len(shape.blank)]
    together = b"".join(raw)
    if 10 in together or 13 in together:
        return None
    return [
        Event("message", data, last_event_id, None, at, (at := at + len(found) + around) - late)
        for data, found in zip(parts, raw, strict=False)  # as many: cut at the same places
    ]


@dataclass(frozen=True, slots=True)
class Layout:
    """Blocks that have the same fields in the same order, each once."""

    pattern: re.Pattern[str]
    order: Callable[[tuple[str, ...]], tuple[str, str, str, str]] | None
    """Makes of a match's groups the block, the id, the event type and the data; None if they are just these."""
    has_id: bool


@cache  # of 30
def _layout(names: tuple[str, ...], ending: str) -> Layout:
    value = _value(ending)
    absent = [name for name in ("id", "event") if name not in names]
    groups = ["block", *absent, *names]
    lines = [f"{name}: ?+({value}*+){ending}" for name in names]
    # fields that are not there are empty groups; without the ^ a search would begin anew inside of lines:
    # quadratic time
    pattern = re.compile(f"^({'()' * len(absent)}{''.join(lines)}{ending})", re.MULTILINE)
    wanted = ["block", "id", "event", "data"]
    order = None if groups == wanted else itemgetter(*map(groups.index, wanted))
    return Layout(pattern, order, "id" in names)


def find_layout(text: str, shape: Shape) -> Layout | None:
    """The layout of the first of whole blocks, if such blocks are taken many at a time."""
    ending = shape.ending.decode()
    lines = text[: text.index(2 * ending)].split(ending)
    names = tuple([line.partition(":")[0] for line in lines])
    return _layout(names, ending) if names in _LAYOUTS else None


def alike_events(
    text: str, blocks: bytes, shape: Shape, layout: Layout, start: int, last_event_id: str
) -> list[Event] | None:
    """The events of whole blocks, if all have this layout; None otherwise.

    As in `data_events`; besides, all lines end as the shape says, and no character is U+0000.
    """
    found = layout.pattern.findall(text)
    rows: Iterable[tuple[str | bytes, str, str, str]] = found
    if layout.order is not None:
        rows = map(layout.order, found)
    at, after, late = start, 0, shape.late
    if not text.isascii():  # then what is counted are the blocks' bytes
        rows = [(block, *row[1:]) for block, row in zip(blocks.split(shape.blank), rows, strict=False)]
        after = len(shape.blank)
    if layout.has_id:
        events = [
            Event(type_ or "message", data, id_, id_, at, (at := at + len(block) + after) - late)
            for block, id_, type_, data in rows
        ]
    else:
        events = [
            Event(type_ or "message", data, last_event_id, None, at, (at := at + len(block) + after) - late)
            for block, _, type_, data in rows
        ]
    return events if sum([len(groups[0]) for groups in found]) == len(text) else None


def join(data: str, shape: Shape) -> str:
    """The data of a plain event that has more than one data line."""
    first, *others = data.split(shape.joint)
    return "\n".join([first, *(line[1:] if line.startswith(" ") else line for line in others)])


def odd_end(text: str, at: int, shape: Shape) -> int:
    """Where the block ends that begins at index `at` of whole blocks, or the empty line that stands there."""
    ending = shape.ending.decode()
    if text.startswith(ending, at):
        return at + len(ending)
    return text.index(2 * ending, at) + 2 * len(ending)
