"""Each planted race is found, shrunk to what it takes, and not reported on its twin."""

import pytest

from conformance.explore import (
    Exploration,
    Hold,
    Leave,
    Schedule,
    Unaware,
    asgi_subject,
    play_schedule,
    search,
    words,
)
from conformance.races import RACES, Race

each_race = pytest.mark.parametrize("race", RACES, ids=lambda race: race.name)


@each_race
def test_a_race_is_found_and_shrunk(race: Race) -> None:
    searched = search(Exploration(asgi_subject(race.make), race.config, strict=True), most=500)
    assert searched.found is not None, f"{searched.tried} schedules broke nothing"
    assert {case.rule for case in searched.found.broken} & {*race.breaks}, searched.found.broken
    assert len(searched.found.schedule.choices) <= 3, words(searched.found.schedule)


@each_race
def test_its_twin_breaks_nothing(race: Race) -> None:
    exploration = Exploration(asgi_subject(race.twin), race.config, strict=True)
    plain = play_schedule(exploration, Schedule())
    assert plain.history.concluded is not None
    assert plain.history.concluded.outcome == "done"
    assert all(stream.completed for stream in plain.history.streams)
    searched = search(exploration, most=60)
    assert searched.found is None, searched.found


def test_who_was_sent_nothing_comes_back_as_an_event_source_does() -> None:
    """A stream that is taken over by one whose client has gone ends without an event, and that is not its end."""
    (race,) = [race for race in RACES if race.name == "superseded-stream"]
    leave = Leave("a", "before-head", away=0.0)
    schedule = Schedule((Unaware(0.001), Hold("2.send.*.before", 0.001), leave))
    played = play_schedule(Exploration(asgi_subject(race.twin), race.config), schedule)
    assert played.broken == ()
    first, second, third = played.history.streams
    assert (first.how, second.how, second.events) == ("dropped", "complete", ())
    assert third.completed is not None
