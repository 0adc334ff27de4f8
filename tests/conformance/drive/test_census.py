"""What the harness itself holds is counted, and what it leaves behind is written down."""

import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, closing, contextmanager
from functools import partial

import pytest
import trio
from drive_world import CHUNKED, COMPLETE, chunk, configured, in_virtual_time, says, serving, set_up

from conformance.drive import census
from conformance.drive.census import Counted, Household, take_census
from conformance.drive.scenario import Drive
from conformance.drive.scene import Setting, play
from conformance.drive.stage import Stage
from conformance.history import HARNESS_LEFT, HARNESS_LOOKED, History
from conformance.rules import RULES
from conformance.run import What, run
from conformance.scenarios import Scenario
from fault_injection.network import SocketNetwork
from fault_injection.virtual import VirtualNetwork

RULE = {rule.name: rule for rule in RULES}["shutdown.client-leaves-nothing"]
WHOLE = says(CHUNKED, chunk(COMPLETE), chunk(b""))


@contextmanager
def a_thread() -> Iterator[None]:
    over = threading.Event()
    thread = threading.Thread(target=over.wait, name="left over")
    thread.start()
    yield
    over.set()
    thread.join()


@contextmanager
def a_socket() -> Iterator[None]:
    with closing(socket.socket()):
        yield


@contextmanager
def a_child() -> Iterator[None]:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        yield
        child.kill()


KINDS = [(a_thread, "the thread left over"), (a_socket, "the socket:"), (a_child, "the child process ")]


@pytest.mark.parametrize(("kind", "words"), KINDS)
def test_what_is_new_is_found_and_what_is_gone_is_not(
    kind: Callable[[], AbstractContextManager[None]], words: str
) -> None:
    before = take_census()
    with kind():
        (found,) = take_census().since(before)
        assert found.startswith(words)
    assert take_census().since(before) == ()


def test_a_server_that_the_harness_started_is_not_left_behind() -> None:
    before = take_census()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        assert take_census().since(before, but=[child.pid]) == ()
        child.kill()


async def test_a_thread_that_trio_keeps_for_the_next_is_not_left_behind() -> None:
    before = take_census()
    await trio.to_thread.run_sync(time.monotonic)
    assert take_census().since(before) == ()


async def test_a_thread_that_works_for_trio_is_there() -> None:
    before, over = take_census(), threading.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(trio.to_thread.run_sync, lambda: over.wait()))
        await trio.sleep(0.05)
        assert len(take_census().since(before)) == 1
        over.set()


def test_a_census_is_cheap() -> None:
    take_census()
    started = time.perf_counter()
    for _ in range(100):
        take_census()
    assert (time.perf_counter() - started) / 100 < 0.01  # seconds; some 0.0001 on a machine at rest


@in_virtual_time
async def test_connections_that_are_not_closed_are_counted() -> None:
    network = VirtualNetwork()
    listener, counted = await network.listen(), Counted(network)
    closed, reset, left = [await counted.connect(*listener.address) for _ in range(3)]
    await closed.aclose()
    reset.reset()
    assert counted.open() == (left,)


async def played(drive: Drive) -> History:
    async def driven(stage: Stage) -> None:
        async with stage.subscribe() as subscriber:
            await subscriber.finished()
        await drive(stage)

    network = VirtualNetwork()
    async with serving(network, WHOLE) as origin:
        setting = set_up(network, origin)
        return await play(setting, Scenario("subscribe", "made up", driven))


async def _nothing(_: Stage) -> None:
    pass


async def _a_task(stage: Stage) -> None:
    stage.nursery.start_soon(trio.sleep_forever)


async def _a_task_that_is_ending(stage: Stage) -> None:
    stage.nursery.start_soon(trio.sleep, 0.5)


@in_virtual_time
@pytest.mark.parametrize(("drive", "left"), [(_nothing, 0), (_a_task, 1), (_a_task_that_is_ending, 0)])
async def test_a_task_that_outlives_its_scenario_is_a_finding(drive: Drive, left: int) -> None:
    history = await played(drive)
    assert history.concluded is not None
    assert history.concluded.outcome == "done"
    assert len(history.marked(HARNESS_LEFT)) == left
    (looked,) = history.marked(HARNESS_LOOKED)
    assert looked.detail == "connection, task"
    assert RULE.judge(history).verdict == ("broken" if left else "conforms")


@pytest.mark.parametrize(("kind", "words"), KINDS)
async def test_the_last_scenario_of_a_run_finds_what_any_of_them_left(
    kind: Callable[[], AbstractContextManager[None]], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(census, "_PATIENCE", 0.1)
    left = kind()

    async def forgetful(stage: Stage) -> None:
        async with stage.subscribe() as subscriber:
            await subscriber.finished()
        left.__enter__()

    async def last(stage: Stage) -> None:
        async with stage.subscribe() as subscriber:
            await subscriber.finished()

    scenarios = (
        Scenario("two-subscribers", "leaves something", forgetful, exclusive=True),
        Scenario("subscribe", "the last", last, exclusive=True),
    )
    network = SocketNetwork()
    async with serving(network, WHOLE) as origin:
        setting = set_up(network, origin, configured(), clock="real")
        ran = await run(setting, scenarios, [RULE])
    left.__exit__(None, None, None)
    assert {case.verdict.value for case in ran.results.cases} == {"fail"}
    assert all(words in case.reason for case in ran.results.cases)


async def test_a_run_that_leaves_nothing_says_so_of_all_that_it_looked_for() -> None:
    async def drive(stage: Stage) -> None:
        async with stage.subscribe() as subscriber:
            await subscriber.finished()

    network = SocketNetwork()
    async with serving(network, WHOLE) as origin:
        setting = set_up(network, origin, configured(), clock="real")
        ran = await run(setting, [Scenario("subscribe", "one", drive)], [RULE])
    (case,) = ran.results.cases
    assert case.verdict.value == "pass"
    assert case.reason.endswith("no connection, task, thread, socket, child process")


async def test_a_further_server_that_is_being_started_is_not_left_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(census, "_PATIENCE", 0.1)
    begun, over = trio.Event(), trio.Event()

    async def drive(stage: Stage) -> None:
        async with stage.subscribe() as subscriber:
            await subscriber.finished()
        await begun.wait()

    def told(what: What, name: str) -> None:
        if (what, name) == ("ended", "subscribe"):
            over.set()

    network = SocketNetwork()
    async with serving(network, WHOLE) as origin:
        setting = set_up(network, origin, configured(), clock="real")

        @asynccontextmanager
        async def beside(_: int) -> AsyncIterator[Setting]:
            with a_child():
                begun.set()
                await over.wait()
            yield setting

        scenarios = (
            Scenario("subscribe", "ends before the other server is ready", drive),
            Scenario("shutdown", "has that to itself", drive, exclusive=True),
        )
        ran = await run(setting, scenarios, [RULE], told=told, beside=beside, instances=2)
    assert [case.verdict.value for case in ran.results.cases] == ["pass", "pass"], ran.results.cases


def test_only_who_is_alone_looks_at_the_whole_process() -> None:
    household = Household()
    seen = [household.alone]
    with household.driving():
        seen.append(household.alone)
        with household.driving():
            seen.append(household.alone)
        seen.append(household.alone)
    assert seen == [False, True, False, True]
