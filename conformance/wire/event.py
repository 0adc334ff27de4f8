"""What an event stream is made of, as frozen data with byte offsets into the stream.

Source: WHATWG HTML, section 9.2.6 "Interpreting an event stream".
"""

from enum import StrEnum
from typing import TypeAlias

import msgspec


class Event(msgspec.Struct, frozen=True, gc=False):
    """A dispatched event.

    `type` is the event type ("message" where the block named none), `data` its data, `last_event_id` the
    last event ID string at dispatch. `id` is what the block's own `id` field said, None where it had none
    (or an ignored one). `offset` and `end` are the bytes of the block, the closing empty line included.
    """

    type: str = "message"
    data: str = ""
    last_event_id: str = ""
    id: str | None = None
    offset: int = 0
    end: int = 0


class Comment(msgspec.Struct, frozen=True, gc=False):
    """A line that begins with a colon; `text` is what follows the colon, unchanged."""

    text: str
    offset: int = 0
    end: int = 0


class Reconnection(msgspec.Struct, frozen=True, gc=False):
    """A valid `retry` field: the new reconnection time in milliseconds."""

    milliseconds: int
    offset: int = 0
    end: int = 0


class Defect(StrEnum):
    """The ways in which bytes stray from the format or from its intent."""

    INVALID_UTF8 = "invalid-utf-8"  # decoded as U+FFFD
    LATE_BOM = "late-bom"  # a byte order mark that is not the first character: data
    UNKNOWN_FIELD = "unknown-field"  # ignored by every client
    ID_NULL = "id-null"  # an id with U+0000 is ignored
    RETRY_NOT_DIGITS = "retry-not-digits"  # ignored
    UNTERMINATED = "unterminated"  # the stream ended inside a block, which is discarded
    MIXED_LINE_ENDINGS = "mixed-line-endings"  # CRLF, LF, CR: more than one of them; legal, suspicious
    NO_DATA = "no-data"  # a block with an event type and no data dispatches nothing
    TOO_LARGE = "too-large"  # over the decoder's limit: decoding stops here


class Violation(msgspec.Struct, frozen=True, gc=False):
    """Bytes that break the format: what, where (`offset` in the stream), and an excerpt of them."""

    defect: Defect
    message: str
    offset: int = 0
    excerpt: bytes = b""


Item: TypeAlias = Event | Comment | Reconnection | Violation
