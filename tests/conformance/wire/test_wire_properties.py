"""What holds for any bytes, against a decoder that is slow and written down straight from the standards."""

import itertools
import re
from collections.abc import Iterator
from unittest.mock import patch

from hypothesis import example, given
from hypothesis import strategies as st

from conformance.wire import (
    EXCERPT,
    MAX_RECONNECTION_TIME,
    Comment,
    Decoder,
    Defect,
    Event,
    Item,
    Reconnection,
    Violation,
    long_line,
)
from conformance.wire.plain import Shape

BOM = b"\xef\xbb\xbf"


def utf8(data: bytes) -> Iterator[tuple[str, int, int, bool]]:
    """(character, start, end, whether the bytes were valid), by the WHATWG UTF-8 decoder's state machine."""
    point = seen = needed = 0
    lower, upper = 0x80, 0xBF
    start = at = 0
    while at < len(data):
        byte = data[at]
        if not needed:
            start, at = at, at + 1
            if byte <= 0x7F:
                yield chr(byte), start, at, True
            elif 0xC2 <= byte <= 0xDF:
                needed, point = 1, byte & 0x1F
            elif 0xE0 <= byte <= 0xEF:
                lower = 0xA0 if byte == 0xE0 else lower
                upper = 0x9F if byte == 0xED else upper
                needed, point = 2, byte & 0xF
            elif 0xF0 <= byte <= 0xF4:
                lower = 0x90 if byte == 0xF0 else lower
                upper = 0x8F if byte == 0xF4 else upper
                needed, point = 3, byte & 0x7
            else:
                yield "\ufffd", start, at, False
            continue
        if not lower <= byte <= upper:
            point = seen = needed = 0
            lower, upper = 0x80, 0xBF
            yield "\ufffd", start, at, False  # the byte is looked at again
            continue
        at += 1
        lower, upper = 0x80, 0xBF
        point = point << 6 | byte & 0x3F
        seen += 1
        if seen == needed:
            yield chr(point), start, at, True
            point = seen = needed = 0
    if needed:
        yield "\ufffd", start, len(data), False


def reference(stream: bytes) -> tuple[list[Item], str, int | None]:
    """Items (messages left out), last event ID and reconnection time of a whole stream."""
    items: list[Item] = []
    last_event_id = id_buffer = type_ = data = ""
    block_id: str | None = None
    reconnection_time: int | None = None
    block: int | None = None
    block_line = b""
    endings: list[bytes] = []

    def violation(defect: Defect, offset: int, found: bytes) -> None:
        items.append(Violation(defect, "", offset, found[:EXCERPT]))

    at = len(BOM) if stream.startswith(BOM) else 0
    for found in re.compile(rb"([^\r\n]*)(\r\n|\r|\n|\Z)").finditer(stream, at):
        raw, ending = found.groups()
        start, end = found.start(), found.end(1) + 1
        if not ending:  # the end of the file
            if block is not None or (raw and not raw.startswith(b":")):
                if block is None:
                    block, block_line = start, raw
                violation(Defect.UNTERMINATED, block, block_line)
            break
        characters = list(utf8(raw))
        line = "".join(character for character, *_ in characters)
        for _, first, last, valid in characters:
            if not valid:
                violation(Defect.INVALID_UTF8, start + first, raw[first:last])
        for character, first, last, _ in characters:
            if character == "\ufeff":
                violation(Defect.LATE_BOM, start + first, raw[first:last])
        if line == "":
            last_event_id = id_buffer
            if data:
                event = Event(type_ or "message", data[:-1], last_event_id, block_id, block or 0, end)
                items.append(event)
            elif type_:
                violation(Defect.NO_DATA, block or 0, block_line)
            type_, data, block_id, block = "", "", None, None
        elif line[0] == ":":
            items.append(Comment(line[1:], start, end))
        else:
            if block is None:
                block, block_line = start, raw
            name, value = line.split(":", 1) if ":" in line else (line, "")
            value = value[1:] if value[:1] == " " else value
            if name == "event":
                type_ = value
            elif name == "data":
                data += value + "\n"
            elif name == "id":
                if "\0" in value:
                    violation(Defect.ID_NULL, start, raw)
                else:
                    id_buffer = block_id = value
            elif name == "retry":
                if re.fullmatch("[0-9]+", value):
                    reconnection_time = min(int(value), MAX_RECONNECTION_TIME)
                    items.append(Reconnection(reconnection_time, start, end))
                else:
                    violation(Defect.RETRY_NOT_DIGITS, start, raw)
            else:
                violation(Defect.UNKNOWN_FIELD, start, raw)
        if ending not in endings:
            if len(endings) == 1:
                violation(Defect.MIXED_LINE_ENDINGS, found.end(1), ending)
            endings.append(ending)
    return items, last_event_id, reconnection_time


def without_message(item: Item) -> Item:
    if isinstance(item, Violation):
        return Violation(item.defect, "", item.offset, item.excerpt)
    return item


ALPHABET = [
    *(
        b"data: ",
        b"data:",
        b"data",
        b"event: ",
        b"event",
        b"id: ",
        b"id:",
        b"id",
        b"retry: ",
        b"retry",
        b"foo",
    ),
    *(b"\n", b"\n\n", b"\r\n", b"\r\n\r\n", b"\r", b"\r\r", b":", b" ", b"x", b"1", b"20", b"\0", b"\t"),
    *(
        BOM,
        BOM[:1],
        BOM[1:],
        b"\xe2\x82\xac",
        b"\xe2\x82",
        b"\xac",
        b"\xf0\x9f\x98\x80",
        b"\xf0\x9f",
        b"\xff",
    ),
    *(
        b"data: x\n\n",
        b"data: y\r\n\r\n",
        b"id: 3\nevent: e\ndata: z\ndata:  zz\n\n",
        b":hb\n\n",
        b"retry: 9\n\n",
    ),
]

any_bytes = st.one_of(
    st.lists(st.sampled_from(ALPHABET), max_size=40).map(b"".join),
    st.lists(st.sampled_from(ALPHABET) | st.binary(max_size=4), max_size=40).map(b"".join),
    st.binary(max_size=60),
)


@st.composite
def regular_streams(draw: st.DrawFn) -> bytes:
    """Streams that servers send: blocks with one kind of line ending, and here and there something odd."""
    ending = draw(st.sampled_from([b"\n", b"\r\n"]))
    word = st.text(st.sampled_from("ab :é€😀\ufeff\0\x85"), max_size=5).map(str.encode)
    field = st.builds(
        lambda name, value: name + value,
        st.sampled_from(
            [b"data: ", b"data: ", b"data:", b"event: ", b"event:", b"id: ", b"id:", b"retry: ", b":"]
        ),
        word,
    )
    blocks = st.one_of(word.map(lambda data: [b"data: " + data]), st.lists(field, max_size=5))
    return b"".join(ending.join([*block, b"", b""]) for block in draw(st.lists(blocks, max_size=8)))


@st.composite
def streams_of_one_layout(draw: st.DrawFn) -> bytes:
    """Streams whose blocks have the same fields in the same order, but for something odd in one of them."""
    ending = draw(st.sampled_from([b"\n", b"\r\n"]))
    absent = draw(st.sets(st.sampled_from([b"id", b"event"])))
    names = [name for name in draw(st.permutations([b"id", b"event", b"data"])) if name not in absent]
    word = st.text(st.sampled_from("ab :é😀"), max_size=4).map(str.encode)
    lines = [
        st.tuples(st.just(name + b":"), st.sampled_from([b" ", b" ", b""]), word).map(b"".join)
        for name in names
    ]
    blocks = [list(block) for block in draw(st.lists(st.tuples(*lines), max_size=8))]
    if blocks:
        odd = [
            b"",
            b":hb",
            b"data: y",
            b"id: data: x",
            b"data",
            b"id",
            b"\0",
            b"a\rb",
            b"a\nb",
            b"event:",
            b"x\xff",
            BOM,
        ]
        block = blocks[draw(st.integers(0, len(blocks) - 1))]
        at = draw(st.integers(0, len(block) - 1))
        change = draw(st.sampled_from(["none", "insert", "append"]))
        if change == "insert":
            block.insert(at, draw(st.sampled_from(odd)))
        elif change == "append":
            block[at] += draw(st.sampled_from(odd))
    return b"".join(ending.join([*block, b"", b""]) for block in blocks)


@st.composite
def streams_of_data(draw: st.DrawFn) -> bytes:
    """Streams whose blocks are one data line, ASCII or not, but for something odd in one of them."""
    ending = draw(st.sampled_from([b"\n", b"\r\n"]))
    data = draw(
        st.lists(st.sampled_from([b"", b"a", b"b c", "é".encode(), "😀".encode()]), min_size=1, max_size=6)
    )
    data[draw(st.integers(0, len(data) - 1))] += draw(st.sampled_from([b"", b"", b"\n", b"\r", b"\xff", BOM]))
    return b"".join(b"data: " + text + 2 * ending for text in data)


@st.composite
def streams_with_heartbeats(draw: st.DrawFn) -> bytes:
    """Events with comments between them, few of them different: as servers send them that keep a stream open."""
    ending = draw(st.sampled_from([b"\n", b"\r\n"]))
    line = st.sampled_from([b":", b": hb", b": hb", b": \xc3\xa9", b": \tx", b":\xff", b":" + BOM, b": a\rb"])
    comment = st.tuples(line, st.sampled_from([b"", ending, ending])).map(lambda parts: ending.join(parts))
    data = st.sampled_from([b"data: a", b"data: \xf0\x9f\x98\x80", b"event: b" + ending + b"data: c"])
    event = data.map(lambda lines: lines + 2 * ending)
    return b"".join(draw(st.lists(comment | comment | event, max_size=12)))


streams = st.one_of(
    any_bytes, regular_streams(), streams_of_one_layout(), streams_of_data(), streams_with_heartbeats()
)


@st.composite
def cut_streams(draw: st.DrawFn) -> tuple[bytes, list[bytes]]:
    """A stream, and the same in chunks: cut anywhere, or into bytes, or after its empty lines."""
    stream = draw(streams)
    how = draw(st.sampled_from(["anywhere", "bytes", "blocks"]))
    if how == "bytes":
        return stream, [stream[at : at + 1] for at in range(len(stream))]
    if how == "blocks":
        return stream, [block for block in re.split(rb"(?<=\n\n)|(?<=\r\n\r\n)", stream) if block]
    cuts = sorted(draw(st.lists(st.integers(0, len(stream)), max_size=10)))
    return stream, [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]


def run(chunks: list[bytes], limit: int = 2**20) -> tuple[list[Item], Decoder]:
    decoder = Decoder(limit=limit)
    items = [item for chunk in chunks for item in decoder.feed(chunk)]
    return items + decoder.close(), decoder


def after_a_first_event(*chunks: bytes) -> tuple[bytes, list[bytes]]:
    """Chunks that arrive when the decoder expects one plain event in each."""
    first = b"data: a\n\n"
    return b"".join([first, *chunks]), [first, *chunks]


@given(cut_streams())
@example((b"data: a\r\n\r\ndata: b\r\n\r\n", [b"data: a\r\n\r", b"\ndata: b\r\n\r\n"]))
@example(after_a_first_event(b"id: 1\ndata: b\n\n"))
@example(after_a_first_event(b"data: b\rdata: c\n\n"))
@example(after_a_first_event(b"data: b\rc\n\ndata: d\n\n"))
@example(after_a_first_event(b"id: 1\0\ndata: b\n\n"))
@example(after_a_first_event(b"data: b\r\rdata: c", b"\n\n"))
@example(after_a_first_event("data: {}\n\n".format("é" * 5000).encode()))
@example(after_a_first_event("data: é\n\ndata: é\rb\n\n".encode()))
@example(after_a_first_event(b": ping\n\n", b": pong\n", b":\n\n", b":\r\n\r\n"))
@example(after_a_first_event(b": a\n: b\n\n"))
@example(after_a_first_event(b": a\n\n", b": a\n\n", b": a\n", b": a", b"\n\n"))
@example(after_a_first_event(b"data: b\nid: 1\n\n: c\n: d\n\nevent: e\nid: 2\ndata: f\nid: 3\n\n"))
@example(after_a_first_event(b": a\rb\n\n"))
@example(after_a_first_event(b": \xff\n\n", b": " + BOM + b"\n\n"))
@example(after_a_first_event(b"data: b\n\nid: 1\ndata", b": c\n", b"\ndata: d\n\nevent: x\n", b"data: e\n\n"))
@example(after_a_first_event(b"data: b\n\nid: 1\n", b"data: c\n\n", b"foo: d", b"e"))
@example(after_a_first_event(b"id: 1\ndata: b\n\nid: 2\ndata: c\n\n"))
@example(after_a_first_event(b"data: b\n\nid: 1\ndata: c"))
@example(after_a_first_event(b"data: b\nid: 1\ndata: c\n\n"))
@example(after_a_first_event(b"data: b\n\ndata: \xff\n\n"))
@example(after_a_first_event("data: b\n\ndata: é\n\ndata: \ufeff\n\n".encode()))
@example(after_a_first_event(b"data: b\n\nid: 1\n" + b"data: " + b"x" * 4080, b"y" * 10, b"z\n\n"))
@example((b"data: a\r\n\r\ndata: b\r\n\r\n", [b"data: a\r\n\r\ndata: b\r\n", b"\r", b"\n"]))
@example(after_a_first_event(": {}\n:{}\n".format("é" * 5000, "€" * 5000).encode()))
def test_agrees_with_the_standard_however_it_is_cut(cut: tuple[bytes, list[bytes]]) -> None:
    assert_agrees(cut)


def assert_agrees(cut: tuple[bytes, list[bytes]]) -> None:
    stream, chunks = cut
    items, decoder = run(chunks)
    said, last_event_id, reconnection_time = reference(stream)
    assert [without_message(item) for item in items] == said
    assert decoder.last_event_id == last_event_id
    assert decoder.reconnection_time == reconnection_time
    assert decoder.offset == len(stream)
    assert not decoder.stopped


@st.composite
def long_lines(draw: st.DrawFn) -> tuple[bytes, list[bytes]]:
    """Streams with data lines that come in many chunks."""
    chunk = st.sampled_from(
        [
            b"x",
            b"abcde",
            b"y" * 20,
            b"\0",
            b"\n",
            b"\n\n",
            b"\r",
            b"\r\n",
            b"\r\n\r\n",
            "é".encode(),
            b"\xff",
            BOM,
        ]
    )
    first = draw(st.sampled_from([b"", b"data: a\n\n", b"data: a\r\n\r\n", b"id: 1\n", b"data: a\n", BOM]))
    chunks = [first] if first else []
    for _ in range(draw(st.integers(1, 3))):
        ending = draw(st.sampled_from([b"\n", b"\r\n"]))
        chunks += [
            b"data: " + draw(st.sampled_from([b"", b"z", b"abcd"])),
            *draw(st.lists(chunk, max_size=6)),
        ]
        chunks.append(
            draw(st.sampled_from([b"", b"x", "é".encode()])) + draw(st.sampled_from([ending, 2 * ending]))
        )
        chunks[-1] += draw(st.sampled_from([b"", b"data: b\n\n", b"data: c\r\n\r\nid", b": d\n"]))
    return b"".join(chunks), chunks


@given(long_lines())
@example((b"data: abcdefgh\n\ndata: z\n\n", [b"data: abc", b"def", b"gh\n\ndata: z", b"\n\n"]))
@example((b"data: abcdef\r\n\r\n", [b"data: abc", b"def\r\n\r\n"]))
@example((b"data: abcdef\r\n\r\n", [b"data: abc", b"def\r\n\r", b"\n"]))
@example((b"data: abc\n\ndata: abcdef\r\n\r\n", [b"data: abc\n\n", b"data: abc", b"def\r\n\r\n"]))
@example((b"data: abcdef", [b"data: abc", b"def"]))
@example((b"data: abcx\ry\n\n", [b"data: abc", b"x\ry\n\n"]))
@example(after_a_first_event(b"data: b\n\ndata: cd\nda", b"ta: e\n\n"))
def test_a_long_line_is_a_line(cut: tuple[bytes, list[bytes]]) -> None:
    with patch.object(long_line, "LONG", 8):
        assert_agrees(cut)


@st.composite
def plain_streams(draw: st.DrawFn) -> tuple[bytes, list[bytes]]:
    """Events that are one data line each, now and then something else, in chunks that cut them."""
    ending = draw(st.sampled_from(["\n", "\r\n"]))
    plain = st.sampled_from(["", "a", "bcd", "é", "x😀y", "Ａ", "longer than most"]).map(
        lambda data: f"data: {data}{2 * ending}"
    )
    odd = st.sampled_from(["data: e\rf", "id: 1", ": c", "data: \ufeff", "data:", ending, "data: g\n\n"])
    other = odd.map(lambda line: line + 2 * ending)
    blocks = draw(st.lists(plain, min_size=1)) + draw(st.lists(plain | plain | plain | other))
    stream = "".join(blocks).encode() + draw(st.sampled_from([b"", b"data: h", b"da", b"\xff", b"\n"]))
    chunks: list[bytes] = []
    while stream:
        size = draw(st.integers(1, 12) | st.integers(12, 60))
        chunks, stream = [*chunks, stream[:size]], stream[size:]
    return b"".join(chunks), chunks


@given(plain_streams())
@example(after_a_first_event(b"data: b\n\ndata: cd", b"e\n\ndata: f"))
@example(after_a_first_event(b"data: b\n\ndata: \xc3", b"\xa9\n\ndata: f\n\nda"))
@example(after_a_first_event(b"data: b\n\ndata: \xc3", b"c\n\n"))
@example(after_a_first_event(b"data: b\n\ndata: c\n", b"\n"))
def test_chunks_that_cut_plain_events(cut: tuple[bytes, list[bytes]]) -> None:
    assert_agrees(cut)


class LineByLine(Decoder):
    """The decoder without its fast paths."""

    def _find_calm(self) -> Shape | None:
        return None

    def _take_data(self, stream: bytes, end: int, shape: Shape, items: list[Item]) -> bool:
        return False

    def _take_blocks(self, blocks: bytes, shape: Shape, items: list[Item]) -> bool:
        return False


@given(cut_streams() | long_lines(), st.integers(1, 60), st.integers(6, 20))
def test_the_fast_paths_give_what_the_general_path_gives(
    cut: tuple[bytes, list[bytes]], limit: int, long: int
) -> None:
    """Under any limit, messages and all. No line is long where `LONG` is above the limit."""
    assert_as_line_by_line(cut, limit, long)


@given(plain_streams(), st.integers(9, 40))
@example(after_a_first_event(b"data: b\n\ndata: cdefg", b"hijkl\n\n"), 12)
def test_cut_plain_events_give_what_the_general_path_gives(
    cut: tuple[bytes, list[bytes]], limit: int
) -> None:
    assert_as_line_by_line(cut, limit, 100)


def assert_as_line_by_line(cut: tuple[bytes, list[bytes]], limit: int, long: int) -> None:
    plain = LineByLine(limit=limit)
    wanted = [(plain.feed(chunk), plain.offset) for chunk in cut[1]]
    decoder = Decoder(limit=limit)
    with patch.object(long_line, "LONG", long):
        assert [(decoder.feed(chunk), decoder.offset) for chunk in cut[1]] == wanted
    assert decoder.close() == plain.close()
    assert (decoder.offset, decoder.stopped, decoder.last_event_id) == (
        plain.offset,
        plain.stopped,
        plain.last_event_id,
    )


@given(cut_streams())
@example(after_a_first_event(b"data: b\n\nid: 1\nretry: 5\n", b"data: c\n\n"))
@example(after_a_first_event(b"data: b\n\nid: 1\n:hb\n", b"data: c\n\n"))
@example(after_a_first_event(b"data: b\r\n\r\ndata: c\r\n", b"data: d\r\n\r\n"))
@example(after_a_first_event(b"data: b\n\nid: 1\0\n", b"data: c\n\n"))
@example(after_a_first_event(b"data: b\n\ndata: \xff\n", b"data: c\n\n"))
@example(after_a_first_event(b"data: b\n\nevent: " + BOM + b"\n", b"data: c\n\n"))
def test_an_item_does_not_wait_for_a_chunk_after_the_one_that_made_it_known(
    cut: tuple[bytes, list[bytes]],
) -> None:
    decoder = Decoder()
    items: list[Item] = []
    arrived = b""
    for chunk in cut[1]:
        arrived += chunk
        items += map(without_message, decoder.feed(chunk))
        # what only the end of the stream says; and a CR that ends a chunk may be half of a CRLF
        early = {Defect.UNTERMINATED} | ({Defect.MIXED_LINE_ENDINGS} if arrived.endswith(b"\r") else set())
        known = [
            item
            for item in reference(arrived)[0]
            if not (isinstance(item, Violation) and item.defect in early)
        ]
        assert [item for item in items if not (isinstance(item, Violation) and item.defect in early)] == known


@given(cut_streams(), st.integers(1, 40))
def test_chunks_make_no_difference_under_any_limit(cut: tuple[bytes, list[bytes]], limit: int) -> None:
    stream, chunks = cut
    whole, decoder = run([stream], limit)
    cut_up, other = run(chunks, limit)
    assert cut_up == whole
    assert (other.offset, other.stopped, other.last_event_id) == (
        decoder.offset,
        decoder.stopped,
        decoder.last_event_id,
    )


@given(streams, st.integers(1, 40))
def test_offsets_are_ordered_and_lie_in_the_stream(stream: bytes, limit: int) -> None:
    items, decoder = run([stream], limit)
    end = 0
    seen: dict[Defect, int] = {}
    for item in items:
        if isinstance(item, Violation):
            assert stream[item.offset : item.offset + len(item.excerpt)] == item.excerpt
            assert item.excerpt
            assert seen.get(item.defect, -1) < item.offset
            seen[item.defect] = item.offset
        else:
            assert item.offset < item.end <= decoder.offset <= len(stream)
            assert end < item.end
            end = item.end
    assert decoder.stopped == (Defect.TOO_LARGE in seen)
    assert list(seen).count(Defect.TOO_LARGE) <= 1


@given(streams)
def test_what_is_under_the_limit_is_decoded_as_without_one(stream: bytes) -> None:
    limit = max(len(stream), 1)
    assert run([stream], limit)[0] == run([stream])[0]


def test_replaces_maximal_subparts() -> None:
    """Every first byte that has a rule of its own, with second bytes on both sides of that rule's bounds."""
    firsts, seconds = b"\xc1\xc2\xe0\xed\xef\xf0\xf4\xf5", b"\x7f\x80\x8f\x90\x9f\xa0\xbf\xc0"
    for first, second, third in itertools.product(firsts, seconds, b"\x80A"):
        stream = b"data: " + bytes([first, second, third, 0x80]) + b"\n\n"
        items, _ = run([stream])
        assert [without_message(item) for item in items] == reference(stream)[0]
