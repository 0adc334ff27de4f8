"""Isolation: each verdict of each rule, on made-up histories."""

import msgspec
import pytest
from made_up import TASK, made_up, marked, stream, terms
from made_up_looks import event

from conformance.config import Expect, Limits
from conformance.dialect import Dialect
from conformance.history import History, Record, Terms
from conformance.rules.isolation import foreign_id, no_cross_talk, no_stealing, superseded_silent

LEFT, RIGHT = (
    {"job": "job-left-1", "payload": "payload-left"},
    {"job": "job-right-1", "payload": "payload-right"},
)
UNNAMED = msgspec.structs.replace(TASK, stream=None)


def held_to(dialect: Dialect = TASK) -> Terms:
    expect = Expect(terminates=True, resumable=True, shared=True, superseding=True)
    return terms(dialect, expect, Limits(cancellation=2))


def side(name: str, names: dict[str, str], *events: str, **more: object) -> list[Record]:
    body = [(0.1 * index, piece) for index, piece in enumerate(events, 1)]
    url = f"http://h/jobs/{names['job']}/events"
    return stream(body, name=name, names=names, url=url, **more)  # type: ignore[arg-type]


def beside(
    left: list[Record], right: list[Record], dialect: Dialect = TASK, scenario: str = "side-by-side"
) -> History:
    return made_up(left, right, terms=held_to(dialect), scenario=scenario)


OWN_LEFT = side("left", LEFT, event("progress", 1, "job-left-1"), event("complete", 2, "job-left-1"))


def test_each_stream_brings_its_own() -> None:
    right = side("right", RIGHT, event("progress", 1, "job-right-1"))
    assert no_cross_talk.judge(beside(OWN_LEFT, right)).verdict == "conforms"


def test_an_event_that_says_that_it_is_anothers() -> None:
    right = side("right", RIGHT, event("progress", 1, "job-right-1"), event("progress", 2, "job-left-1"))
    judgement = no_cross_talk.judge(beside(OWN_LEFT, right))
    assert judgement.verdict == "broken"
    assert "right brought event 2, which says that it is of 'job-left-1'" in judgement.reason


def test_an_event_that_holds_what_was_given_to_the_other() -> None:
    right = side("right", RIGHT, event("progress", 1, "job-right-1", echo="payload-left"))
    judgement = no_cross_talk.judge(beside(OWN_LEFT, right))
    assert judgement.verdict == "broken"
    assert "which holds 'payload-left'" in judgement.reason


def test_what_is_given_back_tells_where_no_name_does() -> None:
    def told(payload: str) -> str:
        left = side("left", LEFT, event("progress", 1, "", echo="payload-left"))
        right = side("right", RIGHT, event("progress", 1, "", echo=payload))
        return no_cross_talk.judge(beside(left, right, UNNAMED)).verdict

    assert told("payload-right") == "conforms"
    assert told("payload-left") == "broken"


def test_events_that_do_not_tell_whose_they_are() -> None:
    left, right = (
        side(name, names, event("progress", 1, "")) for name, names in (("left", LEFT), ("right", RIGHT))
    )
    judgement = no_cross_talk.judge(beside(left, right, UNNAMED))
    assert judgement.verdict == "not-applicable"
    assert "dialect.stream" in judgement.reason


def test_a_name_that_no_event_has_is_another_name() -> None:
    left, right = (
        side(name, names, event("progress", 1, "user-7"))
        for name, names in (("left", LEFT), ("right", RIGHT))
    )
    assert no_cross_talk.judge(beside(left, right)).verdict == "not-applicable"


def test_short_ids_come_up_by_chance() -> None:
    left, right = {"job": "1"}, {"job": "2"}
    one = side("left", left, event("progress", 2, "", step=2))
    other = side("right", right, event("progress", 1, "", step=1))
    assert no_cross_talk.judge(beside(one, other, UNNAMED)).verdict == "not-applicable"


def test_no_events_tell_nothing() -> None:
    assert no_cross_talk.judge(beside(side("left", LEFT), side("right", RIGHT))).verdict == "inconclusive"


def resumed(right: list[Record]) -> History:
    return beside(OWN_LEFT, right, scenario="foreign-id")


def test_a_foreign_id_brings_nothing_foreign() -> None:
    assert (
        foreign_id.judge(resumed(side("right", RIGHT, event("progress", 3, "job-right-1")))).verdict
        == "conforms"
    )
    assert foreign_id.judge(resumed(side("right", RIGHT, status=404))).verdict == "conforms"
    assert (
        foreign_id.judge(
            resumed(
                side("right", RIGHT, event("progress", 1, "job-right-1"), event("progress", 2, "job-left-1"))
            )
        ).verdict
        == "broken"
    )
    only = side("right", RIGHT, event("progress", 2, "job-left-1"))  # nothing of its own
    assert foreign_id.judge(resumed(only)).verdict == "broken"
    assert foreign_id.judge(resumed([])).verdict == "inconclusive"


def test_without_ids_there_is_none_to_come_with() -> None:
    history = made_up(marked("no id"), OWN_LEFT, terms=held_to(), scenario="foreign-id")
    assert foreign_id.judge(history).verdict == "not-applicable"


def sessions(late: float | None, *, newer: int = 3) -> History:
    """The older stream gets its second event `late` seconds after the newer one came, at 1 s."""
    body = [(0.5, event("progress", 1))] + ([] if late is None else [(1.0 + late, event("progress", 2))])
    old = stream(body, name="older", ended=2.9)
    new = stream(
        [(1.1 + index / 10, event("progress", index)) for index in range(1, newer + 1)], name="newer", at=1.0
    )
    return made_up(old, new, terms=held_to(), scenario="supersede")


@pytest.mark.parametrize(("late", "verdict"), [(None, "conforms"), (0.3, "conforms"), (0.7, "broken")])
def test_the_older_stream_gets_nothing_more(late: float | None, verdict: str) -> None:
    assert superseded_silent.judge(sessions(late)).verdict == verdict


def test_where_the_newer_gets_nothing_new_nothing_was_seen() -> None:
    assert superseded_silent.judge(sessions(None, newer=1)).verdict == "inconclusive"


def two(one: list[int], other: list[int], *, ids: bool = True, unique: bool = False) -> History:
    """Two subscribers of one stream who get these of ten events, a second apart."""
    dialect = TASK if ids else msgspec.structs.replace(TASK, sequence=None)

    def events(name: str, numbers: list[int]) -> list[tuple[float, str]]:
        found = []
        for number in numbers:
            text = event("progress", number)
            if unique:
                text = text.replace(f"id: {number}\n", f"id: {name}-{number}\n")
            found.append((float(number), text if ids or unique else text.partition("\n")[2]))
        return found

    streams = (
        stream(events(name, numbers), name=name, ended=12.0) for name, numbers in (("a", one), ("b", other))
    )
    return made_up(*streams, terms=held_to(dialect), scenario="two-subscribers")


ALL = list(range(1, 11))


def test_both_get_everything() -> None:
    assert no_stealing.judge(two(ALL, ALL)).verdict == "conforms"


def test_they_share_the_events_out() -> None:
    for one, other in ((ALL[::2], ALL[1::2]), ([*ALL[::2], 10], ALL[1::2]), (ALL[:5], ALL[5:])):
        judgement = no_stealing.judge(two(one, other))
        assert judgement.verdict == "broken"
        assert "they share the events out" in judgement.reason


def test_one_gets_everything_and_the_other_nothing() -> None:
    judgement = no_stealing.judge(two(ALL, []))
    assert judgement.verdict == "broken"
    assert "b, who was there as well, not one" in judgement.reason


def test_one_who_misses_something_was_not_stolen_from() -> None:
    assert no_stealing.judge(two(ALL, [1, 2, 4, *ALL[4:]])).verdict == "conforms"  # that is order's concern


def test_ids_of_each_subscribers_own_are_no_theft() -> None:
    assert no_stealing.judge(two(ALL, ALL, ids=False, unique=True)).verdict == "inconclusive"
    assert no_stealing.judge(two(ALL[::2], ALL[1::2], ids=False)).verdict == "inconclusive"


def test_the_same_content_under_another_id_was_not_taken_away() -> None:
    def own(name: str) -> list[Record]:
        body = [(float(at), f"id: {name}-{at}\ndata: step {at}\n\n") for at in range(1, 4)]
        return stream([*body, (4.0, "id: end\nevent: complete\ndata: {}\n\n")], name=name, ended=12.0)

    history = made_up(own("a"), own("b"), terms=held_to(), scenario="two-subscribers")
    assert no_stealing.judge(history).verdict == "conforms"
