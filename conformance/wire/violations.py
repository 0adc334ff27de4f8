"""Violations, counted: a hostile stream has millions of defects, a report needs a few of each."""

from conformance.wire.event import Defect, Item, Violation

REPORTED_PER_DEFECT = 1000
"""Violations of one kind that a decoder reports; the message of the last one says that it is the last."""

EXCERPT = 64
"""Bytes of a violation's excerpt, at most."""


class Reporter:
    """Appends violations to items, at most REPORTED_PER_DEFECT of a kind."""

    def __init__(self) -> None:
        self._counts: dict[Defect, int] = {}

    def report(
        self, items: list[Item], defect: Defect, message: str, offset: int, found: bytes | bytearray
    ) -> bool:
        """Reports what was `found` at `offset`. False: no more of this kind are wanted."""
        count = self._counts.get(defect, 0) + 1
        if count > REPORTED_PER_DEFECT:
            return False
        self._counts[defect] = count
        if count == REPORTED_PER_DEFECT:
            message += f" (number {count} of this kind: further ones in this stream are not reported)"
        items.append(Violation(defect, message, offset, bytes(found[:EXCERPT])))
        return count < REPORTED_PER_DEFECT


def clip(found: bytes | bytearray, length: int = 40) -> str:
    """`found` quoted for a message, cut to `length` characters: what a server sends may be endless."""
    text = found[: 4 * length].decode(errors="replace")  # a character has at most 4 bytes
    whole = len(found) <= 4 * length and len(text) <= length
    return repr(text) if whole else repr(text[:length]) + "…"
