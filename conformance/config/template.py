"""Placeholders: `{job}` stands for a value that is known when the request is sent, `{{job}}` for itself.

Braces around anything but a name are left alone, so JSON text needs no escaping. In JSON bodies only the
strings inside are templates, never keys.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote

import msgspec

from conformance.dialect.dialect import Dialect

PAYLOAD: Final = "payload"
"""The placeholder for text that the harness wants to see come back."""

PORT: Final = "port"
"""The placeholder for the port of a server that the harness starts."""

EXCHANGE: Final = "exchange"
"""The placeholder for the name of a request for the stream, another one for each: `a`, `a-2`, `b`."""

FRESH_ID: Final = "fresh_id"
"""The placeholder for a name of the work that nobody has used, another one for each: for work that its client names."""

LAST_EVENT_ID: Final = "last_event_id"
"""The placeholder for the last event ID that a subscriber comes back with, in `target.resume`."""

LAST_SEQUENCE: Final = "last_sequence"
"""The placeholder for the sequence (`dialect.sequence`) of the last event that a subscriber had, in `target.resume`."""

_PLACEHOLDER = re.compile(r"\{\{([A-Za-z_][A-Za-z0-9_]*)\}\}|\{([A-Za-z_][A-Za-z0-9_]*)\}", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


class PlaceholderError(ValueError):
    """A placeholder that cannot be filled; `name` says which."""

    def __init__(self, name: str, message: str) -> None:
        self.name = name
        super().__init__(message)


def placeholders(value: Any) -> Iterator[str]:
    """The names that a template needs, in order: a string, or any JSON value with strings inside."""
    if isinstance(value, str):
        yield from (match[2] for match in _PLACEHOLDER.finditer(value) if match[2] is not None)
    elif isinstance(value, dict):
        for item in value.values():
            yield from placeholders(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from placeholders(item)


def fill(template: str, names: Mapping[str, str]) -> str:
    """`template` with its placeholders replaced. Raises PlaceholderError for a name without a value."""

    def replacement(match: re.Match[str]) -> str:
        return _value(match[2], names) if match[1] is None else f"{{{match[1]}}}"

    return _PLACEHOLDER.sub(replacement, template)


def fill_path(template: str, names: Mapping[str, str]) -> str:
    """A path or URL with its placeholders replaced; values are percent-encoded (RFC 3986, section 2.1)."""
    used = set(placeholders(template))
    return fill(
        template, {name: quote(value, safe="") if name in used else "" for name, value in names.items()}
    )


def fill_header(template: str, names: Mapping[str, str]) -> str:
    """The value of a header with its placeholders replaced.

    Raises PlaceholderError also for a value that would break out of the header (RFC 9110, section 5.5).
    """
    for name in placeholders(template):
        if _CONTROL.search(names.get(name, "")):
            raise PlaceholderError(name, f"{{{name}}} holds a control character, which no header can carry")
    return fill(template, names)


def fill_json(value: Any, names: Mapping[str, str]) -> Any:
    """A JSON value with the placeholders in its strings replaced; keys stay."""
    if isinstance(value, str):
        return fill(value, names)
    if isinstance(value, dict):
        return {key: fill_json(item, names) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [fill_json(item, names) for item in value]
    return value


def literal(text: str) -> str:
    """A template that fills to `text`, whatever stands in it."""
    return _PLACEHOLDER.sub(lambda match: f"{{{match[0]}}}", text)


def bind_dialect(dialect: Dialect, names: Mapping[str, str]) -> Dialect:
    """`dialect` with the placeholders of its scope replaced, ready for `dialect.in_scope`."""
    if dialect.scope is None:
        return dialect
    scope = msgspec.structs.replace(dialect.scope, equals=fill(dialect.scope.equals, names))
    return msgspec.structs.replace(dialect, scope=scope)


def _value(name: str, names: Mapping[str, str]) -> str:
    try:
        return names[name]
    except KeyError:
        known = ", ".join(f"{{{known}}}" for known in sorted(names)) or "none"
        raise PlaceholderError(name, f"{{{name}}} has no value here; known placeholders: {known}") from None
