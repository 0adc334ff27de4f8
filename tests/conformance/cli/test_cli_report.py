"""`sse-conformance report`: one run again, the parts of one, runs side by side, and what broke since an earlier one."""

from pathlib import Path

import msgspec
import pytest
from cli_world import Sse, in_folder

from reports.results import Case, Finding, Level, Results, Verdict, from_json, summarise, to_json

sse = pytest.fixture(in_folder)


RULES = ("order.increasing", "wire.bom", "wire.utf-8")


@pytest.fixture
def driven(sse: Sse, tmp_path: Path) -> Results:
    """A run of some rules on the built-in reference, with its history, in the folder `now`."""
    assert sse("run", "--scenario", "subscribe", "--rule", "wire", "--out", "now").code == 0
    return from_json((tmp_path / "now/results.json").read_bytes())


@pytest.fixture
def ran(tmp_path: Path) -> Results:
    """The results of a made-up run in the folder `now`."""
    cases = tuple(
        Case(id=f"subscribe/{rule}", rule=rule, level=Level.MUST, scenario="subscribe", verdict=Verdict.PASS)
        for rule in RULES
    )
    results = Results(target="http://127.0.0.1:8000/jobs", seed=0, cases=cases, summary=summarise(cases))
    keep(tmp_path / "now", results)
    return results


def keep(folder: Path, results: Results) -> None:
    folder.mkdir()
    (folder / "results.json").write_bytes(to_json(results))


def broken(results: Results, rule: str) -> Results:
    finding = Finding("event 3 came before event 2")
    cases = tuple(
        msgspec.structs.replace(each, verdict=Verdict.FAIL, findings=(finding,))
        if each.rule == rule
        else each
        for each in results.cases
    )
    return msgspec.structs.replace(results, cases=cases, summary=summarise(cases))


def test_a_run_is_rendered_again_with_its_pictures(sse: Sse, driven: Results, tmp_path: Path) -> None:
    said = sse("report", "now", "--out", "again")
    assert said.code == 0
    assert "Conforms" in said.out
    assert from_json((tmp_path / "again/results.json").read_bytes()).summary == driven.summary
    page = (tmp_path / "again/report.html").read_text()
    assert "Timeline: subscribe" in page
    assert "subscribe.jsonl" not in page  # the history is not in this folder
    assert sse("report", "now", "--out", "now").code == 0
    assert "subscribe.jsonl" in (tmp_path / "now/report.html").read_text()


def test_without_its_histories_a_run_is_rendered_without_pictures(
    sse: Sse, driven: Results, tmp_path: Path
) -> None:
    keep(tmp_path / "alone", driven)
    assert sse("report", "alone/results.json", "--out", "again").code == 0
    assert "Timeline: " not in (tmp_path / "again/report.html").read_text()
    (tmp_path / "now/histories/subscribe.jsonl").write_text("no history\n")
    said = sse("report", "now", "--out", "again")
    assert said.code == 0
    assert "no picture of subscribe: " in said.err


def test_runs_stand_side_by_side(sse: Sse, ran: Results, tmp_path: Path) -> None:
    keep(tmp_path / "worse", broken(ran, "order.increasing"))
    said = sse("report", "now", "worse/results.json", "--out", "both")
    assert said.code == 1
    lines = said.out.splitlines()
    assert "Where they differ  now  worse" in lines
    assert ["order.increasing", "✓", "✗"] in [line.split() for line in lines]
    assert "1 of 2 runs conforms" in lines
    assert "wire.utf-8" not in said.out
    for name in ("report.html", "summary.md"):
        assert "order.increasing" in (tmp_path / "both" / name).read_text("utf-8")
    assert sse("report", "now", "now/results.json").code == 0


def test_a_gate_fails_on_what_broke_and_on_nothing_else(sse: Sse, ran: Results, tmp_path: Path) -> None:
    keep(tmp_path / "worse", broken(ran, "order.increasing"))
    said = sse("report", "worse", "--against", "now")
    assert said.code == 1
    assert (
        "Broken now:\n  ✗ order.increasing  in subscribe  (passed before)\n      event 3 came before"
        in said.out
    )
    assert said.out.splitlines()[-1] == "1 case broken now"
    mended = sse("report", "now", "--against", "worse/results.json", "--out", "gate")
    assert mended.code == 0
    assert "Mended:\n  ✓ order.increasing  in subscribe  (broken before)\n" in mended.out
    assert "1 case mended" in (tmp_path / "gate/summary.md").read_text("utf-8")
    same = sse("report", "worse", "--against", "worse")
    assert (same.code, same.out.splitlines()[-1]) == (0, "Nothing got worse; 1 case broken as before")
    keep(tmp_path / "stopped", msgspec.structs.replace(ran, interrupted=True))
    assert sse("report", "stopped", "--against", "now").code == 3
    keep(tmp_path / "blind", msgspec.structs.replace(ran, cases=ran.cases[:1]))
    assert sse("report", "blind", "--against", "now").code == 3  # two rules are judged no more


def test_parts_of_one_run_are_put_together(sse: Sse, ran: Results, tmp_path: Path) -> None:
    for name, area in (("one", "order"), ("two", "wire")):
        cases = tuple(case for case in ran.cases if case.rule.startswith(area))
        keep(tmp_path / name, msgspec.structs.replace(ran, cases=cases))
    assert sse("report", "one", "two", "--merge", "--out", "all").code == 0
    merged = from_json((tmp_path / "all/results.json").read_bytes())
    assert {case.id for case in merged.cases} == {case.id for case in ran.cases}
    assert sse("report", "one", "two", "--merge", "--against", "now").code == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("missing",), "missing: there is no such file"),
        (("now", "--against", "missing.json"), "missing.json: there is no such file"),
        (
            ("now", "now", "--against", "now"),
            "--against compares one run with the earlier one; parts of one: --merge",
        ),
        (("now", "now", "--merge"), "--merge: subscribe/order.increasing is in two of them"),
        (("broken.json",), "broken.json: not results: the document is no JSON"),
        (("newer.json",), "newer.json: not results of this version: $.schema is 2"),
        (("deep.json",), "deep.json: not results: the document is nested too deeply"),
        (
            ("now", "--against", "now", "--out", "now"),
            "--out now: a run's own report is there; name another folder",
        ),
        (("now", "--out", "broken.json"), "--out: the folder broken.json cannot be made"),
    ],
)
def test_what_cannot_be_read_is_told_in_a_sentence(
    sse: Sse, ran: Results, tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    assert ran.cases
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "deep.json").write_text('{"schema": 1, "x": ' + "[" * 5000 + "]" * 5000 + "}")
    (tmp_path / "newer.json").write_text('{"schema": 2}')
    came = sse("report", *arguments)
    assert came.code == 2
    assert said in came.err
    assert "Traceback" not in came.err
