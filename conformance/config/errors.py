"""What is wrong with a configuration: where, what was found, what is allowed. Never a secret's value."""

import difflib
import json
import re
from collections.abc import Iterable
from datetime import date, datetime, time
from typing import Any, TypeAlias

import msgspec

KeyPath: TypeAlias = tuple[str | int, ...]

_BARE = re.compile(r"[A-Za-z0-9_-]+\Z")
_USERINFO = re.compile(r"//[^/?#\s]*@")
_LONGEST = 60


class Problem(msgspec.Struct, frozen=True):
    """One thing that is wrong: `path` is where it stands in the file, as keys and list indexes."""

    path: KeyPath
    message: str

    def __str__(self) -> str:
        return f"{dotted(self.path)}: {self.message}" if self.path else self.message


class ConfigError(Exception):
    """A configuration that cannot be used: all that is wrong with it, as far as could be told at once.

    `source` is the file (with line and column where TOML itself is broken) or another name of where it came
    from. The text is ready to be shown; it holds no value of an environment variable.
    """

    def __init__(self, source: str, problems: Iterable[Problem]) -> None:
        self.source = source
        self.problems = tuple(problems)
        super().__init__(source, self.problems)

    def __str__(self) -> str:
        if len(self.problems) == 1:
            return f"{self.source}: {self.problems[0]}"
        lines = "".join(f"\n  {problem}" for problem in self.problems)
        return f"{self.source}: {len(self.problems)} problems{lines}"


def dotted(path: KeyPath) -> str:
    """A path as TOML would write it, e.g. `target.start.capture.job` or `dialect.completion[1].pointer`."""
    text = ""
    for key in path:
        if isinstance(key, int):
            text += f"[{key}]"
        else:
            text += ("." if text else "") + (key if _BARE.match(key) else json.dumps(key))
    return text


def shown(value: Any) -> str:
    """A value as a message shows it: scalars as TOML writes them, shortened, without the userinfo of a URL;
    tables and lists by their kind."""
    if isinstance(value, str):
        text = json.dumps(_USERINFO.sub("//<redacted>@", value), ensure_ascii=False)
        return text if len(text) <= _LONGEST else f'{text[: _LONGEST - 4]}..."'
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "a table" if value else "an empty table"
    if isinstance(value, list):
        return "a list" if value else "an empty list"
    if isinstance(value, date | time | datetime):
        return f"the date or time {value.isoformat()}"
    return str(value)


def listed(names: Iterable[str]) -> str:
    """Names as a message lists them."""
    return ", ".join(names)


def did_you_mean(name: str, known: Iterable[str], quote: str = '"') -> str:
    """`; did you mean "start"?` where one of the known names is close, else an empty string."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {quote}{close[0]}{quote}?" if close else ""
