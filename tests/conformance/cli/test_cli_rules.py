"""`sse-conformance rules`: the catalogue; and the schema of a history."""

import json

import jsonschema
import pytest
from cli_world import Sse, in_folder

from conformance.rules import RULES

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


def test_the_schema_of_a_history_is_printed(sse: Sse) -> None:
    ran = sse("judge", "--schema")
    assert ran.code == 0
    schema = json.loads(ran.out)
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate({"record": "mark", "time": 1.0, "what": "dropping"}, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"record": "no such record"}, schema)
