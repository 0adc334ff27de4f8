"""Attributes that have other values for a while."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

Change: TypeAlias = tuple[Any, str, Any]
"""An object, the name of an attribute of its own, the value that it gets."""


@contextmanager
def changed(changes: Iterable[Change]) -> Iterator[None]:
    """Attributes with these values, and afterwards with those that they had."""
    changes = list(changes)
    before = [(owner, name, vars(owner)[name]) for owner, name, _ in changes]
    try:
        for owner, name, value in changes:
            setattr(owner, name, value)
        yield
    finally:
        for owner, name, value in before:
            setattr(owner, name, value)
