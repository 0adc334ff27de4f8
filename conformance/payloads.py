"""Hostile text that a server is asked to send back, and how a history tells which was sent. Pure.

Each payload stands between two markers, so that what becomes of it can be found in whatever an event is.
"""

import json

import msgspec

HEAD = "sse-begin."
TAIL = ".sse-end"

INJECTED = "sse-conformance-injected"
"""An event type, an id and data that nothing but a payload can have made."""

INJECTED_RETRY = 86_399_999
"""A reconnection time (milliseconds) of which the same is true."""

SENT = "payload"
"""The mark that a stream's work was given a payload; its detail is `told`."""

NOT_TAKEN = "payload not taken"
"""The mark that the server took no such payload; its detail says what it answered."""


class Payload(msgspec.Struct, frozen=True, kw_only=True):
    """A hostile text: `text`, so many `times`, between the markers."""

    name: str
    text: str
    times: int = 1

    @property
    def whole(self) -> str:
        """What is sent."""
        return HEAD + self.text * self.times + TAIL

    @property
    def told(self) -> str:
        """The payload as JSON in ASCII, for a record: it may hold what UTF-8 cannot."""
        return json.dumps({"name": self.name, "text": self.text, "times": self.times})


def told_payload(text: str) -> Payload | None:
    """The payload that `told` made this text of; None for any other text."""
    try:
        value = json.loads(text)
        return Payload(name=str(value["name"]), text=str(value["text"]), times=int(value["times"]))
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


def payloads(completion: str | None = None) -> tuple[Payload, ...]:
    """All of them. `completion` is the type of the target's completion event, if it has one."""
    event = f"event: {completion or 'complete'}\ndata: {INJECTED}"
    own = f"event: {INJECTED}\ndata: {INJECTED}"
    fields = f"id: {INJECTED}\nretry: {INJECTED_RETRY}\nevent: {INJECTED}"
    return (
        Payload(name="newlines", text="\nsecond\n\nfourth\n"),
        Payload(name="carriage-returns", text="\rsecond\r\rfourth\r"),
        Payload(name="crlf", text="\r\nsecond\r\n\r\nfourth\r\n"),
        Payload(name="data-field", text="\ndata: second\n"),
        Payload(name="fields", text=f"\n{fields}\n"),
        Payload(name="fields-by-cr", text=f"\r{fields}\r".replace("\n", "\r")),
        Payload(name="completion-event", text=f"\n\n{event}\n\n"),
        Payload(name="completion-by-cr", text=f"\r\r{event}\r\r".replace("\n", "\r")),
        Payload(name="event", text=f"\n\n{own}\n\n"),
        Payload(name="null", text="a\0b"),
        Payload(name="separators", text="\ufeffa\u2028b\u2029c\x85d\x0be\x0cf"),
        Payload(name="surrogate", text="a\ud800b"),
        Payload(name="megabyte", text="0123456789abcdef", times=62_500),
    )
