"""httpx-sse on the same bytes: where it should agree it does, and where it does not we know why.

Known there: issue 35 and pull requests 36 and 46 (events without data).
"""

from collections.abc import Iterator
from itertools import pairwise

import httpx
import pytest
from httpx_sse import EventSource
from hypothesis import given
from hypothesis import strategies as st

from conformance.wire import Decoder, Event

Said = list[tuple[str, str, str]]  # type, data, last event ID


class Body(httpx.SyncByteStream):
    def __init__(self, chunks: list[bytes]) -> None:
        self.chunks = chunks

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.chunks)


def httpx_sse(*chunks: bytes) -> Said:
    head = {"content-type": "text/event-stream"}
    response = httpx.Response(200, headers=head, stream=Body(list(chunks)))
    return [(event.event, event.data, event.id) for event in EventSource(response).iter_sse()]


def ours(*chunks: bytes) -> Said:
    decoder = Decoder()
    items = [item for chunk in chunks for item in decoder.feed(chunk)] + decoder.close()
    return [(item.type, item.data, item.last_event_id) for item in items if isinstance(item, Event)]


WORDS = st.text(st.sampled_from("ab :é€😀\x85\u2028"), max_size=6)
FIELDS = st.builds(
    "{}{}{}".format, st.sampled_from(["data", "event", "id", "foo", ""]), st.sampled_from([":", ": "]), WORDS
)


@given(
    st.lists(st.lists(FIELDS, max_size=4), max_size=6),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.lists(st.integers(0, 200), max_size=6),
)
def test_agree_on_valid_streams_whose_blocks_have_data(
    blocks: list[list[str]], ending: str, cuts: list[int]
) -> None:
    """Of the streams that servers mean to send, the two say the same, however they are cut."""
    lines = [line for block in blocks for line in [*block, "data: last", ""]]
    stream = "".join(line + ending for line in lines).encode()
    at = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    chunks = [stream[a:b] for a, b in pairwise(at)]
    assert ours(*chunks) == httpx_sse(*chunks)


# (why they differ, the stream, what the standard says, what httpx-sse says)
DISAGREEMENTS: list[tuple[str, bytes, Said, Said]] = [
    (
        "a leading byte order mark is dropped by the standard's UTF-8 decode; httpx-sse keeps it, the field is lost",
        b"\xef\xbb\xbfdata: a\n\ndata: b\n\n",
        [("message", "a", ""), ("message", "b", "")],
        [("message", "b", "")],
    ),
    (
        "a block without data dispatches nothing; httpx-sse gives an empty event (its issue 35)",
        b"event: ping\n\n",
        [],
        [("ping", "", "")],
    ),
    (
        "so it does for an id alone",
        b"id: 1\n\n",
        [],
        [("message", "", "1")],
    ),
    (
        "and for a retry alone",
        b"retry: 1\n\n",
        [],
        [("message", "", "")],
    ),
    (
        "once an id was seen, every comment's empty line gives an empty event (its pull request 46)",
        b"id: 1\ndata: a\n\n: ping\n\n",
        [("message", "a", "1")],
        [("message", "a", "1"), ("message", "", "1")],
    ),
    (
        "so do further empty lines",
        b"id: 1\ndata: a\n\n\n",
        [("message", "a", "1")],
        [("message", "a", "1"), ("message", "", "1")],
    ),
]


@pytest.mark.parametrize(
    ("stream", "standard", "theirs"),
    [row[1:] for row in DISAGREEMENTS],
    ids=[row[0] for row in DISAGREEMENTS],
)
def test_disagree_for_a_reason(stream: bytes, standard: Said, theirs: Said) -> None:
    assert ours(stream) == standard
    assert httpx_sse(stream) == theirs, "httpx-sse has changed: mend or drop this row"


def test_httpx_sse_takes_retry_values_that_are_not_digits() -> None:
    """It reads the value with int(), which takes signs, spaces, underscores and other scripts' digits."""
    for value in ["+1", "1_0", " 1", "٣"]:
        stream = f"retry: {value}\ndata: a\n\n".encode()
        response = httpx.Response(200, headers={"content-type": "text/event-stream"}, content=stream)
        assert [event.retry for event in EventSource(response).iter_sse()] == [int(value)]
        decoder = Decoder()
        decoder.feed(stream)
        assert decoder.reconnection_time is None


def test_httpx_sse_holds_an_event_back_that_ends_in_cr() -> None:
    """It waits for the byte after a CR, so an event comes with the next one: the standard warns of that."""
    taken: list[bytes] = []

    def chunks() -> Iterator[bytes]:
        for chunk in (b"data: a\r\r", b"data: b\r\r"):
            taken.append(chunk)
            yield chunk

    class Lazy(httpx.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            return chunks()

    response = httpx.Response(200, headers={"content-type": "text/event-stream"}, stream=Lazy())
    first = next(EventSource(response).iter_sse())
    assert (first.data, len(taken)) == ("a", 2)
    assert len(Decoder().feed(b"data: a\r\r")) == 1
