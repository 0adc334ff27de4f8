"""`resource.stays-up` on made-up histories, and on a server that ends while it is driven."""

import pytest
from made_up import TASK, made_up, stream, terms

from conformance.history import SERVER_UP, Concluded, Gauge, History, history
from conformance.judging import judge_by
from conformance.rules.resource_up import stays_up


def seen(value: float | None, detail: str = "") -> History:
    looks = [] if value is None else [Gauge(time=1.0, name=SERVER_UP, value=value, detail=detail)]
    return made_up(stream(), looks, terms=terms(TASK))


def test_a_server_that_is_still_there() -> None:
    assert stays_up.judge(seen(1.0)).verdict == "conforms"


@pytest.mark.parametrize(
    ("detail", "said"),
    [
        ("exited with code 1", "had exited with code 1"),
        ("killed by signal 9", "had been killed by signal 9"),
    ],
)
def test_a_server_that_ended(detail: str, said: str) -> None:
    judgement = stays_up.judge(seen(0.0, detail))
    assert judgement.verdict == "broken"
    assert said in judgement.reason


def test_what_it_printed_last_is_shown() -> None:
    (finding,) = stays_up.judge(seen(0.0, "exited with code 1\nEvent loop: closed\nTypeError: x")).findings
    assert finding.message.startswith("the server had exited with code 1 when")
    assert finding.evidence[0].excerpt == "Event loop: closed\nTypeError: x"
    assert finding.evidence[0].actual == "exited with code 1"


def test_a_server_of_somebody_else() -> None:
    judgement = stays_up.judge(seen(None))
    assert judgement.verdict == "not-applicable"
    assert (
        "needs target.command in the configuration, or the number of the server's process" in judgement.reason
    )


def test_it_has_its_say_where_nobody_answers_any_more() -> None:
    *records, _ = seen(0.0, "exited with code 1").records
    unreached = history([*records, Concluded(time=2.0, outcome="unreached", reason="refused")])
    assert judge_by(unreached, stays_up).verdict == "broken"
