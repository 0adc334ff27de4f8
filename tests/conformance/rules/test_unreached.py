"""Why a target was not reached: said where nobody was let into the stream, and nowhere else."""

from collections.abc import Sequence

import pytest
from made_up import answered, made_up, stream

from conformance.history import Connected, Fired, History, How, Record
from conformance.outcome import examine, put_together
from conformance.rules import RULES
from conformance.unreached import unreached
from fault_injection.faults import AtBytes, Blackhole, Disconnect, Fault, Latency, Plan, Refuse
from reports.outcome import Outcome, broken_rules, outcome

CUT = "the connection ended before the response did"
SLOW = "no response head within 2 s"


def driven(
    scenario: str = "subscribe",
    *,
    status: int = 0,
    how: How = "truncated",
    detail: str = CUT,
    name: str = "a",
) -> History:
    return made_up(stream(name=name, status=status, how=how, detail=detail), scenario=scenario)


def test_where_no_request_has_a_response_the_reason_is_said() -> None:
    said = unreached([driven(), driven("crowd")])
    assert (
        said
        == f"http://127.0.0.1:8000/jobs/j1/events: {CUT}. Does the server speak HTTP/1.1 at this address?"
    )


@pytest.mark.parametrize("scenario", ["unknown-stream", "without-credentials", "other-origin"])
def test_that_a_stranger_is_turned_away_does_not_show_that_anybody_is_let_in(scenario: str) -> None:
    refused = made_up(stream(status=404, headers=()), scenario=scenario)
    assert CUT in (unreached([driven(), refused]) or "")
    assert unreached([refused]) is None  # nobody else asked


def test_an_event_stream_or_an_answer_that_rules_judge_is_no_reason() -> None:
    for scenario in ("subscribe", "unknown-stream"):
        assert unreached([driven("crowd"), made_up(stream(), scenario=scenario)]) is None
    assert unreached([driven("crowd"), made_up(stream(status=404, headers=()))]) is None


@pytest.mark.parametrize(("beside", "wanted"), [((), Outcome.UNREACHED), (answered(), Outcome.BROKEN)])
def test_a_server_that_serves_all_but_the_stream_is_judged(beside: Sequence[Record], wanted: Outcome) -> None:
    """It is there, so its rules are broken; who only hangs up may be no HTTP server at all."""
    history = made_up(stream(status=0, how="truncated", detail=CUT), beside)
    examined = {"subscribe": examine(history, RULES)}
    results = put_together(examined, RULES, target="t", seed=0, started=0, duration=1).results
    assert broken_rules(results) == ("http.status",)
    assert outcome(results) is wanted
    assert (results.unreached is None) is (wanted is Outcome.BROKEN)


def test_of_several_reasons_the_most_frequent_is_said() -> None:
    slow = [driven(name, how="timeout", detail=SLOW) for name in ("crowd", "cancel")]
    assert f"events: {SLOW}. A server sends" in (unreached([driven(), *slow]) or "")


def test_what_happened_without_a_link_says_it_best() -> None:
    records = stream(status=0, how="timeout", detail=SLOW)
    linked = [made_up(records, scenario=name, plan=Plan((Latency(delay=1),))) for name in ("x", "y")]
    assert CUT in (unreached([*linked, driven()]) or "")
    assert SLOW in (unreached(linked) or "")


@pytest.mark.parametrize(
    ("fault", "how"),
    [(Disconnect(when=AtBytes(7)), "truncated"), (Blackhole(when=AtBytes(7)), "timeout")],
    ids=["cut", "blackhole"],
)
def test_what_the_link_has_cut_off_says_nothing_of_the_server(fault: Fault, how: How) -> None:
    cut = made_up(stream(status=0, how=how, detail=CUT, fired=[(0.0, fault)]), plan=Plan((fault,)))
    assert unreached([cut]) is None
    other = stream(name="b", status=0, how="timeout", detail=SLOW)
    both = made_up(stream(status=0, how=how, detail=CUT, fired=[(0.0, fault)]), other, plan=Plan((fault,)))
    assert SLOW in (unreached([both]) or "")


def test_what_the_link_has_refused_says_nothing_of_the_server() -> None:
    refused = [
        each
        for each in stream(status=0, how="refused", detail="connection refused")
        if not isinstance(each, Connected)
    ]
    fault = Refuse()
    ours = made_up(refused, [Fired(fault=fault, index=0)], plan=Plan((fault,)))
    assert unreached([ours]) is None
    assert "Is the server running?" in (unreached([made_up(refused, plan=Plan((fault,)))]) or "")
