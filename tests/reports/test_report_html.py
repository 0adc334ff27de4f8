"""The HTML report as a document: what it tells, and that no text of a peer becomes markup."""

import re
from base64 import b64encode
from functools import cache
from hashlib import sha256

import msgspec
import pytest
from html_document import Document
from hypothesis import given, settings
from hypothesis import strategies as st
from report_sample import results as sample
from report_sample import timelines

from reports.html import render_html
from reports.results import Case, Evidence, Finding, Level, Results, RuleInfo, Scenario, Verdict
from reports.timeline import Lane, Mark, Series, Span, Timeline


def every(text: str, verdict: Verdict = Verdict.FAIL, *, excused: str | None = None) -> Results:
    """A run in which `text` stands wherever a text can stand."""
    seen = Evidence(connection=text, time=1.0, offset=2, excerpt=text, expected=text, actual=text)
    case = Case(
        id=text,
        rule=text,
        level=Level.MUST,
        scenario=text,
        faults=(text,),
        verdict=verdict,
        reason=text,
        findings=(Finding(text, (seen,)), Finding(text)),
        excused=excused,
    )
    return Results(
        target=text,
        seed=1,
        started=text,
        version=text,
        unreached=text,
        assumptions=(text,),
        unlocks=(text,),
        scenarios=(Scenario(name=text, summary=text, figures={text: text}),),
        rules={text: RuleInfo(name=text, level=Level.MUST, claim=text, why=text, source=text, mend=text)},
        cases=(case, msgspec.structs.replace(case, verdict=Verdict.INCONCLUSIVE)),
    )


def picture(text: str) -> Timeline:
    marks = (Mark(0.1, "event", text, text), Mark(0.2, "fault", text, text))
    lanes = (Lane(text, marks, (Span(0.0, 0.5, "quiet", text),)),)
    return Timeline(text, 1.0, lanes, (Series(text, ((0.1, 1.0), (0.2, 2.0))),))


def test_the_page_tells_the_verdict_the_run_and_the_evidence() -> None:
    page = Document(render_html(sample(), timelines()))
    text = " ".join(page.text.split())
    for told in (
        "Does not conform: 4 rules broken, the harness failed in 1 case",
        "http://127.0.0.1:8000",
        "2025-11-20 10:47:03 UTC",
        "20251120",
        "45 rules in 12 scenarios",
        "40 events that were 0.2 s apart at the server arrived within 0.02 s.",
        "39 of 40 gaps below 0.001 s, after a silence of 7.9 s",
        "at 8.021 s · byte 4,096",
        "How to mend it",
        "issue 123: the worker is stopped by its supervisor",
        "the dialect declares no heartbeat: dialect.heartbeat 12 cases",
        "preset “task-stream”: the first event is task_started",
        "target.probe.gauges: resource.gauges-return",
        "events per second 19.8",
    ):
        assert told in text, told


def test_every_link_in_the_page_has_its_place_and_every_place_one_name() -> None:
    page = Document(render_html(sample(), timelines()))
    ids = page.values("id")
    assert len(set(ids)) == len(ids)
    targets = {link[1:] for link in page.values("href") if link.startswith("#")}
    assert targets <= set(ids)
    assert {"scenario-buffering-proxy", "cases-buffering-proxy-timeliness"} <= targets
    for attribute in ("aria-labelledby", "aria-describedby"):
        assert {name for value in page.values(attribute) for name in value.split()} <= set(ids)


def test_names_that_differ_only_in_signs_have_places_of_their_own() -> None:
    (case, *_) = every("a.b").cases
    names = ("cut once", "cut-once", "CUT ONCE", "漢字", "仮名", "")
    cases = tuple(msgspec.structs.replace(case, scenario=name, rule=f"x.{name}") for name in names)
    ids = Document(render_html(Results(target="t", seed=0, cases=cases), {})).values("id")
    assert len(set(ids)) == len(ids)
    assert sum(name.startswith("scenario-cut-once") for name in ids) == 6  # each with its title


def test_what_is_broken_comes_before_the_matrix_as_the_contents_have_it() -> None:
    html = render_html(sample(), {})
    sections = re.findall(r'<section id="([a-z]+)"', html)
    contents = re.findall(r'href="#([a-z]+)"', html[html.index("<nav ") : html.index("</nav>")])
    assert sections[0] == "fail"
    assert contents == sections


def test_a_reason_that_repeats_the_finding_is_told_once() -> None:
    case = next(case for case in sample().cases if case.findings)
    (finding, *_) = case.findings
    again = msgspec.structs.replace(case, reason=f"{finding.message} (driven twice, seen twice)")
    html = render_html(msgspec.structs.replace(sample(), cases=(again,)), {})
    assert "<p>(driven twice, seen twice)</p>" in html


def test_every_cell_of_the_matrix_leads_to_its_cases() -> None:
    html = render_html(sample(), {})
    body = html[html.index("<tbody>") : html.index("</tbody>")]
    rows = body.split("<tr>")[1:]
    assert [re.findall('<th scope="row">([a-z]+)', row)[0] for row in rows] == [
        *("http", "wire", "timeliness", "order", "completion", "resume", "cancel", "resource", "shutdown"),
    ]
    assert all(row.count("<td ") == 12 and row.count('href="#cases-') == 12 for row in rows)
    assert 'href="#cases-buffering-proxy-timeliness" title="1 broken, 2 passed, 1 not applicable"' in rows[2]


def test_a_run_that_conforms_has_nothing_to_mend() -> None:
    passed = tuple(case for case in sample().cases if case.verdict is Verdict.PASS)
    text = Document(render_html(msgspec.structs.replace(sample(), cases=passed), timelines())).text
    assert "Conforms" in text
    assert "Broken rules" not in text
    assert "How to mend it" not in text


def test_a_run_that_never_began_says_why() -> None:
    text = Document(render_html(Results(target="http://a", seed=0, unreached="connection refused"), {})).text
    assert "Not reached" in text
    assert "connection refused" in text


def test_only_its_own_style_and_script_may_do_anything() -> None:
    html = render_html(sample(), timelines())
    page = Document(html)
    policies = [attrs["content"] for tag, attrs in page.elements if "http-equiv" in attrs and tag == "meta"]

    def hashed(tag: str) -> str:
        return f"'sha256-{b64encode(sha256(page.raw[tag].encode()).digest()).decode()}'"

    assert policies == [
        f"default-src 'none'; style-src {hashed('style')}; script-src {hashed('script')}; "
        "img-src 'none'; base-uri 'none'; form-action 'none'"
    ]
    tags = [tag for tag, _ in page.elements]
    assert tags.count("style") == tags.count("script") == 1
    assert not {"link", "img", "iframe", "object", "embed", "form", "base"} & set(tags)
    assert not page.values("style")
    assert not page.values("src")
    assert html.index("Content-Security-Policy") < html.index("<title>") < html.index("<style>")


HOSTILE = [
    "<script>window.hacked=1</script>",
    "</script><script>window.hacked=1</script>",
    "</style></svg></title><img src=x onerror=window.hacked=1>",
    '"\' onload=window.hacked=1 x="',
    "javascript:window.hacked=1",
    "{{ 7*7 }}{% raw %}",
    "&lt;script&gt;",
    "\0\x1b[31m\u202e\ud800\ufffe",
    "]]><!-- -->",
]


@pytest.mark.parametrize("hostile", HOSTILE)
def test_hostile_text_never_becomes_markup(hostile: str) -> None:
    assert_inert(hostile)


@given(
    st.text(
        st.one_of(st.sampled_from("<>\"'&=/ {}%-!\0\u202e\ud800"), st.characters()), min_size=1, max_size=40
    )
)
@settings(max_examples=40, deadline=None)
def test_no_text_becomes_markup(text: str) -> None:
    assert_inert(text)


def assert_inert(text: str) -> None:
    """The page has the same elements with the same attributes as the page of a harmless text."""
    html = render_html(every(text), {text: picture(text)})
    html.encode()
    assert all(character.isprintable() or character == "\n" for character in html)
    assert skeleton(Document(html)) == harmless()


def skeleton(page: Document) -> list[tuple[str, list[str]]]:
    """What is set back in an excerpt is an `<i>`, nothing else may differ."""
    return [(tag, sorted(attrs)) for tag, attrs in page.elements if tag != "i"]


@cache
def harmless() -> list[tuple[str, list[str]]]:
    return skeleton(Document(render_html(every("harmless"), {"harmless": picture("harmless")})))


def test_a_history_is_a_link_only_if_it_lies_beside_the_report() -> None:
    def links(history: str) -> list[str]:
        (first, *_) = every("a.b").cases
        case = msgspec.structs.replace(first, history=history)
        return Document(render_html(Results(target="t", seed=0, cases=(case,)), {})).values("href")

    assert "histories/cut.jsonl" in links("histories/cut.jsonl")
    for history in ("javascript:alert(1)", "../secret", "/etc/passwd", "//example.org/x"):
        assert history not in links(history)


def test_a_source_is_a_link_only_if_it_is_a_web_address() -> None:
    def links(source: str) -> list[str]:
        return Document(render_html(every(source), {})).values("href")

    assert "https://example.org/a?b&c" in links("https://example.org/a?b&c")
    for source in ("javascript:alert(1)", "data:text/html,x", "//example.org", "vbscript:x", "https://"):
        assert source not in links(source)


@pytest.mark.parametrize("verdict", Verdict)
@pytest.mark.parametrize("excused", [None, "issue 1"])
def test_every_verdict_is_shown_with_its_word_and_its_symbol(verdict: Verdict, excused: str | None) -> None:
    html = render_html(every("a.b", verdict, excused=excused), {})
    page = Document(html)
    uses = [str(attrs["href"]) for tag, attrs in page.elements if tag == "use"]
    assert set(uses) <= {f"#{name}" for name in page.values("id")}
    if excused is None:
        assert f"#i-{verdict}" in uses
        assert f'id="show-{verdict}"' in html


def test_megabytes_of_evidence_are_cut_with_a_notice() -> None:
    html = render_html(every("<b>" + "x" * 5_000_000), {})
    assert len(html) < 250_000
    assert "4,998,003 characters left out" in html


def test_a_hundred_thousand_findings_and_events_give_a_small_file() -> None:
    findings = tuple(Finding(f"finding {n}", (Evidence(excerpt="x" * 200),)) for n in range(100_000))
    case = msgspec.structs.replace(every("a.b").cases[0], findings=findings)
    marks = tuple(Mark(n / 1000, "event", f"seq {n}", "detail " * 30) for n in range(100_000))
    timeline = Timeline("a.b", 100.0, tuple(Lane(f"lane {n}", marks[n::10]) for n in range(10)))
    html = render_html(msgspec.structs.replace(every("a.b"), cases=(case,)), {"a.b": timeline})
    assert len(html) < 400_000
    assert "99,996 more findings" in html


def test_a_timeline_of_a_scenario_that_nobody_judged_is_shown() -> None:
    assert "Timeline: resume after a cut" in render_html(
        Results(target="t", seed=0), {"resume": timelines()["resume after a cut"]}
    )
