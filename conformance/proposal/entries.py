"""What is proposed: keys of the configuration, each with its value and the reason for it."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

import msgspec

from conformance.config import Expect
from conformance.dialect import Dialect, Matcher

Value: TypeAlias = str | int | bool | tuple[Matcher, ...]

FIRST = "first"
"""The subscriber who reads the stream, as anybody would."""

SECOND = "second"
"""The subscriber who comes while the first one reads, or after."""

BACK = "back"
"""The subscriber who comes back with the id of an event in the middle."""


@dataclass(frozen=True)
class Entry:
    """One key of a table and what it may be. `reason` is one sentence and may hold what a server sent.

    `guessed`: what was seen speaks for it and nothing against it, so it is declared. Else the line is a comment.
    """

    table: Literal["dialect", "expect"]
    key: str
    value: Value
    reason: str
    guessed: bool = False

    @property
    def name(self) -> str:
        """The key with its table, e.g. `expect.shared`."""
        return f"{self.table}.{self.key}"


@dataclass(frozen=True)
class Proposal:
    """All entries, in the order of the file."""

    entries: tuple[Entry, ...]

    @property
    def guesses(self) -> tuple[Entry, ...]:
        """The entries that are declared."""
        return tuple(entry for entry in self.entries if entry.guessed)

    @property
    def dialect(self) -> Dialect:
        """The dialect that is declared."""
        return msgspec.structs.replace(Dialect(), **self._declared("dialect"))

    @property
    def expect(self) -> Expect:
        """The expectations that are declared."""
        return msgspec.structs.replace(Expect(), **self._declared("expect"))

    def _declared(self, table: str) -> dict[str, Value]:
        return {entry.key: entry.value for entry in self.guesses if entry.table == table}
