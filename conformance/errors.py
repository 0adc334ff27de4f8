"""Puts an error of ours into words."""

import traceback
from pathlib import Path


def described(error: BaseException) -> str:
    """What went wrong inside the harness, and the line of it."""
    error = first_of(error)
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {error}{place}"


def first_of(error: BaseException) -> BaseException:
    """The first error in a group of groups; an error that is no group is itself."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def with_its_cause(error: BaseException) -> str:
    """What went wrong, and the error that it was at first, with its line.

    What an error was raised "from" is what it was before. What was being handled meanwhile may be anything.
    """
    error = first = first_of(error)
    seen = {id(error)}
    while first.__cause__ is not None and id(first.__cause__) not in seen:
        first = first_of(first.__cause__)
        seen.add(id(first))
    said = f"{type(error).__name__}: {error}, which was " if first is not error else ""
    return said + described(first)
