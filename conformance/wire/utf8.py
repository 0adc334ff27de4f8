"""Where bytes stop being UTF-8, as the WHATWG decoder sees it."""

import codecs
from collections.abc import Iterator

BOM = codecs.BOM_UTF8

_WINDOW = 4096  # UnicodeDecodeError copies what it was given: small windows keep many errors linear


def invalid_subparts(data: bytes | bytearray) -> Iterator[tuple[int, int]]:
    """The [start, end) of each run of bytes that decodes to one U+FFFD.

    These are the maximal subparts of Unicode's section 3.9, which is what the WHATWG UTF-8 decoder replaces
    and what Python's "replace" error handler does.
    """
    at = 0
    while at < len(data):
        window = bytes(data[at : at + _WINDOW])
        final = at + len(window) == len(data)
        try:
            at += codecs.utf_8_decode(window, "strict", final)[1]
        except UnicodeDecodeError as error:
            yield at + error.start, at + error.end
            at += error.end


def late_boms(data: bytes | bytearray) -> Iterator[tuple[int, int]]:
    """The [start, end) of each byte order mark in `data`."""
    at = data.find(BOM)
    while at >= 0:
        yield at, at + len(BOM)
        at = data.find(BOM, at + len(BOM))
