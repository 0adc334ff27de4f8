"""The storm and the stalled reader, as they are driven: in virtual time, against the reference and what it becomes."""

from collections import Counter
from dataclasses import replace

import msgspec
import pytest
import trio

from conformance.config import Config
from conformance.history import SERVER_UP, History
from conformance.reference.app import App, Request, Responder
from conformance.scenarios import storms
from conformance.specimens import REFERENCE, SPECIMEN, Specimen, examine
from conformance.specimens.specimen import reference_config
from fault_injection.virtual import VirtualNetwork


async def driven(scenario: str, specimen: Specimen = REFERENCE) -> History:
    with trio.fail_after(600):  # of virtual time
        return await examine(specimen, VirtualNetwork(), scenario=scenario)


def configured(**changes: object) -> Specimen:
    """The reference, with other keys of `expect`, `limits` or `target` by their dotted names' last part."""

    def configure(config: Config) -> Config:
        for table in ("expect", "limits", "target"):
            part = getattr(config, table)
            fitting = {key: value for key, value in changes.items() if key in part.__struct_fields__}
            config = msgspec.structs.replace(config, **{table: msgspec.structs.replace(part, **fitting)})
        return config

    return replace(REFERENCE, configure=configure)


def outcome(history: History) -> tuple[str, str]:
    assert history.concluded is not None
    return history.concluded.outcome, history.concluded.reason


async def test_connections_come_and_go_by_fin_and_rst_and_gauges_are_looked_at_throughout(
    autojump_clock: object,
) -> None:
    history = await driven("connect-storm")
    assert outcome(history) == ("done", "")
    ends = Counter(mark.detail for mark in history.marked("dropping") if mark.exchange.startswith("storm"))
    assert set(ends) == {"by FIN", "by RST"}
    assert min(ends.values()) >= 10
    storm = history.subscribers["storm"]
    assert len(storm) == 29  # 32 cycles, of which every ninth asks for nothing
    assert {bool(stream.head) for stream in storm} == {True, False}
    assert {bool(stream.events) for stream in storm} == {True, False}
    cycles = {gauge.cycles for gauge in history.gauges if gauge.phase == "during"}
    assert len(cycles) >= 20
    assert max(cycles) == 32
    assert {gauge.phase for gauge in history.gauges} == {"before", "during", "after"}
    assert [each.requested.purpose for each in history.exchanges].count("cancel") == 1  # of the last work
    assert history.subscribers["witness"][-1].how == "complete"


async def test_it_is_looked_until_all_is_back_and_for_long_where_it_is_not(autojump_clock: object) -> None:
    def looking(history: History) -> float:
        after = [gauge.time for gauge in history.gauges if gauge.phase == "after"]
        return max(after) - min(after)

    assert looking(await driven("connect-storm")) < 0.2
    limits = reference_config().limits
    lost = looking(await driven("connect-storm", SPECIMEN["lost-slots"]))
    assert 0.7 < lost / (limits.cancellation + 2 * limits.silence) <= 1


async def test_so_many_cycles_as_are_asked_for(autojump_clock: object) -> None:
    history = await driven("connect-storm", configured(cycles=100))
    assert max(gauge.cycles for gauge in history.gauges) == 100
    assert len(history.subscribers["storm"]) == 89
    work = {stream.requested.names["job"] for stream in history.subscribers["witness"]}
    assert len(work) == len(
        history.subscribers["witness"]
    )  # when one piece of work is over the next one begins


async def test_memory_that_grows_as_a_heap_may_is_stormed_for_longer(
    autojump_clock: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cycles(history: History) -> int:
        return max(gauge.cycles for gauge in history.gauges)

    for name, value in {"MEMORY": "subscribers", "CYCLES": 32, "_MANY": 64, "_GROWN": 2}.items():
        monkeypatch.setattr(storms, name, value)
    assert cycles(await driven("connect-storm")) == 32
    assert cycles(await driven("connect-storm", SPECIMEN["lost-slots"])) == 64
    monkeypatch.setattr(storms, "_GROWN", 1_000)
    assert cycles(await driven("connect-storm", SPECIMEN["lost-slots"])) == 32


async def test_where_streams_are_not_shared_each_connection_has_its_own_work(autojump_clock: object) -> None:
    history = await driven("connect-storm", configured(shared=False))
    assert outcome(history) == ("done", "")
    assert "witness" not in history.subscribers
    assert len({stream.requested.names["job"] for stream in history.subscribers["storm"]}) == 29


async def test_without_a_look_into_the_server_there_is_no_storm(autojump_clock: object) -> None:
    what, why = outcome(await driven("connect-storm", configured(probe=None)))
    assert what == "skipped"
    assert "target.probe" in why
    assert "target.pid" in why


async def test_a_server_that_is_slow_is_not_stormed_for_ever_unless_it_is_asked_for(
    autojump_clock: object,
) -> None:
    def slow(app: App) -> App:
        async def handle(request: Request, respond: Responder) -> None:
            await trio.sleep(0.4)
            await app(request, respond)

        return handle

    history = await driven("connect-storm", replace(REFERENCE, wrap=slow))
    (mark,) = history.marked("stopped early")
    assert mark.detail.endswith("of 32 cycles took 10 s")
    last = max(gauge.cycles for gauge in history.gauges)
    assert mark.detail.startswith(f"{last} of")
    assert not (await driven("connect-storm", replace(configured(cycles=32), wrap=slow))).marked(
        "stopped early"
    )


async def test_a_server_that_turns_away_in_the_middle_is_looked_at_all_the_same(
    autojump_clock: object,
) -> None:
    def full(app: App) -> App:
        started = 0

        async def handle(request: Request, respond: Responder) -> None:
            nonlocal started
            started += request.method == "POST"
            if started > 5:
                await respond.start(503)
                await respond.finish()
            else:
                await app(request, respond)

        return handle

    history = await driven("connect-storm", replace(configured(shared=False), wrap=full))
    assert outcome(history) == ("done", "")
    (mark,) = history.marked("turned away")
    assert "after 5 cycles" in mark.detail
    looks = {gauge.cycles for gauge in history.gauges if gauge.phase == "after" and gauge.name != SERVER_UP}
    assert looks == {5}


async def test_a_reader_stalls_and_another_one_reads(autojump_clock: object) -> None:
    history = await driven("stalled-reader")
    assert outcome(history) == ("done", "")
    control, stalled, reader = (
        sum(len(chunk.data) for chunk in history.subscribers[name][0].chunks)
        for name in ("control", "stalled", "reader")
    )
    assert control == reader > 200_000
    assert stalled < 10_000
    assert "companion" in history.subscribers
    assert [mark.exchange for mark in history.marked("stalled")] == ["stalled", "slow"]


async def test_one_reads_late_and_is_told_more_after_that(autojump_clock: object) -> None:
    history = await driven("stalled-reader")
    (reads_on,) = history.marked("reading on")
    slow, swift = (history.subscribers[name][0] for name in ("slow", "swift"))
    assert len([each for each in swift.events if each.time < reads_on.time]) > 40
    assert [each.event.id for each in slow.events] == [each.event.id for each in swift.events]
    assert len([each for each in swift.events if each.time > reads_on.time]) > 5


async def test_without_work_that_tells_much_nobody_stalls(autojump_clock: object) -> None:
    what, why = outcome(await driven("stalled-reader", configured(variants={})))
    assert what == "skipped"
    assert "target.variants.flood" in why
