"""Schedules as data: in words, in files, at the boundaries."""

import os
from pathlib import Path

import msgspec
import pytest
import trio
from hypothesis import given

from conformance.asgi import Boundary
from conformance.explore import (
    Beside,
    Break,
    Cancel,
    Hold,
    Late,
    Leave,
    Order,
    Replay,
    ReplayError,
    Schedule,
    Unaware,
    load_replay,
    save_replay,
    words,
)
from conformance.explore.draw import schedules
from fault_injection.faults import AtTrigger, Disconnect

SCHEDULE = Schedule(
    (
        Late("b", 0.5),
        Leave("a", "events", count=2, how="rst", away=1.0),
        Leave("b", "before-head"),
        Hold("1.send.2.before", 0.1),
        Hold("*.send.*.after", 2.0),
        Hold("0.return", 1.0),
        Unaware(0.25),
        Break(Disconnect(when=AtTrigger("completion"))),
        Beside(0.0),
        Leave("other", "head"),
        Order(7),
    )
)


def test_a_schedule_in_words() -> None:
    assert words(Schedule()) == ["nothing out of the ordinary"]
    *first, fault, beside, leaves, order = words(SCHEDULE)
    assert first == [
        "subscriber b comes 0.5 s late",
        "subscriber a leaves after event 2 by RST and comes back 1 s later",
        "subscriber b leaves before the response begins by FIN and does not come back",
        "the application is held up for 0.1 s before send 2 in exchange 1",
        "the application is held up for 2 s after each send in every exchange",
        "the application is held up for 1 s when it returns in exchange 0",
        "the application learns 0.25 s late that a client has gone",
    ]
    assert fault.startswith("the link: ")
    assert "completion" in fault
    assert beside == "other work begins at the same time, and somebody watches it"
    assert words(Schedule((Beside(0.5),))) == ["other work begins 0.5 s later, and somebody watches it"]
    assert words(Schedule((Cancel(), Cancel(3, 0.5)))) == [
        "the work is cancelled as soon as it has begun",
        "the work is cancelled 0.5 s after event 3 has come",
    ]
    assert leaves == (
        "who watches the other work leaves when the response begins by FIN and does not come back"
    )
    assert order == "tasks that are ready at the same moment run in order 7"


def test_without_other_work_its_subscriber_is_one_of_the_first() -> None:
    schedule = Schedule((Beside(1.0), Leave("other", "head"), Late("b", 0.5), Late("other", 0.25)))
    assert schedule.alone("a") == Schedule((Leave("a", "head"), Late("b", 0.5), Late("a", 0.25)))


def test_a_replay_file_holds_all_of_it(tmp_path: Path) -> None:
    path = tmp_path / "replay.json"
    replay = Replay(
        subject="shop:app",
        config="shop.toml",
        seed=3,
        schedule=SCHEDULE,
        breaks=("order.no-gap",),
        digest="00",
    )
    save_replay(path, replay)
    assert load_replay(path) == replay


@given(schedules(beside=True, cancel=True))
def test_every_schedule_goes_through_a_file_and_into_words(schedule: Schedule) -> None:
    assert msgspec.json.decode(msgspec.json.encode(schedule), type=Schedule) == schedule
    assert len(words(schedule)) == max(1, len(schedule.choices))


def _of(choices: list[Order]) -> bytes:
    return msgspec.json.encode({"subject": "a:b", "schedule": {"choices": choices}})


def _held(boundary: str) -> bytes:
    choice = f'{{"choice": "hold", "boundary": "{boundary}", "seconds": 1}}'
    return f'{{"subject": "a:b", "schedule": {{"choices": [{choice}]}}}}'.encode()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"not json", "not a replay file"),
        (b"\xff\xfe", "not a replay file"),
        (b'{"subject": "a:b", "schedule": {"choices": [{"choice": "jump"}]}}', "not a replay file"),
        (b'{"subject": "a:b", "schedule": {}, "version": 99}', "version 99"),
        (b'{"subject": "a:b", "schedule": {}, "version": 0}', "version 0"),
        (b'{"subject": "a:b", "schedule": {}, "version": -1}', "version -1"),
        (b'{"x": ' + 100_000 * b"[" + 100_000 * b"]" + b"}", "nested too deeply"),
        (b'{"subject": "a:b", "schedule": {}, "config": "' + 5_000 * b"x" + b'"}', "length <= 4096"),
        (_of(20_000 * [Order(1)]), "length <= 200"),
        (_held("abc"), r"'abc' names no boundary: write e\.g\. 1\.send\.2\.before"),
        (_held("1.send.2"), "names no boundary"),
        (_held("1.call\\n"), "names no boundary"),
        (b'{"subject": "a:b", "schedule": {"choices": [{"choice": "jump"}]}, "version": 99}', "version 99"),
    ],
)
def test_what_is_no_replay_file_is_told(tmp_path: Path, text: bytes, says: str) -> None:
    path = tmp_path / "replay.json"
    path.write_bytes(text)
    with pytest.raises(ReplayError, match=says) as caught:
        load_replay(path)
    assert str(path) in str(caught.value)


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (pipe, tmp_path):
        with pytest.raises(ReplayError, match="it is no regular file"):
            load_replay(path)


async def test_holds_by_name_and_by_star(autojump_clock: object) -> None:
    def delays(*holds: Hold) -> list[float | None]:
        moments = Schedule(holds).moments
        boundaries = (
            Boundary(1, "send", 2, "before"),
            Boundary(1, "send", 2, "after"),
            Boundary(2, "send", 0, "before"),
            Boundary(1, "call"),
        )
        return [moments.at(boundary).delay for boundary in boundaries]

    assert delays() == [None, None, None, None]
    assert delays(Hold("1.send.2.before", 3.0)) == [3.0, None, None, None]
    assert delays(Hold("1.send.*.before", 3.0)) == [3.0, None, None, None]
    assert delays(Hold("*.send.*.before", 3.0)) == [3.0, None, 3.0, None]
    assert delays(Hold("*.send.*.before", 3.0), Hold("1.send.2.before", 1.0)) == [1.0, None, 3.0, None]
    assert delays(Hold("*.call", 3.0)) == [None, None, None, 3.0]
    await trio.sleep(121)
    assert delays(Hold("*.send.*.before", 3.0)) == [None, None, None, None], "some time it is over"
