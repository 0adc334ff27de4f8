"""One test for each case: a rule, judged on what a scenario showed."""

import warnings
from collections.abc import Mapping

import pytest

from conformance.words import BrokenShould, explain
from reports.outcome import Status, status
from reports.results import Case, Results
from reports.text import visible


@pytest.mark.filterwarnings("default::conformance.words.BrokenShould")  # whatever the project's are
def test_stream(case_id: str, cases: Mapping[str, Case], results: Results) -> None:
    case = cases[case_id]
    rule = results.rules[case.rule]
    match status(case):
        case Status.FAIL | Status.ERROR:
            pytest.fail(explain(case, rule.mend), pytrace=False)
        case Status.STALE:
            excused = visible(case.excused or "")
            pytest.fail(
                f"listed as a known failure ({excused}), but it passes: take it off the list", pytrace=False
            )
        case Status.WARN if results.strict:
            pytest.fail(explain(case, rule.mend), pytrace=False)
        case Status.WARN:
            warnings.warn(explain(case, rule.mend), BrokenShould, stacklevel=1)
        case Status.EXCUSED:
            pytest.xfail(f"known failure: {visible(case.excused or '')}")
        case Status.NOT_APPLICABLE | Status.INCONCLUSIVE:
            pytest.skip(f"{case.verdict.value}: {visible(case.reason)}")
        case Status.PASS:
            assert case.reason  # it says what was observed
