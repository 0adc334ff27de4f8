"""`target.resume`: a stream that a POST opens and another request resumes is one stream, to drivers and to rules."""

import re
from pathlib import Path

import pytest
from documented import ON_TRIO, driven, judged, read, shown_in
from drive_world import in_virtual_time, set_up
from resumed_by_get import STEPS, make

from conformance.asgi import open_asgi
from conformance.drive.scene import play
from conformance.drive.stage import Stage
from conformance.explore import Exploration, Leave, Schedule, asgi_subject, play_schedule
from conformance.history import Exchange
from conformance.judging import judge
from conformance.rules import RULES
from conformance.scenarios import Scenario
from fault_injection.virtual import VirtualNetwork
from reports.results import Verdict

RESUME = r"(?s)\[target.resume\].*?\n\n"
CUTS = ["resume-after-cut", "resume-mid-event"]
SESSION = 'Mcp-Session-Id = "{session}"'
ELSEWHERE = {
    "query": f'path = "/mcp?after={{last_event_id}}"\nheaders = {{ {SESSION} }}',
    "json": f'method = "POST"\nheaders = {{ {SESSION} }}\njson = {{ after = "{{last_event_id}}" }}',
}


@pytest.fixture
def documented() -> str:
    """The configuration that docs/mcp.md shows."""
    return shown_in("mcp.md")


def numbers(stream: Exchange) -> list[str]:
    return [each.event.last_event_id.rpartition("/")[2] for each in stream.events]


@in_virtual_time
@pytest.mark.parametrize("name", CUTS)
async def test_who_was_cut_off_comes_back_by_the_other_request(
    documented: str, tmp_path: Path, name: str
) -> None:
    played = await driven(make(), read(documented, tmp_path), name)
    first, second = played.streams
    had = numbers(first)
    assert numbers(second) == [str(step) for step in range(len(had) + 1, STEPS + 2)]
    assert (first.requested.method, second.requested.method) == ("POST", "GET")
    assert '"id":"a"' in first.requested.body
    assert second.requested.body == ""
    assert second.request_header("content-type") is None
    assert second.request_header("last-event-id") == f"session-1/a/{len(had)}" == second.came_with
    assert second.opening is first.requested
    assert not [case for case in judge(played, RULES) if case.verdict in {Verdict.FAIL, Verdict.WARN}]
    for rule in ("resume.no-gap", "resume.no-duplicate", "resume.completion-survives"):
        assert judged(played, rule).verdict is Verdict.PASS


@in_virtual_time
@pytest.mark.parametrize("name", CUTS)
async def test_an_event_that_is_lost_on_the_way_is_found(documented: str, tmp_path: Path, name: str) -> None:
    played = await driven(make(lossy=True), read(documented, tmp_path), name)
    case = judged(played, "resume.no-gap")
    assert case.verdict is Verdict.FAIL
    lost = int(numbers(played.streams[0])[-1]) + 1
    assert f"event {lost}" in case.findings[0].message


@in_virtual_time
@pytest.mark.parametrize("place", ELSEWHERE)
async def test_the_id_travels_where_the_configuration_says_and_nowhere_else(
    documented: str, tmp_path: Path, place: str
) -> None:
    config = read(re.sub(RESUME, f"[target.resume]\n{ELSEWHERE[place]}\n\n", documented), tmp_path)
    played = await driven(make(place), config, "resume-after-cut")
    second = played.streams[1]
    assert second.request_header("last-event-id") is None
    assert second.came_with == f"session-1/a/{len(played.streams[0].events)}"
    assert judged(played, "resume.no-gap").verdict is Verdict.PASS
    broken = judged(await driven(make(place, lossy=True), config, "resume-after-cut"), "resume.no-gap")
    assert broken.verdict is Verdict.FAIL
    assert f"came back by target.resume with '{second.came_with}'" in broken.findings[0].message


@in_virtual_time
async def test_a_header_that_the_configuration_writes_beside_the_placeholder_is_sent(
    documented: str, tmp_path: Path
) -> None:
    both = ELSEWHERE["query"].replace(SESSION, SESSION + ', Last-Event-ID = "{last_event_id}"')
    config = read(re.sub(RESUME, f"[target.resume]\n{both}\n\n", documented), tmp_path)
    second = (await driven(make(), config, "resume-after-cut")).streams[1]
    assert second.request_header("last-event-id") == second.came_with
    assert second.requested.url.endswith("/mcp?after=session-1%2Fa%2F3")


@in_virtual_time
@pytest.mark.parametrize("lossy", [False, True])
async def test_who_stayed_is_a_witness_for_who_came_back(
    documented: str, tmp_path: Path, lossy: bool
) -> None:
    text = documented.replace("resumable = true", "resumable = true\nshared = true")
    text = text.replace('id = "{exchange}"', "id = 2").replace('sequence = "/params/progress"', "")
    played = await driven(make(lossy=lossy, shared=True), read(text, tmp_path), "completion-while-away")
    case = judged(played, "resume.no-gap")
    assert case.verdict is (Verdict.FAIL if lossy else Verdict.PASS)
    if lossy:
        assert "which witness got" in case.findings[0].message


@in_virtual_time
@pytest.mark.parametrize(
    "name",
    ["subscribe", "disconnect-mid-stream", "unknown-id", "unknown-stream", "foreign-id", "side-by-side"],
)
async def test_a_correct_server_is_blamed_for_nothing(documented: str, tmp_path: Path, name: str) -> None:
    played = await driven(make(), read(documented, tmp_path), name)
    assert played.concluded is not None
    assert played.concluded.outcome == "done", played.concluded
    assert not [case for case in judge(played, RULES) if case.verdict in {Verdict.FAIL, Verdict.WARN}]


@in_virtual_time
async def test_who_comes_with_an_id_and_has_opened_nothing_asks_for_a_stream_of_its_own(
    documented: str, tmp_path: Path
) -> None:
    (stream,) = (await driven(make(), read(documented, tmp_path), "unknown-id")).streams
    assert stream.requested.method == "GET"
    assert stream.opening is stream.requested


@in_virtual_time
async def test_who_comes_back_comes_to_its_own_stream_or_else_to_the_last_of_the_work(
    documented: str, tmp_path: Path
) -> None:
    async def drive(stage: Stage) -> None:
        await stage.start()
        for name, last in (("a", None), ("b", None), ("a", "x"), ("c", "y"), ("a", None), ("a", "z")):
            async with stage.subscribe(name, last_event_id=last) as subscriber:
                await subscriber.head()
        await stage.start()
        async with stage.subscribe("a", last_event_id="of other work"):
            pass

    network = VirtualNetwork()
    async with open_asgi(make(), network, options=ON_TRIO) as subject:
        host, port = subject.address
        setting = set_up(network, f"http://{host}:{port}", read(documented, tmp_path))
        played = await play(setting, Scenario("subscribe", "made up", drive))
    assert [(each.name, each.requested.opened) for each in played.streams] == [
        ("a", ""),
        ("b", ""),
        ("a-2", "a"),
        ("c", "b"),
        ("a-3", ""),
        ("a-4", "a-3"),
        ("a-5", ""),
    ]


@in_virtual_time
async def test_without_an_id_there_is_no_way_back_and_other_work_is_not_begun(
    documented: str, tmp_path: Path
) -> None:
    played = await driven(make(ids=False), read(documented, tmp_path), "resume-after-cut")
    assert len(played.streams) == 1
    for rule in ("resume.no-gap", "resume.no-duplicate", "resume.completion-survives"):
        case = judged(played, rule)
        assert case.verdict is Verdict.INCONCLUSIVE
        assert case.reason.endswith("no event brought what target.resume needs")


@in_virtual_time
@pytest.mark.parametrize(
    ("ids", "methods"), [(True, ["POST", "GET", "GET"]), (False, ["POST"])], ids=["with ids", "without"]
)
async def test_a_response_that_ends_early_is_followed_where_there_is_a_way_back(
    documented: str, tmp_path: Path, ids: bool, methods: list[str]
) -> None:
    played = await driven(make(ids=ids, most=3), read(documented, tmp_path), "subscribe")
    assert [each.requested.method for each in played.streams] == methods
    assert judged(played, "completion.delivered").verdict is (Verdict.PASS if ids else Verdict.INCONCLUSIVE)


@in_virtual_time
@pytest.mark.parametrize("ids", [True, False], ids=["with ids", "without"])
async def test_who_looks_at_cancelled_work_begins_no_other(
    documented: str, tmp_path: Path, ids: bool
) -> None:
    cancel = '[target.cancel]\npath = "/mcp"\njson = { method = "notifications/cancelled" }\n'
    played = await driven(make(ids=ids), read(documented + cancel, tmp_path), "cancel")
    assert played.concluded is not None
    assert played.concluded.outcome == "done", played.concluded
    opened = [each.requested.subscriber for each in played.streams if each.requested.method == "POST"]
    assert opened == ["other", "a"]
    back = [each.opening.exchange for each in played.streams if each.requested.subscriber == "back"]
    assert back == (["a"] * len(back) if ids else [])
    assert bool(back) is ids


def test_exploring_finds_no_way_back_without_an_id_either(documented: str, tmp_path: Path) -> None:
    subject = asgi_subject(lambda: make(ids=False), ON_TRIO)
    schedule = Schedule((Leave("a", "events", count=2, away=0.2),))
    played = play_schedule(Exploration(subject, read(documented, tmp_path)), schedule)
    assert len(played.history.streams) == 1
    assert not played.broken


@in_virtual_time
async def test_no_two_calls_have_one_id(documented: str, tmp_path: Path) -> None:
    played = await driven(make(), read(documented, tmp_path), "disconnect-mid-stream")
    gone, other = (stream.requested.body for stream in played.streams)
    assert '"id":"gone"' in gone
    assert '"id":"a"' in other


@in_virtual_time
async def test_wrong_credentials_are_tried_on_the_request_that_resumes(
    tmp_path: Path, documented: str
) -> None:
    headers = 'Authorization = "Bearer opens"'
    text = documented.replace("[target.stream.headers]", f"[target.stream.headers]\n{headers}")
    resume = f'[target.resume]\nheaders = {{ {SESSION}, X-Key = "k", Authorization = "Bearer resumes" }}\n\n'
    for written, methods in ((resume, ["POST", "GET"]), ("", ["POST", "POST"])):
        played = await driven(make(), read(re.sub(RESUME, written, text), tmp_path), "wrong-credentials")
        assert [each.requested.method for each in played.streams] == methods
    text = re.sub(RESUME, resume.replace(', Authorization = "Bearer resumes"', ""), text)
    (stranger,) = (await driven(make(), read(text, tmp_path), "wrong-credentials")).streams
    assert stranger.requested.method == "POST"


@pytest.mark.parametrize("lossy", [False, True])
def test_exploring_comes_back_by_it_too(documented: str, tmp_path: Path, lossy: bool) -> None:
    subject = asgi_subject(lambda: make(lossy=lossy), ON_TRIO)
    schedule = Schedule((Leave("a", "events", count=2, away=0.2),))
    played = play_schedule(Exploration(subject, read(documented, tmp_path)), schedule)
    assert [each.requested.method for each in played.history.streams] == ["POST", "GET"]
    assert {case.rule for case in played.broken} == ({"resume.no-gap"} if lossy else set())
