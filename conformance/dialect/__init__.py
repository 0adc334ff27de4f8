"""How a stream says "sequence", "alive", "done", "end", "failed"."""

from conformance.dialect.dialect import Dialect, Matcher, Scope

__all__ = ["Dialect", "Matcher", "Scope"]
