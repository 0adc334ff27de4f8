"""The rules of the area resume: what becomes of who comes back, on histories that are made up; and the real thing."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
import trio
from made_up import marked, stream
from made_up_looks import STATUS
from made_up_tasks import CUT, RESUMABLE, asked, event, judged, on, sent

from conformance.config import Config, Expect
from conformance.dialect import Dialect
from conformance.history import Record, Terms
from conformance.judging import judge_by
from conformance.rules import RULES, Judgement
from conformance.rules.resume_outcomes import after_restart, completion_survives, unknown_id
from conformance.scenarios import SCENARIOS
from conformance.specimens import Specimen, examine
from conformance.specimens.answers import starting
from conformance.specimens.order import sending
from conformance.specimens.resume import numbered_in_data
from fault_injection.virtual import VirtualNetwork

OURS = [rule for rule in RULES if rule.area in {"completion", "resume"}]
RESTARTABLE = on(Expect(resumable=True, events=5))
HAD = sent("progress", "progress", "progress")
REST = sent("progress", "complete", "stream_end", at=1.0, first=4)


def back(pieces: Any, **others: Any) -> list[Record]:
    given: dict[str, Any] = {"name": "a-2", "at": 1.0, "sent": [("Last-Event-ID", "3")]}
    return stream(pieces, **given | others)


CAME_BACK = [
    (back(REST), "conforms", "1 completion after coming back"),
    (
        back([], status=204),
        "broken",
        "a-2 came back for the completion with Last-Event-ID '3' and was answered with 204",
    ),
    (back([], status=404), "broken", "was answered with 404"),
    (
        back([], headers=[("content-type", "text/html")]),
        "inconclusive",
        "was answered with 200 and text/html",
    ),
    (back([], ended=1.1), "broken", "was ended at 1.100 s without a completion, without a single event"),
    (back(sent("progress", at=1.0, first=4), ended=1.2), "inconclusive", "was ended at 1.200 s"),
    (back([], how="timeout", ended=11.0), "broken", "is still silent after 10 s"),
    (back([], status=0, how="timeout", ended=6.0), "broken", "got no response"),
    (back([], status=0, how="refused"), "inconclusive", "got no response"),
    (back([], how="reset", ended=1.1), "broken", "was cut off at 1.100 s"),
]
WAYS = ["rest", "204", "404", "page", "ended", "batch", "silent", "no head", "refused", "reset"]


@pytest.mark.parametrize(("returned", "verdict", "said"), CAME_BACK, ids=WAYS)
def test_the_completion_survives_an_absence(returned: list[Record], verdict: str, said: str) -> None:
    cut = stream(HAD, how="truncated", fired=[(0.3, CUT)])
    judgement = judged(completion_survives, cut, returned, terms=RESUMABLE, scenario="resume-after-cut")
    assert judgement.verdict == verdict
    assert said in judgement.reason


def test_the_status_endpoint_tells_that_there_was_a_completion_to_come_back_for() -> None:
    cut = stream(HAD, how="truncated", fired=[(0.3, CUT)])
    silent = back([], how="timeout", ended=11.0)
    judgement = judged(completion_survives, cut, silent, asked("completed", 11.0), terms=RESUMABLE)
    assert judgement.reason.endswith("; the status endpoint said 'completed' at 11.000 s")


def test_who_did_not_come_back_is_not_judged() -> None:
    over = stream(sent("progress", "complete"))
    judgement = judged(completion_survives, over, terms=RESUMABLE, scenario="resume-after-cut")
    assert judgement.verdict == "inconclusive"
    assert restarted(over, RESTART).reason == judgement.reason
    assert judgement.reason.startswith("the stream was over before the connection was")


def test_a_completion_that_was_not_published_meanwhile_is_not_missed() -> None:
    left = stream(HAD, how="dropped")
    for seen, verdict in ((sent("complete", at=0.5), "broken"), (sent("complete", at=2.0), "inconclusive")):
        witness = stream(seen, name="witness")
        judgement = judged(
            completion_survives,
            witness,
            left,
            back([], ended=1.1),
            terms=RESUMABLE,
            scenario="completion-while-away",
        )
        assert judgement.verdict == verdict


UNWATCHED = stream(HAD, how="dropped", ended=0.4)
NOTHING = back([], status=204, at=1.0)


@pytest.mark.parametrize(
    ("status", "returned", "verdict", "said"),
    [
        (asked("completed", 0.9), back(REST), "conforms", "1 completion after coming back"),
        (asked("completed", 0.9), NOTHING, "broken", "204; the status endpoint said 'completed' at 0.900 s"),
        (asked("running", 0.9), NOTHING, "inconclusive", "the status endpoint said 'running'"),
        (asked("cancelled", 0.9), NOTHING, "not-applicable", "'cancelled' when nobody watched it any more"),
        (asked("completed", 2.0), NOTHING, "inconclusive", "could not be seen"),  # too late to tell
        ([], NOTHING, "inconclusive", "the status endpoint was not asked"),
    ],
    ids=["told", "lost", "running", "stopped", "late", "unasked"],
)
def test_a_completion_that_nobody_watched_survives(
    status: list[Record], returned: list[Record], verdict: str, said: str
) -> None:
    stopping = msgspec.structs.replace(RESUMABLE, status=STATUS)
    judgement = judged(
        completion_survives, UNWATCHED, status, returned, terms=stopping, scenario="completion-unwatched"
    )
    assert judgement.verdict == verdict
    assert said in judgement.reason


def _expecting(abandoned: str | None, *, variant: bool) -> Callable[[Config], Config]:
    def configure(config: Config) -> Config:
        kept = {name: each for name, each in config.target.variants.items() if variant or name != "abandoned"}
        target = msgspec.structs.replace(config.target, variants=kept)
        expect = msgspec.structs.replace(config.expect, abandoned=abandoned)
        return msgspec.structs.replace(config, target=target, expect=expect)

    return configure


@pytest.mark.parametrize(
    ("abandoned", "variant", "outcome"),
    [("stops", True, "done"), ("stops", False, "skipped"), (None, False, "done")],
    ids=["variant", "declared", "undeclared"],
)
async def test_work_that_stops_when_nobody_watches_it_misses_no_completion(
    abandoned: str | None, variant: bool, outcome: str, autojump_clock: object
) -> None:
    stopping = Specimen(
        "stopping",
        "Stops all work that nobody watches.",
        (),
        "completion-unwatched",
        starting(lambda work: work | {"abandoned": "stops"}),
        configure=_expecting(abandoned, variant=variant),
    )
    history = await examine(stopping, VirtualNetwork())
    assert history.concluded is not None
    assert history.concluded.outcome == outcome
    said = {rule.name: judge_by(history, rule) for rule in OURS if history.scenario in rule.scenarios}
    assert {each.verdict for each in said.values()} <= {"not-applicable", "inconclusive", "conforms"}
    assert said["resume.completion-survives"].verdict == "not-applicable"


# unknown-id


@pytest.mark.parametrize(
    ("records", "verdict", "said"),
    [
        (stream(sent("progress", "complete")), "conforms", "2 events"),
        (stream(status=404), "conforms", "1 clear answer: 404"),
        (stream(status=204), "conforms", "1 clear answer: 204"),
        (stream(status=500), "broken", "was answered with 500"),
        (stream(headers=[("content-type", "text/html")]), "not-applicable", "no event stream"),
        (stream(how="timeout", ended=10.0), "broken", "is still silent after 10 s"),
        (stream(ended=0.1), "broken", "was ended at 0.100 s without a completion, without a single event"),
        (stream(sent("progress"), ended=0.3), "inconclusive", "was not tried"),
        (stream(how="truncated", ended=0.1), "broken", "was cut off at 0.100 s"),
        (stream(status=0, how="timeout", ended=5.0), "broken", "got no response"),
        (stream(status=0, how="refused"), "inconclusive", "got no response"),
        (
            stream([(t / 2, event(t)) for t in range(1, 20)], how="timeout", ended=10.0),
            "inconclusive",
            "still brought",
        ),
    ],
    ids=[
        "all",
        "404",
        "204",
        "500",
        "page",
        "silent",
        "empty",
        "batch",
        "cut",
        "no head",
        "refused",
        "goes on",
    ],
)
def test_an_unknown_id_is_answered(records: list[Record], verdict: str, said: str) -> None:
    judgement = judged(unknown_id, records, terms=RESUMABLE, scenario="unknown-id")
    assert judgement.verdict == verdict
    assert said in judgement.reason


def test_without_a_known_completion_any_event_will_do() -> None:
    unknown = on(Expect(resumable=True), Dialect(end=()))
    watched = stream(sent("progress"), how="watched", ended=5.0)
    assert judged(unknown_id, watched, terms=unknown, scenario="unknown-id").verdict == "conforms"
    silent = stream(how="watched", ended=5.0)
    assert judged(unknown_id, silent, terms=unknown, scenario="unknown-id").verdict == "inconclusive"


# after-restart

RESTART = [*marked("server killed", 0.4), *marked("server started again", 0.8)]


def restarted(*groups: list[Record], terms: Terms = RESTARTABLE) -> Judgement:
    declared = tuple(sorted({*terms.declared, "target.command"}))
    terms = msgspec.structs.replace(terms, declared=declared)
    return judged(after_restart, *groups, terms=terms, scenario="restart")


KILLED = stream(HAD, how="reset", ended=0.4)


@pytest.mark.parametrize(
    ("returned", "verdict", "said"),
    [
        (back(REST), "conforms", "6 events before and after"),
        (back([], status=404), "conforms", "1 clear answer: 404"),
        (back([], status=204), "conforms", "1 clear answer: 204"),
        (back([], status=500), "broken", "after the restart a-2 was answered with 500"),
        (back([], status=503), "inconclusive", "503"),
        (back(REST[1:]), "broken", "after the restart a-2 never got"),
        (
            back(sent("progress", "progress", "complete", at=1.0)),
            "broken",
            "was sent everything from the start again",
        ),
        (back([], how="timeout", ended=11.0), "broken", "after the restart a-2 is still silent"),
        (back([], ended=1.1), "broken", "was ended at 1.100 s without a completion"),
        (back([], status=0, how="timeout", ended=6.0), "broken", "got no response"),
        (back([], status=0, how="refused"), "inconclusive", "got no response"),
        (back([], how="reset", ended=1.1), "broken", "was cut off"),
    ],
    ids=[
        "goes on",
        "404",
        "204",
        "500",
        "503",
        "gap",
        "anew",
        "hangs",
        "ended",
        "no head",
        "refused",
        "reset",
    ],
)
def test_a_restart_is_survived_or_admitted(returned: list[Record], verdict: str, said: str) -> None:
    judgement = restarted(KILLED, RESTART, returned)
    assert judgement.verdict == verdict
    assert said in judgement.reason


def test_without_a_known_completion_a_stream_that_goes_on_will_do() -> None:
    unknown = on(Expect(resumable=True), Dialect(end=()))
    goes_on = back(sent("progress", "progress", at=1.0, first=4), how="watched", ended=6.0)
    assert restarted(KILLED, RESTART, goes_on, terms=unknown).verdict == "conforms"
    nothing = back([], how="watched", ended=6.0)
    assert restarted(KILLED, RESTART, nothing, terms=unknown).verdict == "inconclusive"


def test_a_stream_that_goes_on_under_new_names_proves_nothing() -> None:
    renamed = back([(1.1, event(50)), (1.2, event(70, "complete"))])
    assert restarted(KILLED, RESTART, renamed, terms=RESUMABLE).verdict == "inconclusive"


def test_a_restart_has_to_be_survived_by_everybody() -> None:
    other = stream(HAD, name="b", how="reset", ended=0.4)
    healed, lost = back(REST, name="b-2"), back([], name="b-2", ended=1.1)
    everybody = restarted(KILLED, other, RESTART, back(REST), healed)
    assert (everybody.verdict, everybody.reason) == ("conforms", "2 subscribers who came back")
    judgement = restarted(KILLED, other, RESTART, back(REST), lost)
    assert judgement.verdict == "broken"
    assert judgement.reason.startswith("after the restart b-2 was ended")


def test_without_a_restart_nothing_is_judged() -> None:
    short = stream(sent("complete"))
    assert (
        restarted(short, marked("too short", 0.3, "the stream ended before")).reason
        == "the stream ended before"
    )
    assert restarted(KILLED, back(REST)).reason == "the server was not restarted"
    no_id = stream(REST, name="a-2", at=1.0)
    assert restarted(KILLED, RESTART, no_id).verdict == "inconclusive"


# servers that are right


def _without_every_second_id(data: bytes) -> bytes:
    lines = data.split(b"\n")
    odd = any(line.startswith(b"id:") and int(line[3:]) % 2 for line in lines)
    return b"\n".join(line for line in lines if not (odd and line.startswith(b"id:")))


DECOYS = [
    Specimen("forgetting", "Knows no jobs after a restart, and says 404.", (), "restart", remembers=False),
    Specimen(
        "every second id",
        "Gives every second event an id.",
        (),
        "resume-after-cut",
        sending(lambda _: lambda data: (_without_every_second_id(data),)),
        configure=numbered_in_data,
    ),
]


@pytest.mark.parametrize("scenario", [scenario.name for scenario in SCENARIOS])
@pytest.mark.parametrize("decoy", DECOYS, ids=lambda decoy: decoy.name)
async def test_servers_that_are_right_are_not_reported(
    decoy: Specimen, scenario: str, autojump_clock: object
) -> None:
    with trio.fail_after(600):
        history = await examine(decoy, VirtualNetwork(), scenario=scenario)
    assert history.concluded is not None
    assert history.concluded.outcome in {"done", "skipped"}, history.concluded
    broken = {
        rule.name: judgement
        for rule in OURS
        if scenario in rule.scenarios and (judgement := judge_by(history, rule)).verdict == "broken"
    }
    assert not broken
