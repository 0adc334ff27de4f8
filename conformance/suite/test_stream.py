"""One test for each case: a rule, judged on what a scenario showed."""

import warnings
from collections.abc import Mapping

import pytest

from conformance.testing import explain
from reports.outcome import Status, status
from reports.results import Case, Results


class BrokenShould(UserWarning):
    """The stream breaks a SHOULD; `--sse-strict` makes it fail."""


def test_stream(case_id: str, cases: Mapping[str, Case], results: Results) -> None:
    case = cases[case_id]
    rule = results.rules[case.rule]
    match status(case):
        case Status.FAIL | Status.ERROR:
            pytest.fail(explain(case, rule.mend), pytrace=False)
        case Status.STALE:
            pytest.fail(f"listed as a known failure ({case.excused}), but it passes", pytrace=False)
        case Status.WARN if results.strict:
            pytest.fail(explain(case, rule.mend), pytrace=False)
        case Status.WARN:
            warnings.warn(explain(case, rule.mend), BrokenShould, stacklevel=1)
        case Status.EXCUSED:
            pytest.xfail(case.excused or "")
        case Status.NOT_APPLICABLE | Status.INCONCLUSIVE:
            pytest.skip(f"{case.verdict.value}: {case.reason}")
        case Status.PASS:
            assert case.reason  # it says what was observed
