"""`resource.crowd` on made-up crowds."""

from made_up import TASK, made_up, marked, stream, terms

from conformance.figures import figures
from conformance.history import OWN_MEMORY, Gauge, History, How, Phase, Record
from conformance.rules.resource_crowd import crowd
from conformance.wire import encode_event

TOLD = encode_event('{"state": "completed"}', type="complete", id="2").decode()
STEP = encode_event('{"step": 1}', type="progress", id="1").decode()
HELD_TO = terms(TASK)


def one(number: int, *pieces: str, status: int = 200, how: How = "complete") -> list[Record]:
    body = [(0.1 * index, piece) for index, piece in enumerate(pieces, 1)]
    name = f"crowd-{number}"
    job = f"j{number}"
    url = f"http://127.0.0.1:8000/jobs/{job}/events"
    return stream(
        body, name=name, subscriber=name, status=status, url=url, names={"job": job}, how=how, ended=0.5
    )


def of(*streams: list[Record]) -> History:
    return made_up(*streams, terms=HELD_TO, scenario="crowd")


def test_all_are_told() -> None:
    judgement = crowd.judge(of(one(1, STEP, TOLD), one(2, STEP, TOLD)))
    assert judgement.verdict == "conforms"
    assert judgement.reason.startswith("2 streams")


def test_one_of_many_is_not_told() -> None:
    judgement = crowd.judge(of(one(1, STEP, TOLD), one(2, STEP)))
    assert judgement.verdict == "broken"
    assert "crowd-2" in judgement.reason
    assert "one of 2 streams" in judgement.reason


def test_one_of_many_is_cut_off() -> None:
    judgement = crowd.judge(of(one(1, STEP, TOLD), one(2, STEP, how="reset")))
    assert judgement.verdict == "broken"
    assert "cut off" in judgement.reason


def test_a_refused_connection_is_a_finding() -> None:
    judgement = crowd.judge(of(one(1, STEP, TOLD), one(2, status=0, how="refused")))
    assert judgement.verdict == "broken"


def test_whoever_is_turned_away_is_not_lost() -> None:
    judgement = crowd.judge(of(one(1, STEP, TOLD), one(2, status=503), one(3, status=429)))
    assert judgement.verdict == "conforms"
    assert judgement.reason.endswith("2 turned away")


def test_another_error_is_no_way_to_turn_away() -> None:
    assert crowd.judge(of(one(1, STEP, TOLD), one(2, status=500))).verdict == "broken"


def test_all_turned_away_says_nothing() -> None:
    history = made_up(marked("not started"), one(1, status=503), terms=HELD_TO, scenario="crowd")
    judgement = crowd.judge(history)
    assert judgement.verdict == "not-applicable"
    assert "the whole crowd of 2" in judgement.reason


def test_a_crowd_that_did_not_come_is_no_crowd() -> None:
    assert crowd.judge(of()).verdict == "inconclusive"


def test_the_figures_of_a_crowd() -> None:
    weights: dict[Phase, float] = {"before": 50e6, "during": 50.06e6, "after": 50.1e6}
    gauges: list[Record] = [
        Gauge(time=0.5, name=OWN_MEMORY, value=value, phase=phase) for phase, value in weights.items()
    ]
    found = figures(made_up(gauges, one(1, STEP, TOLD), one(2, STEP, TOLD), terms=HELD_TO, scenario="crowd"))
    assert found["open at once"] == "2"
    assert found["memory per stream, harness"] == "50.0 kB"
    assert found["events per second, all"] == "30"
