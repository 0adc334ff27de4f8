"""The decoder's fast path: plain events, many at a time.

Nearly all blocks of real streams are one data line, or id and event fields and then data lines, and now and then
there is a comment between them. Whatever does not look so is left to the general path, right or wrong.
"""

import re
from dataclasses import dataclass
from typing import Any

from conformance.wire.event import Event, Item
from conformance.wire.utf8 import BOM

FIELD = b"data: "
_D = ord("d")


@dataclass(frozen=True, slots=True)
class Shape:
    """Plain events whose lines all end in `ending`.

    `block` matches one block with its empty line: id, event type (neither is empty), and data lines joined by
    `joint`, of which all but the first may begin with the space to remove. Its groups are the block, the id, the
    type and the data. In a `loose` block the fields come in any order. `rows` and `loose_rows` find all that
    whole blocks consist of: such a block, or else, as a fifth group, what is odd there. Values are possessive,
    and every line begins in a way of its own: linear time.
    """

    ending: bytes
    blank: bytes
    between: str  # from the data of a block that is one data line to that of the next
    around: int  # bytes of a block that is one data line which are not its data
    late: int  # bytes of an ending after the one that ends the line
    block: re.Pattern[str]
    loose: re.Pattern[str]
    rows: re.Pattern[str]
    loose_rows: re.Pattern[str]
    joint: str
    quiet: re.Pattern[bytes]  # lines that say nothing before their block ends, but for wrong characters


def _shape(ending: str) -> Shape:
    character = "." if ending == "\n" else f"[^{ending[0]}]"
    value, some = character + "*+", character + "++"
    id_, type_ = f"id: ?+({some}){ending}", f"event: ?+({some}){ending}"
    data = f"data: ?+({value}(?:{ending}data:{value})*+){ending}"
    block = f"((?:{id_})?+(?:{type_})?+{data}{ending})"
    # the conditions on the fourth group, which is the data: it is there once, and not never
    loose = f"((?:{id_}|{type_}|(?(4)(?!)|{data}))+(?(4)|(?!)){ending})"
    # a comment with the empty line that may be after it, or what there is up to an empty line
    odd = f":{value}{ending}(?:{ending})?+|(?:{some}{ending})*+{ending}"
    blank = 2 * ending
    quiet = re.compile(f"(?:(?:data|event|id):[^\\r\\n\\0]*+{ending})*".encode())
    return Shape(
        ending.encode(),
        blank.encode(),
        f"{blank}data: ",
        len(f"{blank}data: "),
        len(ending) - 1,
        re.compile(block),
        re.compile(loose),
        re.compile(f"{block}|({odd})"),
        re.compile(f"{loose}|({odd})"),
        f"{ending}data:",
        quiet,
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
            value = chunk.removeprefix(FIELD).removesuffix(shape.blank)
            if len(chunk) - len(value) == shape.around:
                data = value.decode()
                if "\n" not in data and "\r" not in data and "\ufeff" not in data:
                    return Event("message", data, last_event_id, None, start, end)
                if shape.blank in value:
                    return None  # more than one block
        text = chunk.decode()
    except UnicodeDecodeError:
        return None
    found = shape.block.fullmatch(text) or shape.loose.fullmatch(text)
    if found is None or "\0" in text or "\ufeff" in text or ("\r" in text and not is_uniform(text, shape)):
        return None
    _, block_id, type_, data = found.groups()
    if "\n" in data:
        data = join(data, shape)
    return Event(type_ or "message", data, block_id or last_event_id, block_id, start, end)


def comment_text(line: bytes) -> str | None:
    """The text of a comment that is one line without its ending; None if it is not so plain."""
    try:
        text = line[1:].decode()
    except UnicodeDecodeError:
        return None
    # one call for the three that are looked for: none of them is printable
    if not text.isprintable() and ("\n" in text or "\r" in text or "\ufeff" in text):
        return None
    return text


def data_events(stream: bytes, end: int, shape: Shape, start: int, last_event_id: str) -> list[Item] | None:
    """The events of whole blocks, which are `stream` up to `end`, if each is one "data: " line; None otherwise.

    Raises UnicodeDecodeError.
    """
    if not stream.startswith(FIELD):
        return None
    return _events(_cut(stream[len(FIELD) : end - len(shape.blank)], shape), shape, start, last_event_id)


def more_data_events(
    line: bytes, chunk: bytes, shape: Shape, start: int, last_event_id: str
) -> tuple[list[Item], bytes] | None:
    """The same for a "data: " line at `start` and the chunk that goes on in it; and the bytes after these events.

    None also if there is no event. Raises UnicodeDecodeError.
    """
    sized = _cut(chunk, shape)
    last = sized.pop()
    rest = chunk[len(chunk) - len(last) :]
    if 10 not in rest:  # LF
        rest = FIELD + rest
    else:
        end = rest.rfind(shape.blank)
        if end < 0:
            return None
        sized.append(last[:end])
        rest = rest[end + len(shape.blank) :]
    if not sized or 10 in rest or 13 in rest:  # LF, CR
        return None
    begun, first = line[len(FIELD) :], sized[0]
    sized[0] = begun + first if isinstance(first, bytes) else begun.decode("ascii") + first
    events = _events(sized, shape, start, last_event_id)
    return None if events is None else (events, rest)


def _cut(blocks: bytes, shape: Shape) -> list[Any]:
    """What is between two "data: ", found in C: text if it is all ASCII, and otherwise bytes, which offsets count."""
    return blocks.decode().split(shape.between) if blocks.isascii() else blocks.split(shape.between.encode())


def _events(sized: list[Any], shape: Shape, start: int, last_event_id: str) -> list[Item] | None:
    """The events with this data, which gives its places to them; None unless each is one line."""
    if isinstance(sized[0], str):
        parts = sized
        text = "".join(parts)  # to look for line endings once, not in each
        if "\n" in text or "\r" in text:
            return None
    else:
        together = b"\n".join(sized)
        if 13 in together or (0xEF in together and BOM in together):  # CR; the 0xEF takes no time
            return None
        if sized[0].isascii():  # then most are: only those that are not get wide characters
            parts = [data.decode() for data in sized]
            if 10 in b"".join(sized):  # LF
                return None
        else:  # faster than each alone
            parts = together.decode().split("\n")
            if len(parts) != len(sized):
                return None
    at, around, late = start, shape.around, shape.late
    for index, data in enumerate(parts):
        end = at + len(sized[index]) + around
        sized[index] = Event("message", data, last_event_id, None, at, end - late if late else end)
        at = end
    return sized


def join(data: str, shape: Shape) -> str:
    """The data of a plain event that has more than one data line."""
    first, *others = data.split(shape.joint)
    return "\n".join([first, *[line.removeprefix(" ") for line in others]])
