"""Probes: looks inside the server, each giving gauges that must come back to where they were."""

from conformance.probes.process import read_process
from conformance.probes.prometheus import read_prometheus
from conformance.probes.reading import Reading, read_json

__all__ = ["Reading", "read_json", "read_process", "read_prometheus"]
