"""Numbers in Prometheus' text format, as `/metrics` answers. Pure.

The format: https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format
"""

from collections.abc import Mapping
from math import isfinite

from prometheus_client.parser import text_string_to_metric_families

from conformance.config import Metric
from conformance.probes.reading import Reading

_MOST = 2_000  # samples of one metric that are read: reading takes some 10 microseconds each


def read_prometheus(text: str, gauges: Mapping[str, Metric]) -> tuple[Reading, ...]:
    """The gauges in an answer. A metric's samples that have the wanted labels are summed, as over the workers of a
    server. Only the lines of the metrics that are asked for are parsed, so the rest costs nothing."""
    lines = text.splitlines()
    return tuple(_read(name, lines, metric) for name, metric in gauges.items())


def _read(name: str, lines: list[str], metric: Metric) -> Reading:
    samples = [line for line in lines if _names(line, metric.metric)]
    if len(samples) > _MOST:
        return Reading(name, None, f"{metric.metric} has over {_MOST} samples in the answer")
    found: list[float] = []
    for line in samples:
        try:
            families = list(text_string_to_metric_families(line + "\n"))
        except (ValueError, IndexError, KeyError):  # whatever the parser makes of what is no sample
            return Reading(name, None, f"no sample of the text format: {line[:200]!r}")
        found += (
            sample.value
            for family in families
            for sample in family.samples
            if sample.name == metric.metric and metric.labels.items() <= sample.labels.items()
        )
    if not found:
        with_labels = f" with the labels {dict(metric.labels)}" if metric.labels else ""
        return Reading(name, None, f"no sample of {metric.metric}{with_labels} in the answer")
    value = sum(found)
    if not isfinite(value):
        return Reading(name, None, f"{metric.metric} is {value} in the answer")
    return Reading(name, float(value))


def _names(line: str, metric: str) -> bool:
    """Whether the line has a sample of the metric, by the form `name 1`, `name{...} 1` or `{"name",...} 1`."""
    line = line.lstrip(" \t")
    if line.startswith("{"):
        return line[1:].lstrip(" \t").startswith(f'"{metric}"')
    return line.startswith(metric) and line[len(metric) : len(metric) + 1] in ("{", " ", "\t")
