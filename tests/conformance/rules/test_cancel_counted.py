"""`cancel.noticed` where schedules are explored: nobody is counted when everybody has long left."""

import pytest
from made_up import made_up, stream
from made_up_looks import held_to, left, look

from conformance.history import Ended, History, Record
from conformance.rules.cancel import noticed

LONG = 10.0  # seconds: all had gone at 3, and the limit is 2 s
OTHER = {"job": "j2"}


def explored(*groups: list[Record]) -> History:
    return made_up(*groups, terms=held_to(), scenario="explore")


GONE = [*left("a", 0.0, 1.0, 1), *left("b", 0.5, 3.0, 1, head=False)]


def test_who_is_still_counted_is_found() -> None:
    judgement = noticed.judge(explored(GONE, look(3.5, subscribers=0), look(LONG, subscribers=1)))
    assert judgement.verdict == "broken"
    assert (
        judgement.reason == "all subscribers were gone at 3.000 s, and 7 s later the server still counted 1"
    )


def test_nobody_counted_conforms_though_somebody_was_at_first() -> None:
    judgement = noticed.judge(explored(GONE, look(3.5, subscribers=1), look(LONG, subscribers=0)))
    assert (judgement.verdict, judgement.reason) == ("conforms", "1 count of subscribers when all had gone")


def test_each_work_has_a_count_of_its_own() -> None:
    counted = look(LONG, subscribers=1), look(LONG + 1, names=OTHER, subscribers=0)
    assert noticed.judge(explored(GONE, *counted)).verdict == "broken"


def test_what_was_counted_before_anybody_came_may_be_counted_again() -> None:
    come = [*left("a", 1.0, 3.0, 1)]
    before = look(0.5, names={}, subscribers=2)
    assert noticed.judge(explored(before, come, look(LONG, subscribers=2))).verdict == "conforms"
    more = noticed.judge(explored(before, come, look(LONG, subscribers=3)))
    assert more.verdict == "broken"
    assert more.reason.endswith("still counted 3, and 2 before anybody came")


def test_a_subscriber_of_the_servers_own_is_counted_before_anybody_comes_to_its_work() -> None:
    earlier = stream(
        name="other", at=0.1, ended=2.0, how="dropped", names=OTHER
    )  # other work is watched already
    come = left("a", 1.0, 3.0, 1)
    counted = look(0.5, subscribers=1), look(LONG, subscribers=1)
    assert noticed.judge(explored(earlier, come, *counted)).verdict == "conforms"
    assert noticed.judge(explored(earlier, come, counted[1])).verdict == "broken"


@pytest.mark.parametrize(
    ("late", "reason"),
    [
        (look(LONG, status=404), "the status endpoint answered 404"),
        (look(LONG, subscribers="many"), "the status endpoint answered with no number at /subscribers"),
        (
            look(4.9, subscribers=1),
            "the status endpoint was not asked when all had gone",
        ),  # may be noticed yet
    ],
    ids=["forgotten", "no number", "too early"],
)
def test_what_is_not_told_is_not_judged(late: list[Record], reason: str) -> None:
    judgement = noticed.judge(explored(GONE, late))
    assert judgement.verdict == "inconclusive"
    assert judgement.reason == f"the subscribers were not counted when all had gone: {reason}"


def test_forgotten_work_does_not_hide_the_other_one() -> None:
    counted = look(LONG, subscribers=1), look(LONG + 1, names=OTHER, status=404)
    assert noticed.judge(explored(GONE, *counted)).verdict == "broken"


def test_who_may_still_be_there_is_counted_by_right() -> None:
    there: list[Record] = [record for record in GONE if not isinstance(record, Ended)]
    assert noticed.judge(explored(there, look(LONG, subscribers=1))).verdict == "inconclusive"
