"""The decoder's fast path: plain events, many at a time.

Nearly all blocks of real streams are one data line, or id and event fields and then data lines. Whatever does
not look so is left to the general path, right or wrong.
"""

import re
from itertools import accumulate, repeat
from typing import NamedTuple

from conformance.wire.event import Event


class Shape(NamedTuple):
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


def _shape(ending: str) -> Shape:
    value = f"[^{ending[0]}]*+"
    block = re.compile(
        f"(?:id: ?+({value}){ending})?(?:event: ?+({value}){ending})?(?:id: ?+({value}){ending})?"
        f"data: ?+({value}(?:{ending}data:{value})*+){ending}{ending}"
    )
    blank = 2 * ending
    between = blank + "data: "
    return Shape(ending.encode(), blank.encode(), between, len(ending) - 1, block, f"{ending}data:")


LF = _shape("\n")
CRLF = _shape("\r\n")


def is_uniform(text: str, shape: Shape) -> bool:
    """Whether all lines end in the shape's ending."""
    if shape is LF:
        return "\r" not in text
    return text.count("\r") == text.count("\n") == text.count("\r\n")


def one_event(chunk: bytes, shape: Shape, start: int, last_event_id: str) -> Event | None:
    """The event of a chunk that is one plain block, as servers send them that flush each event."""
    tail = -len(shape.blank)
    if chunk[tail:] != shape.blank:
        return None
    end = start + len(chunk) - shape.late
    try:
        if chunk[:6] == b"data: ":
            data = chunk[6:tail].decode()
            if "\n" not in data and "\r" not in data and "\ufeff" not in data:
                return Event("message", data, last_event_id, None, start, end)
        text = chunk.decode()
    except UnicodeDecodeError:
        return None
    found = shape.block.fullmatch(text)
    if found is None or "\0" in text or "\ufeff" in text or not is_uniform(text, shape):
        return None
    block_id, type_, later_id, data = found.groups()
    if later_id is not None:
        block_id = later_id
    if "\n" in data:
        data = join(data, shape)
    id_ = last_event_id if block_id is None else block_id
    return Event(type_ or "message", data, id_, block_id, start, end)


def data_events(
    text: str, blocks: bytes | bytearray, shape: Shape, start: int, last_event_id: str
) -> list[Event] | None:
    """The events of whole blocks, if each is one "data: " line; None otherwise.

    `text` is what `blocks` decodes to, `start` where they begin. Takes no step of Python per event but to
    make it: the parts are found, and their number checked against the number of line endings, in C.
    """
    if not text.startswith("data: "):
        return None
    parts = text[6 : -len(shape.blank)].split(shape.between)
    lines = 2 * len(parts)
    if text.count("\n") != lines or ("\r" in text if shape is LF else text.count("\r") != lines):
        return None
    around = len("data: ") + len(shape.blank)
    if text.isascii():
        sizes = [len(part) + around for part in parts]
    else:
        raw = blocks[6 : -len(shape.blank)].split(shape.between.encode())
        sizes = [len(part) + around for part in raw]
    starts = accumulate(sizes, initial=start)
    ends = accumulate(sizes[1:], initial=start + sizes[0] - shape.late)
    return list(map(Event, repeat("message"), parts, repeat(last_event_id), repeat(None), starts, ends))


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
