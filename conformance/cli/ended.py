"""An application in this process may end the process: by `sys.exit`, or when a Ctrl-C lands in it."""

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import trio

from conformance.cli.common import CONFUSED, Failure

_Error = TypeVar("_Error", bound=BaseException)


@contextmanager
def saying_who_ended_it(name: str) -> Iterator[None]:
    """Around what runs the application of this name. What ends the process comes out of it as what it is, however
    many groups it was in. Raises `KeyboardInterrupt`, `Failure` (3)."""
    try:
        yield
    except BaseException as error:
        if _within(error, KeyboardInterrupt) is not None:
            raise KeyboardInterrupt from error
        if (left := _within(error, SystemExit)) is not None:
            frame = traceback.extract_tb(left.__traceback__)[-1]
            place = f"{Path(frame.filename).name}:{frame.lineno} in {frame.name}"
            raise Failure(
                f"{name} called sys.exit({left.code!r}) at {place}: nothing was judged", CONFUSED
            ) from error
        if _within(error, trio.TrioInternalError) is not None:
            raise Failure(
                f"{name} has broken the event loop that it runs on. If it runs on trio, say so: --app-loop trio",
                CONFUSED,
            ) from error
        raise


def _within(error: BaseException, kind: type[_Error]) -> _Error | None:
    """The first of this kind in the error, which may be a group of groups."""
    if isinstance(error, kind):
        return error
    if isinstance(error, BaseExceptionGroup):
        return next((found for each in error.exceptions if (found := _within(each, kind)) is not None), None)
    return None
