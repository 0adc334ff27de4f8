"""Figures measured on the way, for the report."""

from conformance.history import History


def figures(history: History) -> dict[str, str]:
    """Figures of a history: name to value with its unit."""
    events = sum(len(stream.events) for stream in history.streams)
    return {"connections": str(len(history.streams)), "events": str(events)}
