"""Work that its client names, and that is sent anew to who comes back: without an id, resuming can be judged, too."""

from pathlib import Path

import pytest
from client_named import WORDS, make
from documented import ON_TRIO, driven, judged, read, shown_in
from drive_world import in_virtual_time

from conformance.asgi.types import ASGIApp
from conformance.explore import Exploration, Leave, Schedule, asgi_subject, play_schedule
from conformance.judging import judge
from conformance.rules import RULES
from reports.results import Verdict

CONFIG = (
    shown_in("vercel.md")
    + """
[target.status]
path = "/api/chat/{fresh_id}"
pointer = "/state"
finished = ["completed"]
"""
)
COUNTED = CONFIG.replace("replay = ", f"events = {WORDS + 2}\nreplay = ")


@in_virtual_time
async def test_each_piece_of_work_has_a_name_of_its_own(tmp_path: Path) -> None:
    played = await driven(make(), read(CONFIG, tmp_path), "side-by-side")
    left, right = (stream.requested.names["fresh_id"] for stream in played.streams)
    assert left != right
    for name, stream in ((left, played.streams[0]), (right, played.streams[1])):
        assert f'"id":"{name}"' in stream.requested.body
        assert name.startswith("sse-conformance-side-by-side-")
    again = await driven(make(), read(CONFIG, tmp_path), "subscribe")
    assert again.streams[0].requested.names["fresh_id"] not in {left, right}


@in_virtual_time
@pytest.mark.parametrize("name", ["resume-after-cut", "resume-mid-event", "completion-unwatched"])
async def test_who_comes_back_without_an_id_is_sent_everything_anew(tmp_path: Path, name: str) -> None:
    played = await driven(make(), read(CONFIG, tmp_path), name)
    first, second = played.subscribers["a"]
    assert (first.requested.method, second.requested.method) == ("POST", "GET")
    assert second.requested.url.endswith(f"/api/chat/{first.requested.names['fresh_id']}/stream")
    assert (second.came_with, second.request_header("last-event-id")) == (None, None)
    assert second.opening is first.requested
    assert len(second.events) == WORDS + 3
    assert judged(played, "resume.completion-survives").verdict is Verdict.PASS
    assert judged(played, "resume.no-gap").verdict is Verdict.INCONCLUSIVE  # nobody knows how much it is
    counted = await driven(make(), read(COUNTED, tmp_path), name)
    assert judged(counted, "resume.no-gap").verdict is Verdict.PASS
    assert not [case for case in judge(played, RULES) if case.verdict in {Verdict.FAIL, Verdict.WARN}]


@in_virtual_time
@pytest.mark.parametrize("app", [make(forgets=2), make(live_only=True)], ids=["forgets", "live only"])
async def test_what_is_missing_in_what_is_sent_anew_is_counted(tmp_path: Path, app: ASGIApp) -> None:
    found = judged(await driven(app, read(COUNTED, tmp_path), "resume-after-cut"), "resume.no-gap")
    assert found.verdict is Verdict.FAIL
    assert f"of the {WORDS + 2} events that expect.events declares" in found.findings[0].message


@in_virtual_time
async def test_without_the_promise_of_everything_nobody_comes_back_without_an_id(tmp_path: Path) -> None:
    played = await driven(
        make(), read(CONFIG.replace("replay = ", "# replay = "), tmp_path), "resume-after-cut"
    )
    assert len(played.streams) == 1
    assert judged(played, "resume.no-gap").verdict is Verdict.INCONCLUSIVE


def test_a_chat_that_was_never_begun_may_be_unknown(tmp_path: Path) -> None:
    """Who leaves before its message was read comes back to nothing."""
    schedule = Schedule((Leave("a", "before-head", away=0.2),))
    played = play_schedule(Exploration(asgi_subject(make, ON_TRIO), read(CONFIG, tmp_path)), schedule)
    left, back = played.history.subscribers["a"][:2]
    assert left.head is None
    assert back.head is not None
    assert back.head.status == 404
    assert not [case for case in played.broken if case.rule == "http.status"]


def test_exploring_comes_back_by_it_too(tmp_path: Path) -> None:
    schedule = Schedule((Leave("a", "events", count=2, away=0.2),))
    played = play_schedule(Exploration(asgi_subject(make, ON_TRIO), read(CONFIG, tmp_path)), schedule)
    assert [each.requested.method for each in played.history.subscribers["a"]] == ["POST", "GET"]
    assert not played.broken
