"""Probes: looks inside the server, each giving gauges that must come back to where they were."""

from conformance.probes.reading import Reading, read_json

__all__ = ["Reading", "read_json"]
