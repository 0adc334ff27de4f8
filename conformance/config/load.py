"""Reads a configuration, or says everything that is wrong with it."""

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

import msgspec

from conformance.config.check import check
from conformance.config.credentials import credentials
from conformance.config.errors import ConfigError, KeyPath, Problem
from conformance.config.resolved import authority_of, steps
from conformance.config.schema import Config, Target
from conformance.config.sense import check_sense
from conformance.config.template import fill, literal, placeholders
from conformance.files import read_small

FILE_NAME: Final = "sse-conformance.toml"
_PYPROJECT: Final = "pyproject.toml"
_TABLE: Final = ("tool", "sse-conformance")

_TOO_DEEP: Final = "is nested too deeply"
_TELLING: Final = 4  # to hide a shorter one would garble the message, and it hides nothing

_VARIABLE = re.compile(r"\$(\$?)\{([^{}]*)\}")
_VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z", re.ASCII)
_POSITION = re.compile(r"(.*?) \(at (?:line (\d+), column (\d+)|end of document)\)\Z", re.DOTALL)


class Loaded(msgspec.Struct, frozen=True):
    """A configuration, the secrets in it (never to be shown or recorded), and where it came from.

    `folder` is the one of its file, where `target.command` runs; None: the current one.
    """

    config: Config
    secrets: frozenset[str]
    source: str
    folder: Path | None = None

    def __repr__(self) -> str:  # a traceback must not show secrets
        return f"Loaded(source={self.source!r}, secrets=<{len(self.secrets)}>)"


def find_config(directory: Path) -> Path | None:
    """The configuration of `directory`: sse-conformance.toml, else a pyproject.toml that has the table.

    Raises ConfigError for a pyproject.toml that cannot be read.
    """
    own = directory / FILE_NAME
    if own.is_file():
        return own
    pyproject = directory / _PYPROJECT
    return pyproject if pyproject.is_file() and _table(_read(pyproject), _TABLE) is not None else None


def load_config(path: Path, *, environ: Mapping[str, str]) -> Loaded:
    """The configuration in `path`: of a pyproject.toml its [tool.sse-conformance], else the whole file.

    `${NAME}` in a string is replaced from `environ`, and is secret; `$${NAME}` stands for itself. Raises
    ConfigError with all that is wrong, as far as it can be told at once.
    """
    tree = _read(path)
    prefix: KeyPath = ()
    if path.name == _PYPROJECT:
        prefix = _TABLE
        table = _table(tree, _TABLE)
        if table is None:
            raise ConfigError(str(path), [Problem((), f"has no [{'.'.join(_TABLE)}] table")])
        tree = table
    try:
        return msgspec.structs.replace(_load(tree, str(path), prefix, environ), folder=path.absolute().parent)
    except RecursionError:
        raise ConfigError(str(path), [Problem(prefix, _TOO_DEEP)]) from None


def config_for_url(url: str) -> Loaded:
    """The configuration of a run without one: the stream is what `url` answers to GET.

    The userinfo of the URL is secret. Raises ConfigError for what is no http or https URL.
    """
    try:
        return _load({"target": {"url": literal(url)}}, "URL", (), {}, expand=False)
    except ConfigError as error:
        raise ConfigError("URL", [Problem((), problem.message) for problem in error.problems]) from None


def _load(
    tree: Any, source: str, prefix: KeyPath, environ: Mapping[str, str], *, expand: bool = True
) -> Loaded:
    secrets: set[str] = set()
    problems: list[Problem] = []
    value = _expand(tree, (), environ, secrets, problems) if expand else tree
    blamed = {problem.path for problem in problems}
    problems += [problem for problem in check(value, tree) if problem.path not in blamed]
    if not problems:
        config = msgspec.convert(value, Config)
        problems += check_sense(config)
        if not problems:
            secrets |= {*_userinfo(config), *_credentials(config.target)}
            return Loaded(config, frozenset(secrets), source)
    raise ConfigError(
        source,
        [Problem(prefix + problem.path, _hidden(problem.message, secrets)) for problem in problems],
    )


def _hidden(text: str, secrets: set[str]) -> str:
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= _TELLING:
            text = text.replace(secret, "<redacted>")
    return text


def _read(path: Path) -> Any:
    try:
        return tomllib.loads(read_small(path).decode("utf-8"))
    except OSError as error:
        raise ConfigError(str(path), [Problem((), f"cannot be read: {error.strerror or error}")]) from None
    except UnicodeDecodeError as error:
        text = f"is not UTF-8 (at byte {error.start}); TOML files are"
        raise ConfigError(str(path), [Problem((), text)]) from None
    except tomllib.TOMLDecodeError as error:
        raise _syntax_error(path, str(error)) from None
    except ValueError as error:  # a number of too many digits, a name of a file that can be none
        raise ConfigError(str(path), [Problem((), f"cannot be read: {error}")]) from None
    except RecursionError:
        raise ConfigError(str(path), [Problem((), _TOO_DEEP)]) from None


def _syntax_error(path: Path, text: str) -> ConfigError:
    match = _POSITION.match(text)
    if match is None:
        return ConfigError(str(path), [Problem((), f"is not TOML: {text}")])
    where = f"{path}:{match[2]}:{match[3]}" if match[2] else f"{path}, at its end"
    return ConfigError(where, [Problem((), f"is not TOML: {match[1]}")])


def _table(tree: Any, keys: tuple[str, ...]) -> Any:
    for key in keys:
        tree = tree.get(key) if isinstance(tree, dict) else None
    return tree


def _expand(
    value: Any, path: KeyPath, environ: Mapping[str, str], secrets: set[str], problems: list[Problem]
) -> Any:
    """`value` with `${NAME}` replaced; adds what it took to `secrets`, what failed to `problems`."""
    if isinstance(value, dict):
        return {key: _expand(item, (*path, key), environ, secrets, problems) for key, item in value.items()}
    if isinstance(value, list):
        return [_expand(item, (*path, index), environ, secrets, problems) for index, item in enumerate(value)]
    if not isinstance(value, str):
        return value

    # where strings are templates, neither a secret that holds {name} nor an escaped ${name} is one
    templated = path[:1] == ("target",) or path[:2] == ("dialect", "scope")

    def replacement(match: re.Match[str]) -> str:
        escape, name = match.groups()
        text = match[0]
        if escape:
            text = text[1:]
        elif not _VARIABLE_NAME.match(name):
            allowed = "expected the name of an environment variable, e.g. ${TOKEN}"
            problems.append(Problem(path, f"{allowed}; found {text}. Write ${text} for itself"))
        elif not environ.get(name):
            state = "set but empty" if name in environ else "not set"
            problems.append(Problem(path, f"the environment variable {name} is {state}"))
        else:
            text = environ[name]
            secrets.add(text)
        return literal(text) if templated else text

    return _VARIABLE.sub(replacement, value)


def _userinfo(config: Config) -> Iterator[str]:
    """What is secret in a URL's userinfo: the password, or all where there is none; as written and decoded."""
    if config.target.url is None:
        return
    userinfo, at, _ = authority_of(config.target.url).rpartition("@")
    if at and userinfo:
        _, colon, password = userinfo.partition(":")
        secret = password if colon else userinfo
        yield from (text for text in (secret, unquote(secret)) if text)


def _credentials(target: Target) -> Iterator[str]:
    """What is secret in the headers of all requests. What is captured is not known before a run."""
    variants = [request for each in target.variants.values() for request in (each.start, each.stream)]
    for request in (
        *steps(target),
        target.stream,
        target.resume,
        target.status,
        target.cancel,
        target.probe,
        *variants,
    ):
        if request is not None:
            known = {name: value for name, value in request.headers.items() if not any(placeholders(value))}
            yield from credentials({name: fill(value, {}) for name, value in known.items()})
