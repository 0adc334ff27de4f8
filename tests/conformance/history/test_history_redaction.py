"""No secret reaches the record: not whole, not in pieces, however it is written and wherever chunks cut it."""

import itertools
import json
import string
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote, quote_plus

import httpx
import msgspec
import trio
from hypothesis import assume, given
from hypothesis import strategies as st

from conformance.dialect import Dialect, Matcher, Scope
from conformance.history import (
    Began,
    Chunk,
    Concluded,
    Ended,
    Exchange,
    Fired,
    Gauge,
    Head,
    Mark,
    Record,
    Recorder,
    Requested,
    StatusTerms,
    Terms,
    history,
    load,
)
from conformance.history.redact import REDACTED, TELLING, Mask, Redaction
from fault_injection.faults import AtBytes, Disconnect

SECRETS = st.text(min_size=TELLING, max_size=12) | st.text(
    alphabet=string.ascii_letters + '%+/ "\\é€😀&=', min_size=TELLING, max_size=12
)
ASCII_SECRETS = st.text(
    alphabet="ab", min_size=TELLING, max_size=8
)  # overlap with each other, and with themselves


def cut(data: bytes, at: Sequence[int]) -> list[bytes]:
    bounds = [0, *sorted(at), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(bounds)]


def masked(secrets: Sequence[str], chunks: Sequence[bytes]) -> list[tuple[float, bytes]]:
    mask = Redaction(secrets).mask()
    assert mask is not None
    found: list[tuple[float, bytes]] = []
    for number, chunk in enumerate(chunks):
        found += mask.feed(float(number), chunk)
    return found + mask.close()


def blotted(data: bytes, secrets: Sequence[str]) -> bytes:
    """What a body comes to, thought out in the simplest way: every byte of every occurrence is a star."""
    stars = bytearray(data)
    for secret in map(str.encode, secrets):
        for at in range(len(data)):
            if data.startswith(secret, at):
                stars[at : at + len(secret)] = b"*" * len(secret)
    end = max(
        (
            size
            for each in map(str.encode, secrets)
            for size in range(len(each))
            if data.endswith(each[:size])
        ),
        default=0,
    )
    if end >= TELLING:
        stars[len(data) - end :] = b"*" * end
    return bytes(stars)


@given(
    secrets=st.lists(ASCII_SECRETS, min_size=1, max_size=3),
    data=st.text(alphabet="abc", max_size=40),
    at=st.lists(st.integers(0, 40), max_size=8),
)
def test_the_body_has_a_star_for_each_byte_of_a_secret_and_nothing_else_changes(
    secrets: list[str], data: str, at: list[int]
) -> None:
    body = data.encode()
    chunks = cut(body, [min(each, len(body)) for each in at])
    found = masked(secrets, chunks)
    assert b"".join(chunk for _, chunk in found) == blotted(body, secrets)
    assert [(time, len(chunk)) for time, chunk in found] == [
        (float(number), len(chunk)) for number, chunk in enumerate(chunks)
    ]


@given(secrets=st.lists(ASCII_SECRETS, min_size=1, max_size=3), data=st.text(alphabet="abc", max_size=40))
def test_byte_by_byte_is_masked_like_the_whole(secrets: list[str], data: str) -> None:
    body = data.encode()
    pieces = masked(secrets, [body[at : at + 1] for at in range(len(body))])
    assert b"".join(chunk for _, chunk in pieces) == blotted(body, secrets)


@given(secret=SECRETS, before=st.text(max_size=5), after=st.text(max_size=5), data=st.data())
def test_however_a_server_writes_a_secret_into_its_body(
    secret: str, before: str, after: str, data: st.DataObject
) -> None:
    ways = (
        secret,
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        quote(secret),
        quote(secret, safe=""),
        quote_plus(secret),
    )
    written = data.draw(st.sampled_from(ways))
    body = before.encode() + written.encode() + after.encode()
    found = b"".join(chunk for _, chunk in masked([secret], [body[at : at + 1] for at in range(len(body))]))
    start = len(before.encode())
    assert found[start : start + len(written.encode())] == b"*" * len(written.encode())


def test_what_is_held_back_is_little_and_comes_when_it_is_settled() -> None:
    mask = Mask([b"secret"])
    assert mask.feed(1, b"data: sec") == []
    assert mask.feed(2, b"ond\n") == [(1, b"data: sec"), (2, b"ond\n")]
    assert mask.feed(3, b"no") == [(3, b"no")]
    assert mask.feed(4, b"secr") == []
    assert mask.close() == [(4, b"****")]


def test_a_piece_too_short_to_tell_anything_is_left_at_the_end() -> None:
    assert masked(["secret"], [b"data: sec"]) == [(0.0, b"data: sec")]
    assert masked(["secret"], [b"data: secr"]) == [(0.0, b"data: ****")]


@given(secret=SECRETS, where=st.sampled_from(("path", "query", "header", "json", "form", "text")))
def test_no_writing_of_a_secret_survives_in_a_request(secret: str, where: str) -> None:
    base = "http://h/" + (quote(secret, safe="") if where == "path" else "x")
    headers = [(b"X-Key", secret.encode())] if where == "header" and "\n" not in secret else []
    try:
        request = httpx.Request(
            "POST",
            base + (f"?key={secret}&a=b" if where == "query" else ""),
            headers=headers,
            json={"key": f"<{secret}>"} if where == "json" else None,
            data={"key": secret} if where == "form" else None,
            content=f"key={secret}." if where == "text" else None,
        )
    except httpx.InvalidURL:  # it holds a control character
        assume(False)
    recorded = Redaction([secret])
    if where in {"path", "query"} and "#" not in secret:
        parts = str(request.url).partition("http://h/")[2]
        expected = {"path": REDACTED, "query": f"x?key={REDACTED}&a=b"}[where]
        assert recorded.text(parts) == expected
    if headers:
        shown = dict(
            recorded.headers(
                (name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers.raw
            )
        )
        assert shown["X-Key"] == REDACTED
    body = request.content.decode()
    shown_body = recorded.text(body)
    match where:
        case "json":
            assert shown_body == f'{{"key":"<{REDACTED}>"}}'
        case "form":
            assert shown_body == f"key={REDACTED}"
        case "text":
            assert shown_body == f"key={REDACTED}."


async def recorded(
    secrets: Sequence[str], records: Sequence[Record], file: Path | None = None, **began: object
) -> Recorder:
    recorder = Recorder(
        msgspec.structs.replace(Began(), **began),
        zero=trio.current_time(),
        file=None if file is None else file.open("wb", buffering=0),
        secrets=secrets,
    )
    for record in records:
        recorder.record(record)
    recorder.conclude(Concluded(outcome="unreached", reason=f"it said {secrets[0] if secrets else ''}"))
    return recorder


SECRET = "hunter2-hunter2"


def everywhere() -> list[Record]:
    return [
        Requested(
            exchange="a",
            purpose="stream",
            method="GET",
            url=f"http://u:pw@h/{SECRET}?t={quote(SECRET)}",
            headers=(("X-Api-Key", f"Key {SECRET}"), ("Cookie", "c=1"), ("authorization", "Basic eDp5")),
            body=json.dumps({"token": SECRET}),
            names={"token": SECRET},
            last_event_id=f"{SECRET}/1",
        ),
        Head(
            exchange="a",
            status=400,
            reason=f"no {SECRET}",
            headers=(("Set-Cookie", "id=1"), ("X-Echo", SECRET), ("Proxy-Authorization", "x")),
            url=f"http://h/{SECRET}",
        ),
        *(Chunk.of(0, "a", f"data: {SECRET}\n\n".encode()[at : at + 1]) for at in range(30)),
        Fired(fault=Disconnect(when=AtBytes(9)), index=0, detail=f"at {SECRET}"),
        Mark(what="x", detail=f"saw {SECRET}"),
        Gauge(name="g", value=None, detail=f"no number: {SECRET}"),
        Ended(exchange="a", how="protocol", detail=f"not HTTP: {SECRET[:-1]}"),  # cut off
        Chunk.of(1, "b", f"data: {SECRET[:10]}".encode()),  # its stream never ends
    ]


async def test_no_record_of_any_kind_holds_a_secret_or_half_of_one(tmp_path: Path) -> None:
    file = tmp_path / "h.jsonl"
    dialect = Dialect(
        completion=(Matcher(data=f"done {SECRET}"),), scope=Scope(pointer="/token", equals=SECRET)
    )
    terms = Terms(dialect=dialect, status=StatusTerms(pointer="/state", finished=(SECRET, 3)))
    recorder = await recorded([SECRET], everywhere(), file, target=f"http://u:pw@h/{SECRET}", terms=terms)
    content = file.read_text()
    assert load(file).records == history(recorder.records).records
    assert len(recorder.records) > len(everywhere())
    assert "hunter" not in content
    assert "pw@" not in content
    for hidden in ("Basic", "c=1", "id=1"):
        assert hidden not in content


async def test_what_is_compared_with_a_body_is_hidden_as_in_the_body() -> None:
    dialect = Dialect(completion=(Matcher(data=f"done {SECRET}"),))
    body = f"id: {SECRET}/2\ndata: done {SECRET}\n\n".encode()
    records: list[Record] = [
        Requested(
            exchange="a",
            purpose="stream",
            method="GET",
            url="/",
            names={"job": SECRET},
            last_event_id=f"{SECRET}/2",
        ),
        Head(exchange="a", status=200, headers=(("content-type", "text/event-stream"),)),
        Chunk.of(1, "a", body),
        Ended(time=2, exchange="a", how="complete"),
    ]
    recorder = await recorded([SECRET], records, terms=Terms(dialect=dialect))
    stream = history(recorder.records).streams[0]
    assert stream.completed is not None
    assert stream.events[0].event.data == f"done {stream.requested.names['job']}"
    assert stream.events[0].event.id == stream.came_with
    assert stream.events[0].event.end == len(body)


@given(chunks=st.lists(st.binary(max_size=6), max_size=12))
def test_without_secrets_the_body_is_recorded_as_it_came(chunks: list[bytes]) -> None:
    async def main() -> Recorder:
        return await recorded([], [Chunk.of(float(number), "a", data) for number, data in enumerate(chunks)])

    kept = [record for record in trio.run(main).records if isinstance(record, Chunk)]
    assert [(chunk.time, chunk.data) for chunk in kept] == [(float(n), data) for n, data in enumerate(chunks)]


async def test_credential_headers_are_hidden_without_any_configuration() -> None:
    recorder = await recorded([], everywhere())
    exchange = history(recorder.records).exchange("a")
    assert isinstance(exchange, Exchange)
    assert exchange.request_header("Authorization") == REDACTED
    assert exchange.request_header("cookie") == REDACTED
    assert exchange.header("set-cookie") == REDACTED
    assert exchange.header("proxy-authorization") == REDACTED
    assert exchange.requested.url.startswith(f"http://{REDACTED}@h/")


def test_a_secret_too_short_to_look_for_hides_nothing_but_the_header_that_it_is() -> None:
    short = Redaction(["a1"])
    assert short.mask() is None
    assert short.text("data: a1") == "data: a1"
    assert short.headers([("X-Key", "a1"), ("X-Other", "a1b")]) == (("X-Key", REDACTED), ("X-Other", "a1b"))
    assert Redaction([""]).text("abc") == "abc"


async def test_an_excerpt_is_cut_after_the_secret_is_gone() -> None:
    recorder = await recorded([SECRET], [])
    assert recorder.excerpt("x" * 190 + SECRET) == ("x" * 190 + REDACTED)[:200]
    assert len(recorder.excerpt("x" * 1000)) == 200
