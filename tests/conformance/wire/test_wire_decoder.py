"""The decoder against the standard, sentence by sentence (WHATWG HTML, sections 9.2.5 and 9.2.6)."""

import pytest

from conformance.wire import Comment, Decoder, Defect, Event, Item, Reconnection, Violation

BOM = b"\xef\xbb\xbf"


def decode(*chunks: bytes) -> list[Item]:
    decoder = Decoder()
    items = [item for chunk in chunks for item in decoder.feed(chunk)]
    return items + decoder.close()


def short(*chunks: bytes) -> list[str]:
    """Items as one string each: "type|data|last event ID", ":comment", "retry=ms", "!defect"."""
    said: list[str] = []
    for item in decode(*chunks):
        match item:
            case Event(type=type_, data=data, last_event_id=last_event_id):
                said.append(f"{type_}|{data}|{last_event_id}")
            case Comment(text=text):
                said.append(f":{text}")
            case Reconnection(milliseconds=milliseconds):
                said.append(f"retry={milliseconds}")
            case Violation(defect=defect):
                said.append(f"!{defect}")
    return said


# (the gist of the sentence, the stream, what it says)
VECTORS: list[tuple[str, bytes, list[str]]] = [
    ("an empty stream says nothing", b"", []),
    ("empty lines alone dispatch nothing", b"\n\n\n", []),
    # lines
    ("a line ends in LF", b"data: a\n\n", ["message|a|"]),
    ("a line ends in CRLF", b"data: a\r\n\r\n", ["message|a|"]),
    ("a line ends in CR", b"data: a\r\r", ["message|a|"]),
    ("CRLF is one ending, not two", b"data: a\r\ndata: b\r\n\r\n", ["message|a\nb|"]),
    ("LF CR is two endings", b"data: a\n\r", ["message|a|", "!mixed-line-endings"]),
    ("CR CR LF is two endings", b"data: a\r\r\n", ["message|a|", "!mixed-line-endings"]),
    ("mixing is legal, and said once", b"data: a\n\r\n\r\n:b\r", ["message|a|", "!mixed-line-endings", ":b"]),
    (
        "no other character ends a line",
        "data: a\x0b\x0c\x1c\x85\u2028b\n\n".encode(),
        ["message|a\x0b\x0c\x1c\x85\u2028b|"],
    ),
    # the byte order mark
    ("one leading BOM is dropped", BOM + b"data: a\n\n", ["message|a|"]),
    ("only one is", BOM + BOM + b"data: a\n\n", ["!late-bom", "!unknown-field"]),
    ("a later one is data", b"data: a" + BOM + b"\n\n", ["!late-bom", "message|a\ufeff|"]),
    ("and spoils a field's name", b"\n" + BOM + b"data: a\n\n", ["!late-bom", "!unknown-field"]),
    ("a BOM alone is an empty stream", BOM, []),
    ("half a BOM is an unfinished field", BOM[:2], ["!unterminated"]),
    ("half a BOM is not UTF-8", BOM[:2] + b"\n\n", ["!invalid-utf-8", "!unknown-field"]),
    # UTF-8
    ("streams are UTF-8", "data: é€😀\n\n".encode(), ["message|é€😀|"]),
    ("a wrong byte becomes U+FFFD", b"data: a\xffb\n\n", ["!invalid-utf-8", "message|a\ufffdb|"]),
    ("a cut sequence becomes one U+FFFD", b"data: \xf0\x9f\x92\n\n", ["!invalid-utf-8", "message|\ufffd|"]),
    (
        "a surrogate is no scalar value: three times U+FFFD",
        b"data: \xed\xa0\x80\n\n",
        ["!invalid-utf-8"] * 3 + ["message|\ufffd\ufffd\ufffd|"],
    ),
    (
        "an overlong form is wrong twice",
        b"data: \xc0\xaf\n\n",
        ["!invalid-utf-8"] * 2 + ["message|\ufffd\ufffd|"],
    ),
    ("comments are decoded too", b":\xff\n", ["!invalid-utf-8", ":\ufffd"]),
    # comments
    ("a line that starts with a colon is a comment", b": hello\n\n", [": hello"]),
    ("a comment may be empty", b":\n", [":"]),
    ("a comment inside a block is no part of it", b"data: a\n: b\ndata: c\n\n", [": b", "message|a\nc|"]),
    # fields
    ("field and value part at the first colon", b"data: a:b: c\n\n", ["message|a:b: c|"]),
    ("a field without a colon has an empty value", b"data\n\n", ["message||"]),
    ("the space after the colon is optional", b"data:a\n\n", ["message|a|"]),
    ("one leading space is removed", b"data:  a\n\n", ["message| a|"]),
    ("only a space is", b"data:\ta\n\n", ["message|\ta|"]),
    ("a space is no end of the value", b"data: a \n\n", ["message|a |"]),
    ("field names are compared literally", b"Data: a\nDATA: b\n\n", ["!unknown-field"] * 2),
    ("a space before the name makes another name", b" data: a\n\n", ["!unknown-field"]),
    ("a space after the name too", b"data : a\n\n", ["!unknown-field"]),
    ("an unknown field is ignored", b"foo: a\ndata: b\n\n", ["!unknown-field", "message|b|"]),
    ("U+0000 may be in data", b"data: a\0b\n\n", ["message|a\0b|"]),
    # event
    ("event sets the type", b"event: add\ndata: a\n\n", ["add|a|"]),
    ("the type may follow the data", b"data: a\nevent: add\n\n", ["add|a|"]),
    ("the last type counts", b"event: a\nevent: b\ndata: c\n\n", ["b|c|"]),
    ("an empty type is message", b"event: a\nevent\ndata: c\n\n", ["message|c|"]),
    ("the type is reset by a dispatch", b"event: a\ndata: b\n\ndata: c\n\n", ["a|b|", "message|c|"]),
    ("and by a block without data", b"event: a\n\ndata: c\n\n", ["!no-data", "message|c|"]),
    ("an empty type without data promised nothing", b"event: a\nevent:\n\n", []),
    # data
    ("data lines are joined with LF", b"data: a\ndata: b\ndata\ndata: c\n\n", ["message|a\nb\n\nc|"]),
    ("only the last LF is removed", b"data\ndata\n\n", ["message|\n|"]),
    ("data is reset by a dispatch", b"data: a\n\ndata: b\n\n", ["message|a|", "message|b|"]),
    ("without data nothing is dispatched", b"id: 1\n\n", []),
    # id
    ("id sets the last event ID", b"id: 1\ndata: a\n\n", ["message|a|1"]),
    ("which later events keep", b"id: 1\ndata: a\n\ndata: b\n\n", ["message|a|1", "message|b|1"]),
    ("an id without data still counts", b"id: 1\n\ndata: b\n\n", ["message|b|1"]),
    ("an empty id resets", b"id: 1\ndata: a\n\nid\ndata: b\n\n", ["message|a|1", "message|b|"]),
    ("the last id counts", b"id: 1\nid: 2\ndata: a\n\n", ["message|a|2"]),
    ("an id with U+0000 is ignored", b"id: 1\nid: 2\0\ndata: a\n\n", ["!id-null", "message|a|1"]),
    # retry
    ("retry sets the reconnection time", b"retry: 1500\n", ["retry=1500", "!unterminated"]),
    ("in base ten", b"retry: 010\n\n", ["retry=10"]),
    ("and dispatches nothing", b"retry: 1\n\n", ["retry=1"]),
    ("a sign is no digit", b"retry: -1\nretry: +1\n\n", ["!retry-not-digits"] * 2),
    ("a second space is no digit", b"retry:  1\n\n", ["!retry-not-digits"]),
    ("a fraction has a point", b"retry: 1.5\nretry: 1e3\nretry: 1_0\n\n", ["!retry-not-digits"] * 3),
    (
        "other scripts' digits are not ASCII",
        "retry: ٣\nretry: ²\nretry: １\n\n".encode(),
        ["!retry-not-digits"] * 3,
    ),
    ("no digits are no integer", b"retry\nretry:\nretry: \n\n", ["!retry-not-digits"] * 3),
    (
        "a larger integer than any clock needs is cut",
        b"retry: 1" + b"0" * 5000 + b"\n\n",
        [f"retry={2**53 - 1}"],
    ),
    ("zeros in front are no reason to cut", b"retry: " + b"0" * 5000 + b"7\n\n", ["retry=7"]),
    # the end
    ("an unfinished line is discarded", b"data: a\n\ndata: b", ["message|a|", "!unterminated"]),
    ("so is a block without its empty line", b"data: a\n", ["!unterminated"]),
    ("and its id", b"id: 1\n", ["!unterminated"]),
    ("an unfinished comment held nothing", b"data: a\n\n: b", ["message|a|"]),
    ("nor did a comment without an empty line", b"data: a\n\n: b\n", ["message|a|", ": b"]),
    # the standard's own examples
    (
        "three blocks, of which the last has two lines",
        b"data: This is the first message.\n\ndata: This is the second message, it\ndata: has two lines.\n\n",
        ["message|This is the first message.|", "message|This is the second message, it\nhas two lines.|"],
    ),
    (
        "stocks: one event",
        b"data: YHOO\ndata: +2\ndata: 10\n\n",
        ["message|YHOO\n+2\n10|"],
    ),
    (
        "four blocks: comment, id, reset id, leading space",
        b": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n",
        [": test stream", "message|first event|1", "message|second event|", "message| third event|"],
    ),
    (
        "empty data, two empty lines, and one that is discarded",
        b"data\n\ndata\ndata\n\ndata:",
        ["message||", "message|\n|", "!unterminated"],
    ),
    ("two identical events", b"data:test\n\ndata: test\n\n", ["message|test|", "message|test|"]),
]


@pytest.mark.parametrize(("stream", "said"), [vector[1:] for vector in VECTORS], ids=[v[0] for v in VECTORS])
def test_the_standard_says(stream: bytes, said: list[str]) -> None:
    assert short(stream) == said
    assert short(*(stream[at : at + 1] for at in range(len(stream)))) == said


def test_offsets_are_those_of_the_block_and_the_line() -> None:
    stream = b"\n: hi\nretry: 5\ndata: a\n\nid: 7\ndata: b\n\n"
    assert decode(stream) == [
        Comment(" hi", 1, 6),
        Reconnection(5, 6, 15),
        Event("message", "a", "", None, 6, 24),
        Event("message", "b", "7", "7", 24, 39),
    ]


def test_the_end_of_an_event_is_the_byte_that_dispatched_it() -> None:
    """With CRLF that is the CR: a client need not wait for the LF, and the offset does not depend on chunks."""
    (event,) = decode(b"data: a\r\n\r\n")
    assert isinstance(event, Event)
    assert (event.offset, event.end) == (0, 10)


def test_a_lone_cr_at_the_end_of_a_chunk_does_not_delay_the_event() -> None:
    decoder = Decoder()
    assert [type(item) for item in decoder.feed(b"data: a\r\n\r")] == [Event]
    assert decoder.feed(b"\n") == []
    assert decoder.offset == 11
    assert decoder.feed(b"data: b\r\n\r\n") == [Event("message", "b", "", None, 11, 21)]


def test_a_byte_order_mark_may_come_in_pieces() -> None:
    assert short(b"\xef", b"\xbb", b"\xbf", b"data: a\n\n") == ["message|a|"]


def test_a_character_may_come_in_pieces() -> None:
    assert short(b"data: \xf0\x9f", b"\x98\x80\n", b"\n") == ["message|😀|"]


def test_violations_say_where_and_what() -> None:
    violations = [
        item
        for item in decode(b"data: a\xe2\x82b\nfoo: 1\nid: \0\nretry: x\n\n")
        if isinstance(item, Violation)
    ]
    assert [(v.defect, v.offset, v.excerpt) for v in violations] == [
        (Defect.INVALID_UTF8, 7, b"\xe2\x82"),
        (Defect.UNKNOWN_FIELD, 11, b"foo: 1"),
        (Defect.ID_NULL, 18, b"id: \0"),
        (Defect.RETRY_NOT_DIGITS, 24, b"retry: x"),
    ]
    assert "'foo'" in violations[1].message


@pytest.mark.parametrize(
    ("stream", "offset", "words"),
    [
        (b"data: done\n", 0, ["4 bytes of data", "only the empty line was missing"]),
        (b":x\nevent: end\nid: 9\ndata: {", 3, ["event type 'end'", "id '9'", "line of 7 bytes, 'data: {'"]),
        (b"data: a\n\nda", 9, ["unfinished line of 2 bytes, 'da'"]),
        (b"data: a\n\nevent: x\n: b", 9, ["event type 'x'", "unfinished line of 3 bytes"]),
    ],
)
def test_an_unterminated_block_says_what_dangles(stream: bytes, offset: int, words: list[str]) -> None:
    violation = decode(stream)[-1]
    assert isinstance(violation, Violation)
    assert violation.defect is Defect.UNTERMINATED
    assert violation.offset == offset
    for word in words:
        assert word in violation.message


def test_state_is_what_a_client_would_resume_with() -> None:
    decoder = Decoder()
    assert (decoder.last_event_id, decoder.reconnection_time, decoder.offset) == ("", None, 0)
    decoder.feed(b"id: 1\nretry: 5\ndata: a\n\nid: 2\n")
    assert decoder.reconnection_time == 5
    assert decoder.last_event_id == "1", "an id counts when its block ends"
    decoder.close()
    assert decoder.last_event_id == "1"
    assert decoder.offset == 30


def test_a_reconnecting_client_keeps_its_last_event_id() -> None:
    decoder = Decoder(last_event_id="7")
    assert decoder.feed(b"data: a\n\n") == [Event("message", "a", "7", None, 0, 9)]
    assert decoder.last_event_id == "7"


def test_a_closed_decoder_takes_nothing_more() -> None:
    decoder = Decoder()
    decoder.feed(b"data: a")
    assert len(decoder.close()) == 1
    assert decoder.close() == []
    with pytest.raises(ValueError, match="new Decoder"):
        decoder.feed(b"x")
