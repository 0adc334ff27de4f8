"""An error in words."""

from typing import TypeVar

import pytest

from conformance.errors import described, with_its_cause

Error = TypeVar("Error", bound=BaseException)


def raised(error: Error, cause: BaseException | None = None) -> Error:
    try:
        try:
            raise KeyError("handled meanwhile")
        except KeyError:
            raise error from cause
    except type(error) as seen:
        return seen


def test_the_line_is_said() -> None:
    assert described(raised(ValueError("no"))) == "ValueError: no (test_errors.py:17)"


def test_what_it_was_raised_from_is_what_it_was() -> None:
    """Frameworks wrap what an application raises, and task groups do."""
    bottom = raised(ValueError("no"))
    error = raised(RuntimeError("wrapped"), ExceptionGroup("tasks", [raised(OSError("gone"), bottom)]))
    assert with_its_cause(error) == "RuntimeError: wrapped, which was ValueError: no (test_errors.py:17)"


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(3)])
def test_what_was_handled_meanwhile_is_no_cause(error: BaseException) -> None:
    assert with_its_cause(raised(error)) == f"{type(error).__name__}: {error} (test_errors.py:17)"


def test_errors_in_a_circle() -> None:
    one, other = ValueError("one"), ValueError("other")
    one.__cause__, other.__cause__ = other, one
    assert with_its_cause(one) == "ValueError: one, which was ValueError: other"
