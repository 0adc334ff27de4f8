"""JUnit XML of the form that Jenkins (its xUnit schema), GitLab and GitHub actions read."""

from xml.etree.ElementTree import Element, fromstring

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_sample import results as sample

from reports.junit import render_junit
from reports.results import Case, Evidence, Finding, Level, Results, Verdict

COUNTS = {"tests", "failures", "errors", "skipped", "time"}
# What an element may have: its attributes (the first set is required), and its children.
FORM: dict[str, tuple[set[str], set[str], set[str]]] = {
    "testsuites": ({"name"} | COUNTS, set(), {"testsuite"}),
    "testsuite": ({"name"} | COUNTS, {"timestamp"}, {"properties", "testcase"}),
    "properties": (set(), set(), {"property"}),
    "property": ({"name", "value"}, set(), set()),
    "testcase": ({"name", "classname", "time"}, set(), {"failure", "error", "skipped", "system-out"}),
    "failure": ({"message", "type"}, set(), set()),
    "error": ({"message", "type"}, set(), set()),
    "skipped": ({"message"}, set(), set()),
    "system-out": (set(), set(), set()),
}


def check(element: Element) -> None:
    required, optional, children = FORM[element.tag]
    assert required <= set(element.attrib) <= required | optional, element.tag
    assert {child.tag for child in element} <= children
    if element.tag in ("testsuites", "testsuite"):
        paths = {"tests": "testcase", "failures": "failure", "errors": "error", "skipped": "skipped"}
        for name, path in paths.items():
            assert int(element.attrib[name]) == len(element.findall(f".//{path}")), name
        assert float(element.attrib["time"]) >= 0
    if element.tag == "testcase":
        assert len([child for child in element if child.tag != "system-out"]) <= 1
    for child in element:
        check(child)


def parsed(results: Results) -> Element:
    root = fromstring(render_junit(results).encode())
    check(root)
    return root


def test_a_run_is_a_document_of_suites() -> None:
    root = parsed(sample())
    assert [suite.get("name") for suite in root] == [scenario.name for scenario in sample().scenarios]
    assert root.attrib | {"time": ""} == {
        "name": "conformance",
        "tests": "540",
        "failures": "6",
        "errors": "1",
        "skipped": "176",
        "time": "",
    }
    failure = root.find("testsuite[@name='buffering proxy']/testcase[@name='no-burst']/failure")
    assert failure is not None
    assert failure.get("type") == "MUST"
    assert failure.get("message") == "40 events that were 0.2 s apart at the server arrived within 0.02 s."
    assert "at byte 4,096" in (failure.text or "")
    assert root[0].get("timestamp") == "2025-11-20T10:47:03"
    assert root[0][1].get("classname") == "subscribe.http"


def test_the_times_of_the_cases_add_up_to_the_scenario() -> None:
    suite = parsed(sample())[0]
    total = sum(float(case.attrib["time"]) for case in suite.iter("testcase"))
    assert total == pytest.approx(float(suite.attrib["time"]), rel=0.01)


def test_a_warning_passes_unless_the_run_is_strict() -> None:
    path = "testsuite[@name='subscribe']/testcase[@name='proxy-buffering']"
    assert parsed(sample()).find(f"{path}/system-out") is not None
    strict = parsed(msgspec.structs.replace(sample(), strict=True)).find(f"{path}/failure")
    assert strict is not None
    assert strict.get("type") == "SHOULD"


@pytest.mark.parametrize(
    "change",
    [{"interrupted": True}, {"unreached": "connection refused", "cases": ()}, {"cases": ()}],
)
def test_a_run_that_did_not_get_to_its_end_is_never_green(change: dict[str, object]) -> None:
    passed = tuple(case for case in sample().cases if case.verdict is Verdict.PASS)
    whole = msgspec.structs.replace(sample(), cases=passed)
    assert parsed(whole).get("errors") == "0"
    assert parsed(msgspec.structs.replace(whole, **change)).get("errors") == "1"


def test_a_known_failure_is_skipped_and_one_that_passes_fails() -> None:
    base = {"id": "s/a.b", "rule": "a.b", "level": Level.MUST, "scenario": "s", "excused": "issue 9"}
    failing = msgspec.convert({**base, "verdict": "fail"}, Case)
    passing = msgspec.convert({**base, "verdict": "pass"}, Case)
    skipped = parsed(Results(target="t", seed=0, cases=(failing,))).find(".//skipped")
    assert skipped is not None
    assert skipped.get("message") == "known failure: issue 9"
    assert parsed(Results(target="t", seed=0, cases=(passing,))).find(".//failure") is not None


@given(st.text(st.characters()), st.sampled_from(Verdict), st.one_of(st.none(), st.text(st.characters())))
def test_any_text_gives_a_document(text: str, verdict: Verdict, excused: str | None) -> None:
    case = Case(
        id=text,
        rule=text,
        level=Level.MUST,
        scenario=text,
        faults=(text,),
        verdict=verdict,
        reason=text,
        findings=(Finding(text, (Evidence(connection=text, excerpt=text, expected=text),)),),
        excused=excused,
    )
    results = Results(target=text, seed=0, started=text, unreached=text, cases=(case,))
    assert len(parsed(results)) == 2


def test_megabytes_are_cut_with_a_notice() -> None:
    case = Case(
        id="s/a.b",
        rule="a.b",
        level=Level.MUST,
        scenario="s",
        verdict=Verdict.FAIL,
        findings=(Finding("m" * 1_000_000, (Evidence(excerpt="x" * 3_000_000),)),),
    )
    xml = render_junit(Results(target="t", seed=0, cases=(case,)))
    assert len(xml) < 20_000
    assert "characters left out" in xml
