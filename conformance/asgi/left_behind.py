"""What an application leaves behind: as data."""

from typing import Literal, TypeAlias

import msgspec

LeftKind: TypeAlias = Literal["task", "generator", "call", "connection"]


class LeftBehind(msgspec.Struct, frozen=True):
    """Something that still lives after the shutdown.

    `kind`: a task, an async generator that was begun and not ended, a call of the application that did not
    return after its client had gone, or a connection. `created_at`: "file:line in function"; of a generator, where
    its body stands; "" where it is not known. `owner`: "" for the application's own, else the library that made it,
    or, of a generator, that began it and did not close it.
    """

    kind: LeftKind
    name: str
    created_at: str = ""
    owner: str = ""
    detail: str = ""
