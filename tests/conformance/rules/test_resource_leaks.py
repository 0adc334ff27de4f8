"""Leaks and stalled readers, in made-up histories: each verdict, and the numbers that it gives."""

import pytest
from made_up import Body, answered, made_up, marked, stream, terms

from conformance.config import Expect, Limits
from conformance.dialect import Dialect
from conformance.history import Gauge, History, Phase, Record
from conformance.rules import RULES, Judgement
from conformance.wire import encode_event

RULE = {rule.name: rule for rule in RULES}
STORM = "connect-storm"
TERMS = terms(also=("target.probe",))
MB = 1_000_000.0


def looked(
    name: str, values: dict[int, float | None], after: float | None, *, detail: str = ""
) -> list[Record]:
    """A gauge in a storm: its values by the cycles that had been, and `after` all had gone."""

    def gauge(time: float, value: float | None, phase: Phase, cycles: int) -> Record:
        why = detail if value is None else ""
        return Gauge(time=time, name=name, value=value, phase=phase, cycles=cycles, detail=why)

    first, last = next(iter(values.values()), 0.0), max(values, default=0)
    during = [gauge(1 + cycles / 100, value, "during", cycles) for cycles, value in values.items()]
    return [gauge(0.5, first, "before", 0), *during, gauge(2 + last / 100, after, "after", last)]


def growing(
    name: str, first: float, per_cycle: float, *, cycles: int = 200, back: bool = False
) -> list[Record]:
    values: dict[int, float | None] = {
        n: first + per_cycle * n for n in range(1, cycles + 1, max(1, cycles // 25))
    }
    return looked(name, values, first if back else values[max(values)])


def judged(rule: str, *records: list[Record], scenario: str = STORM) -> Judgement:
    return RULE[rule].judge(made_up(*records, terms=TERMS, scenario=scenario))


@pytest.mark.parametrize(
    ("rule", "gauge", "per_cycle"),
    [
        ("resource.gauges-return", "slots", 1.0),
        ("resource.descriptors", "process.descriptors", 1.0),
        ("resource.threads", "process.threads", 1.0),
        ("resource.children", "process.children", 1.0),
        ("resource.sockets", "process.close-wait", 0.5),
        ("resource.memory", "process.memory", 50_000.0),
    ],
)
def test_a_leak_in_every_cycle_is_told_and_what_comes_back_is_none(
    rule: str, gauge: str, per_cycle: float
) -> None:
    first = 60 * MB if gauge == "process.memory" else 9.0
    leak = judged(rule, growing(gauge, first, per_cycle))
    assert leak.verdict == "broken"
    (finding,) = leak.findings
    assert finding.message.startswith(
        f"{gauge} grows by {'50.0 kB' if per_cycle > 1 else f'{per_cycle:g}'} with every"
    )
    assert "when all have gone" in finding.message
    assert len(finding.evidence) == 3
    assert judged(rule, growing(gauge, first, per_cycle, back=True)).verdict == "conforms"
    assert judged(rule, growing(gauge, first, 0)).verdict == "conforms"


def test_a_gauge_of_the_servers_own_is_told_apart_from_those_of_its_process() -> None:
    leaking_process = growing("process.descriptors", 9, 1)
    steady = growing("slots", 0, 0)
    assert judged("resource.gauges-return", leaking_process, steady).verdict == "conforms"
    assert judged("resource.descriptors", leaking_process, steady).verdict == "broken"


def test_of_several_gauges_those_that_leak_are_told() -> None:
    judgement = judged("resource.gauges-return", growing("a", 0, 0), growing("b", 0, 1), growing("c", 0, 1))
    assert [finding.message.split()[0] for finding in judgement.findings] == ["b", "c"]


def test_without_a_known_process_nothing_is_said() -> None:
    judgement = judged("resource.memory", growing("slots", 0, 1))
    assert judgement.verdict == "not-applicable"
    assert "--pid" in judgement.reason


def test_where_a_probe_could_not_see_it_is_said_why() -> None:
    values: dict[int, float | None] = {8 * n: None if n == 3 else 9.0 for n in range(1, 26)}
    records = looked("process.descriptors", values, 9.0, detail="process 7 may not be looked into")
    judgement = judged("resource.descriptors", records)
    assert judgement.verdict == "inconclusive"
    assert "process 7 may not be looked into" in judgement.reason


def test_a_gauge_that_could_not_be_seen_is_called_as_it_is_configured() -> None:
    values: dict[int, float | None] = dict.fromkeys(range(1, 26))
    judgement = judged("resource.gauges-return", looked("x", values, None, detail="/metrics: no sample of x"))
    assert judgement.reason == "target.probe.gauges.x: /metrics: no sample of x"


def test_few_cycles_say_nothing_of_memory_and_much_of_counts() -> None:
    memory = judged("resource.memory", growing("process.memory", 60 * MB, 0, cycles=24))
    assert memory.verdict == "inconclusive"
    assert memory.reason.startswith("process.memory went from 60.00 MB to 60.00 MB over 19 cycles, by ")
    assert "so few cycles" in memory.reason
    assert memory.reason.count(": ") == 1
    values: dict[int, float | None] = dict.fromkeys(range(1, 25), 9.0)
    assert judged("resource.descriptors", looked("process.descriptors", values, 9.0)).verdict == "conforms"


DONE = Dialect(preset="task-stream")
HELD = terms(DONE, Expect(shared=True), Limits(delivery=0.5, completion=10, silence=20))


def told(
    count: int = 64, *, size: int = 100_000, gap: float = 0.01, at: float = 0.0, hold: float = 0.0
) -> Body:
    """Events of some size; `hold` is how long nothing comes in the middle. The last one is the completion."""
    pieces: list[tuple[float, str | bytes]] = []
    for n in range(count):
        at += gap + (hold if n == count // 2 else 0.0)
        kind = "complete" if n == count - 1 else "progress"
        pieces.append((at, encode_event("x" * size, type=kind, id=str(n + 1))))
    return pieces


def stalling(
    reader: list[Record], *, memory: tuple[float, ...] | None = None, size: int = 100_000
) -> History:
    weighed: list[Record] = []
    phases: tuple[Phase, ...] = ("before", "during", "during", "during", "during")
    again = memory is not None and len(memory) > 3
    for cycles, value in enumerate(memory or ()):
        weighed.append(
            Gauge(
                time=0.9 * cycles,
                name="process.memory",
                value=value * MB,
                phase=phases[cycles],
                cycles=cycles,
            )
        )
    return made_up(
        weighed,
        answered(),
        stream(told(size=size), name="companion", names={"job": "j1"}),
        stream(told(size=size), name="control", names={"job": "j1"}),
        stream(told(size=size), name="control-again", subscriber="control-again", names={"job": "j0"})
        if again
        else [],
        stream([(1.0, ": hello\n\n")], name="stalled", at=1.0, how="dropped", names={"job": "j2"}),
        marked("stalled", 1.0),
        reader,
        terms=HELD,
        scenario="stalled-reader",
        clock="real",
    )


def reading(*, hold: float = 0.0, size: int = 100_000) -> list[Record]:
    return stream(told(at=1.0, hold=hold, size=size), name="reader", at=1.0, names={"job": "j2"})


def stalled(history: History) -> Judgement:
    return RULE["resource.stalled-reader"].judge(history)


@pytest.mark.parametrize(
    ("memory", "verdict"),
    [
        ((69, 81, 98.6, 103.1, 112.4), "conforms"),  # V8, whose heap grows in steps
        ((20, 32.9, 42.3, 53, 65.9), "conforms"),  # Go's
        ((68.2, 91.7, 98.2, 109, 126.3), "conforms"),  # the JVM's
        ((69.3, 91.1, 98, 108.8, 142.4), "inconclusive"),  # once more, in a greater step
        ((45, 51, 57, 64, 71), "conforms"),
        ((60, 66, 72, 83, 94), "broken"),  # each time 5 MB more than for two who read
        ((60, 66, 72, 90, 96), "inconclusive"),  # much, but once
        ((60, 66, 72, 74, 110), "inconclusive"),
        ((114, 65, 78, 84, 90), "inconclusive"),  # a collector found what was older
    ],
)
def test_what_is_hoarded_is_there_once_more_when_it_is_told_once_more(
    memory: tuple[float, ...], verdict: str
) -> None:
    assert stalled(stalling(reading(), memory=memory)).verdict == verdict


def test_who_reads_beside_one_who_does_not_gets_everything() -> None:
    judgement = stalled(stalling(reading()))
    assert judgement.verdict == "conforms"
    assert "memory is not known" in judgement.reason


def test_who_is_held_up_beside_one_who_does_not_read_is_told() -> None:
    judgement = stalled(stalling(reading(hold=1.5)))
    assert judgement.verdict == "broken"
    assert (
        "nothing came to reader for 1.510 s; beside one who reads, the longest gap was 0.010 s"
        in judgement.reason
    )
    assert (
        stalled(stalling(reading(hold=0.6))).verdict == "conforms"
    )  # within limits.delivery and what is usual


def test_who_is_never_told_of_the_completion_beside_one_who_does_not_read_is_told() -> None:
    started = stream(
        list(told(at=1.0))[:5], name="reader", at=1.0, how="timeout", ended=11.0, names={"job": "j2"}
    )
    judgement = stalled(stalling(started))
    assert judgement.verdict == "broken"
    assert "beside one who reads, control got it" in judgement.reason


@pytest.mark.parametrize(
    ("memory", "verdict"),
    [
        ((60.0, 60.2, 60.4), "conforms"),
        ((60.0, 66.6, 73.2), "conforms"),  # a log that is kept for everybody, twice
        ((60.0, 60.2, 66.8), "broken"),  # a queue for the one who does not read
        ((60.0, 66.6, 79.8), "broken"),  # a log, and a queue
    ],
)
def test_memory_is_compared_with_the_same_work_without_one_who_does_not_read(
    memory: tuple[float, float, float], verdict: str
) -> None:
    assert stalled(stalling(reading(), memory=memory)).verdict == verdict


def test_who_reads_and_gets_less_than_who_does_not_shows_nothing() -> None:
    refused = stream([], name="reader", at=1.0, status=0, how="refused", ended=1.1, names={"job": "j2"})
    judgement = stalled(stalling(refused))
    assert judgement.verdict == "inconclusive"
    assert judgement.reason.startswith(
        "reader, who read, got less (0 bytes) than stalled, who did not (9 bytes)"
    )


def test_without_a_companion_memory_is_not_compared() -> None:
    records = stalling(reading(), memory=(60.0, 60.2, 66.8)).records
    alone = [each for each in records if getattr(each, "exchange", "") != "companion"]
    judgement = stalled(History(tuple(alone)))
    assert judgement.verdict == "conforms"
    assert "memory is not known" in judgement.reason


def test_what_fits_into_the_buffers_between_shows_nothing() -> None:
    judgement = stalled(stalling(reading(size=100), size=100))
    assert judgement.verdict == "inconclusive"
    assert "target.variants.flood" in judgement.reason


def test_memory_says_nothing_where_the_buffers_between_may_have_it_all() -> None:
    history = stalling(reading(size=50_000), size=50_000, memory=(60.0, 60.2, 63.4))
    assert stalled(history).verdict == "inconclusive"


def test_work_that_does_not_complete_even_alone_shows_nothing() -> None:
    history = made_up(
        stream(list(told())[:5], name="control", how="timeout", ended=10.0),
        stream([(1.0, ": hello\n\n")], name="stalled", at=1.0, how="dropped"),
        marked("stalled", 1.0),
        stream(list(told(at=1.0))[:5], name="reader", at=1.0, how="timeout", ended=11.0),
        terms=HELD,
        scenario="stalled-reader",
    )
    judgement = stalled(history)
    assert judgement.verdict == "inconclusive"
    assert judgement.reason.startswith("beside one who reads, too")


def test_where_nobody_stalled_nothing_is_said() -> None:
    history = made_up(stream(told(), name="control"), terms=HELD, scenario="stalled-reader")
    assert stalled(history).verdict == "inconclusive"
