"""Async generators that were begun: which of them have not come to their end.

Python tells of the first step of each async generator, and of one that is garbage before its end
(`sys.set_asyncgen_hooks`, PEP 525). Only those of the application count: they are begun in a context that
carries this watch.
"""

import sys
import weakref
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from contextvars import Context, ContextVar
from types import AsyncGeneratorType
from typing import Any, TypeAlias

from conformance.asgi.left_behind import LeftBehind
from conformance.sites import calling_site, definition_site

_Generator: TypeAlias = AsyncGeneratorType[Any, Any]

_watching: ContextVar["Generators | None"] = ContextVar("sse-conformance-subject", default=None)


class Generators:
    """The application's async generators."""

    def __init__(self) -> None:
        self._begun: dict[int, tuple[weakref.ref[_Generator], tuple[str, str]]] = {}  # in order
        self._count = 0

    def inside(self, context: Context) -> Context:
        """Mark this context: what runs in it is the application."""
        context.run(_watching.set, self)
        return context

    def is_inside(self) -> bool:
        """The application is running now."""
        return _watching.get() is self

    def begun(self, generator: _Generator) -> None:
        """A generator of the application takes its first step."""
        self._count += 1
        number = self._count

        def gone(_: object) -> None:
            self._begun.pop(number, None)

        self._begun[number] = weakref.ref(generator, gone), calling_site(2)

    def left(self) -> tuple[LeftBehind, ...]:
        """Those that were begun and have neither ended nor been closed, the oldest first."""
        alive = [(reference(), caller) for reference, caller in self._begun.values()]
        return tuple(
            _described(generator, *caller)
            for generator, caller in alive
            if generator is not None and generator.ag_frame is not None
        )


def _described(generator: _Generator, first: str, caller: str) -> LeftBehind:
    """Who begins a generator is who has to close it: a framework, often, and not who wrote it."""
    site, owner = definition_site(generator.ag_code)
    line = generator.ag_frame.f_lineno if generator.ag_frame is not None else 0
    detail = f"stands at line {line}" + (f"; begun at {first}" if first else "")
    return LeftBehind("generator", generator.__qualname__, site, caller if first else owner, detail)


@contextmanager
def watch_generators() -> Iterator[Generators]:
    """Watch those that begin in a context that `Generators.inside` has marked. Such blocks may nest."""
    generators = Generators()
    first, last = sys.get_asyncgen_hooks()

    def begin(generator: AsyncGenerator[Any, Any]) -> None:
        if generators.is_inside() and isinstance(generator, AsyncGeneratorType):
            generators.begun(generator)
        if first is not None:
            first(generator)

    sys.set_asyncgen_hooks(firstiter=begin, finalizer=last)
    try:
        yield generators
    finally:
        sys.set_asyncgen_hooks(firstiter=first, finalizer=last)
