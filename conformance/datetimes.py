"""`datetime.datetime` by the clock of `time.time`: its own is read in C.

The class stays the one that it is. Another in its place would be none that pydantic and msgspec know, `type(x) is
datetime` would not hold, and who has it by another name would keep the machine's clock.
"""

import ctypes
import datetime
import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

_REAL: Final = datetime.datetime


@contextmanager
def datetime_by_time() -> Iterator[None]:
    """While this block lasts, `datetime.now` and `utcnow` ask `time.time`, as `today` always does.

    Raises `RuntimeError` where Python is not built as this expects."""
    names = _names()
    before = {name: names[name] for name in _READERS}
    try:
        _put(names, _READERS)
        yield
    finally:
        _put(names, before)


def _now(cls: type[datetime.datetime], tz: datetime.tzinfo | None = None) -> datetime.datetime:
    return cls.fromtimestamp(time.time(), tz)


def _utcnow(cls: type[datetime.datetime]) -> datetime.datetime:
    return cls.fromtimestamp(time.time(), datetime.UTC).replace(tzinfo=None)


_READERS: Final = {"now": classmethod(_now), "utcnow": classmethod(_utcnow)}


def _names() -> dict[str, Any]:
    """The attributes of the class: those of one written in C cannot be set, only changed where they are."""
    for names in gc.get_referents(vars(_REAL)):
        if isinstance(names, dict) and names.get("now") is vars(_REAL)["now"]:
            return names
    raise RuntimeError("the clock of datetime.datetime cannot be changed in this Python")


def _put(names: dict[str, Any], values: dict[str, Any]) -> None:
    names.update(values)
    ctypes.pythonapi.PyType_Modified(ctypes.py_object(_REAL))  # Python keeps what it has looked up
