"""What the answer to the request that begins the work tells: the names by which the rest is asked for."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from conformance.config import AnswerHeader
from conformance.dialect import parse
from conformance.pointer import ABSENT, resolve
from conformance.wire import Decoder, Event


class Capture:
    """Takes values out of an answer while it arrives.

    An answer in JSON is read to its end. One that is an event stream is read until everything has come, each value
    with the first event that has it: protocols that name the work in its own stream (OpenAI's Responses, A2A) send it
    at the beginning, and go on until the work is done.
    """

    def __init__(self, places: Mapping[str, str | AnswerHeader], *, limit: int) -> None:
        self.found: dict[str, str] = {}
        self._places = places
        self._limit = limit  # bytes
        self._events: Decoder | None = None

    def on_head(self, headers: Sequence[tuple[str, str]]) -> bool:
        """The head of the answer has come. Answers whether nothing is left to wait for."""
        for name, place in self._places.items():
            if isinstance(place, AnswerHeader) and (value := _header(headers, place.header)):
                self.found[name] = value
        media_type = (_header(headers, "content-type") or "").partition(";")[0].strip().lower()
        if media_type == "text/event-stream":
            self._events = Decoder(limit=self._limit)
        return self._events is not None and self._has_all()

    def on_data(self, data: bytes) -> bool:
        """A piece of the body has come. Answers whether nothing is left to wait for."""
        if self._events is None:
            return False
        for item in self._events.feed(data):
            if isinstance(item, Event):
                self._look(parse(item).json)
        return self._has_all()

    def on_end(self, body: bytes) -> None:
        """The answer has ended, and was `body` in all."""
        if self._events is None:
            try:
                self._look(json.loads(body))
            except (ValueError, RecursionError):
                return

    def _has_all(self) -> bool:
        return len(self.found) == len(self._places)

    def _look(self, value: Any) -> None:
        for name, place in self._places.items():
            if name in self.found or isinstance(place, AnswerHeader):
                continue
            there = resolve(value, place)
            if there is not ABSENT and there is not None and not isinstance(there, dict | list):
                self.found[name] = there if isinstance(there, str) else json.dumps(there)


def _header(headers: Sequence[tuple[str, str]], wanted: str) -> str | None:
    return next((value for name, value in headers if name.lower() == wanted.lower() and value), None)
