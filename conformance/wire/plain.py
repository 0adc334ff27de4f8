"""The decoder's fast path: plain events, many at a time.

Nearly all blocks of real streams are one data line, or id and event fields and then data lines. Whatever does
not look so is left to the general path, right or wrong.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from itertools import accumulate, permutations, repeat

from conformance.wire.event import Comment, Event

_LAYOUTS = frozenset(
    names for count in (1, 2, 3) for names in permutations(("id", "event", "data"), count) if "data" in names
)
"""The fields of blocks that are taken many at a time, in their order."""


@dataclass(frozen=True, slots=True)
class Shape:
    """Plain events whose lines all end in `ending`.

    `block` matches one block with its empty line. Its groups are an id before the event type, the event type,
    an id after it, and the data: lines joined by `joint`, of which all but the first may begin with the space
    to remove. Its quantifiers are possessive where they could meet again what they gave back: linear time.
    """

    ending: bytes
    blank: bytes
    tail: int  # where the blank begins, from the end of a block
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
    between = blank + "data: "
    quiet = re.compile(f"(?:(?:data|event|id):[^\r\n\0]*+{ending})*".encode())
    return Shape(
        ending.encode(), blank.encode(), -len(blank), between, len(ending) - 1, block, f"{ending}data:", quiet
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
    if chunk[shape.tail :] != shape.blank:
        return None
    end = start + len(chunk) - shape.late
    try:
        if chunk[:6] == b"data: ":
            data = chunk[6 : shape.tail].decode()
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
    ending = shape.blank if chunk.endswith(shape.blank) else shape.ending
    if chunk[:1] != b":" or not chunk.endswith(ending):
        return None
    try:
        text = chunk[1 : -len(ending)].decode()
    except UnicodeDecodeError:
        return None
    if "\n" in text or "\r" in text or "\ufeff" in text:
        return None
    return Comment(text, start, start + len(chunk) - len(ending) + 1)


def data_events(text: str, blocks: bytes, shape: Shape, start: int, last_event_id: str) -> list[Event] | None:
    """The events of whole blocks, if each is one "data: " line; None otherwise.

    `text` is what `blocks` decodes to, without a byte order mark; `start` is where they begin. Takes no step
    of Python per event but the simplest: parts are found in C, and checked to be all of the text.
    """
    if not text.startswith("data: "):
        return None
    parts = text[6 : shape.tail].split(shape.between)
    joined = "".join(parts)  # to look for line endings once, not in each
    if "\n" in joined or "\r" in joined:
        return None
    around = len("data: ") + len(shape.blank)
    if text.isascii():
        sizes = [len(part) + around for part in parts]
    else:
        sizes = [len(part) + around for part in blocks[6 : shape.tail].split(shape.between.encode())]
    return _events(repeat("message"), parts, repeat(last_event_id), repeat(None), sizes, start, shape)


def alike_events(
    text: str, blocks: bytes, shape: Shape, start: int, last_event_id: str
) -> list[Event] | None:
    """The same for blocks that have the same fields in the same order. Where they have not, it takes longer."""
    ending = shape.ending.decode()
    first = text[: text.index(2 * ending)]
    names = tuple([line.partition(":")[0] for line in first.split(ending)])
    if names not in _LAYOUTS or "\0" in text:
        return None
    found = _layout(names, ending).findall(text)
    if not found:
        return None
    column: dict[str, tuple[str, ...]] = dict(zip(("block", *names), zip(*found, strict=True), strict=True))
    sizes = list(map(len, column["block"]))
    if sum(sizes) != len(text) or not is_uniform(text, shape):
        return None
    if not text.isascii():
        sizes = [len(block) + len(shape.blank) for block in blocks.split(shape.blank)[:-1]]
    types, ids = column.get("event", repeat("message")), column.get("id")
    if ids is None:
        return _events(types, column["data"], repeat(last_event_id), repeat(None), sizes, start, shape)
    return _events(types, column["data"], ids, ids, sizes, start, shape)


def _events(
    types: Iterable[str],
    data: Iterable[str],
    last_event_ids: Iterable[str],
    ids: Iterable[str | None],
    sizes: list[int],
    start: int,
    shape: Shape,
) -> list[Event]:
    starts = list(accumulate(sizes, initial=start))
    ends = [after - shape.late for after in starts[1:]] if shape.late else starts[1:]
    return list(map(Event, types, data, last_event_ids, ids, starts, ends))


@cache  # of 22 patterns
def _layout(names: tuple[str, ...], ending: str) -> re.Pattern[str]:
    """Matches a block of these fields, the event type not empty. Its groups are the block, then the values.

    Without the ^ a search would begin anew inside of lines: quadratic time.
    """
    value = _value(ending)
    lines = [f"{name}: ?+({value}{'++' if name == 'event' else '*+'}){ending}" for name in names]
    return re.compile(f"^({''.join(lines)}{ending})", re.MULTILINE)


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
