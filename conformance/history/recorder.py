"""Writes a history as it happens: append, flush, so that a killed run leaves what it saw."""

from collections.abc import Collection
from typing import BinaryIO

import msgspec
import trio

from conformance.history.records import Began, Chunk, Concluded, Ended, Fired, Head, Mark, Record, Requested
from conformance.history.redact import Mask, redact_headers, redact_text


class Recorder:
    """Takes records, blots out secrets, keeps them in order and writes each as a line.

    `file` should be unbuffered; None keeps the history in memory only. `zero` is the moment on trio's clock
    that counts as 0 seconds.
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
        self._secrets = frozenset(secrets)
        self._masks: dict[str, Mask] = {}
        self._write(began)

    def now(self) -> float:
        """Seconds since the run began."""
        return trio.current_time() - self._zero

    def record(self, record: Record) -> None:
        """Write a record down, secrets removed."""
        if isinstance(record, Chunk) and self._secrets:
            mask = self._masks.setdefault(record.exchange, Mask(self._secrets))
            for time, data in mask.feed(record.time, record.data):
                self._write(Chunk.of(time, record.exchange, data))
            return
        if isinstance(record, Ended) and (kept := self._masks.pop(record.exchange, None)):
            for time, data in kept.close():
                self._write(Chunk.of(time, record.exchange, data))
        self._write(_redacted(record, self._secrets))

    def conclude(self, concluded: Concluded) -> None:
        """Write what is still kept back and the last record, and close the file."""
        for exchange, mask in self._masks.items():
            for time, data in mask.close():
                self._write(Chunk.of(time, exchange, data))
        self._masks.clear()
        self._write(msgspec.structs.replace(concluded, time=self.now()))
        if self._file is not None:
            self._file.close()
            self._file = None

    def _write(self, record: Record) -> None:
        self.records.append(record)
        if self._file is not None:
            self._file.write(msgspec.json.encode(record) + b"\n")


def _redacted(record: Record, secrets: Collection[str]) -> Record:
    match record:
        case Requested():
            return msgspec.structs.replace(
                record,
                url=redact_text(record.url, secrets),
                headers=redact_headers(record.headers, secrets),
                body=redact_text(record.body, secrets),
                names={name: redact_text(value, secrets) for name, value in record.names.items()},
            )
        case Head():
            return msgspec.structs.replace(
                record,
                url=redact_text(record.url, secrets),
                headers=redact_headers(record.headers, secrets),
            )
        case Ended() | Mark() | Fired() if secrets:
            return msgspec.structs.replace(record, detail=redact_text(record.detail, secrets))
        case _:
            return record
