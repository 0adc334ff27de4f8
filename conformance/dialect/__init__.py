"""How a stream says "sequence", "alive", "done", "end", "failed"."""

from conformance.dialect.dialect import Dialect, Matcher, Scope
from conformance.dialect.presets import PRESETS, Preset, Sign, Signs, effective_dialect, is_optional
from conformance.dialect.reading import (
    Parsed,
    Role,
    any_matches,
    classify,
    in_scope,
    matches,
    parse,
    parse_json,
    parse_timestamp,
    sequence_of,
    stream_of,
    text_of,
    timestamp_of,
)
from conformance.dialect.recognise import Recognition, recognise

__all__ = [
    "PRESETS",
    "Dialect",
    "Matcher",
    "Parsed",
    "Preset",
    "Recognition",
    "Role",
    "Scope",
    "Sign",
    "Signs",
    "any_matches",
    "classify",
    "effective_dialect",
    "in_scope",
    "is_optional",
    "matches",
    "parse",
    "parse_json",
    "parse_timestamp",
    "recognise",
    "sequence_of",
    "stream_of",
    "text_of",
    "timestamp_of",
]
