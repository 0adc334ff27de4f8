"""The list of known failures: what it excuses, what has to come off it, and what is no list."""

from pathlib import Path

import pytest

from conformance.known_failures import (
    KnownFailure,
    KnownFailuresError,
    excuse,
    load_known_failures,
    unmatched,
)
from reports.results import Case, Level, Verdict


def case(id: str, verdict: Verdict = Verdict.FAIL) -> Case:
    return Case(
        id=id,
        rule=id.partition("/")[2],
        level=Level.MUST,
        scenario=id.partition("/")[0],
        faults=(),
        verdict=verdict,
        reason="",
        findings=(),
        history=None,
        duration=0.0,
    )


def excused(cases: list[Case], *listed: KnownFailure) -> dict[str, str | None]:
    return {each.id: each.excused for each in excuse(cases, listed)}


def entry(reason: str = "see issue 12", **matching: str) -> KnownFailure:
    return KnownFailure(reason=reason, **matching)


@pytest.mark.parametrize(
    "listed",
    [
        entry(case="subscribe/http.status"),
        entry(rule="http.status"),
        entry(rule="http.*"),
        entry(case="subscribe/*"),
        entry(case="*", rule="http.st?tus"),
    ],
)
@pytest.mark.parametrize("verdict", [Verdict.FAIL, Verdict.WARN])
def test_what_is_listed_and_fails_is_excused_with_the_reason(listed: KnownFailure, verdict: Verdict) -> None:
    assert excused([case("subscribe/http.status", verdict)], listed) == {
        "subscribe/http.status": "see issue 12"
    }


@pytest.mark.parametrize(
    "listed",
    [
        entry(case="restart/*"),
        entry(rule="http.statu"),
        entry(case="subscribe/*", rule="wire.*"),
        entry(rule="HTTP.STATUS"),
        entry(rule="status"),
    ],
)
def test_what_is_not_listed_is_not_excused(listed: KnownFailure) -> None:
    cases = [case("subscribe/http.status")]
    assert excused(cases, listed) == {"subscribe/http.status": None}
    assert unmatched(cases, [listed]) == (listed,)


@pytest.mark.parametrize("verdict", [Verdict.INCONCLUSIVE, Verdict.NOT_APPLICABLE, Verdict.ERROR])
def test_what_was_not_judged_neither_needs_an_excuse_nor_makes_one_stale(verdict: Verdict) -> None:
    assert excused([case("a/b.c", verdict)], entry(rule="b.c")) == {"a/b.c": None}


def test_a_listed_case_that_passes_is_marked_so_that_the_list_cannot_rot() -> None:
    passing = [case("a/b.c", Verdict.PASS), case("d/b.c", Verdict.PASS)]
    assert excused(passing, entry(rule="b.c")) == {"a/b.c": "see issue 12", "d/b.c": "see issue 12"}


def test_an_entry_that_still_excuses_one_case_is_not_stale_for_the_others() -> None:
    cases = [case("a/b.c", Verdict.PASS), case("d/b.c", Verdict.FAIL)]
    assert excused(cases, entry(rule="b.c")) == {"a/b.c": None, "d/b.c": "see issue 12"}


@pytest.mark.parametrize("verdict", [Verdict.INCONCLUSIVE, Verdict.ERROR])
def test_an_entry_of_which_a_case_was_not_decided_is_not_stale(verdict: Verdict) -> None:
    cases = [case("a/b.c", Verdict.PASS), case("d/b.c", verdict), case("e/b.c", Verdict.NOT_APPLICABLE)]
    assert set(excused(cases, entry(rule="b.c")).values()) == {None}
    assert excused([cases[0], cases[2]], entry(rule="b.c")) == {"a/b.c": "see issue 12", "e/b.c": None}


def test_each_entry_is_stale_or_not_by_itself_and_the_first_gives_the_reason() -> None:
    cases = [case("a/b.c", Verdict.PASS), case("d/b.c", Verdict.FAIL)]
    listed = (entry("all", rule="b.c"), entry("this", case="a/b.c"), entry("that", case="d/b.c"))
    assert excused(cases, *listed) == {"a/b.c": "this", "d/b.c": "all"}
    assert unmatched(cases, listed) == ()


def written(folder: Path, content: str | bytes) -> Path:
    file = folder / "known.toml"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return file


def test_a_list_is_read(tmp_path: Path) -> None:
    content = """
        [[failure]]
        case = "resume-after-cut/resume.*"
        reason = "no replay yet"
        [[failure]]
        rule = "http.cache-control"
        reason = "the CDN sets it"
    """
    assert load_known_failures(written(tmp_path, content)) == (
        entry("no replay yet", case="resume-after-cut/resume.*"),
        entry("the CDN sets it", rule="http.cache-control"),
    )
    assert load_known_failures(written(tmp_path, "")) == ()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[[failure]", "not TOML: "),
        (b"reason = '\xff'", "not TOML: "),
        ("x = " + "9" * 5000, "not TOML: "),
        ("x = " + "[" * 5000, "nested too deeply"),
        ('[[failure]]\nrule = "x"', "missing required field `reason`"),
        ('[[failure]]\nrule = "x"\nreason = ""', "length >= 1"),
        (
            '[[failure]]\nrule = 3\nreason = "x"',
            r"Expected `str \| null`, got `int` - at `\$.failure\[0\].rule`",
        ),
        ('[[failure]]\nrules = "x"\nreason = "x"', "unknown field `rules`"),
        ('[[failures]]\nrule = "x"\nreason = "x"', "unknown field `failures`"),
        ('failure = "all"', r"Expected `array`, got `str` - at `\$.failure`"),
        (
            '[[failure]]\nrule = "x"\nreason = "x"\n[[failure]]\nreason = "y"',
            "entry 2 names neither a case nor a rule",
        ),
    ],
)
def test_what_is_no_list_is_said_with_the_file_and_the_place(
    tmp_path: Path, content: str | bytes, said: str
) -> None:
    file = written(tmp_path, content)
    with pytest.raises(KnownFailuresError, match=said) as caught:
        load_known_failures(file)
    assert str(caught.value).startswith(f"{file}: ")


def test_a_list_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load_known_failures(tmp_path / "nothing.toml")
