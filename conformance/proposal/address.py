"""The request as a configuration file has it: what may be a credential is taken from the environment."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias
from urllib.parse import unquote

from conformance.config import literal
from conformance.config.resolved import authority_of

_Secret: TypeAlias = tuple[int, int, str]  # from where to where in a URL, and its name

_HARMLESS: Final = frozenset(
    {"accept", "accept-encoding", "accept-language", "cache-control", "content-type", "origin", "user-agent"}
)
"""Headers that carry no credential. Of any other nobody knows."""

_SCHEMES: Final = frozenset({"basic", "bearer", "token"})
_SECRET_PART: Final = re.compile(r"token|secret|passw|signature|credential|api[-_]?key|jwt", re.IGNORECASE)
_SECRET_NAMES: Final = frozenset(
    {"access_key", "auth", "authorization", "code", "key", "pass", "pwd", "sig", "sid", "session", "ticket"}
)
_VARIABLE: Final = re.compile(r"\$(?=\{[^{}]*\})")
_WRITTEN: Final = re.compile(r"(\$\{[^{}]*\})")


@dataclass(frozen=True)
class Address:
    """`url` and the values of `headers` as templates of the configuration; `variables` are what they take from the
    environment, with the values that these had."""

    url: str
    headers: Mapping[str, str]
    variables: Mapping[str, str]

    def __repr__(self) -> str:  # a traceback must not show secrets
        return f"Address({self.url!r})"


def unexpanded(text: str) -> str:
    """What a configuration reads as `text`, where strings are no templates: `${NAME}` stands for itself."""
    return _VARIABLE.sub("$$", text)


def _template(text: str) -> str:
    """The same where strings are templates: `{name}` stands for itself, too."""
    parts = _WRITTEN.split(text)
    return "".join(f"${part}" if at % 2 else literal(part) for at, part in enumerate(parts))


def address(url: str, headers: Mapping[str, str]) -> Address:
    """The stream's URL and the headers of its request (as they are sent) without their credentials: a password in the
    URL, values in its query whose names say so, and all headers but those that are known to carry none."""
    names: dict[str, str] = {}

    def variable(name: str, value: str) -> str:
        base = re.sub(r"[^A-Z0-9]+", "_", name.upper()).strip("_") or "TOKEN"
        found = base = f"_{base}" if base[0].isdigit() else base
        number = 1
        while names.setdefault(found, value) != value:
            number += 1
            found = f"{base}_{number}"
        return f"${{{found}}}"

    written, at = "", 0
    for start, end, name in (*_in_userinfo(url), *_in_query(url)):
        written += _template(url[at:start]) + variable(name, url[start:end])
        at = end
    return Address(
        url=written + _template(url[at:]),
        headers={name: _header(name, value, variable) for name, value in headers.items()},
        variables=names,
    )


def _in_userinfo(url: str) -> Iterator[_Secret]:
    userinfo, at, _ = authority_of(url).rpartition("@")
    user, colon, password = userinfo.partition(":")
    start = url.index("://") + len("://")
    if colon and password:
        yield start + len(user) + 1, start + len(userinfo), "password"
    elif at and user and not colon:
        yield start, start + len(user), "token"


def _in_query(url: str) -> Iterator[_Secret]:
    _, _, query = url.partition("?")
    start = len(url) - len(query)
    for pair in query.split("&"):
        name, _, value = pair.partition("=")
        plain = unquote(name)
        if value and (plain.lower() in _SECRET_NAMES or _SECRET_PART.search(plain)):
            yield start + len(pair) - len(value), start + len(pair), plain
        start += len(pair) + 1


def _header(name: str, value: str, variable: Callable[[str, str], str]) -> str:
    if name.lower() in _HARMLESS or not value:
        return _template(value)
    scheme, space, rest = value.partition(" ")
    if name.lower() == "authorization" and scheme.lower() in _SCHEMES and rest.strip():
        return f"{scheme}{space}{variable('token', rest)}"
    return variable(name, value)
