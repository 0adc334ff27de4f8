"""The event stream format, sans-IO: bytes in, events and violations out, and back."""

from conformance.wire.decoder import DEFAULT_LIMIT, Decoder
from conformance.wire.encoder import EncodeError, encode_comment, encode_event
from conformance.wire.event import Comment, Defect, Event, Item, Reconnection, Violation
from conformance.wire.framing import BodyFinder
from conformance.wire.interpreter import MAX_RECONNECTION_TIME
from conformance.wire.violations import EXCERPT, REPORTED_PER_DEFECT

__all__ = [
    "DEFAULT_LIMIT",
    "EXCERPT",
    "MAX_RECONNECTION_TIME",
    "REPORTED_PER_DEFECT",
    "BodyFinder",
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
