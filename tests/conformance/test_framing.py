"""The body in raw HTTP bytes: what h11 finds, `BodyFinder` finds too, in place, under any chunking."""

import tracemalloc
from itertools import pairwise

import h11
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conformance.wire import BodyFinder

BODIES = st.binary(max_size=30)
EXTENSIONS = st.sampled_from((b"", b";a=b", b';a="b;c"', b" ;x", b";"))
ENDS = st.sampled_from((b"\r\n", b"\n"))


def cut(data: bytes, at: list[int]) -> list[bytes]:
    return [
        data[start:end] for start, end in pairwise([0, *sorted(min(x, len(data)) for x in at), len(data)])
    ]


def found(chunks: list[bytes]) -> bytes:
    """The body, and each piece of it stands where it is said to stand."""
    finder, body = BodyFinder(), b""
    for chunk in chunks:
        last = 0
        for index, piece in finder.feed(chunk):
            assert index >= last
            assert chunk[index : index + len(piece)] == piece
            last = index + len(piece)
            body += piece
    return body


def by_h11(data: bytes) -> bytes | None:
    """The body as h11, which httpx uses, reads it; None where it refuses the response."""
    client = h11.Connection(h11.CLIENT, max_incomplete_event_size=100 * 1024)
    client.send(h11.Request(method="GET", target="/", headers=[("Host", "h")]))
    client.send(h11.EndOfMessage())
    body = b""
    try:
        client.receive_data(data)
        while True:
            event = client.next_event()
            if isinstance(event, h11.Data):
                body += bytes(event.data)
            elif event is h11.NEED_DATA or isinstance(event, h11.EndOfMessage) or event is h11.PAUSED:
                return body
    except h11.RemoteProtocolError:
        return None


@st.composite
def responses(draw: st.DrawFn) -> bytes:
    end = draw(ENDS)
    interim = draw(
        st.sampled_from(
            (b"", b"HTTP/1.1 100 Continue" + 2 * end, b"HTTP/1.1 103 Hints" + end + b"A: b" + 2 * end)
        )
    )
    status = draw(
        st.sampled_from((b"200 OK", b"200", b"404 Not Found", b"204 None", b"304 Same", b"300 Choose"))
    )
    lines = [b"HTTP/1." + draw(st.sampled_from((b"0", b"1"))) + b" " + status]
    lines += draw(st.sampled_from(([], [b"X-Long: " + b"x" * 200], [b"X: a", b"  folded"])))
    body = b"".join(draw(st.lists(BODIES, max_size=4)))
    match draw(st.sampled_from(("chunked", "length", "lengths", "close"))):
        case "chunked":
            lines.append(
                draw(st.sampled_from((b"Transfer-Encoding: chunked", b"TRANSFER-encoding:Chunked  ")))
            )
            parts = []
            for piece in draw(st.lists(BODIES.filter(bool), max_size=4)):
                extension = draw(EXTENSIONS.filter(lambda each: not each.startswith(b" ")))
                size = draw(st.sampled_from((b"%x", b"%X", b"0%x"))) % len(piece)
                parts.append(size + extension + b"\r\n" + piece + b"\r\n")
            trailers = draw(st.sampled_from((b"", b"T: x\r\n")))
            body = b"".join(parts) + b"0\r\n" + trailers + b"\r\n"
        case "length":
            lines.append(b"Content-Length: %d" % len(body))
        case "lengths":
            lines.append(b"content-length: %d, %d" % (len(body), len(body)))
        case _:
            lines.append(b"Connection: close")
    return interim + end.join(lines) + 2 * end + body


@settings(max_examples=200)
@given(data=responses(), at=st.lists(st.integers(0, 600), max_size=8))
def test_it_finds_what_h11_finds_however_the_bytes_are_cut(data: bytes, at: list[int]) -> None:
    assert found(cut(data, at)) == by_h11(data)


@given(data=responses())
def test_it_finds_the_same_byte_by_byte(data: bytes) -> None:
    assert found([data[at : at + 1] for at in range(len(data))]) == by_h11(data)


@given(data=responses(), at=st.integers(1, 600))
def test_half_a_response_has_half_a_body(data: bytes, at: int) -> None:
    assert found([data[:at]]) == by_h11(data[:at])


@given(garbage=st.binary(max_size=80), at=st.lists(st.integers(0, 80), max_size=4))
def test_garbage_raises_nothing_and_is_no_body(garbage: bytes, at: list[int]) -> None:
    assert found(cut(garbage, at)) == b""
    found(cut(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + garbage, at))


@pytest.mark.parametrize(
    "broken",
    [
        b"HTTP/2 200\r\n\r\nbody",
        b"SSH-2.0-OpenSSH\r\n\r\nbody",
        b"HTTP/1.1 abc\r\n\r\nbody",
        b"\r\n\r\nHTTP/1.1 200 OK\r\n\r\nbody",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1_0\r\nhello\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1" * 30 + b"\r\nhello\r\n",
    ],
)
def test_what_h11_refuses_has_no_body(broken: bytes) -> None:
    assert by_h11(broken) is None
    assert found([broken]) == b""


def test_after_a_broken_chunk_nothing_is_taken_for_the_body() -> None:
    data = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabcd\r\n3\r\nxyz\r\n"
    assert found([data]) == b"ab"


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    "redirect",
    [
        b"Content-Length: 5\r\n\r\nmoved",
        b"Content-Length: 0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n5\r\nmoved\r\n0\r\nT: x\r\n\r\n",
    ],
)
def test_a_redirect_is_passed_over_for_the_stream_comes_on_the_same_connection(
    code: int, redirect: bytes
) -> None:
    first = b"HTTP/1.1 %d Moved\r\nLocation: /there\r\n" % code + redirect
    second = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n"
    data = first + second
    assert found([data]) == b"data: 1\n\n"
    assert found([data[at : at + 1] for at in range(len(data))]) == b"data: 1\n\n"


def test_what_follows_a_response_is_ignored() -> None:
    data = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nabHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\ncd"
    assert found([data]) == b"ab"


@pytest.mark.parametrize(
    ("head", "is_stream"),
    [
        (b"Content-Type: text/event-stream", True),
        (b"content-TYPE:Text/Event-Stream; charset=utf-8", True),
        (b"Content-Type: text/plain", False),
        (b"X: text/event-stream", False),
    ],
)
def test_it_tells_event_streams(head: bytes, is_stream: bool) -> None:
    finder = BodyFinder()
    finder.feed(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n\r\n")
    assert finder.event_stream is is_stream


@pytest.mark.parametrize(
    "start",
    [
        b"HTTP/1.1 200 OK\r\nX: ",
        b"",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nT: ",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx",
    ],
)
@pytest.mark.parametrize("size", [100, 64 * 1024])
def test_what_never_ends_is_bounded_in_memory(start: bytes, size: int) -> None:
    finder = BodyFinder()
    finder.feed(start)
    chunk = b"x" * size
    tracemalloc.start()
    for _ in range(4 * 2**20 // size // (8 if size == 100 else 1)):
        finder.feed(chunk)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**20
    assert finder.feed(b"\r\n\r\nHTTP/1.1 200 OK\r\n\r\nbody") == []
