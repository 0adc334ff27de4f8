"""The client that remembers reads what h11 reads, however the response is cut, and raises what it raises."""

from typing import Any

import h11
from hypothesis import example, given
from hypothesis import strategies as st

from conformance.drive.http1 import Asked, Client

HEADS = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n",
    b"HTTP/1.1 201 \r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    b"HTTP/1.0 200 OK\r\nX-Own: caf\xe9\r\n\r\n",
    b"HTTP/1.1 204 No Content\r\n\r\n",
    b"HTTP/1.1 302 Found\r\nLocation: /there\r\nContent-Length: 5\r\n\r\n",
    b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n",
    b"HTTP/9 what\r\n\r\n",
    b"",
)
BODIES = (
    b"5\r\nhello\r\n",
    b"1;name=value\r\nx\r\n",
    b"00000005\r\nhello\r\n",
    b"0\r\n\r\n",
    b"0\r\nTrailer: yes\r\n\r\n",
    b"hello",
    b"5\r\nhelloXX",
    b"zz\r\n",
)
cuts = st.lists(st.integers(1, 40), max_size=8)


def pieces(data: bytes, sizes: list[int], closes: bool) -> list[bytes]:
    found: list[bytes] = []
    for size in sizes:
        if data:
            found.append(data[:size])
            data = data[size:]
    return [*found, *([data] if data else []), *([b""] if closes else [])]


def by_h11(method: str, came: list[bytes]) -> list[Any]:
    """What h11 makes of it, piece by piece, and what it raises."""
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=100 * 1024)
    connection.send(h11.Request(method=method, target="/", headers=[("Host", "a")]))
    connection.send(h11.EndOfMessage())
    found: list[Any] = []
    try:
        for data in came:
            connection.receive_data(data)
            while (event := connection.next_event()) is not h11.NEED_DATA:
                match event:
                    case h11.Response():
                        found.append((event.status_code, event.reason, tuple(event.headers.raw_items())))
                    case h11.InformationalResponse():
                        pass
                    case h11.Data():
                        found.append(bytes(event.data))
                    case _:
                        return [*found, None]
    except h11.RemoteProtocolError as error:
        found.append(str(error))
    return found


def remembered(method: str, came: list[bytes]) -> list[Any]:
    client = Client(Asked(method, b"/", ((b"Host", b"a"),), b""))
    found: list[Any] = []
    try:
        for data in came:
            client.receive(data)
            while (part := client.next()) is not h11.NEED_DATA:
                if part is None:
                    return [*found, None]
                found.append((part[0], part[1], part[3]) if isinstance(part, tuple) else part)
    except h11.RemoteProtocolError as error:
        found.append(str(error))
    return found


@given(
    st.sampled_from(("GET", "HEAD")),
    st.sampled_from(HEADS),
    st.lists(st.sampled_from(BODIES)),
    cuts,
    st.booleans(),
)
@example("GET", HEADS[8], [b"5\r\nhello\r\n", b"0\r\n\r\n"], [], False)
def test_any_response_cut_anywhere(
    method: str, head: bytes, bodies: list[bytes], sizes: list[int], closes: bool
) -> None:
    came = pieces(head + b"".join(bodies), sizes, closes)
    assert remembered(method, came) == by_h11(method, came)


@given(st.sampled_from(HEADS[:3]), st.lists(st.sampled_from(BODIES[:6])), st.booleans())
def test_a_piece_for_each_write(head: bytes, bodies: list[bytes], closes: bool) -> None:
    came = [head, *bodies, *([b""] if closes else [])]
    assert remembered("GET", came) == by_h11("GET", came)


def test_a_connection_that_can_takes_another_request() -> None:
    first = Asked("GET", b"/", ((b"Host", b"a"),), b"")
    for head, can in ((HEADS[5], True), (HEADS[2], False)):
        client = Client(first)
        client.receive(head + (b"hello" if can else b""))
        while client.next() not in (None, h11.NEED_DATA):
            pass
        second = client.again(Asked("POST", b"/there", ((b"Host", b"a"), (b"Content-Length", b"2")), b"hi"))
        assert (second is not None) is can
        if second is not None:
            assert second.startswith(b"POST /there HTTP/1.1\r\n")
            assert second.endswith(b"\r\n\r\nhi")
            client.receive(HEADS[1] + b"hello")
            assert client.next() is not h11.NEED_DATA
            assert [client.next(), client.next()] == [b"hello", None]
