"""Playing schedules and searching for one that breaks a rule."""

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import Container, Sequence
from importlib import import_module
from itertools import count
from pathlib import Path

import anyio
import msgspec
import pytest

from conformance.asgi.types import Receive, Scope, Send
from conformance.explore import (
    EXPLORED,
    Beside,
    Cancel,
    Choice,
    Exploration,
    Hold,
    Late,
    Leave,
    NotRepeatable,
    Order,
    Played,
    Schedule,
    Unaware,
    asgi_subject,
    digest,
    explored_without,
    history_bytes,
    play_again,
    play_schedule,
    reference_subject,
    search,
    told_unlike,
)
from conformance.history import Left
from conformance.races import RACES, Race
from conformance.races.base import EVENTS, Event, Job, Response, Service
from conformance.rules.resource import ERROR, SHUT_DOWN
from conformance.specimens import SPECIMENS
from conformance.specimens.specimen import reference_config

REFERENCE = Exploration(reference_subject(), reference_config())
BUSY = Schedule(
    (
        Late("b", 0.25),
        Leave("a", "events", count=2, how="rst", away=0.05),
        Hold("*.send.*.before", 0.05),
        Unaware(0.5),
        Order(3),
    )
)
RACE = {race.name: race for race in RACES}


def racing(race: Race) -> Exploration:
    return Exploration(asgi_subject(race.make), race.config)


def breaks(exploration: Exploration, *choices: object) -> set[str]:
    return {case.rule for case in play_schedule(exploration, Schedule(choices)).broken}  # type: ignore[arg-type]


@pytest.mark.parametrize("schedule", [Schedule(), BUSY], ids=["plain", "busy"])
@pytest.mark.parametrize(
    "exploration", [REFERENCE, racing(RACE["late-heartbeat"])], ids=["reference", "asgi"]
)
def test_one_schedule_is_one_history(exploration: Exploration, schedule: Schedule) -> None:
    first = history_bytes(play_schedule(exploration, schedule))
    elsewhere: list[list[int]] = [[] for _ in range(1000)]  # so that addresses differ
    assert history_bytes(play_schedule(exploration, schedule)) == first
    assert len(elsewhere) == 1000
    assert first.count(b'"record":"requested"') > 3


class Broadcast(Service):
    """Keeps its subscribers' queues in a set, as many do, and tells them in the order of the set."""

    def __init__(self) -> None:
        super().__init__()
        self.subscribers: set[asyncio.Queue[None]] = set()

    async def publish(self, job: Job, event: Event) -> None:
        await super().publish(job, event)
        for queue in list(self.subscribers):
            queue.put_nowait(None)
            await asyncio.sleep(0.001)  # as a write to somebody slow would

    async def stream(self, job: Job, after: int, response: Response) -> None:
        queue: asyncio.Queue[None] = asyncio.Queue()
        self.subscribers.add(queue)
        try:
            for event in job.log[after:]:
                await response.event(event)
                after = event.number
            while after < EVENTS:
                await queue.get()
                await response.event(job.log[after])
                after += 1
        finally:
            self.subscribers.discard(queue)


MANY = Exploration(asgi_subject(Broadcast), RACE["shared-queue"].config, subscribers=tuple("abcdefgh"))


def test_a_set_of_queues_is_walked_in_one_order() -> None:
    first = history_bytes(play_schedule(MANY, BUSY))
    kept = []
    for size in range(1, 6):
        kept.append([asyncio.Queue[None]() for _ in range(size)])  # so that addresses differ
        assert history_bytes(play_schedule(MANY, BUSY)) == first


_DIGESTS = """
from test_explore_play import BUSY, MANY, RACE, REFERENCE, racing
from conformance.explore import digest, play_schedule
for exploration in (REFERENCE, racing(RACE["late-heartbeat"]), MANY):
    print(digest(play_schedule(exploration, BUSY)))
"""


def test_it_is_the_same_in_another_process() -> None:
    environ = {
        "PYTHONHASHSEED": "7",
        "PYTHONPATH": os.pathsep.join(map(str, (Path.cwd(), Path(__file__).parent))),
    }
    there = subprocess.run(
        [sys.executable, "-c", _DIGESTS],
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        check=True,
    )
    here = [digest(play_schedule(each, BUSY)) for each in (REFERENCE, racing(RACE["late-heartbeat"]), MANY)]
    assert there.stdout.split() == here


class OneAtATime(Service):
    """Does one job at a time, and says so to who wants another."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "POST" and self.jobs:
            await receive()
            await Response(send).answer({"error": "busy"}, 409)
        else:
            await super().__call__(scope, receive, send)


class Locked(Service):
    """Has a lock of anyio's, which belongs to the event loop that it is made on, if one runs."""

    def __init__(self) -> None:
        super().__init__()
        self.lock = anyio.Lock()

    async def publish(self, job: Job, event: Event) -> None:
        async with self.lock:
            await super().publish(job, event)


def test_an_application_is_made_before_any_loop_runs() -> None:
    played = play_schedule(Exploration(asgi_subject(Locked), RACE["shared-queue"].config), Schedule())
    assert played.broken == ()
    assert all(stream.completed for stream in played.history.streams)


def test_other_work_has_a_subscriber_of_its_own() -> None:
    played = play_schedule(racing(RACE["shared-queue"]), Schedule((Beside(0.05),)))
    other = [each for each in played.history.streams if each.requested.subscriber == "other"]
    assert [each.requested.names for each in other] == [{"job": "2"}]
    assert {each.requested.names["job"] for each in played.history.streams} == {"1", "2"}
    assert other[0].completed is not None


def test_a_server_may_refuse_other_work() -> None:
    exploration = Exploration(asgi_subject(OneAtATime), RACE["shared-queue"].config)
    played = play_schedule(exploration, Schedule((Beside(0.05),)))
    assert played.broken == ()
    assert "409" in played.history.marked("no other work")[0].detail
    assert {each.requested.subscriber for each in played.history.streams} == {"a", "b"}


def test_other_work_is_begun_where_it_can_be_told_from_the_first() -> None:
    def apart(**target: object) -> bool:
        config = RACE["superseded-stream"].config  # not shared
        changed = msgspec.structs.replace(config.target, **target)
        return Exploration(REFERENCE.subject, msgspec.structs.replace(config, target=changed)).apart

    start = REFERENCE.config.target.start
    assert start is not None
    assert apart()
    assert not apart(start=None), "the state would be of any of them"
    assert apart(start=None, status=None), "each request begins its own"
    assert not apart(start=msgspec.structs.replace(start, capture={}))


def test_work_is_cancelled_when_an_event_has_come() -> None:
    played = play_schedule(REFERENCE, Schedule((Cancel(events=3, seconds=0.05),)))
    (cancel,) = [each for each in played.history.exchanges if each.requested.purpose == "cancel"]
    third = played.history.subscribers["a"][0].events[2]
    assert cancel.requested.time == pytest.approx(third.time + 0.05)
    told = {case.rule: case.verdict for case in played.cases}
    assert told["cancel.stream-told"] == "pass"
    assert told["completion.delivered"] == "inconclusive"


def test_what_never_comes_is_not_waited_for() -> None:
    played = play_schedule(REFERENCE, Schedule((Cancel(events=99),)))
    assert not [each for each in played.history.exchanges if each.requested.purpose == "cancel"]
    assert played.broken == ()


@pytest.mark.parametrize("events", range(10))
def test_the_reference_is_cancelled_at_every_event(events: int) -> None:
    exploration = Exploration(REFERENCE.subject, REFERENCE.config, strict=True)
    for seconds in (0.0, 0.001, 0.25):
        for more in ((), (Beside(0.0),), (Hold("*.send.*.before", 0.05),), (Late("b", 1.0),)):
            played = play_schedule(exploration, Schedule((Cancel(events, seconds), *more)))
            assert played.broken == (), (seconds, more)


@pytest.mark.parametrize(
    ("name", "rule", "choices"),
    [
        ("wordless-end", "cancel.stream-told", (Cancel(events=2),)),
        ("hanging-after-cancel", "cancel.stream-told", (Cancel(events=2),)),
        ("only-saying-so", "cancel.stays-cancelled", (Cancel(events=2),)),
        ("one-for-all", "cancel.others-unaffected", (Cancel(events=2), Beside(0.0))),
        ("overwriting", "cancel.twice", (Cancel(events=9, seconds=0.25),)),
    ],
)
def test_what_a_cancel_breaks(name: str, rule: str, choices: tuple[Choice, ...]) -> None:
    (specimen,) = [each for each in SPECIMENS if each.name == name]
    subject = reference_subject(specimen.options, specimen.wrap)
    exploration = Exploration(subject, specimen.configure(reference_config()), strict=True)
    assert rule in breaks(exploration, *choices)
    assert rule not in breaks(exploration)


def test_a_choice_changes_what_happens() -> None:
    plain = play_schedule(REFERENCE, Schedule())
    assert plain.broken == ()
    assert {exchange.name for exchange in plain.history.streams} == {"a", "b"}
    busy = play_schedule(REFERENCE, BUSY)
    assert busy.broken == ()
    assert [exchange.name for exchange in busy.history.streams] == ["a", "b", "a-2"]
    first, _, second = busy.history.streams
    assert (first.how, len(first.events), second.how) == ("dropped", 2, "complete")
    assert second.request_header("last-event-id") == "2"


def test_the_reference_breaks_nothing() -> None:
    searched = search(REFERENCE, most=300)
    assert searched.found is None, searched.found
    assert searched.tried == searched.until_found > 250, (
        "Hypothesis may run out of new ones, but not so early"
    )


def test_the_rules_that_are_explored_exist() -> None:
    assert len(EXPLORED) == 29


def test_rules_are_left_out_by_their_names() -> None:
    assert explored_without(()) == EXPLORED
    left = {rule.name for rule in explored_without(["order.no-gap", "wire.json"])}
    assert left == {rule.name for rule in EXPLORED} - {"order.no-gap", "wire.json"}
    assert len(explored_without("order.no-gap")) == len(EXPLORED) - 1
    for names, says in (
        (["order.no-gpa"], "'order.no-gpa' is no rule that is explored; did you mean 'order.no-gap'?"),
        (["zzz"], "'zzz' is no rule that is explored; those that are explored: cancel.noticed, "),
        (["http.auth"], "'http.auth' is not explored: it is a rule of `sse-conformance run`"),
        ([rule.name for rule in EXPLORED], "no rule is left to explore"),
    ):
        with pytest.raises(ValueError, match=re.escape(says)):
            explored_without(names)


def test_a_specimen_is_found_and_shrunk() -> None:
    (specimen,) = [each for each in SPECIMENS if "resume.no-gap" in each.breaks][:1]
    subject = reference_subject(wrap=specimen.wrap)
    searched = search(Exploration(subject, specimen.configure(reference_config())), most=300)
    assert searched.found is not None, specimen.name
    assert {case.rule for case in searched.found.broken} & {*specimen.breaks}
    assert len(searched.found.schedule.choices) <= 2


class Failing(Service):
    """Raises where a client comes back, and leaves a task."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if any(name == b"last-event-id" for name, _ in scope.get("headers", ())):
            raise ZeroDivisionError("it came back")
        await super().__call__(scope, receive, send)


def test_errors_and_what_is_left_are_in_the_history() -> None:
    exploration = Exploration(asgi_subject(Failing), RACE["shared-queue"].config)
    plain = play_schedule(exploration, Schedule())
    assert (plain.broken, plain.history.marked(ERROR)) == ((), ())
    assert plain.history.marked(SHUT_DOWN)
    played = play_schedule(exploration, Schedule((Leave("a", "events", count=1, away=0.0),)))
    assert [case.rule for case in played.warned] == ["resource.no-errors"]
    (error,) = played.history.marked(ERROR)
    assert "ZeroDivisionError: it came back" in error.detail
    orphan = play_schedule(
        racing(RACE["orphaned-producer"]), Schedule((Leave("a", "events", count=1),))
    ).history
    (left,) = [record for record in orphan.records if isinstance(record, Left)]
    assert left.created_at.partition(":")[0].endswith("orphaned_producer.py")


def test_a_slow_application_is_not_taken_for_one_that_leaves_tasks() -> None:
    for side in ("before", "after"):
        exploration = Exploration(asgi_subject(Service), RACE["shared-queue"].config)
        assert breaks(exploration, Hold(f"*.send.*.{side}", 5.0)) == set()


class Moody(Service):
    """Says who it is: another one each time that it is made. Raises an error where its number is one of `bad`."""

    def __init__(self, number: int, bad: Container[int]) -> None:
        super().__init__()
        self.number, self.bad = number, bad

    async def publish(self, job: Job, event: Event) -> None:
        if self.number in self.bad:
            raise ValueError(f"I am {self.number}")
        await super().publish(job, event)

    async def stream(self, job: Job, after: int, response: Response) -> None:
        await response.write(f": I am {self.number}\n\n".encode())
        await super().stream(job, after, response)


def moody(bad: Container[int]) -> Exploration:
    numbers = count()
    return Exploration(asgi_subject(lambda: Moody(next(numbers), bad)), RACE["shared-queue"].config)


def test_what_was_seen_once_and_not_again_is_found_all_the_same() -> None:
    searched = search(moody(bad={7}), most=50)
    assert searched.found is not None
    assert searched.unlike is not None
    assert searched.until_found == 8
    assert searched.found.broken
    assert searched.unlike.broken == ()
    first, where, here, there, causes = told_unlike(searched.found, searched.unlike)
    assert first.endswith("the same schedule gave another history, which breaks nothing.")
    assert re.fullmatch(r"the two part at record \d+, of \d+ and \d+:", where)
    assert here.startswith("  in this run: ")
    assert "I am 7" in here
    assert "I am 7" not in there
    assert "a set of the application's own objects" in causes


def test_what_breaks_each_time_in_another_way_is_found() -> None:
    searched = search(moody(bad=range(1000)), most=50)
    assert searched.found is not None
    assert searched.unlike is not None
    assert searched.unlike.broken
    assert "which breaks " in told_unlike(searched.found, searched.unlike)[0]


def test_what_breaks_now_and_then_is_shrunk_too() -> None:
    searched = search(moody(bad=range(20, 10_000, 3)), most=50)
    assert searched.found is not None
    assert searched.found.schedule == Schedule()
    assert searched.unlike is not None
    assert searched.until_found == 21


def test_a_broken_should_stops_no_search_and_is_told_at_its_end() -> None:
    subject, config = asgi_subject(RACE["late-heartbeat"].make), RACE["late-heartbeat"].config
    searched = search(Exploration(subject, config), most=150)
    assert searched.found is None
    assert searched.tried == searched.until_found > 100
    assert searched.warned is not None
    assert [case.rule for case in searched.warned.warned] == ["resource.no-errors"]
    assert searched.warned.broken == ()
    assert len(searched.warned.schedule.choices) <= 2
    strict = search(Exploration(subject, config, strict=True), most=150)
    assert strict.found is not None
    assert [case.rule for case in strict.found.broken] == ["resource.no-errors"]
    assert strict.warned is None


def test_what_repeats_is_not_told_to_differ() -> None:
    searched = search(racing(RACE["orphaned-producer"]), most=100)
    assert searched.found is not None
    assert searched.unlike is None


def test_a_schedule_that_breaks_now_and_then_is_played_until_it_does() -> None:
    played, other = play_again(moody(bad={3, 6}), Schedule())
    assert played.broken
    assert other is not None
    assert other.broken == ()
    alike, none = play_again(racing(RACE["orphaned-producer"]), Schedule())
    assert (alike.broken, none) == ((), None)
    with pytest.raises(NotRepeatable, match=r"the two part at record .* No play of it breaks a rule"):
        play_again(moody(bad={-1}), Schedule((Late("b", 0.05),)))


def test_what_was_found_is_tried_first_the_next_time(tmp_path: Path) -> None:
    exploration = racing(RACE["slot-before-body"])
    first = search(exploration, most=500, database=tmp_path)
    again = search(exploration, most=500, database=tmp_path)
    assert first.found is not None
    assert again.found is not None
    assert again.until_found == 1
    assert again.found.schedule == first.found.schedule


def test_progress_is_told() -> None:
    told: list[tuple[int, bool]] = []
    search(racing(RACE["cancelled-cleanup"]), most=100, told=lambda tried, found: told.append((tried, found)))
    assert [tried for tried, _ in told] == list(range(1, len(told) + 1))
    assert _changes([found for _, found in told]) == [False, True]


def _changes(flags: Sequence[bool]) -> list[bool]:
    return [flag for before, flag in zip([None, *flags], flags, strict=False) if flag != before]


def test_what_is_drawn_does_not_depend_on_what_is_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hypothesis draws constants of the user's modules, of which one process may have imported more than another."""
    plain = play_schedule(REFERENCE, Schedule())
    drawn: list[list[Schedule]] = []

    def played(_: Exploration, schedule: Schedule) -> Played:
        drawn[-1].append(schedule)
        return plain

    monkeypatch.setattr(sys.modules["conformance.explore.search"], "play_schedule", played)
    monkeypatch.syspath_prepend(tmp_path)
    for number in range(2):
        drawn.append([])
        search(REFERENCE, most=1000)
        if number == 0:
            (tmp_path / "constants.py").write_text("\n".join(f"x{n} = {n}" for n in range(1, 1000)))
            import_module("constants")
    del sys.modules["constants"]
    assert len(drawn[0]) == 1000
    assert drawn[0] == drawn[1]
