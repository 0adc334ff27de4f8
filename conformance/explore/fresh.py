"""A fresh application for each schedule: what the one before has left in memory is no race."""

import asyncio
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from conformance.asgi import load_app
from conformance.asgi.types import ASGIApp
from conformance.changes import changed
from conformance.counted_classes import counted_classes


def fresh_app(name: str, folder: Path | None = None) -> Callable[[], ASGIApp]:
    """Makes the application of this name (see `load_app`) anew at each call.

    Where a function makes it (`module:factory()`), that is called. Else the modules below `folder` (default: the
    current directory) are imported again, but for installed packages, in the current directory of now, wherever they
    have gone before. Raises `AppNotFound`, now if it can.
    """
    start = Path.cwd()
    where = (folder or Path.cwd()).resolve()
    with changed(counted_classes()):
        load_app(name, folder=where)  # what it imports from elsewhere is there from now on

    def make() -> ASGIApp:
        if not name.endswith("()"):
            os.chdir(start)
            for module in [each for each in sys.modules if _is_own(each, where)]:
                del sys.modules[module]
        with _loop_as_it_is():
            return load_app(name, folder=where)

    return make


@contextmanager
def _loop_as_it_is() -> Iterator[None]:
    """Nothing comes of `uvloop.install()`, which an application may do while it is imported: its loop is ours."""
    before = asyncio.set_event_loop_policy
    asyncio.set_event_loop_policy = _ignored
    try:
        yield
    finally:
        asyncio.set_event_loop_policy = before


def _ignored(policy: asyncio.AbstractEventLoopPolicy | None) -> None:
    pass


_HARNESS = {"conformance", "fault_injection", "reports", "__main__", "__mp_main__"}


def _is_own(name: str, folder: Path) -> bool:
    file = getattr(sys.modules[name], "__file__", None)
    if file is None or name.partition(".")[0] in _HARNESS or "site-packages" in file:
        return False
    return Path(file).is_relative_to(folder)
