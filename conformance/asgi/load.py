"""From `module:attribute` to an ASGI application."""

import importlib
import inspect
import sys
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import Any, cast

from sniffio import thread_local as sniffio_library

from conformance.asgi.types import ASGIApp


class AppNotFound(Exception):
    """The name does not lead to an ASGI application; the text says where it ended and what to do."""


def made(make: Callable[[], ASGIApp]) -> ASGIApp:
    """What `make` gives, called as if no event loop ran yet: a lock of anyio's that is made here takes the loop on
    which it is used first, and not trio, on which the harness runs."""
    before, sniffio_library.name = sniffio_library.name, None
    try:
        return make()
    finally:
        sniffio_library.name = before


def load_app(name: str, *, folder: Path | None = None) -> ASGIApp:
    """The application of this name: `package.module:attribute`, `module:a.b`, or `module:factory()`.

    `folder` (default: the current directory) is put in front of where modules are looked for, and stays
    there, since an application imports more while it runs. Raises `AppNotFound`.
    """
    module_name, colon, rest = name.partition(":")
    path = rest.removesuffix("()")
    parts = path.split(".")
    if not colon or not all(part.isidentifier() for part in [*module_name.split("."), *parts]):
        raise AppNotFound(
            f'{name!r} is no name of an application: write "package.module:app", '
            'or "package.module:make_app()" where a function makes it'
        )
    where = str((folder or Path.cwd()).resolve())
    if where not in sys.path:
        sys.path.insert(0, where)
    found: Any = _import(name, module_name, where)
    for index, part in enumerate(parts):
        try:
            found = getattr(found, part)
        except AttributeError:
            owner = ".".join([module_name, *parts[:index]])
            raise AppNotFound(f"{name!r}: {owner} has no {part!r}{_similar(part, dir(found))}") from None
    if path != rest:
        found = _made(name, path, found)
    return _checked(name, path != rest, found)


def _import(name: str, module_name: str, where: str) -> Any:
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not (module_name == error.name or module_name.startswith(f"{error.name}.")):
            raise AppNotFound(
                f"{name!r}: {module_name} imports {error.name!r}, which is not installed"
            ) from error
        raise AppNotFound(
            f"{name!r}: there is no module {error.name!r} in {where} or where Python looks"
        ) from None
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise AppNotFound(
            f"{name!r}: importing {module_name} failed: {type(error).__name__}: {error}"
        ) from error


def _made(name: str, path: str, factory: Any) -> Any:
    if not callable(factory):
        raise AppNotFound(f"{name!r}: {path} is not callable; without () it is taken as the application")
    try:
        return factory()
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise AppNotFound(f"{name!r}: {path}() failed: {type(error).__name__}: {error}") from error


def _checked(name: str, made: bool, app: Any) -> ASGIApp:
    if inspect.isawaitable(app):
        if inspect.iscoroutine(app):
            app.close()
        raise AppNotFound(f"{name!r}: the factory is async; an application is made by an ordinary function")
    if not callable(app):
        raise AppNotFound(f"{name!r} is {_a(app)}, which is not callable, so it is no ASGI application")
    taken = _arguments(app)
    if taken == 0 and not made:
        raise AppNotFound(
            f"{name!r} takes no arguments: where it makes the application, write {name + '()'!r}"
        )
    if taken is not None and taken != 3:
        hint = " (that is how WSGI or ASGI 2 looks)" if taken in (1, 2) else ""
        raise AppNotFound(
            f"{name!r} takes {taken} arguments; ASGI 3.0 calls with (scope, receive, send){hint}"
        )
    return cast(ASGIApp, app)


def _arguments(app: Any) -> int | None:
    """How many arguments it must be given; 3 also where it can take them; None where it cannot be known."""
    try:
        signature = inspect.signature(app)
    except (TypeError, ValueError):
        return None
    try:
        signature.bind(None, None, None)
    except TypeError:
        needed = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        return sum(
            parameter.kind in needed and parameter.default is parameter.empty
            for parameter in signature.parameters.values()
        )
    return 3


def _similar(name: str, names: Iterable[str]) -> str:
    close = get_close_matches(name, [each for each in names if not each.startswith("__")], n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def _a(value: object) -> str:
    name = type(value).__name__
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"
