"""Secrets never reach the disk: not whole, and not in pieces."""

from collections.abc import Collection, Iterable

REDACTED = "<redacted>"

ALWAYS_SECRET = frozenset({"authorization", "cookie", "set-cookie", "proxy-authorization"})


def redact_text(text: str, secrets: Collection[str]) -> str:
    """The text with every secret in it replaced."""
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, REDACTED)
    return text


def redact_headers(
    headers: Iterable[tuple[str, str]], secrets: Collection[str]
) -> tuple[tuple[str, str], ...]:
    """The headers with the values of credential headers, and every secret elsewhere, replaced."""
    return tuple(
        (name, REDACTED if name.lower() in ALWAYS_SECRET else redact_text(value, secrets))
        for name, value in headers
    )


class Mask:
    """Blots secrets out of a stream of chunks, byte for byte (offsets stay true), also where chunks cut them.

    Chunks at whose end a secret may have begun are kept back until that is settled, so `feed` answers with
    the chunks that are settled by now, each with the tag that came with it.
    """

    def __init__(self, secrets: Collection[str]) -> None:
        self._secrets = tuple(sorted((s.encode() for s in secrets if s), key=len, reverse=True))
        self._held: list[tuple[float, bytes]] = []

    def feed(self, time: float, data: bytes) -> list[tuple[float, bytes]]:
        """Take one chunk with its time; give the chunks, with theirs, that no secret can still begin in."""
        self._held.append((time, data))
        joined = b"".join(chunk for _, chunk in self._held)
        for secret in self._secrets:
            joined = joined.replace(secret, b"*" * len(secret))
        settled = len(joined) - self._open_end(joined)
        ready: list[tuple[float, bytes]] = []
        held: list[tuple[float, bytes]] = []
        start = 0
        for at, chunk in self._held:
            end = start + len(chunk)
            (ready if end <= settled else held).append((at, joined[start:end]))
            start = end
        self._held = held
        return ready

    def close(self) -> list[tuple[float, bytes]]:
        """The chunks that are still kept back; what they end in never became a secret."""
        held, self._held = self._held, []
        return held

    def _open_end(self, data: bytes) -> int:
        """The length of the longest suffix of `data` that is a proper prefix of a secret."""
        longest = 0
        for secret in self._secrets:
            for size in range(min(len(secret) - 1, len(data)), longest, -1):
                if data.endswith(secret[:size]):
                    longest = size
                    break
        return longest
