"""Credentials in the headers of a request: what is secret of them wherever it comes up, though nobody said so."""

from collections.abc import Iterator, Mapping
from typing import Final

_SCHEMED: Final = frozenset({"authorization", "proxy-authorization"})
_KEY: Final = 12  # characters; a shorter value of a cookie is a setting such as `dark`, and no key


def credentials(headers: Mapping[str, str]) -> Iterator[str]:
    """What a server that sends a request's credentials back would give away: what follows the scheme (RFC 9110,
    section 11.4), and the values of cookies (RFC 6265, section 4.2) that are long enough to be keys."""
    for name, value in headers.items():
        if name.lower() in _SCHEMED:
            yield from filter(None, [value.rpartition(" ")[2]])
        elif name.lower() == "cookie":
            for pair in filter(None, map(str.strip, value.split(";"))):
                key, named, own = pair.partition("=")
                if not named:
                    yield key
                elif len(own) >= _KEY:
                    yield own.strip('"')
