"""Runs side by side and against an earlier one: what is said of each case, and that no text becomes markup."""

import random
from html.parser import HTMLParser

import msgspec
import pytest
from html_document import Document
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from report_sample import results as sample

from reports.comparison import (
    Change,
    Direction,
    Run,
    changes,
    compare,
    compare_with_earlier,
    got_worse,
    lost_sight,
    side_by_side,
)
from reports.html import render_comparison
from reports.markdown_comparison import render_comparison_markdown
from reports.merging import merge
from reports.outcome import Status
from reports.results import Case, Finding, Level, Results, RuleInfo, Scenario, Verdict, summarise

VERDICTS = {
    "pass": Verdict.PASS,
    "fail": Verdict.FAIL,
    "warn": Verdict.WARN,
    "error": Verdict.ERROR,
    "open": Verdict.INCONCLUSIVE,
    "n/a": Verdict.NOT_APPLICABLE,
}


def case(rule: str, said: str, scenario: str = "subscribe") -> Case:
    """A case that says one of `VERDICTS`; with a `~` before it, it is listed as a known failure."""
    excused = "issue 1" if said.startswith("~") else None
    verdict = VERDICTS[said.removeprefix("~")]
    findings = (Finding(f"{rule} does not hold"),) if verdict in {Verdict.FAIL, Verdict.WARN} else ()
    return Case(
        id=f"{scenario}/{rule}",
        rule=rule,
        level=Level.MUST,
        scenario=scenario,
        verdict=verdict,
        findings=findings,
        reason="as expected",
        excused=excused,
    )


def run(*cases: Case, target: str = "http://127.0.0.1:8000", strict: bool = False) -> Results:
    return Results(target=target, seed=0, cases=cases, summary=summarise(cases), strict=strict)


@pytest.mark.parametrize(
    ("was", "now", "direction"),
    [
        ("pass", "fail", Direction.BROKEN),
        ("open", "fail", Direction.BROKEN),
        (None, "fail", Direction.BROKEN),
        ("warn", "fail", Direction.BROKEN),
        ("pass", "error", Direction.ERROR),
        ("pass", "warn", Direction.WARNS),
        ("fail", "fail", Direction.STILL),
        ("~fail", "fail", Direction.STILL),  # the list of known failures has changed, not the server
        ("warn", "warn", Direction.STILL_WARNS),
        ("fail", "pass", Direction.MENDED),
        ("~fail", "~pass", Direction.MENDED),
        ("pass", "open", Direction.UNJUDGED),
        ("fail", "n/a", Direction.UNJUDGED),
        ("pass", None, Direction.UNJUDGED),
        ("open", "pass", Direction.JUDGED),
        (None, "pass", Direction.JUDGED),
        ("pass", "pass", None),
        ("open", "n/a", None),
        ("pass", "~fail", None),  # known, with its reason
        (None, "open", None),
    ],
)
def test_what_has_become_of_a_case(was: str | None, now: str | None, direction: Direction | None) -> None:
    earlier, later = (run(*([case("wire.bom", said)] if said else [])) for said in (was, now))
    found = changes(earlier, later)
    assert [each.direction for each in found] == ([direction] if direction else [])
    assert got_worse(found) == (direction is Direction.BROKEN)
    assert got_worse(found, strict=True) == (direction in {Direction.BROKEN, Direction.WARNS})


def test_a_run_is_as_it_was() -> None:
    results = sample()
    found = changes(results, results)
    assert {each.direction for each in found} == {Direction.STILL, Direction.STILL_WARNS}
    assert len(found) == sum(results.summary[each] for each in ("fail", "error", "warn"))
    comparison = compare_with_earlier(Run("before", results), Run("now", results))
    assert (comparison.headline, comparison.is_good) == ("Nothing got worse; 7 cases broken as before", True)


@given(st.randoms(use_true_random=False))
def test_what_is_better_one_way_is_worse_the_other_way(chance: random.Random) -> None:
    ids = [("wire.bom", "a"), ("wire.bom", "b"), ("order.no-gap", "a")]
    earlier, later = (
        run(*(case(rule, chance.choice(["pass", "fail"]), scenario) for rule, scenario in ids)) for _ in "ab"
    )
    there, back = changes(earlier, later), changes(later, earlier)

    def ids_of(found: tuple[Change, ...], direction: Direction) -> set[str]:
        return {each.case.id for each in found if each.direction is direction}

    assert ids_of(there, Direction.BROKEN) == ids_of(back, Direction.MENDED)
    assert ids_of(there, Direction.STILL) == ids_of(back, Direction.STILL)
    assert got_worse(there) == bool(ids_of(there, Direction.BROKEN))


def test_a_rule_says_in_a_run_what_is_broken_and_else_what_was_decided() -> None:
    one = run(case("wire.bom", "pass", "a"), case("wire.bom", "open", "b"), case("order.no-gap", "pass", "a"))
    other = run(case("wire.bom", "pass", "a"), case("wire.bom", "fail", "b"), case("wire.bom", "fail", "c"))
    (_, (bom,)), (_, (gap,)) = side_by_side([one, other])
    assert [cell and cell.status for cell in bom.cells] == [Status.PASS, Status.FAIL]
    assert bom.cells[1] is not None
    assert bom.cells[1].counts == ((Status.FAIL, 2), (Status.PASS, 1))
    assert bom.cells[1].told == "wire.bom does not hold"
    assert (bom.differs, bom.worst) == (True, Status.FAIL)
    assert [cell and cell.status for cell in gap.cells] == [Status.PASS, None]
    assert not gap.differs  # one of them did not look


@pytest.mark.parametrize(
    ("said", "differs"),
    [
        (["pass", "open", "n/a", None], False),
        (["fail", "fail"], False),
        (["fail", "n/a"], True),
        (["warn", None], True),
        (["pass", "~fail"], True),
    ],
)
def test_runs_differ_where_something_is_wrong_in_one_and_not_in_another(
    said: list[str | None], differs: bool
) -> None:
    runs = [run(*([case("wire.bom", each)] if each else [])) for each in said]
    ((_, (row,)),) = side_by_side(runs)
    assert row.differs is differs


def test_the_page_tells_which_run_breaks_what_and_why() -> None:
    worse = sample()
    better = msgspec.structs.replace(
        worse, cases=tuple(each for each in worse.cases if each.verdict is not Verdict.FAIL)
    )
    page = Document(render_comparison(compare([Run("worse", worse), Run("better", better)])))
    assert "0 of 2 runs conform" in page.text  # the harness failed in one case of both
    assert "Events 4 and 5 were never delivered." in page.text
    for run_of in ("worse", "better"):
        assert run_of in page.text
    links = [
        each for each in page.values("href") if each.startswith("#") and not each.startswith(("#i-", "#m-"))
    ]
    assert {each[1:] for each in links} <= set(page.values("id"))


def test_the_page_may_do_nothing() -> None:
    page = Document(render_comparison(compare([Run("a", sample()), Run("b", sample())])))
    (policy,) = [each for each in page.values("content") if "default-src" in each]
    assert "script-src 'none'" in policy
    assert not {"script", "img", "form", "iframe", "object"} & {tag for tag, _ in page.elements}
    assert not [
        name for _, attrs in page.elements for name in attrs if name.startswith("on") or name == "style"
    ]


HOSTILE = [
    "<script>alert(1)</script>",
    "</title></style><img src=x onerror=alert(1)>",
    '" onmouseover="alert(1)',
    "{{ 7*7 }}{% raw %}",
    "| a | b |\n---\n[x](javascript:alert(1)) @everyone #1",
    "\x1b[31m\u202e\x00\ud800",
]


def everywhere(text: str, verdict: Verdict) -> Results:
    rule = RuleInfo(name=text, level=Level.MUST, claim=text, why=text, source=text, mend=text)
    told = Case(
        id="a",
        rule=text,
        level=Level.MUST,
        scenario=text,
        verdict=verdict,
        reason=text,
        findings=(Finding(text),),
    )
    return Results(
        target=text,
        seed=0,
        how=text,
        started=text,
        version=text,
        scenarios=(Scenario(name=text, summary=text),),
        rules={text: rule},
        cases=(told,),
    )


def tags_of(page: Document) -> list[tuple[str, list[str]]]:
    return [(tag, sorted(attrs)) for tag, attrs in page.elements]


@given(st.sampled_from(HOSTILE) | st.text(min_size=1, max_size=40))
@settings(max_examples=60, deadline=None)
def test_no_text_becomes_markup(text: str) -> None:
    def rendered(said: str) -> Document:
        runs = [Run(said, everywhere(said, verdict)) for verdict in (Verdict.PASS, Verdict.FAIL)]
        return Document(render_comparison(compare_with_earlier(*runs)))

    assert tags_of(rendered(text)) == tags_of(rendered("harmless"))


class Tags(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        del attrs
        self.tags.add(tag)


@pytest.mark.parametrize("text", HOSTILE)
def test_the_summary_holds_only_our_own_markup(text: str) -> None:
    runs = [Run(text, everywhere(text, verdict)) for verdict in (Verdict.PASS, Verdict.FAIL)]
    for comparison in (compare(runs), compare_with_earlier(*runs)):
        html = MarkdownIt("commonmark").enable("table").render(render_comparison_markdown(comparison))
        assert Tags(html).tags <= {
            *("h2", "h3", "p", "ul", "li", "code", "table", "thead", "tbody", "tr", "th", "td"),
        }


def test_a_summary_of_a_thousand_changes_in_many_runs_stays_short() -> None:
    rules = [f"area.{'r' * 60}{number}" for number in range(1000)]
    good, bad = (run(*(case(rule, said) for rule in rules)) for said in ("pass", "fail"))
    many = [Run(f"run {number}", [good, bad][number % 2]) for number in range(40)]
    for comparison in (compare(many), compare_with_earlier(Run("before", good), Run("now", bad))):
        assert len(render_comparison_markdown(comparison)) < 65_536


def test_of_too_many_runs_those_that_do_not_conform_are_shown() -> None:
    good, bad = (run(case("wire.bom", said)) for said in ("pass", "fail"))
    text = render_comparison_markdown(
        compare([*(Run(f"good-{n}", good) for n in range(20)), Run("bad", bad)])
    )
    assert "| `bad` |" in text
    assert "| ❌ |" in text


def test_parts_make_one_run() -> None:
    whole = sample()
    parts = [
        msgspec.structs.replace(
            whole,
            scenarios=whole.scenarios[start:stop],
            cases=tuple(
                c for c in whole.cases if c.scenario in {s.name for s in whole.scenarios[start:stop]}
            ),
            duration=10.0,
        )
        for start, stop in ((0, 5), (5, None))
    ]
    merged = merge(parts)
    assert merged.scenarios == whole.scenarios
    assert (merged.cases, merged.summary, merged.rules) == (whole.cases, whole.summary, whole.rules)
    assert merged.duration == 20.0


def test_a_run_of_which_one_part_was_stopped_was_stopped() -> None:
    there = run(case("wire.bom", "pass", "a"))
    stopped = msgspec.structs.replace(
        run(case("wire.bom", "pass", "b")), interrupted=True, unreached="refused"
    )
    merged = merge([there, stopped])
    assert merged.interrupted
    assert merged.unreached == "refused"  # what was not driven is not passed


@pytest.mark.parametrize(
    ("other", "what"), [({"target": "http://10.0.0.1/x"}, "targets"), ({"version": "9"}, "versions")]
)
def test_parts_of_different_runs_are_none(other: dict[str, str], what: str) -> None:
    one = run(case("wire.bom", "pass", "a"))
    two = run(case("wire.bom", "pass", "b"))
    with pytest.raises(ValueError, match=f"they are of different {what}: "):
        merge([one, msgspec.structs.replace(two, **other)])
    assert merge([one, msgspec.structs.replace(two, target="http://127.0.0.1:9")]).cases


@pytest.mark.parametrize(
    ("was", "now", "lost"),
    [
        (["pass"], ["open"], True),
        (["fail"], ["n/a"], True),
        (["pass"], ["error"], True),
        (["pass", "pass"], ["pass", "open"], False),  # it is judged elsewhere
        (["open"], ["open"], False),
        (["pass"], ["fail"], False),
    ],
)
def test_what_is_not_judged_any_more_is_not_good(was: list[str], now: list[str], lost: bool) -> None:
    earlier, later = (
        run(*(case("wire.bom", said, at) for said, at in zip(each, "ab", strict=False)))
        for each in (was, now)
    )
    found = changes(earlier, later)
    assert lost_sight(found, later) is lost
    if lost:
        assert not compare_with_earlier(Run("a", earlier), Run("b", later)).is_good


def test_of_two_cases_with_one_id_the_worse_one_counts() -> None:
    twice = run(case("wire.bom", "fail"), case("wire.bom", "pass"))
    assert [each.direction for each in changes(run(case("wire.bom", "pass")), twice)] == [Direction.BROKEN]


def test_parts_that_share_a_case_are_none() -> None:
    with pytest.raises(ValueError, match=r"subscribe/wire\.bom is in two of them"):
        merge([run(case("wire.bom", "pass")), run(case("wire.bom", "fail"))])
