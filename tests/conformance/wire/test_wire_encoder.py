"""What the encoder writes, and what it refuses to write."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from conformance.wire import (
    MAX_RECONNECTION_TIME,
    Comment,
    Decoder,
    Defect,
    EncodeError,
    Event,
    Item,
    Reconnection,
    Violation,
    encode_comment,
    encode_event,
)


def decode(stream: bytes) -> list[Item]:
    decoder = Decoder()
    return decoder.feed(stream) + decoder.close()


@pytest.mark.parametrize(
    ("written", "stream"),
    [
        (encode_event("hello"), b"data: hello\n\n"),
        (encode_event(""), b"data:\n\n"),
        (encode_event("a\nb\n"), b"data: a\ndata: b\ndata:\n\n"),
        (encode_event(" a"), b"data:  a\n\n"),
        (encode_event("a", type="add", id="7", retry=10), b"id: 7\nevent: add\nretry: 10\ndata: a\n\n"),
        (encode_event("a", id=""), b"id:\ndata: a\n\n"),
        (encode_event(id="7"), b"id: 7\n\n"),
        (encode_event(retry=0), b"retry: 0\n\n"),
        (encode_event("é"), b"data: \xc3\xa9\n\n"),
        (encode_comment(), b":\n\n"),
        (encode_comment(" ping"), b": ping\n\n"),
    ],
)
def test_writes(written: bytes, stream: bytes) -> None:
    assert written == stream


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"data": "a\rb"}, "the data has a CR at index 1"),
        ({"data": "a\r\nb"}, "the data has a CR at index 1"),
        ({"data": "a", "id": "1\0"}, r"the id has a NULL \(U\+0000\) at index 1"),
        ({"data": "a", "id": "1\n2"}, "the id has an LF at index 1"),
        ({"data": "a", "id": "\r"}, "the id has a CR at index 0"),
        ({"data": "a", "type": "x\ny"}, "the type has an LF at index 1"),
        ({"data": "a", "type": "x\r"}, "the type has a CR at index 1"),
        ({"data": "a", "type": ""}, 'reads back as "message"'),
        ({"type": "x"}, "a type without data"),
        ({"retry": -1}, "retry must be 0 to"),
        ({"retry": MAX_RECONNECTION_TIME + 1}, "retry must be 0 to"),
        ({"data": "a\ud800"}, "the data has a lone surrogate at index 1"),
        ({"data": "a", "id": "\udfff"}, "the id has a lone surrogate at index 0"),
        ({"data": "a", "type": "\udfff"}, "the type has a lone surrogate at index 0"),
        ({}, "nothing to encode"),
    ],
)
def test_refuses(fields: dict[str, str | int], words: str) -> None:
    with pytest.raises(EncodeError, match=words):
        encode_event(**fields)  # type: ignore[arg-type]  # one table for arguments of two types


@pytest.mark.parametrize("text", ["a\nb", "a\r", "\ud800"])
def test_refuses_a_comment_of_more_than_one_line(text: str) -> None:
    with pytest.raises(EncodeError, match="the comment has"):
        encode_comment(text)


any_text = st.text(st.characters() | st.sampled_from("\r\n\0 :\ufeff\x85\u2028\ud800"), max_size=8)


@given(
    st.none() | any_text,
    st.none() | any_text,
    st.none() | any_text,
    st.none() | st.integers(-1, 2**54),
)
@example("\ufeff", None, None, None)
@example("data: a\n\ndata: b", "event", "id", 0)
def test_what_was_written_reads_back(
    data: str | None, type: str | None, id: str | None, retry: int | None
) -> None:
    try:
        stream = encode_event(data, type=type, id=id, retry=retry)
    except EncodeError:
        return
    expected: list[Item] = []
    if data is not None:
        expected.append(Event(type or "message", data, id or "", id, 0, len(stream)))
    items = decode(stream)
    assert [item for item in items if isinstance(item, Event)] == expected
    retries = [item.milliseconds for item in items if isinstance(item, Reconnection)]
    assert retries == ([] if retry is None else [retry])
    # a byte order mark is text like any other, but worth a word
    assert {item.defect for item in items if isinstance(item, Violation)} <= {Defect.LATE_BOM}
    after = Decoder(last_event_id="before")
    after.feed(stream)
    assert after.last_event_id == ("before" if id is None else id)


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=20))
def test_text_without_line_endings_is_never_refused(text: str) -> None:
    text = text.replace("\r", "").replace("\n", "")
    assert [item for item in decode(encode_comment(text)) if isinstance(item, Comment)] == [
        Comment(text, 0, len(text.encode()) + 2)
    ]
    assert encode_event(text).startswith(b"data:")
    assert encode_event("", type=text + "x").startswith(b"event:")
    assert encode_event(id=text.replace("\0", "")).startswith(b"id:")


@given(st.lists(st.text("ab\n :", max_size=6), max_size=6))
def test_events_written_one_after_the_other_stay_apart(texts: list[str]) -> None:
    stream = b"".join(encode_comment() + encode_event(text) for text in texts)
    assert [item.data for item in decode(stream) if isinstance(item, Event)] == texts
