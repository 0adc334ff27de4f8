"""The mutation matrix: every rule is broken by what was made to break it, and by nothing unrelated."""

from functools import cache
from pathlib import Path

import pytest

from conformance.matrix import Row, row
from conformance.matrix_page import faults, page
from conformance.rules import RULES
from conformance.specimens import REFERENCE, SPECIMENS, Specimen

PAGE = Path(__file__).parents[2] / "docs" / "matrix.md"
ALL = (REFERENCE, *SPECIMENS)

_row = cache(row)  # half a second each


def test_the_reference_passes_every_rule_that_concerns_it() -> None:
    cells = {rule.name: _row(REFERENCE).cell(rule) for rule in RULES}
    assert set(cells.values()) <= {"passed", "silent"}, cells


@pytest.mark.parametrize("specimen", SPECIMENS, ids=lambda specimen: specimen.name)
def test_a_specimen_is_caught_by_what_it_was_made_to_break_and_by_nothing_unrelated(
    specimen: Specimen,
) -> None:
    cells = {rule.name: _row(specimen).cell(rule) for rule in RULES}
    assert [name for name, cell in cells.items() if cell in {"missed", "unasked"}] == []
    implied = {name for name, cell in cells.items() if cell == "implied"}
    assert implied == set(specimen.implies), "what it implies shows, and nothing is implied in vain"


def test_no_rule_is_without_a_breaker() -> None:
    assert faults([_row(each) for each in ALL], RULES) == []


def test_a_catalogue_that_does_not_hold_is_told() -> None:
    lost, wrong = SPECIMENS[0], Row(SPECIMENS[1], {"order.no-gap": "broken"})
    told = faults([Row(REFERENCE, {}), Row(lost, {}), wrong], RULES)
    assert f"{lost.name} was made to break {lost.breaks[0]}, and is not caught by it" in told
    assert f"{SPECIMENS[1].name} has nothing to do with order.no-gap, and breaks it" in told
    assert "wire.utf-8 is broken by no specimen and no race" in told


def test_no_cell_changes_unasked() -> None:
    now = page([_row(each) for each in ALL], RULES)
    assert PAGE.read_text(encoding="utf-8") == now, (
        "a cell of the matrix has changed. If it was meant to: sse-conformance rules --matrix > docs/matrix.md"
    )
