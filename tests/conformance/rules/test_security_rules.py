"""The rules of security, on made-up histories: what became of a payload, who was let in, what errors tell."""

import json
from html import escape

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up import TASK, answered, made_up, marked, stream, terms

from conformance.history import Mark, Record
from conformance.payloads import HEAD, NOT_TAKEN, SENT, TAIL, Payload, payloads, told_payload
from conformance.rules.rule import Judgement, Rule
from conformance.rules.security import auth, error_hygiene
from conformance.rules.security_echo import event_injection, payload_survives

TERMS = terms(TASK, also=["target.variants.echo", "target.stream.headers"])
PAYLOADS = {each.name: each for each in payloads("complete")}
DONE = 'event: complete\ndata: {"state": "completed"}\n\n'


def blocks(data: str) -> str:
    """An event with this data, encoded as it should be."""
    lines = data.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return "".join(f"data: {line}\n" for line in lines) + "\n"


def sent(payload: Payload, body: str, **options: object) -> list[Record]:
    """A stream whose work was given the payload, and sent this."""
    name = payload.name
    records = stream([(0.1, body.encode("utf-8", "replace"))], name=name, subscriber=name, **options)  # type: ignore[arg-type]  # as they are there
    return [*records, Mark(time=0.0, what=SENT, exchange=name, detail=payload.told)]


def judged(rule: Rule, *groups: list[Record]) -> Judgement:
    return rule.judge(made_up(*groups, terms=TERMS, scenario="hostile-input"))


def as_json(payload: Payload) -> str:
    return blocks(json.dumps({"text": payload.whole}))


@pytest.mark.parametrize("name", PAYLOADS)
def test_what_is_sent_as_json_stays_data_and_comes_whole(name: str) -> None:
    body = sent(PAYLOADS[name], as_json(PAYLOADS[name]) + DONE)
    assert judged(event_injection, body).verdict == "conforms"
    assert judged(payload_survives, body).verdict == "conforms"


@pytest.mark.parametrize("name", PAYLOADS)
def test_what_is_sent_as_it_is_in_lines_of_its_own_stays_data_and_comes_whole(name: str) -> None:
    body = sent(PAYLOADS[name], blocks(f"You said: {PAYLOADS[name].whole}, did you not?") + DONE)
    assert judged(event_injection, body).verdict == "conforms"
    assert judged(payload_survives, body).verdict == "conforms"


@pytest.mark.parametrize(
    "name",
    [
        "newlines",
        "carriage-returns",
        "crlf",
        "data-field",
        "fields",
        "fields-by-cr",
        "completion-event",
        "completion-by-cr",
        "event",
    ],
)
@pytest.mark.parametrize("form", ["data: {}\n\n", 'data: {{"text": "{}"}}\n\n'])
def test_what_is_formatted_by_hand_becomes_something_else(name: str, form: str) -> None:
    body = sent(PAYLOADS[name], form.format(PAYLOADS[name].whole) + DONE)
    assert judged(event_injection, body).verdict == "broken"
    assert judged(payload_survives, body).verdict in {"not-applicable", "inconclusive", "broken"}


@pytest.mark.parametrize("name", ["null", "separators", "surrogate", "megabyte"])
def test_what_holds_no_line_end_can_be_formatted_by_hand(name: str) -> None:
    body = sent(PAYLOADS[name], f"data: {PAYLOADS[name].whole}\n\n" + DONE)
    assert judged(event_injection, body).verdict == "conforms"
    assert judged(payload_survives, body).verdict == "conforms"


def test_lines_that_are_split_at_lf_only_let_a_cr_through() -> None:
    payload = PAYLOADS["fields-by-cr"]
    raw = "".join(f"data: {line}\n" for line in payload.whole.split("\n")) + "\n"
    judgement = judged(event_injection, sent(payload, raw + DONE))
    assert judgement.verdict == "broken"
    assert "the text made an event of type" in judgement.reason


@pytest.mark.parametrize("name", PAYLOADS)
def test_text_that_comes_word_by_word_or_line_by_line_is_no_injection(name: str) -> None:
    """As language models send it: each piece is an event of its own, and each stays data."""
    payload = PAYLOADS[name]
    text = payload.whole[:2000] + (TAIL if payload.name == "megabyte" else "")
    for pieces in (text.split(" "), text.splitlines(keepends=True), list(text)):
        body = "".join(blocks(json.dumps(piece)) for piece in pieces) + DONE
        assert judged(event_injection, sent(payload, body)).verdict != "broken"
        raw = "".join(blocks(piece) for piece in pieces) + DONE
        assert judged(event_injection, sent(payload, raw)).verdict != "broken"


@given(st.text(alphabet=st.characters(exclude_characters="\r\n"), max_size=40))
def test_no_text_without_a_line_end_is_an_injection(text: str) -> None:
    payload = Payload(name="any", text=text)
    body = sent(payload, f"data: {payload.whole}\n\n{DONE}")
    assert judged(event_injection, body).verdict == "conforms"


@given(st.text(max_size=40))
def test_any_text_that_is_encoded_well_survives(text: str) -> None:
    payload = Payload(name="any", text=text)
    assert told_payload(payload.told) == payload
    body = sent(payload, as_json(payload) + DONE)
    assert judged(event_injection, body).verdict == "conforms"
    assert judged(payload_survives, body).verdict == "conforms"


@pytest.mark.parametrize(
    ("text", "back"),
    [
        ("newlines", "\n"),
        ("crlf", "\n"),  # in JSON there is no reason to change it
        ("separators", "."),
        ("null", ""),
    ],
)
def test_text_that_comes_back_changed_did_not_survive(text: str, back: str) -> None:
    payload = PAYLOADS[text]
    changed = payload.whole
    for each in ("\r\n", "\r", "\n\n", "\0", "\x85", "\x0b"):
        changed = changed.replace(each, back)
    body = sent(payload, blocks(json.dumps(changed)) + DONE)
    assert judged(payload_survives, body).verdict == "broken"
    assert judged(event_injection, body).verdict == "conforms"


def test_text_that_is_cut_off_did_not_survive() -> None:
    payload = PAYLOADS["megabyte"]
    body = sent(payload, blocks(json.dumps(payload.whole[:65_536])) + DONE)
    judgement = judged(payload_survives, body)
    assert judgement.verdict == "broken"
    assert judgement.reason == "megabyte: the text came back changed: of 1,000,018 characters 65,536 came"
    assert judged(event_injection, body).verdict == "conforms"


def test_text_that_vanishes_did_not_survive_where_others_did() -> None:
    good = sent(PAYLOADS["newlines"], as_json(PAYLOADS["newlines"]) + DONE)
    vanished = sent(PAYLOADS["null"], DONE)
    assert judged(payload_survives, good, vanished).verdict == "broken"
    assert judged(payload_survives, good).verdict == "conforms"


@pytest.mark.parametrize("rule", [event_injection, payload_survives])
def test_where_nothing_comes_back_nothing_can_be_said(rule: Rule) -> None:
    judgement = judged(rule, sent(PAYLOADS["null"], DONE))
    assert judgement.verdict == "inconclusive"
    assert "came back in no event" in judgement.reason


@pytest.mark.parametrize("rule", [event_injection, payload_survives])
def test_a_server_may_take_none_of_it(rule: Rule) -> None:
    assert judged(rule, marked(NOT_TAKEN, 0.1, "null: answered 400")).verdict == "not-applicable"
    good = sent(PAYLOADS["newlines"], as_json(PAYLOADS["newlines"]) + DONE)
    refused = answered(name="start-2", status=413)
    assert judged(rule, good, refused).verdict == "conforms"


def test_a_server_that_fails_at_a_payload_did_not_refuse_it() -> None:
    good = sent(PAYLOADS["newlines"], as_json(PAYLOADS["newlines"]) + DONE)
    failed = answered(name="start-2", status=500)
    judgement = judged(payload_survives, good, failed)
    assert (judgement.verdict, judgement.reason) == (
        "broken",
        "start-2: a request with hostile text was answered 500",
    )


def test_the_last_piece_of_a_stream_that_was_left_is_no_injection() -> None:
    """The end of the payload has arrived, its event has not."""
    payload = PAYLOADS["newlines"]
    body = f"data: {HEAD}\n\ndata: second\ndata: {TAIL}\n"
    assert judged(event_injection, sent(payload, body, how="dropped")).verdict == "conforms"


@pytest.mark.parametrize(
    ("status", "events", "verdict"),
    [(401, "", "conforms"), (403, "", "conforms"), (404, "", "conforms"), (200, DONE, "broken")],
)
def test_wrong_credentials_are_refused(status: int, events: str, verdict: str) -> None:
    judgement = judged(auth, stream([(0.1, events)], name="stranger", status=status))
    assert judgement.verdict == verdict
    if verdict == "broken":
        assert "with wrong credentials" in judgement.reason


def test_wrong_credentials_are_refused_wherever_they_come() -> None:
    refused = stream(name="stranger", status=401)
    assert judged(auth, refused, answered("other", status=401)).verdict == "conforms"
    cancelled = answered("other", status=202, url="http://127.0.0.1:8000/jobs/j1/cancel")
    judgement = judged(auth, refused, cancelled)
    assert judgement.verdict == "broken"
    assert "/cancel with wrong credentials was answered 202" in judgement.reason
    assert judged(auth, refused, answered("other", status=502)).verdict == "conforms"


TRACES = [
    'Traceback (most recent call last):\n  File "/srv/app.py", line 1, in f\nKeyError',
    '  File "/srv/app.py", line 1, in f',
    "TypeError: x\n    at step (/srv/app/jobs.js:17:11)",
    "TypeError: x\n    at async file:///srv/app.mjs:3:5",
    "java.lang.IllegalStateException\n\tat com.shop.Jobs.run(Jobs.java:42)",
    "panic: x\n\ngoroutine 17 [running]:\nmain.f()",
    "Stack trace:\n#0 /var/www/index.php(12): f()",
    "app.rb:1\n\tfrom /srv/app.rb:12:in `step'",
    "System.Exception\n   at Shop.Jobs.Run(Int32 n) in /src/Jobs.cs:line 42",
    "thread 'main' panicked at src/main.rs:4:5:",
]


@pytest.mark.parametrize("trace", TRACES)
def test_no_error_carries_a_stack_trace(trace: str) -> None:
    answer = answered("status", status=500, body=trace)
    assert judged(error_hygiene, answer).verdict == "broken"
    in_json = answered("status", status=500, body=json.dumps({"error": trace}))
    assert judged(error_hygiene, in_json).verdict == "broken"
    lines = escape(trace).replace("\n", "<br>").replace("  ", " &nbsp;")
    page = answered("status", status=500, body=f"<!DOCTYPE html>\n<body><pre>Error:<br>{lines}</pre></body>")
    assert judged(error_hygiene, page).verdict == "broken"
    event = stream([(0.1, f"event: error\n{blocks(json.dumps({'message': trace}))}")])
    assert judged(error_hygiene, event).verdict == "broken"


@pytest.mark.parametrize("trace", TRACES)
def test_work_may_be_about_stack_traces(trace: str) -> None:
    """An assistant that explains one; only what tells of the server's own errors is looked at."""
    explained = stream([(0.1, blocks(json.dumps({"text": trace}))), (0.2, DONE)])
    assert judged(error_hygiene, explained).verdict == "not-applicable"


@pytest.mark.parametrize(
    "message",
    [
        "no such job",
        "the work failed at step 3 (see at 12:30:11)",
        "file report.py, line 4, in table 2: not a number",
        "    at the moment nothing can be done: try again at 10:30:00",
        "look at https://status.example:8080/now",
        "thread 'main' is not yours",
    ],
)
def test_a_sentence_is_no_stack_trace(message: str) -> None:
    assert judged(error_hygiene, answered("status", status=404, body=message)).verdict == "conforms"


@pytest.mark.parametrize("body", ["\n" * 60_000, " " * 60_000, "\tat " * 20_000, "    at " + "a." * 30_000])
def test_an_answer_that_is_made_to_take_long_does_not(body: str) -> None:
    assert judged(error_hygiene, answered("status", status=500, body=body)).verdict == "conforms"
