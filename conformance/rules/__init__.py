"""The catalogue of rules: claims about event streams, each with its source and how to mend what breaks it."""

from conformance.rules import (
    cancel,
    completion,
    http,
    isolation,
    order,
    resource,
    resource_crowd,
    resource_leaks,
    resource_stalled,
    resource_up,
    resume,
    security,
    shutdown,
    shutdown_client,
    shutdown_streams,
    slow_reader,
    timeliness,
    wire,
)
from conformance.rules.rule import Judgement, Rule

RULES: tuple[Rule, ...] = (
    *http.RULES,
    *wire.RULES,
    *timeliness.RULES,
    *order.RULES,
    slow_reader.nothing_dropped,
    *completion.RULES,
    slow_reader.completion_not_dropped,
    *resume.RULES,
    *cancel.RULES,
    *isolation.RULES,
    *resource.RULES,
    *resource_leaks.RULES,
    *resource_stalled.RULES,
    *resource_crowd.RULES,
    *resource_up.RULES,
    *security.RULES,
    *shutdown.RULES,
    *shutdown_streams.STREAM_RULES,
    *shutdown_client.RULES,
)

__all__ = ["RULES", "Judgement", "Rule"]
