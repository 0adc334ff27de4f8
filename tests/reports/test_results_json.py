"""results.json: what is written can be read, and what cannot be read is refused with the place."""

import json
from typing import Any

import jsonschema
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_sample import results as sample

from reports.results import Case, Level, Results, ResultsError, Verdict, from_json, json_schema, to_json


def test_a_run_comes_back_as_it_was() -> None:
    assert from_json(to_json(sample())) == sample()


def test_it_is_for_people_too_and_equal_results_give_equal_bytes() -> None:
    results = sample()
    backwards = dict(reversed(results.rules.items()))
    assert to_json(msgspec.structs.replace(results, rules=backwards)) == to_json(results)
    text = to_json(results).decode()
    assert text.startswith('{\n  "schema": 1,\n  "target": "http://127.0.0.1:8000",\n  "seed": 20251120,')
    assert text.endswith("}\n")


def test_the_document_keeps_to_its_schema() -> None:
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    document = json.loads(to_json(sample()))
    validator.validate(document)
    document["cases"][7]["verdict"] = "fine"
    with pytest.raises(jsonschema.ValidationError):
        validator.validate(document)


def broken(change: dict[str, Any]) -> bytes:
    return json.dumps({"schema": 1, "target": "http://a", "seed": 1} | change).encode()


@pytest.mark.parametrize(
    ("document", "complaint"),
    [
        (b"", "the document is no JSON"),
        (b'{"schema": 1,', "the document is no JSON"),
        (b'{"schema": 1, "target": "\xff", "seed": 1}', "the document is no JSON in UTF-8"),
        (b"[]", r"\$: Expected `object`, got `array`"),
        (b"{}", "missing required field `schema`"),
        (broken({"schema": 2}), r"\$\.schema is 2, this version reads 1"),
        (broken({"seed": "x"}), r"\$\.seed: Expected `int`, got `str`"),
        (broken({"cases": [{"id": 1}]}), r"\$\.cases\[0\]\.id: Expected `str`, got `int`"),
        (broken({"rules": {"a": {"name": 1}}}), r"\$\.rules\[...\]\.name: Expected `str`"),
    ],
)
def test_what_is_no_results_is_refused_with_the_place(document: bytes, complaint: str) -> None:
    with pytest.raises(ResultsError, match=complaint):
        from_json(document)


def test_a_key_of_a_later_version_is_no_obstacle() -> None:
    assert from_json(broken({"weather": "fine"})).target == "http://a"


@given(st.text(st.characters()), st.text(st.characters()))
def test_any_text_can_be_written(target: str, reason: str) -> None:
    case = Case(
        id=reason, rule=reason, level=Level.MUST, scenario=target, verdict=Verdict.PASS, reason=reason
    )
    results = Results(target=target, seed=0, cases=(case,))
    again = from_json(to_json(results))
    if target.isascii() and reason.isascii():
        assert again == results
    assert len(again.target) <= len(target)
    assert not any("\ud800" <= character <= "\udfff" for character in again.target + again.cases[0].reason)


def test_half_a_surrogate_pair_is_written_as_a_replacement_character() -> None:
    assert from_json(to_json(Results(target="a\ud800b\ud83d\ude00", seed=0))).target == "a\ufffdb\U0001f600"


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_number_that_json_does_not_have_is_refused_with_the_place(value: float) -> None:
    with pytest.raises(ValueError, match=r"\$\.duration"):
        to_json(Results(target="a", seed=0, duration=value))
