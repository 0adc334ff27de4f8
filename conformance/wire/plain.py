"""The decoder's fast path: plain events, many at a time.

Nearly all blocks of real streams are one data line, or id and event fields and then data lines, and now and then
there is a comment between them. Whatever does not look so is left to the general path, right or wrong.
"""

import re
from dataclasses import dataclass

from conformance.wire.event import Event
from conformance.wire.utf8 import BOM

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
            value = chunk.removeprefix(b"data: ").removesuffix(shape.blank)
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


def data_events(blocks: bytes, shape: Shape, start: int, last_event_id: str) -> list[Event] | None:
    """The events of whole blocks, if each is one "data: " line; None otherwise. Raises UnicodeDecodeError.

    Data is found in C, as what is between two "data: ", and checked to be one line. What is not ASCII is cut as
    bytes, which are what offsets count, and then decoded.
    """
    if not blocks.startswith(b"data: "):
        return None
    inner = blocks[len("data: ") : -len(shape.blank)]
    at, around, late = start, shape.around, shape.late
    if inner.isascii():
        parts = inner.decode().split(shape.between)
        text = "".join(parts)  # to look for line endings once, not in each
        if "\n" in text or "\r" in text:
            return None
        return [
            Event("message", data, last_event_id, None, at, (at := at + len(data) + around) - late)
            for data in parts
        ]
    raw = inner.split(shape.between.encode())
    together = b"".join(raw)
    if 10 in together or 13 in together:  # LF, CR
        return None
    if raw[0].isascii():  # then most are: only those that are not get wide characters
        if 0xEF in together and BOM in together:  # the first takes no time
            return None
        parts = [data.decode() for data in raw]
    else:  # faster than each alone
        text = b"\n".join(raw).decode()
        if "\ufeff" in text:
            return None
        parts = text.split("\n")
    return [
        Event("message", data, last_event_id, None, at, (at := at + len(found) + around) - late)
        for data, found in zip(parts, raw, strict=False)  # as many: none has an LF
    ]


def join(data: str, shape: Shape) -> str:
    """The data of a plain event that has more than one data line."""
    first, *others = data.split(shape.joint)
    return "\n".join([first, *[line.removeprefix(" ") for line in others]])
