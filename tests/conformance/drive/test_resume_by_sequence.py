"""Work that is named, and counted, in the data of its own stream: it is begun, resumed and judged like any other."""

import re
from pathlib import Path

import pytest
from documented import ON_TRIO, driven, read, shown_in
from drive_world import in_virtual_time
from numbered_in_data import LAST, make

from conformance.asgi.types import ASGIApp
from conformance.config import Config
from conformance.explore import Exploration, Leave, Schedule, asgi_subject, play_schedule
from conformance.judging import judge
from conformance.pointer import resolve
from conformance.rules import RULES
from reports.results import Verdict

BAD = {Verdict.FAIL, Verdict.WARN}
DRIVEN = [
    *("subscribe", "two-subscribers", "late-subscriber", "after-completion", "resume-after-cut"),
    *("resume-mid-event", "completion-while-away", "disconnect-mid-stream", "unknown-id", "foreign-id"),
    *("unknown-stream", "side-by-side", "cancel", "completion-unwatched"),
]


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """The configuration that docs/responses.md shows."""
    return read(shown_in("responses.md"), tmp_path)


@in_virtual_time
@pytest.mark.parametrize("name", DRIVEN)
async def test_a_correct_server_is_blamed_for_nothing(config: Config, name: str) -> None:
    played = await driven(make(), config, name)
    assert played.concluded is not None
    assert played.concluded.outcome == "done", played.concluded
    assert not [case for case in judge(played, RULES) if case.verdict in BAD]


@in_virtual_time
async def test_the_name_comes_from_the_stream_that_is_left_then(config: Config) -> None:
    played = await driven(make(named_at=2), config, "subscribe")
    start = played.exchange("start")
    assert start is not None
    assert (start.how, start.is_event_stream) == ("dropped", True)
    assert [resolve(each.parsed.json, "/sequence_number") for each in start.all_events] == [0, 1, 2]
    (stream,) = played.streams
    assert stream.requested.names == {"response": "resp_1"}
    assert stream.requested.url.endswith("/v1/responses/resp_1?stream=true")


@in_virtual_time
async def test_a_stream_that_never_tells_the_name_is_said_to(config: Config) -> None:
    played = await driven(make(named_at=-1), config, "subscribe")
    assert played.concluded is not None
    assert played.concluded.outcome == "unreached"
    assert "no value at /response/id to capture as {response}" in played.concluded.reason


@in_virtual_time
async def test_who_was_cut_off_comes_back_with_the_last_sequence(config: Config) -> None:
    first, second = (await driven(make(), config, "resume-after-cut")).streams
    last = len(first.events) - 1
    assert second.requested.url.endswith(f"?stream=true&starting_after={last}")
    assert second.came_with == str(last)
    assert second.request_header("last-event-id") is None
    numbers = [resolve(each.parsed.json, "/sequence_number") for each in second.events]
    assert numbers == list(range(last + 1, LAST + 1))


@in_virtual_time
@pytest.mark.parametrize(
    ("app", "rule", "said"),
    [
        (
            make(lossy=True),
            "resume.no-gap",
            r"a-2 came back by target.resume with '(\d)' and never got event",
        ),
        (
            make(again=True),
            "resume.no-duplicate",
            r"a-2 came back by target.resume with '(\d)' and was sent event \1 again",
        ),
    ],
    ids=["gap", "again"],
)
async def test_what_is_lost_or_sent_again_is_found(
    config: Config, app: ASGIApp, rule: str, said: str
) -> None:
    played = await driven(app, config, "completion-while-away")
    (case,) = [case for case in judge(played, RULES) if case.rule == rule]
    assert case.verdict is Verdict.FAIL
    assert re.match(said, case.findings[0].message), case.findings[0].message


@pytest.mark.parametrize("lossy", [False, True])
def test_exploring_comes_back_by_it_too(config: Config, lossy: bool) -> None:
    subject = asgi_subject(lambda: make(lossy=lossy), ON_TRIO)
    schedule = Schedule((Leave("a", "events", count=2, away=0.2),))
    played = play_schedule(Exploration(subject, config), schedule)
    assert [each.came_with for each in played.history.subscribers["a"]] == [None, "1"]
    assert {case.rule for case in played.broken} == ({"resume.no-gap"} if lossy else set())
