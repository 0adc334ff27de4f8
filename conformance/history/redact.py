"""Secrets never reach the disk: not whole, and not in pieces.

In texts (URLs, headers, request bodies, details) a secret becomes `<redacted>`; in a response's body, and in what
is compared with it, it becomes stars, one for each byte, so that offsets stay true. Looked for are the secret
itself and the ways in which URLs, JSON and headers write it.

What is not covered: a secret of less than `TELLING` characters, except where it is a header's whole value or in a
URL's userinfo, for hiding every "a" hides the record and not the secret; and what is coded beyond recognition, such
as a body in gzip or a secret in Base64. A server that sends secrets back so has to be told not to.
"""

import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any
from urllib.parse import quote, quote_plus

REDACTED = "<redacted>"

ALWAYS_SECRET = frozenset({"authorization", "cookie", "set-cookie", "proxy-authorization"})

TELLING = 4
"""Characters from which a piece of a secret tells something; shorter ones are left as they are."""

_USERINFO = re.compile(r"(?<=://)[^/?#\s]*@")
_RESERVED = "!#$&'()*+,/:;=?@[]"  # RFC 3986, section 2.2: what a URL may hold as it is


class Redaction:
    """Removes these secrets from whatever is written down."""

    def __init__(self, secrets: Collection[str] = ()) -> None:
        self._whole = frozenset(secrets) - {""}
        telling = sorted(secret for secret in self._whole if len(secret) >= TELLING)
        self._patterns = tuple(re.compile(f"(?=({''.join(map(_written, each))}))") for each in telling)
        self._forms = tuple(sorted({form for secret in telling for form in _forms(secret)}))

    def text(self, text: str) -> str:
        """The text with every secret in it replaced, also one that was cut off at the end."""
        return self._replaced(text, lambda _: REDACTED)

    def stars(self, text: str) -> str:
        """The text with stars for secrets, as in the body of a response."""
        return self._replaced(text, lambda found: "*" * len(found.encode("utf-8", "replace")))

    def url(self, url: str) -> str:
        """The URL with secrets, and any userinfo, replaced."""
        return self.text(_USERINFO.sub(f"{REDACTED}@", url) if "@" in url else url)

    def headers(self, headers: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
        """The headers with the values of credential headers, and every secret elsewhere, replaced."""
        return tuple(
            (name, REDACTED if name.lower() in ALWAYS_SECRET or value in self._whole else self.text(value))
            for name, value in headers
        )

    def compared(self, value: Any, key: str = "") -> Any:
        """JSON-like data with stars for secrets in what is compared with bodies."""
        match value:
            case str() if key in _COMPARED:
                return self.stars(value)
            case dict():
                return {name: self.compared(each, name) for name, each in value.items()}
            case list() | tuple():
                return [self.compared(each, key) for each in value]
            case _:
                return value

    @property
    def is_idle(self) -> bool:
        """There is no secret to look for: only credential headers and userinfo are replaced."""
        return not self._whole

    def mask(self) -> "Mask | None":
        """What blots the secrets out of one body; None where there are none."""
        return Mask(self._forms) if self._forms else None

    def _replaced(self, text: str, by: Callable[[str], str]) -> str:
        if not self._forms:
            return text
        spans = [match.span(1) for pattern in self._patterns for match in pattern.finditer(text)]
        coded = text.encode("utf-8", "replace")
        cut_off = max((_open_end(coded, form) for form in self._forms), default=0)
        if cut_off >= TELLING:
            spans.append((len(text) - len(coded[-cut_off:].decode()), len(text)))
        parts: list[str] = []
        at = 0
        for start, end in _joined(spans):
            parts += (text[at:start], by(text[start:end]))
            at = end
        return "".join((*parts, text[at:]))


_COMPARED = frozenset({"event", "data", "equals", "finished", "cancelled"})


class Mask:
    """Blots secrets out of a stream of chunks, byte for byte, also where chunks cut them and where they overlap.

    Chunks at whose end a secret may have begun are kept back until that is settled, so `feed` answers with
    the chunks that are settled by now, each with the time that came with it.
    """

    def __init__(self, forms: Collection[bytes]) -> None:
        self._forms = tuple(forms)
        self._held: list[tuple[float, bytes]] = []  # as they came
        self._covered = 0  # bytes at the beginning of what is held: the end of a secret that began before

    def feed(self, time: float, data: bytes) -> list[tuple[float, bytes]]:
        """Take one chunk with its time; give the chunks, with theirs, that no secret can still begin in."""
        self._held.append((time, data))
        whole = b"".join(chunk for _, chunk in self._held)
        return self._release(whole, len(whole) - max(_open_end(whole, form) for form in self._forms))

    def close(self) -> list[tuple[float, bytes]]:
        """The chunks that are still kept back. A piece of a secret at their end is blotted out if it tells."""
        whole = b"".join(chunk for _, chunk in self._held)
        open_end = max(_open_end(whole, form) for form in self._forms)
        return self._release(whole, len(whole), open_end if open_end >= TELLING else 0)

    def _release(self, whole: bytes, settled: int, open_end: int = 0) -> list[tuple[float, bytes]]:
        spans = [(0, self._covered), (len(whole) - open_end, len(whole))]
        spans += (span for form in self._forms for span in _occurrences(whole, form))
        masked = bytearray(whole)
        for start, end in _joined(spans):
            masked[start:end] = b"*" * (end - start)
        ready: list[tuple[float, bytes]] = []
        at = 0
        for time, chunk in self._held:
            if at + len(chunk) > settled:
                break
            ready.append((time, bytes(masked[at : at + len(chunk)])))
            at += len(chunk)
        self._held = self._held[len(ready) :]
        self._covered = max(0, max(end for start, end in spans if start <= at) - at)
        return ready


def _written(character: str) -> str:
    """A pattern for the ways to write a character: as it is, as a URL, JSON, or a header read as Latin-1 has it."""
    coded = character.encode("utf-8", "surrogatepass")
    ways = {
        re.escape(character),
        re.escape(coded.decode("latin-1")),
        re.escape(json.dumps(character)[1:-1]),
        "(?i:" + "".join(f"%{byte:02x}" for byte in coded) + ")",
        "(?i:" + "".join(rf"\\x{byte:02x}" for byte in coded) + ")",
    }
    if ord(character) < 0x10000:
        ways.add(rf"(?i:\\u{ord(character):04x})")
    if character == " ":
        ways.add(r"\+")
    if character == "/":
        ways.add(r"\\/")
    return f"(?:{'|'.join(sorted(ways, key=len, reverse=True))})"


def _forms(secret: str) -> set[bytes]:
    """The ways in which a server writes a secret into a body: as it is, in JSON, in a URL."""
    in_json = {json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}
    in_json |= {re.sub(r"\\u(....)", lambda found: rf"\u{found[1].upper()}", each) for each in in_json}
    in_url = {quote(secret, safe=safe, errors="replace") for safe in ("", "/", _RESERVED)}
    in_url.add(quote_plus(secret, errors="replace"))
    in_url |= {re.sub("%..", lambda found: found[0].lower(), each) for each in in_url}
    ways = {secret, *in_json, *(each.replace("/", r"\/") for each in in_json), *in_url}
    return {way.encode("utf-8", "replace") for way in ways}


def _occurrences(data: bytes, form: bytes) -> Iterator[tuple[int, int]]:
    at = data.find(form)
    while at >= 0:
        yield at, at + len(form)
        at = data.find(form, at + 1)


def _open_end(data: bytes, form: bytes) -> int:
    """The length of the longest suffix of `data` that is a proper prefix of `form`."""
    tail = data[-(len(form) - 1) :] if len(form) > 1 else data[:0]
    at = tail.find(form[:1])
    while at >= 0:
        if form.startswith(tail[at:]):
            return len(tail) - at
        at = tail.find(form[:1], at + 1)
    return 0


def _joined(spans: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """The spans in order, those that overlap or touch made one."""
    last: tuple[int, int] | None = None
    for start, end in sorted(spans):
        if last is not None and start <= last[1]:
            last = last[0], max(last[1], end)
        else:
            if last is not None:
                yield last
            last = start, end
    if last is not None:
        yield last
