"""A look at servers of many kinds, in virtual time, and what is guessed of each: all of it, and nothing more."""

import json
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import trio
from drive_world import CHUNKED, Handler, chunk, configured, driven, in_virtual_time, request_of, waits

from conformance.config import Expect, Limits, load_config
from conformance.dialect import Dialect, Matcher
from conformance.drive.scene import Setting, play
from conformance.drive.stage import Stage
from conformance.first_look import look, middle
from conformance.history import History
from conformance.judging import held, judge
from conformance.proposal import address, file_text, propose
from conformance.reference.service import ServiceOptions
from conformance.rules import RULES
from conformance.scenarios import SCENARIOS, Scenario
from conformance.specimens.clock import WALL
from conformance.specimens.program import GRACEFUL, InProcess
from conformance.specimens.specimen import reference_config
from conformance.wire import Event
from fault_injection.network import Connection
from fault_injection.virtual import VirtualNetwork
from reports.results import Verdict

Log: TypeAlias = Callable[[int], bytes]  # the event of this number, from 1 on

COMPLETE = (Matcher(event="complete"),)


async def looked_at(handle: Handler, duration: float = 10.0) -> History:
    """The history of a look at such a server."""
    config = configured(dialect=Dialect(), expect=Expect(), limits=Limits())

    async def drive(stage: Stage) -> None:
        await look(stage, duration, trio.Event())

    return await driven(
        handle, config, drive=drive, duration=duration, wall=lambda: WALL + trio.current_time()
    )


def guessed(history: History) -> dict[str, Any]:
    return {entry.name: entry.value for entry in propose(history).guesses}


def why(history: History, name: str) -> str:
    """The reason for which this key is a comment."""
    (entry,) = [entry for entry in propose(history).entries if entry.name == name]
    assert not entry.guessed
    return entry.reason


def told(number: int, of: int | None = 8, *, named: bool = True, said: str = "") -> bytes:
    """Event `number`, the last of which completes the stream."""
    lines = [f"id: {number}"] if named else []
    lines += ["event: complete"] if number == of else []
    lines += [f"data: {json.dumps({'text': f'{said}{number}'})}", "", ""]
    return "\n".join(lines).encode()


def nameless(number: int) -> bytes:
    return told(number, named=False)


def endless(number: int) -> bytes:
    return told(number, None)


def last_event_id(request: bytes) -> int | None:
    for line in request.lower().split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name == b"last-event-id":
            return int(value)
    return None


def serves(
    log: Log = told,
    of: int | None = 8,
    *,
    interval: float = 0.5,
    shared: bool = True,
    replays: int = 10**9,
    honours: bool = True,
    ends: bool = True,
    before: float = 0.0,
) -> Handler:
    """A server that tells one event of `log` each `interval` seconds, `of` in all: of one piece of work that began with
    the first request (or so many seconds `before`), or else of one that each request begins. Who comes is told so many
    of the past events."""
    began: list[float] = []

    async def handle(connection: Connection) -> None:
        came = last_event_id(await request_of(connection))
        now = trio.current_time()
        began.append(now - before)
        start = began[0] if shared else now
        await connection.send_all(CHUNKED)
        past = int((now - start) / interval)
        first = max(1, past - replays + 1)
        if honours and came is not None:
            first = came + 1
        for number in count(first):
            if of is not None and number > of:
                break
            await trio.sleep_until(max(now, start + number * interval))
            await connection.send_all(chunk(log(number)))
        if ends:
            await connection.send_all(chunk(b""))
        else:
            await trio.sleep_forever()

    return handle


JSON_IDS = {"dialect.json": True, "dialect.sequence": "id"}
ENDS = {"dialect.completion": COMPLETE, "expect.terminates": True}


@in_virtual_time
async def test_a_job_that_is_shared_replayed_and_resumed_is_known_whole() -> None:
    history = await looked_at(serves())
    assert guessed(history) == {
        **JSON_IDS,
        **ENDS,
        "expect.events": 8,
        "expect.resumable": True,
        "expect.replay": "all",
        "expect.shared": True,
    }
    assert [each.came_with for each in history.streams] == [None, None, "4"]
    assert all(each.requested.method == "GET" for each in history.exchanges)


@in_virtual_time
async def test_where_each_request_begins_work_nothing_is_shared_though_it_tells_the_same() -> None:
    history = await looked_at(serves(nameless, shared=False))
    assert guessed(history) == {"dialect.json": True, **ENDS, "expect.events": 8}
    assert "not at the same moment" in why(history, "expect.shared")
    assert why(history, "expect.resumable") == "no event has an id to come back with"


@in_virtual_time
async def test_work_that_tells_something_else_each_time_has_no_number_of_events() -> None:
    made = count()

    async def handle(connection: Connection) -> None:
        said = f"answer {next(made)}, word "
        await serves(lambda number: told(number, said=said), shared=False, honours=False)(connection)

    history = await looked_at(handle)
    assert guessed(history) == {**JSON_IDS, **ENDS}  # the ids start anew with each
    assert "was not told what comes after it" in why(history, "expect.resumable")
    assert why(history, "expect.events").startswith("so many came")


@in_virtual_time
async def test_a_stream_that_each_request_begins_can_be_resumed_all_the_same() -> None:
    history = await looked_at(serves(shared=False))
    assert guessed(history) == {**JSON_IDS, **ENDS, "expect.events": 8, "expect.resumable": True}


@in_virtual_time
async def test_who_comes_back_to_a_server_that_knows_no_ids_is_told_all_again() -> None:
    history = await looked_at(serves(honours=False))
    assert guessed(history) == {
        **JSON_IDS,
        **ENDS,
        "expect.events": 8,
        "expect.replay": "all",
        "expect.shared": True,
    }
    assert "was told the stream from its beginning" in why(history, "expect.resumable")


@in_virtual_time
@pytest.mark.parametrize(
    ("honours", "replay"),
    [
        (True, {"expect.replay": "since-id", "expect.resumable": True}),
        (False, {"expect.replay": "none"}),
    ],
)
async def test_a_bus_goes_on_and_keeps_what_it_told_or_does_not(
    honours: bool, replay: dict[str, Any]
) -> None:
    history = await looked_at(serves(endless, None, replays=0, honours=honours, before=100.2))
    assert guessed(history) == {**JSON_IDS, "expect.shared": True, **replay}
    assert why(history, "expect.terminates") == "the response was still open when it was left"


@in_virtual_time
async def test_the_last_few_events_that_anybody_gets_are_no_answer_to_an_id() -> None:
    """A bus that tells each who comes its last events, whatever id is sent, may begin just behind it."""
    places = []
    for kept in range(1, 30):
        history = await looked_at(serves(endless, None, replays=kept, honours=False, before=100.2))
        found = guessed(history)
        assert found.keys() == {*JSON_IDS, "expect.shared"}, kept
        places.append(why(history, "expect.resumable"))
    assert any("about as many events as anybody gets" in place for place in places)


@in_virtual_time
async def test_two_who_take_events_from_each_other_share_nothing() -> None:
    queue, began = count(1), list[float]()

    async def handle(connection: Connection) -> None:
        await request_of(connection)
        began.append(trio.current_time())
        await connection.send_all(CHUNKED)
        while True:
            number = next(queue)
            await trio.sleep_until(began[0] + number * 0.3)
            await connection.send_all(chunk(told(number, None, named=False)))

    history = await looked_at(handle)
    assert guessed(history) == {"dialect.json": True}
    assert why(history, "expect.shared") == "a second subscriber was told other events meanwhile"


@in_virtual_time
async def test_clocks_that_tick_for_each_subscriber_are_not_one_stream() -> None:
    """Both tell the same times, and both tick once a second."""

    async def handle(connection: Connection) -> None:
        await request_of(connection)
        await connection.send_all(CHUNKED)
        while True:
            await connection.send_all(chunk(b"data: second %d\n\n" % trio.current_time()))
            await trio.sleep(1)

    history = await looked_at(handle)
    assert guessed(history) == {}
    assert "at the same moment" in why(history, "expect.shared")


@in_virtual_time
async def test_a_stream_that_is_over_is_told_at_once_and_says_nothing_of_sharing() -> None:
    history = await looked_at(serves(before=60))
    assert guessed(history) == {**JSON_IDS, **ENDS, "expect.events": 8, "expect.resumable": True}
    assert "begin longer work" in why(history, "expect.shared")


@in_virtual_time
async def test_heartbeats_alone_are_told_as_such() -> None:
    async def handle(connection: Connection) -> None:
        await request_of(connection)
        await connection.send_all(CHUNKED)
        while True:
            await connection.send_all(chunk(b": still here\n\n"))
            await connection.send_all(chunk(b"event: ping\ndata: {}\n\n"))
            await trio.sleep(2)

    history = await looked_at(handle)
    assert guessed(history) == {
        "dialect.heartbeat": (Matcher(comment=True), Matcher(event="ping")),
        "dialect.json": True,
    }


@in_virtual_time
async def test_a_greeting_is_no_heartbeat() -> None:
    async def handle(connection: Connection) -> None:
        await request_of(connection)
        await connection.send_all(CHUNKED + chunk(b": hello\n\n: padding\n\n") + chunk(told(1)))
        await trio.sleep_forever()

    assert guessed(await looked_at(handle)) == {}


@in_virtual_time
async def test_tokens_of_a_model_are_one_answer_to_each_request() -> None:
    answers = count()

    async def handle(connection: Connection) -> None:
        await request_of(connection)
        answer = next(answers)
        await connection.send_all(CHUNKED)
        for word in range(20):
            chosen = {"choices": [{"delta": {"content": f"{answer} {word}"}}]}
            data = json.dumps({"object": "chat.completion.chunk", "created": 1_700_000_000, **chosen})
            await connection.send_all(chunk(f"data: {data}\n\n".encode()))
            await trio.sleep(0.05)
        await connection.send_all(chunk(b"data: [DONE]\n\n") + chunk(b""))

    history = await looked_at(handle)
    assert guessed(history) == {"dialect.preset": "openai-chat", "expect.terminates": True}


@in_virtual_time
async def test_times_of_events_are_found_where_they_come_as_they_are_made() -> None:
    def at(number: int) -> bytes:
        data = {"meta": {"created_at": WALL + trio.current_time() - 0.01}, "n": number}
        return f"data: {json.dumps(data)}\n\n".encode()

    fresh = guessed(await looked_at(serves(at, None, interval=0.3)))
    assert (fresh["dialect.timestamp"], fresh["dialect.sequence"]) == ("/meta/created_at", "/n")
    old = await looked_at(serves(lambda n: at(n).replace(b"170", b"160"), None, interval=0.3))
    assert "no event came when it says" in why(old, "dialect.timestamp")


@in_virtual_time
async def test_a_stream_that_stays_open_after_its_completion_does_not_terminate() -> None:
    history = await looked_at(serves(ends=False))
    assert "expect.terminates" not in guessed(history)
    assert "still open" in why(history, "expect.terminates")


@in_virtual_time
async def test_of_a_stream_that_is_cut_the_end_is_not_known() -> None:
    async def handle(connection: Connection) -> None:
        await request_of(connection)
        await connection.send_all(CHUNKED + b"".join(chunk(told(number)) for number in range(1, 9)))

    history = await looked_at(handle)
    assert guessed(history).keys() == {*JSON_IDS, "expect.resumable"} - {"expect.resumable"}
    assert "did not end properly" in why(history, "expect.terminates")
    assert "not seen to its end" in why(history, "dialect.completion")


@in_virtual_time
async def test_a_second_subscriber_that_is_refused_says_nothing_of_sharing() -> None:
    job, served = serves(), count()

    async def handle(connection: Connection) -> None:
        if next(served) == 1:
            await request_of(connection)
            await connection.send_all(b"HTTP/1.1 409 Conflict\r\nContent-Length: 0\r\n\r\n")
        else:
            await job(connection)

    history = await looked_at(handle)
    assert why(history, "expect.shared") == "a second subscriber was answered 409"
    assert "expect.replay" not in guessed(history)


@in_virtual_time
async def test_where_nothing_is_said_nobody_comes_a_second_time() -> None:
    async def handle(connection: Connection) -> None:
        await request_of(connection)
        await connection.send_all(CHUNKED)
        await waits(connection)

    history = await looked_at(handle)
    assert len(history.streams) == 1
    assert guessed(history) == {}


@in_virtual_time
async def test_it_is_over_in_bounded_time() -> None:
    history = await looked_at(serves(endless, None, interval=0.001, honours=False), duration=3)
    assert history.duration < 3 + 5
    assert len(history.streams) == 3


def test_the_middle_is_an_id_that_names_one_event_with_something_after_it() -> None:
    def events(*ids: str | None) -> list[Event]:
        return [Event(id=each) for each in ids]

    assert middle(events("1", "2", "3", "4")) == ("2", 2)
    assert middle(events("1", "1", "1", "2")) is None
    assert middle(events("1")) is None
    assert middle(events(None, "", "7", None)) == ("7", 1)


async def _drive(network: VirtualNetwork, server: InProcess, config: Any, scenario: Scenario) -> History:
    setting = Setting(
        network=network,
        config=config,
        origin=f"http://127.0.0.1:{server.port}",
        seed=0,
        duration=5.0,
        declared=held(config),
        clock="virtual",
        wall=lambda: WALL + trio.current_time(),
    )
    return await play(setting, scenario)


async def _begin(stage: Stage) -> None:
    await stage.start()


async def _look(stage: Stage) -> None:
    await look(stage, 10, trio.Event())


@in_virtual_time
async def test_the_reference_conforms_to_what_is_guessed_of_it(tmp_path: Path) -> None:
    network, file = VirtualNetwork(), tmp_path / "sse-conformance.toml"
    options = ServiceOptions(epoch=WALL)
    server = InProcess(network, options=options, wrap=lambda app: app, manner=GRACEFUL, seed=0)
    async with server.running():
        begun = await _drive(network, server, reference_config(), Scenario("begin", "", _begin))
        url = f"http://127.0.0.1:{server.port}/jobs/{begun.exchanges[0].json['id']}/events"
        file.write_text(f'[target]\nurl = "{url}"\n', "utf-8")
        config = load_config(file, environ={}).config
        proposal = propose(await _drive(network, server, config, Scenario("init", "", _look)))
        assert {entry.name for entry in proposal.guesses} == {
            "dialect.preset",
            *(f"expect.{key}" for key in ("events", "terminates", "resumable", "replay", "shared")),
        }
        file.write_text(file_text(proposal, address(url, {}), "tested"), "utf-8")
        config = load_config(file, environ={}).config
        passed = 0
        for scenario in SCENARIOS:
            for case in judge(await _drive(network, server, config, scenario), RULES):
                assert case.verdict not in {Verdict.FAIL, Verdict.ERROR, Verdict.WARN}, case
                passed += case.verdict is Verdict.PASS
    assert passed > 100
