"""Where in the source something was made: cheap enough to ask for each task."""

import sys
import sysconfig
from functools import cache
from pathlib import Path
from types import CodeType, FrameType

_STANDARD = tuple({sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")})
_INSTALLED = ("site-packages", "dist-packages")
_OURS = str(Path(__file__).parent / "asgi")
_DEEPEST = 100  # frames that are looked at


def creation_site(depth: int = 1) -> tuple[str, str]:
    """Who called: ("file:line in function", owner), as seen by the innermost frame of the application.

    Where there is none of the application, the innermost of an installed library counts. Frames below the event
    loop are of whoever runs it and do not count. `owner` is "" for the application, else the library's name.
    """
    frame: FrameType | None = sys._getframe(depth + 1)
    library: tuple[str, str] | None = None
    for _ in range(_DEEPEST):
        if frame is None or _is_loop(frame.f_code):
            break
        owner = owner_of(frame.f_code.co_filename)
        if owner == "":
            return _site(frame), ""
        if library is None and owner not in ("python", "conformance", "trio", "trio_asyncio", "anyio"):
            library = _site(frame), owner
        frame = frame.f_back
    return library or ("", "")


def calling_site(depth: int = 1) -> tuple[str, str]:
    """Who calls: ("file:line in function", owner), by the innermost frame that is neither Python's nor ours."""
    frame: FrameType | None = sys._getframe(depth + 1)
    while frame is not None and not _is_loop(frame.f_code):
        owner = owner_of(frame.f_code.co_filename)
        if owner not in ("python", "conformance"):
            return _site(frame), owner
        frame = frame.f_back
    return "", ""


def definition_site(code: CodeType) -> tuple[str, str]:
    """Where this code stands: ("file:line in function", owner)."""
    return f"{code.co_filename}:{code.co_firstlineno} in {code.co_name}", owner_of(code.co_filename)


@cache
def owner_of(file: str) -> str:
    """Whose file it is: "" the application's, "python", "conformance" (this package), or a library's name."""
    parts = Path(file).parts
    for installed in _INSTALLED:
        if installed in parts[:-1]:
            return parts[parts.index(installed) + 1].removesuffix(".py")
    if file.startswith("<") or file.startswith(_STANDARD):
        return "python"
    return "conformance" if file.startswith(_OURS) else ""


def _site(frame: FrameType) -> str:
    return f"{frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_name}"


@cache
def _is_loop(code: CodeType) -> bool:
    return (code.co_name == "_run" and code.co_filename.endswith("asyncio/events.py")) or (
        code.co_name == "unrolled_run" and code.co_filename.endswith("_core/_run.py")
    )
