"""Writes a history as it happens: append, flush, so that a killed run leaves what it saw."""

from collections.abc import Collection
from typing import BinaryIO

import msgspec
import trio

from conformance.history.records import (
    Began,
    Chunk,
    Concluded,
    Connected,
    Ended,
    Exited,
    Head,
    Record,
    Relayed,
    Requested,
    Terms,
)
from conformance.history.redact import Mask, Redaction

_EXCERPT = 200  # characters
_LONGER = 20_000  # characters that are looked at for secrets


class Recorder:
    """Takes records, blots out secrets, keeps them in order and writes each as a line.

    `file` should be unbuffered; None keeps the history in memory only. `zero` is the moment on trio's clock
    that counts as 0 seconds. A chunk at whose end a secret may have begun is written when that is settled, so
    lines are in the order of time but for those. Raises `OSError` once where a line cannot be written; from
    then on the history is in memory only.
    """

    def __init__(
        self,
        began: Began,
        *,
        zero: float,
        file: BinaryIO | None = None,
        secrets: Collection[str] = (),
    ) -> None:
        self.records: list[Record] = []
        self._zero = zero
        self._file = file
        self._redaction = Redaction(secrets)
        self._masks: dict[str, Mask | None] = {}
        self._write(_redacted(began, self._redaction))

    def now(self) -> float:
        """Seconds since the run began."""
        return trio.current_time() - self._zero

    def excerpt(self, text: str) -> str:
        """The first 200 characters, secrets removed before it is cut: half of one would not be recognised."""
        return self._redaction.text(text[:_LONGER])[:_EXCERPT]

    def record(self, record: Record) -> None:
        """Write a record down, secrets removed."""
        if isinstance(record, Chunk):
            if record.exchange not in self._masks:
                self._masks[record.exchange] = self._redaction.mask()
            if (mask := self._masks[record.exchange]) is not None:
                for time, data in mask.feed(record.time, record.data):
                    self._write(Chunk.of(time, record.exchange, data))
                return
        elif isinstance(record, Ended):
            self._settle(record.exchange)
        self._write(_redacted(record, self._redaction))

    def conclude(self, concluded: Concluded) -> None:
        """Write what is still kept back and the last record, and close the file. Never raises: a history that
        cannot be written is concluded, in memory, as failed."""
        now = self.now()
        try:
            for exchange in tuple(self._masks):
                self._settle(exchange)
            self._write(_redacted(msgspec.structs.replace(concluded, time=now), self._redaction))
        except OSError as error:
            reason = f"the history could not be written: {error.strerror or error}"
            if isinstance(self.records[-1], Concluded):
                self.records.pop()
            self.records.append(Concluded(time=now, outcome="failed", reason=reason))
        if self._file is not None:
            self._file.close()
            self._file = None

    def _settle(self, exchange: str) -> None:
        """Write what is kept back of an exchange."""
        if (mask := self._masks.pop(exchange, None)) is not None:
            for time, data in mask.close():
                self._write(Chunk.of(time, exchange, data))

    def _write(self, record: Record) -> None:
        self.records.append(record)
        if self._file is not None:
            try:
                self._file.write(msgspec.json.encode(record) + b"\n")
            except OSError:
                file, self._file = self._file, None
                file.close()
                raise


def _redacted(record: Record, without: Redaction) -> Record:
    """The record without secrets. What bodies are compared with gets stars, as bodies do."""
    if without.is_idle and not isinstance(record, Began | Requested | Head):
        return record
    match record:
        case Began():
            return msgspec.structs.replace(
                record, target=without.url(record.target), terms=_compared(record.terms, without)
            )
        case Requested():
            return msgspec.structs.replace(
                record,
                url=without.url(record.url),
                headers=without.headers(record.headers),
                body=without.text(record.body),
                names={name: without.stars(value) for name, value in record.names.items()},
                last_event_id=record.last_event_id and without.stars(record.last_event_id),
            )
        case Head():
            return msgspec.structs.replace(
                record,
                reason=without.text(record.reason),
                url=without.url(record.url),
                headers=without.headers(record.headers),
            )
        case Concluded():
            return msgspec.structs.replace(record, reason=without.text(record.reason))
        case Chunk() | Connected() | Relayed() | Exited():
            return record
        case _:
            return msgspec.structs.replace(record, detail=without.text(record.detail))


def _compared(terms: Terms, without: Redaction) -> Terms:
    if without.is_idle:
        return terms
    told = msgspec.to_builtins(terms)
    hidden = without.compared(told)
    return terms if hidden == told else msgspec.convert(hidden, Terms)
