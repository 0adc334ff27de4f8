"""A case in words: whatever a peer put into it, it steers no terminal."""

from hostile_servers import EVIL

from conformance.words import explain
from reports.results import Case, Evidence, Finding, Level, Verdict


def test_a_case_says_what_where_and_how_to_mend_it_and_hostile_text_is_shown_by_name() -> None:
    evidence = Evidence(connection="a", time=1.5, offset=7, expected="a word", actual=EVIL, excerpt=EVIL)
    case = Case(
        id="subscribe/wire.json",
        rule="wire.json",
        level=Level.MUST,
        scenario="subscribe",
        verdict=Verdict.FAIL,
        reason=EVIL,
        findings=(Finding(EVIL, (evidence,)), Finding(f"another {EVIL}")),
        history="histories/subscribe.jsonl",
    )
    first, seen, another, history, mend = explain(case, "Send JSON.").splitlines()
    assert first.startswith("fail wire.json (MUST) in subscribe: ‹ESC›[31mred")
    assert seen.startswith("    a · at 1.500 s · byte 7 · expected a word · got ‹ESC›[31mred")
    assert another.startswith("  another ‹ESC›[31mred")  # the reason says what the first finding says
    assert history == "  history: histories/subscribe.jsonl"
    assert mend == "  mend: Send JSON."
    assert (first + seen + another).isprintable()
