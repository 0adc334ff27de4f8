"""A scenario played once: how it is concluded, what is kept of it, and that nothing of it is left."""

import random
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio
import trio.testing
from drive_world import (
    CHUNKED,
    COMPLETE,
    Handler,
    answer,
    chunk,
    configured,
    driven,
    in_virtual_time,
    request_of,
    run_virtually,
    says,
    serving,
    set_up,
    waits,
)

from conformance.config import AnswerHeader, Start, Status, Step, Stream
from conformance.determinism import seeded
from conformance.drive.scene import Setting, play
from conformance.drive.stage import Skipped, Stage
from conformance.history import HARNESS_LOOKED, History, load
from conformance.reference.service import ServiceOptions, open_service
from conformance.scenarios import SCENARIOS, Scenario
from conformance.specimens.specimen import reference_config
from fault_injection.faults import AtTrigger, Buffer, Disconnect, Fault, Latency, Plan
from fault_injection.network import Connection
from fault_injection.virtual import VirtualNetwork

STARTED = Start(path="/jobs", json={"events": 3}, capture={"job": "/id"})
OK = says(CHUNKED, chunk(COMPLETE), b"0\r\n\r\n")
JOB_STREAM = Stream(path="/jobs/{job}/events", headers={"X-Job": "{job}"})


def starts(reply: bytes) -> Handler:
    async def handle(connection: Connection) -> None:
        request = await request_of(connection)
        await connection.send_all(
            reply if request.startswith(b"POST") else CHUNKED + chunk(COMPLETE) + b"0\r\n\r\n"
        )

    return handle


@in_virtual_time
@pytest.mark.parametrize(
    ("handle", "reason"),
    [
        (starts(answer(b"busy", b"503 Busy")), "POST /jobs answered 503: 'busy'"),
        (starts(answer(b"", b"401 No")), "POST /jobs answered 401: an empty body"),
        (starts(answer(b"<html>")), "POST /jobs: no value at /id to capture as {job} in '<html>'"),
        (starts(answer(b'{"jd": 1}')), "POST /jobs: no value at /id to capture as {job} in '{\"jd\": 1}'"),
        (starts(answer(b'{"id": null}')), "POST /jobs: no value at /id"),
        (starts(answer(b'{"id": ["x"]}')), "POST /jobs: no value at /id"),
        (starts(answer(b'{"id": "a"}')[:-4]), "(the connection ended before the response did)"),
        (starts(b"SSH-2.0\r\n\r\n"), "POST /jobs: not HTTP/1.1 as expected"),
        (says(then=waits), "POST /jobs: no complete answer within 2 s"),
        (starts(answer(b'{"id": "a\\nb"}')), "cannot be sent: {job} holds a control character"),
        (starts(answer(b'{"id": "\\ud800"}')), "cannot be sent: "),
        (starts(answer(b'{"id": "' + b"x" * 70_000 + b'"}')), "cannot be sent: URL too long"),
        (
            starts(answer(b"", b"302 F", b"Location: http://h:99x/")),
            "POST /jobs: not HTTP/1.1 as expected (Invalid URL",
        ),
    ],
)
async def test_a_start_that_fails_is_told_in_a_sentence(handle: Handler, reason: str) -> None:
    played = await driven(handle, configured(start=STARTED, stream=JOB_STREAM))
    assert played.concluded is not None
    assert played.concluded.outcome == "unreached", played.concluded
    assert reason in played.concluded.reason
    assert len(played.concluded.reason) < 500
    assert not any(stream.head for stream in played.streams)


@in_virtual_time
@pytest.mark.parametrize(
    ("value", "sent"), [('"a b/c"', "a%20b%2Fc"), ("12", "12"), ("true", "true"), ("1.5", "1.5")]
)
async def test_what_the_start_answers_is_used(value: str, sent: str) -> None:
    played = await driven(
        starts(answer(f'{{"id": {value}}}'.encode())), configured(start=STARTED, stream=JOB_STREAM)
    )
    (stream,) = played.streams
    assert stream.requested.url.endswith(f"/jobs/{sent}/events")
    assert played.concluded is not None
    assert played.concluded.outcome == "done"


@in_virtual_time
async def test_what_follows_the_start_may_use_and_bring_names() -> None:
    asked: list[bytes] = []

    async def handle(connection: Connection) -> None:
        request = (await request_of(connection)).partition(b" HTTP/")[0]
        asked.append(request)
        names = {b"POST /threads": b'{"id": "t1"}', b"POST /threads/t1/runs": b'{"run": 7}'}
        await connection.send_all(
            answer(names[request]) if request in names else CHUNKED + chunk(COMPLETE) + b"0\r\n\r\n"
        )

    then = Step(path="/threads/{thread}/runs", capture={"run": "/run"})
    start = Start(path="/threads", capture={"thread": "/id"}, then=(then,))
    stream = Stream(path="/threads/{thread}/runs/{run}/stream")
    played = await driven(handle, configured(start=start, stream=stream))
    assert asked == [b"POST /threads", b"POST /threads/t1/runs", b"GET /threads/t1/runs/7/stream"]
    (opened,) = played.streams
    assert opened.requested.names == {"thread": "t1", "run": "7"}


@in_virtual_time
async def test_a_state_is_asked_for_by_post_where_the_configuration_says_so() -> None:
    async def ask(stage: Stage) -> None:
        answer = await stage.status(await stage.start())
        assert answer is not None
        assert answer.json == {"id": "j7", "state": "done"}

    asked = Status(method="POST", path="/rpc", json={"method": "get", "id": "{job}"}, pointer="/state")
    config = configured(start=STARTED, stream=JOB_STREAM)
    config = msgspec.structs.replace(config, target=msgspec.structs.replace(config.target, status=asked))
    told = starts(answer(b'{"id": "j7", "state": "done"}'))
    status = (await driven(told, config, drive=ask)).exchange("status")
    assert status is not None
    assert (status.requested.method, status.requested.body) == ("POST", '{"method":"get","id":"j7"}')
    assert status.request_header("content-type") == "application/json"


@in_virtual_time
async def test_a_header_of_the_answer_is_used() -> None:
    start = Start(path="/jobs", capture={"job": AnswerHeader(header="X-Job-Id")})
    config = configured(start=start, stream=JOB_STREAM)
    played = await driven(starts(answer(b"no json", b"200 OK", b"x-job-id: j 7")), config)
    (stream,) = played.streams
    assert stream.requested.url.endswith("/jobs/j%207/events")
    assert stream.requested.names == {"job": "j 7"}
    for headers in ((), (b"X-Job-Id:",)):
        without = await driven(starts(answer(b"busy", b"200 OK", *headers)), config)
        assert without.concluded is not None
        assert without.concluded.reason == "POST /jobs: no header X-Job-Id to capture as {job} in 'busy'"


@in_virtual_time
async def test_an_answer_without_end_is_bounded() -> None:
    async def handle(connection: Connection) -> None:
        await request_of(connection)
        await connection.send_all(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            await connection.send_all(b"x" * 2**16)

    played = await driven(handle, configured(start=STARTED, stream=JOB_STREAM))
    start = played.exchange("start")
    assert start is not None
    assert start.how == "body-limit"
    assert len(start.body) < 2**20 + 2**17


@in_virtual_time
async def test_what_is_not_configured_is_skipped() -> None:
    async def never(_: Stage) -> None:
        raise AssertionError("it was driven")

    async with serving(VirtualNetwork(), OK) as origin:
        setting = set_up(VirtualNetwork(), origin)
        needs = Scenario("s", "", never, needs=("expect.resumable", "target.command"))
        concluded = (await play(setting, needs)).concluded
        assert concluded is not None
        assert (concluded.outcome, concluded.reason) == (
            "skipped",
            "needs expect.resumable and target.command in the configuration",
        )


@in_virtual_time
@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (Disconnect(when=AtTrigger("events", 3)), "cannot see the event"),
        (Buffer(size=4096), "would hold back the TLS handshake"),
    ],
)
async def test_a_fault_that_tls_hides_the_stream_from_is_skipped(fault: Fault, reason: str) -> None:
    async def never(_: Stage) -> None:
        raise AssertionError("it was driven")

    setting = set_up(VirtualNetwork(), "https://127.0.0.1:1")
    concluded = (await play(setting, Scenario("s", "", never, Plan((fault,))))).concluded
    assert concluded is not None
    assert concluded.outcome == "skipped"
    assert reason in concluded.reason


@in_virtual_time
async def test_a_scenario_that_finds_it_cannot_be_driven_is_skipped() -> None:
    async def variant(stage: Stage) -> None:
        await stage.start("failing")

    async def restart(stage: Stage) -> None:
        async with stage.subscribe():
            await stage.restart_server()

    async def deep(_: Stage) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_skip)

    async def _skip() -> None:
        raise Skipped("not here")

    async def unknown(stage: Stage) -> None:
        await next(each for each in SCENARIOS if each.name == "unknown-stream").drive(stage)

    for drive, reason in (
        (variant, "target.variants.failing"),
        (unknown, "target.stream uses no captured name"),
        (restart, "target.command"),
        (deep, "not here"),
    ):
        concluded = (await driven(OK, drive=drive)).concluded
        assert concluded is not None
        assert concluded.outcome == "skipped"
        assert reason in concluded.reason


@in_virtual_time
async def test_a_failure_of_the_harness_is_said_with_its_place() -> None:
    async def broken(stage: Stage) -> None:
        async with stage.subscribe() as subscriber:
            await subscriber.head()
            raise KeyError("oops")

    played = await driven(says(CHUNKED, then=waits), drive=broken)
    assert played.concluded is not None
    assert played.concluded.outcome == "failed"
    assert played.concluded.reason.startswith("the harness failed: KeyError: 'oops' (test_scenes.py:")
    assert played.streams[0].head is not None


@in_virtual_time
async def test_a_scenario_that_never_ends_is_ended() -> None:
    async def endless(stage: Stage) -> None:
        async with stage.subscribe():
            await trio.sleep_forever()

    played = await driven(says(CHUNKED, then=waits), drive=endless)
    assert played.concluded is not None
    assert played.concluded.outcome == "failed"
    assert "did not end within" in played.concluded.reason


@in_virtual_time
@pytest.mark.parametrize("plan", [Plan(), Plan((Latency(delay=0.1),))])
async def test_an_interruption_takes_no_time_and_keeps_the_history(tmp_path: Path, plan: Plan) -> None:
    network = VirtualNetwork()
    kept: list[History] = []

    async def two(stage: Stage) -> None:
        async with stage.subscribe("a") as a, stage.subscribe("b") as b:
            await a.finished()
            await b.finished()

    async with serving(network, says(CHUNKED, chunk(b"data: 1\n\n"), then=waits)) as origin:
        setting = set_up(network, origin, histories=tmp_path)
        with trio.move_on_after(1) as scope:
            await play(setting, Scenario("s", "", two, plan), keep=kept.append)
        assert scope.cancelled_caught
        assert trio.current_time() - scope.deadline < 0.5
    (played,) = kept
    assert played.concluded is not None
    assert played.concluded.outcome == "interrupted"
    assert [len(stream.events) for stream in played.streams] == [1, 1]
    assert [stream.how for stream in played.streams] == ["open", "open"]
    on_disk = load(tmp_path / "s.jsonl")
    assert on_disk.records == played.records
    assert not on_disk.cut


@in_virtual_time
async def test_the_link_knows_whose_bytes_it_saw_and_leads_only_to_its_server() -> None:
    network = VirtualNetwork()

    async def elsewhere(connection: Connection) -> None:
        assert b"GET /away" in await request_of(connection)
        await connection.send_all(CHUNKED + chunk(COMPLETE) + b"0\r\n\r\n")

    async with serving(network, elsewhere) as other:
        location = f"Location: {other}/away".encode()
        plan = Plan((Latency(delay=0.5),))
        away = await driven(says(answer(b"", b"302 F", location)), plan=plan, network=network)
        assert away.streams[0].how == "complete"
        assert away.streams[0].head is not None
        assert away.streams[0].head.url == f"{other}/away"
        here = await driven(OK, plan=plan, network=network)
        (event,) = here.streams[0].events
        assert event.at_link is not None
        assert event.time - event.at_link == pytest.approx(0.5, abs=0.05)


@in_virtual_time
async def test_a_server_that_is_gone_behind_the_link_is_said() -> None:
    network = VirtualNetwork()

    async def drive(stage: Stage) -> None:
        async with stage.subscribe() as subscriber:
            await subscriber.finished()

    plan = Plan((Latency(delay=0.1),))
    played = await play(set_up(network, "http://127.0.0.1:9"), Scenario("s", "", drive, plan))
    assert [mark.what for mark in played.marks] == ["server unreachable", HARNESS_LOOKED]
    assert played.streams[0].how == "reset"


@in_virtual_time
async def test_faults_that_fire_are_in_the_record_of_who_they_hit() -> None:
    plan = Plan((Disconnect(when=AtTrigger("events", 1), how="rst", connections=1),))

    async def twice(stage: Stage) -> None:
        for name in ("a", "b"):
            async with stage.subscribe(name) as subscriber:
                await subscriber.finished()

    body = chunk(b"data: 1\n\n") + chunk(COMPLETE)
    played = await driven(says(CHUNKED + body + b"0\r\n\r\n"), drive=twice, plan=plan)
    a, b = played.streams
    assert (a.how, len(a.events), [type(fired.fault) for fired in a.fired]) == ("reset", 1, [Disconnect])
    assert (b.how, len(b.events), b.fired) == ("complete", 2, ())


class _Counted(VirtualNetwork):
    """A network that remembers its connections."""

    def __init__(self) -> None:
        super().__init__()
        self.made: list[Any] = []

    async def connect(self, host: str, port: int) -> Any:
        self.made.append(await super().connect(host, port))
        return self.made[-1]


async def _all_scenarios(seed: int, folder: Path | None) -> tuple[dict[str, History], int, int]:
    """Every scenario of the catalogue at once, against the reference; what is left: tasks and connections."""
    network = _Counted()
    played: dict[str, History] = {}
    async with open_service(network, options=ServiceOptions(epoch=0.0), rng=random.Random(seed)) as service:
        await trio.testing.wait_all_tasks_blocked()  # its own tasks have all begun
        before = trio.lowlevel.current_statistics().tasks_living
        host, port = service.address
        setting: Setting = set_up(
            network,
            f"http://{host}:{port}",
            reference_config(),
            seed=seed,
            histories=folder,
            duration=3.0,
        )

        async def one(scenario: Scenario) -> None:
            played[scenario.name] = await play(setting, scenario)

        async with trio.open_nursery() as nursery:
            for scenario in SCENARIOS:
                nursery.start_soon(one, scenario)
        await trio.sleep(60)  # jobs that nobody reads come to their end
        open_still = sum(not connection._closed for connection in network.made)
        left = trio.lowlevel.current_statistics().tasks_living - before
    return played, left, open_still


def test_all_scenarios_at_once_leave_no_task_and_no_connection() -> None:
    played, left, open_still = run_virtually(_all_scenarios, 1, None)
    assert set(played) == {scenario.name for scenario in SCENARIOS}
    outcomes = {name: each.concluded and each.concluded.outcome for name, each in played.items()}
    assert set(outcomes.values()) <= {"done", "skipped"}, outcomes
    assert outcomes["restart"] == "skipped"  # nobody can restart what the harness did not start
    skipped = {each.name for each in SCENARIOS if outcomes[each.name] == "skipped" and not each.exclusive}
    assert skipped == {"without-credentials", "wrong-credentials"}
    assert all(stream.ended for each in played.values() for stream in each.streams)
    assert left == 0
    assert open_still == 0


def test_the_same_seed_gives_the_same_histories_byte_for_byte(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("first", "second", "other")]
    for folder, seed in zip(folders, (5, 5, 6), strict=True):
        folder.mkdir()
        with seeded(seed):
            run_virtually(_all_scenarios, seed, folder)
    first, second, other = ({file.name: file.read_bytes() for file in folder.iterdir()} for folder in folders)
    assert len(first) == len(SCENARIOS)
    assert [name for name in first if first[name] != second[name]] == []
    assert first != other
