"""Hostile text made fit to be seen: bounded, nothing in it that hides, reorders or is illegal in XML."""

import re
import unicodedata
from datetime import datetime
from urllib.parse import urlsplit

_LINE_END = re.compile(r"\r\n|\r|\n")
_NAMES = {
    "\0": "NUL", "\t": "TAB", "\n": "LF", "\r": "CR", "\x1b": "ESC", "\x7f": "DEL", "\ufeff": "BOM"
}  # fmt: skip


def _named(character: str) -> str:
    """The name of a character that cannot be seen. Not from the block of control pictures: few fonts have it."""
    if unicodedata.category(character) == "Cs":
        return "\ufffd"  # half a surrogate pair has no encoding in UTF-8
    return f"‹{_NAMES.get(character, f'U+{ord(character):04X}')}›"


def visible(text: str) -> str:
    """`text` on one line, with every character that is not printable shown by its name: `‹LF›`, `‹U+202E›`.

    Control characters, line ends, bidirectional overrides, zero-width and unassigned characters and lone
    surrogates are all covered, so the answer can be encoded, is legal XML, and reads in the order it has.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _named(char) for char in text)


def visible_lines(text: str) -> str:
    """Like `visible`, but a line end is shown *and* kept: for text that is set as a block. The line ends of
    an event stream (CR, LF, CRLF) can be told apart."""
    parts: list[str] = []
    start = 0
    for end in _LINE_END.finditer(text):
        parts += visible(text[start : end.end()]), "\n"
        start = end.end()
    return "".join([*parts, visible(text[start:])])


def shorten(text: str, limit: int) -> str:
    """`text`, or if it has more than `limit` characters its beginning and its end, with a notice between."""
    if len(text) <= limit:
        return text
    tail = limit // 4
    head = limit - tail
    return f"{text[:head]} […{len(text) - limit:,} characters left out…] {text[len(text) - tail :]}"


def brief(text: str, limit: int) -> str:
    """`text` cut to at most `limit` characters, the last of them an ellipsis. For labels."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def line(text: str, limit: int) -> str:
    """`text` made visible, on one line of at most `limit` characters, in a time that its length does not matter to."""
    return brief(visible(text[: limit + 1]), limit)


def web_link(text: str) -> str | None:
    """`text` if it is an http or https address with a host and nothing invisible in it, else None."""
    if not text.isprintable() or " " in text:
        return None
    try:
        parts = urlsplit(text)
    except ValueError:  # e.g. an unclosed bracket in the host
        return None
    return text if parts.scheme in ("http", "https") and parts.netloc else None


def file_link(name: str) -> str | None:
    """`name` if it is a plain file name or path below the report, else None: no scheme, no root, no `..`."""
    plain = re.fullmatch(r"[\w.-]+(/[\w.-]+)*", name, re.ASCII)
    return name if plain and ".." not in name.split("/") else None


def seconds(value: float) -> str:
    """A length of time for people: `0.004 s`, `3.42 s`, `42.1 s`, `4 min 12 s`."""
    if abs(value) >= 120:
        return f"{value // 60:,.0f} min {value % 60:.0f} s"
    return f"{value:.{3 if abs(value) < 1 else 2 if abs(value) < 10 else 1}f} s"


def instant(value: float) -> str:
    """A moment of a run, for people: seconds with milliseconds."""
    return f"{value:,.3f} s"


def wall_clock(started: str) -> str:
    """An ISO 8601 time without its `T` and fractions, with its zone; any other text as it is."""
    try:
        return datetime.fromisoformat(started).isoformat(" ", "seconds").replace("+00:00", " UTC")
    except ValueError:
        return started
