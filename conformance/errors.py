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
