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
    if not made and callable(app) and _arguments(app) == 0:
        raise AppNotFound(
            f"{name!r} takes no arguments: where it makes the application, write {name + '()'!r}"
        )
    if wrong := no_app(repr(name), app):
        raise AppNotFound(wrong)
    return cast(ASGIApp, app)


def no_app(what: str, app: Any) -> str:
    """Why `app`, which is called `what`, is no ASGI application; "" where it can be one."""
    if inspect.isawaitable(app):
        if inspect.iscoroutine(app):
            app.close()
        return f"{what}: the factory is async; an application is made by an ordinary function"
    if not callable(app):
        return f"{what} is {_a(app)}, which is not callable, so it is no ASGI application"
    taken = _arguments(app)
    if taken is None or taken == 3:
        return ""
    hint = " (that is how WSGI or ASGI 2 looks)" if taken in (1, 2) else ""
    return f"{what} takes {taken} arguments; ASGI 3.0 calls with (scope, receive, send){hint}"


def no_factory(make: Any) -> str:
    """Why `make` is nothing that makes an ASGI application when it is called; "" where it can be."""
    wanted = "a function without arguments that makes a fresh application, e.g. `lambda: make_app()`"
    if not callable(make):
        return f"{make!r:.80} is {_a(make)}, which cannot be called: give {wanted}"
    try:
        inspect.signature(make).bind()
    except ValueError:  # nobody knows what it takes
        return ""
    except TypeError:
        if not no_app("", make):
            return f"{make!r:.80} is an application already, and each schedule takes one of its own: give {wanted}"
        return f"{make!r:.80} takes arguments, and is called without any: give {wanted}"
    return ""


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
