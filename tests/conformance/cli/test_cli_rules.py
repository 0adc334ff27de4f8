"""`sse-conformance rules`: the catalogue; and the schema of a history."""

import json

import jsonschema
import pytest
from cli_world import Sse, in_folder

from conformance.rules import RULES
from conformance.specimens import SPECIMENS

sse = pytest.fixture(in_folder)


def test_all_of_them_a_line_each(sse: Sse) -> None:
    lines = sse("rules").out.splitlines()
    assert [line.split()[0] for line in lines] == [rule.name for rule in RULES]
    assert all(line.split()[1] in {"MUST", "SHOULD"} for line in lines)


def test_an_area_and_a_pattern(sse: Sse) -> None:
    assert {line.split()[0].partition(".")[0] for line in sse("rules", "order").out.splitlines()} == {"order"}
    assert len(sse("rules", "*.no-gap").out.splitlines()) == 2


def test_every_rule_is_explained(sse: Sse) -> None:
    for rule in RULES:
        out = sse("rules", rule.name).out
        for part in (
            rule.claim,
            rule.why,
            rule.mend.splitlines()[0],
            "Where it comes from",
            "Judged in the scenarios",
        ):
            assert part.strip() in out


def test_the_matrix_and_what_is_wrong_with_it(sse: Sse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("conformance.specimens.SPECIMENS", SPECIMENS[:1])
    ran = sse("rules", "--matrix")
    assert f"| {SPECIMENS[0].name} | `X" in ran.out
    assert "the catalogue does not hold" in ran.err
    assert "http.content-type is broken by no specimen" in ran.err
    assert ran.code == 3


def test_the_matrix_takes_no_name(sse: Sse) -> None:
    ran = sse("rules", "--matrix", "order")
    assert ran.code == 2
    assert "give no name" in ran.err


def test_the_schema_of_a_history_is_printed(sse: Sse) -> None:
    ran = sse("judge", "--schema")
    assert ran.code == 0
    schema = json.loads(ran.out)
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate({"record": "mark", "time": 1.0, "what": "dropping"}, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"record": "no such record"}, schema)
