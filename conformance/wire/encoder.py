"""The event stream encoder: what it writes decodes to what it was given, or it refuses.

Source: WHATWG HTML, section 9.2.5 "Parsing an event stream". Every line ends in LF. No line begins with a
byte order mark, since each begins with a field name or a colon, so the output may begin a stream.
"""

from conformance.wire.interpreter import MAX_RECONNECTION_TIME


class EncodeError(ValueError):
    """The format has no way to say this so that a decoder reads it back."""


def encode_event(
    data: str | None = None, *, type: str | None = None, id: str | None = None, retry: int | None = None
) -> bytes:
    """One block: the fields that are not None, and the empty line that dispatches the event.

    `data` may have several lines, separated by LF. Without data there is no event: `id` alone only sets the
    last event ID, `retry` (milliseconds) alone only the reconnection time. An empty `id` resets the last
    event ID.

    Raises EncodeError, naming the argument, for what could not be read back: CR or CRLF in data (each line
    ending reads back as LF), a line ending in type or id, U+0000 in id, an empty type (it reads back as
    "message"), a type without data, lone surrogates, a retry below 0 or above MAX_RECONNECTION_TIME, and for
    a block without any field.
    """
    block = []
    if id is not None:
        _refuse(id, "id", "\r\n\0")
        block.append(_line("id", id))
    if type is not None:
        _refuse(type, "type", "\r\n")
        if not type:
            raise EncodeError('the type is empty, which reads back as "message": pass None or a name')
        if data is None:
            raise EncodeError(
                'a type without data dispatches no event: pass data="" for an event without text'
            )
        block.append(_line("event", type))
    if retry is not None:
        if not 0 <= retry <= MAX_RECONNECTION_TIME:
            raise EncodeError(f"retry must be 0 to {MAX_RECONNECTION_TIME} milliseconds, not {retry}")
        block.append(_line("retry", str(int(retry))))
    if data is not None:
        _refuse(data, "data", "\r")
        block.extend(_line("data", line) for line in data.split("\n"))
    if not block:
        raise EncodeError("there is nothing to encode: for a heartbeat use encode_comment()")
    block.append("\n")
    return "".join(block).encode()


def encode_comment(text: str = "") -> bytes:
    """A comment line, `text` right after its colon, and an empty line.

    The empty line makes the comment a block of its own, for clients that read block by block; it would also
    dispatch a block that was begun before, so write comments between events.

    Raises EncodeError for a line ending or a lone surrogate in `text`.
    """
    _refuse(text, "comment", "\r\n")
    return f":{text}\n\n".encode()


_NAMES = {"\r": "a CR", "\n": "an LF", "\0": "a NULL (U+0000)"}


def _refuse(text: str, argument: str, unwanted: str) -> None:
    """Raises EncodeError if `text` has one of the characters, or is no Unicode text."""
    for character in unwanted:
        at = text.find(character)
        if at >= 0:
            raise EncodeError(
                f"the {argument} has {_NAMES[character]} at index {at}, which does not read back"
            )
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise EncodeError(
            f"the {argument} has a lone surrogate at index {error.start}, which UTF-8 cannot carry"
        ) from error


def _line(name: str, value: str) -> str:
    return f"{name}: {value}\n" if value else f"{name}:\n"
