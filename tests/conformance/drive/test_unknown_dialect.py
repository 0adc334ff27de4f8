"""Streams whose dialect nobody declared, read item by item."""

from collections.abc import Sequence

import pytest

from conformance.dialect import Dialect, Matcher, Role, classify, learning, parse
from conformance.dialect.learning import REMEMBERED, Reader
from conformance.wire import Decoder, Item

PROGRESS = b'data: {"n": 1}\n\n'
DONE = b"event: done\ndata: {}\n\n"
UNKNOWN = Dialect()


def roles(*blocks: bytes, dialect: Dialect = UNKNOWN) -> list[Role | None]:
    reader = Reader(dialect)
    return [classify(reader.read(parsed), parsed) for parsed in map(parse, Decoder().feed(b"".join(blocks)))]


def test_what_ends_a_stream_is_taken_for_its_completion_when_it_comes() -> None:
    assert roles(PROGRESS, PROGRESS, DONE) == [Role.PROGRESS, Role.PROGRESS, Role.COMPLETION]


def test_what_came_before_without_an_end_is_no_completion() -> None:
    assert roles(PROGRESS, DONE, PROGRESS, DONE)[-1] is Role.PROGRESS


def test_what_is_declared_to_be_something_else_is_not_taken_for_the_completion() -> None:
    end = Dialect(end=(Matcher(event="done"),))
    assert roles(PROGRESS, DONE, dialect=end) == [Role.PROGRESS, Role.END]


def test_a_stream_that_ends_again_and_again_is_not_looked_at_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looks: list[int] = []

    def assume(dialect: Dialect, items: Sequence[Item]) -> tuple[Dialect, str]:
        looks.append(len(items))
        return dialect, ""

    monkeypatch.setattr(learning, "assume", assume)
    roles(*[DONE] * (2 * REMEMBERED))
    assert looks[:3] == [1, 2, 3]
    assert sum(looks) <= 4 * REMEMBERED
