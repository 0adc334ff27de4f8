"""From a proposal to the text of a configuration file. What a server sent cannot break out of it."""

from collections.abc import Mapping
from typing import Final

import msgspec

from conformance.dialect import Dialect, Matcher, effective_dialect
from conformance.proposal.address import Address, unexpanded
from conformance.proposal.entries import Entry, Proposal, Value
from reports.text import line

_COLUMN: Final = 40  # at which the reasons begin, where the lines before leave room
_LONGEST: Final = 300  # characters of a reason

_COMMAND: Final = """\
# command = ["uvicorn", "shop:app", "--port", "{port}"]   # the harness starts and stops the server, and looks inside"""

_START: Final = """\
# [target.start]                        # the request that begins the work, if there is one, and names the stream
# method = "POST"
# path = "/jobs"
# json = { events = 8 }
# capture = { job = "/id" }             # JSON Pointer into the answer; below: {job}
"""

_STREAM_PATH: Final = """\
# path = "/jobs/{job}/events"           # instead of the path in target.url"""

_REST: Final = """\
# [target.status]                       # lets be judged whether the state agrees with the stream
# path = "/jobs/{job}"
# pointer = "/state"
# finished = ["completed", "failed"]

# [target.cancel]                       # lets be judged whether the work stops, and the stream says so
# path = "/jobs/{job}/cancel"
"""


def file_text(proposal: Proposal, address: Address, looked: str) -> str:
    """The file, ready to be written as UTF-8. `looked` says in a phrase how the guesses came about."""
    stream = _stream(address.headers)
    return "\n".join(
        [
            f"# Written by `sse-conformance init`: {line(looked, _LONGEST)}.",
            "# A guess is what was seen, and not what the server promises: keep what you know to be true.",
            "# What could not be told is a comment; take the # away where it is so. Times are in seconds.",
            "",
            "[target]",
            f"url = {_string(address.url)}",
            _COMMAND,
            "",
            _START,
            *stream,
            "",
            _REST,
            *_table("dialect", proposal),
            "",
            *_table("expect", proposal),
            "",
        ]
    )


def _stream(headers: Mapping[str, str]) -> list[str]:
    if not headers:
        return ["# [target.stream]", _STREAM_PATH]
    return ["[target.stream]", f"headers = {_inline(headers)}", _STREAM_PATH]


def _table(name: str, proposal: Proposal) -> list[str]:
    lines = [f"[{name}]"]
    for entry in proposal.entries:
        if entry.table == name:
            lines.append(_line(entry))
            if entry.key == "preset" and entry.guessed:
                lines += _declared(proposal.dialect.preset)
    return lines


def _line(entry: Entry) -> str:
    reason = line(entry.reason, _LONGEST)
    if entry.guessed:
        return f"{assignment(entry):<{_COLUMN - 1}} # a guess: {reason}"
    return _comment(assignment(entry), f"not known: {reason}")


def _comment(toml: str, reason: str) -> str:
    return f"{'# ' + toml:<{_COLUMN - 1}} # {reason}"


def assignment(entry: Entry) -> str:
    """The line of TOML that declares this, without its table."""
    return f"{entry.key} = {_value(entry.value)}"


def _declared(preset: str | None) -> list[str]:
    """What the preset declares by itself, as comments: to be changed, not to be repeated."""
    dialect = effective_dialect(Dialect(preset=preset))
    values = [(name, getattr(dialect, name)) for name in dialect.__struct_fields__ if name != "preset"]
    return [
        _comment(f"{name} = {_value(value)}", "the preset has it so")
        for name, value in values
        if value is not None
    ]


def _value(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return _string(unexpanded(value))
    return f"[{', '.join(map(_matcher, value))}]"


def _matcher(matcher: Matcher) -> str:
    fields = msgspec.to_builtins(matcher)
    return "{ " + ", ".join(f"{key} = {_scalar(value)}" for key, value in fields.items()) + " }"


def _scalar(value: str | bool | float) -> str:
    return repr(value) if isinstance(value, float) else _value(value)


def _inline(values: Mapping[str, str]) -> str:
    return "{ " + ", ".join(f"{_key(name)} = {_string(value)}" for name, value in values.items()) + " }"


def _key(name: str) -> str:
    bare = name.isascii() and name.replace("-", "").replace("_", "").isalnum()
    return name if bare else _string(name)


def _string(text: str) -> str:
    """A basic string (TOML 1.0, "String"): on one line, and nothing in it that hides or reorders."""
    return '"' + "".join(map(_escaped, text)) + '"'


def _escaped(character: str) -> str:
    if character in '"\\':
        return f"\\{character}"
    if character.isprintable():
        return character
    if 0xD800 <= ord(character) < 0xE000:
        return "\ufffd"  # half a surrogate pair is no Unicode
    return f"\\U{ord(character):08x}"
