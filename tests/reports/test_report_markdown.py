"""The short summary, as a Markdown renderer understands it."""

from html.parser import HTMLParser

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from report_sample import results as sample

from reports.markdown import code, prose, render_markdown
from reports.results import Case, Evidence, Finding, Level, Results, RuleInfo, Scenario, Verdict
from reports.text import visible

MARKDOWN = MarkdownIt("commonmark").enable(["table", "strikethrough"])


class Elements(HTMLParser):
    """The elements and the text of a piece of HTML."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        del attrs
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def test_a_summary_says_what_is_broken_and_how_to_mend_it() -> None:
    text = render_markdown(sample())
    assert text.startswith(
        "## ❌ Does not conform: 4 rules broken, the harness failed in 1 case\n\n`http://127.0.0.1:8000`"
    )
    assert "- `timeliness.no-burst` Events arrive when they happen" in text
    assert "; expected `gaps near 0.2 s" in text
    assert "### Warnings" in text
    assert "and in 7 more scenarios" in text
    assert "| `shutdown` |" in text


def test_a_run_that_conforms_says_so_first() -> None:
    passed = tuple(case for case in sample().cases if case.verdict is Verdict.PASS)
    text = render_markdown(msgspec.structs.replace(sample(), cases=passed))
    assert text.startswith("## ✅ Conforms\n")
    assert "Broken" not in text


@pytest.mark.parametrize(
    "hostile",
    [
        "a|b|c",
        "a\\|b",
        "`` `code` ``",
        "\\`",
        "</details><script>alert(1)</script>",
        "![x](http://evil/x.png)",
        "[x](javascript:alert(1))",
        "line\n\n# heading\n| a | b |",
        "**bold** _it_ ~~gone~~",
        "<http://evil>",
        "- item",
        "1. item",
        "# heading",
        "---",
        "    code",
        "&lt;b&gt;",
        "> quote",
        "`",
        " ",
        "",
    ],
)
def test_hostile_text_is_text(hostile: str) -> None:
    assert_only_text(hostile)


@given(
    st.text(st.one_of(st.sampled_from("\\`*_{}[]<>()|~&:.!+-=#@\n\r \tab1/"), st.characters()), max_size=100)
)
def test_any_text_is_text(text: str) -> None:
    assert_only_text(text)


def assert_only_text(text: str) -> None:
    """In a list and in a table's cell, as prose and as code: no markup comes of it, no character is lost."""
    inline = Elements(MARKDOWN.render(f"- {prose(text, 9_999)}"))
    assert set(inline.tags) <= {"ul", "li"}
    assert inline.text.replace("\u200b", "").strip() == visible(text).strip()
    cell = Elements(MARKDOWN.render(f"| a | b |\n| --- | --- |\n| {prose(text)} | {code(text)} |"))
    assert cell.tags.count("td") == 2
    assert set(cell.tags) <= {"table", "thead", "tbody", "tr", "th", "td", "code"}
    span = Elements(MARKDOWN.render(f"- {code(text, 9_999)}"))
    assert set(span.tags) <= {"ul", "li", "code"}
    if text.strip():
        assert span.text.strip("\n") == visible(text).replace("|", "¦")


@pytest.mark.parametrize("text", ["@octocat", "fixes #1", "!7", "a @team/x, #12"])
def test_no_one_is_called_and_nothing_is_linked(text: str) -> None:
    """GitHub and GitLab look for mentions in the finished text, outside code."""
    finished = Elements(MARKDOWN.render(prose(text))).text
    assert finished.replace("\u200b", "").strip() == text
    for sign in "@#!":
        position = finished.find(sign)
        assert position < 0 or finished[position + 1] == "\u200b"


@given(st.text(st.characters(), max_size=30))
def test_a_whole_summary_of_hostile_text_keeps_its_shape(text: str) -> None:
    rule = RuleInfo(name=text, level=Level.MUST, claim=text, why=text, source=text, mend=text)
    case = Case(
        id=text,
        rule=text,
        level=Level.MUST,
        scenario=text,
        verdict=Verdict.FAIL,
        findings=(Finding(text, (Evidence(expected=text, actual=text),)),),
    )
    results = Results(
        target=text,
        seed=0,
        started=text,
        version=text,
        unreached=text,
        assumptions=(text,),
        scenarios=(Scenario(name=text, summary=text),),
        rules={text: rule},
        cases=(case,),
    )
    page = Elements(MARKDOWN.render(render_markdown(results)))
    assert page.tags.count("td") == 3
    assert set(page.tags) <= {
        *("h2", "h3", "p", "ul", "li", "code", "table", "thead", "tbody", "tr", "th", "td"),
        *("details", "summary"),
    }


def test_a_source_is_a_link_only_if_it_is_a_web_address() -> None:
    def with_source(source: str) -> str:
        rules = {name: msgspec.structs.replace(rule, source=source) for name, rule in sample().rules.items()}
        return str(MARKDOWN.render(render_markdown(msgspec.structs.replace(sample(), rules=rules))))

    assert '<a href="https://example.org/x">source</a>' in with_source("https://example.org/x")
    for source in ("javascript:alert(1)", "https://a/>x", "https://a/`x", "RFC 9110"):
        assert "<a " not in with_source(source)


def test_a_huge_run_still_fits_into_a_comment() -> None:
    text = "<@#|`" * 100_000
    rules = {
        f"{n}{text[:300]}": RuleInfo(name="x", level=Level.MUST, claim=text, why=text, source=text, mend=text)
        for n in range(300)
    }
    verdicts = (Verdict.FAIL, Verdict.WARN, Verdict.ERROR)
    cases = tuple(
        Case(
            id=name,
            rule=name,
            level=Level.MUST,
            scenario=f"{n} {text[:300]}",
            verdict=verdict,
            reason=text,
            findings=(Finding(text, (Evidence(expected=text, actual=text),)),) * 3,
        )
        for n, name in enumerate(rules)
        for verdict in verdicts
    )
    huge = Results(target=text, seed=0, rules=rules, cases=cases, unreached=text, unlocks=(text,) * 99)
    assert 20_000 < len(render_markdown(huge)) < 65_536
