"""The event stream format, sans-IO: bytes in, events and violations out, and back."""

from conformance.wire.decoder import (
    DEFAULT_LIMIT,
    EXCERPT,
    MAX_RECONNECTION_TIME,
    REPORTED_PER_DEFECT,
    Decoder,
)
from conformance.wire.encoder import EncodeError, encode_comment, encode_event
from conformance.wire.event import Comment, Defect, Event, Item, Reconnection, Violation

__all__ = [
    "DEFAULT_LIMIT",
    "EXCERPT",
    "MAX_RECONNECTION_TIME",
    "REPORTED_PER_DEFECT",
    "Comment",
    "Decoder",
    "Defect",
    "EncodeError",
    "Event",
    "Item",
    "Reconnection",
    "Violation",
    "encode_comment",
    "encode_event",
]
