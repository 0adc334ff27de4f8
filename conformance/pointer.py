"""JSON Pointer (RFC 6901): a path into a JSON value.

Twenty lines of our own: the kept libraries carry sets, relative pointers and no types, and a lookup on what a
server sent must answer "absent" rather than raise.
"""

import re
from functools import lru_cache
from typing import Annotated, Any, Final, TypeAlias

import msgspec

_SYNTAX: Final = r"(/([^~/]|~[01])*)"
_END: Final = r"(?![\s\S])"  # `$` would let a closing newline through

Pointer: TypeAlias = Annotated[
    str, msgspec.Meta(pattern=f"^{_SYNTAX}+{_END}", description='a JSON Pointer such as "/id" or "/items/0"')
]
"""A JSON Pointer to something inside a value: the empty pointer, the value itself, is of no use here."""

ABSENT: Final = msgspec.UNSET
"""What `resolve` answers where the pointer leads nowhere; JSON null is a value and not absent."""

_INDEX = re.compile(r"(0|[1-9][0-9]{0,17})\Z", re.ASCII)


@lru_cache(maxsize=256)
def _names(pointer: str) -> tuple[str, ...]:
    return tuple(token.replace("~1", "/").replace("~0", "~") for token in pointer.split("/")[1:])


def resolve(value: Any, pointer: str) -> Any:
    """What `pointer` leads to inside `value`, or `ABSENT`. Source: RFC 6901, section 4."""
    if pointer == "":
        return value
    for name in _names(pointer):
        if isinstance(value, dict) and name in value:
            value = value[name]
        elif isinstance(value, list) and _INDEX.match(name) and int(name) < len(value):
            value = value[int(name)]
        else:
            return ABSENT
    return value
