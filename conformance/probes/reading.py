"""What a probe saw, and how a number is found in a JSON answer. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any

from conformance.pointer import Pointer, resolve


@dataclass(frozen=True)
class Reading:
    """The value of a gauge; None where the probe could not see, and `detail` says why."""

    name: str
    value: float | None
    detail: str = ""


def read_json(answer: Any, gauges: Mapping[str, Pointer]) -> tuple[Reading, ...]:
    """The gauges in a JSON answer (None where it was none)."""
    return tuple(_read(name, resolve(answer, pointer), pointer) for name, pointer in gauges.items())


def _read(name: str, found: Any, pointer: Pointer) -> Reading:
    if isinstance(found, int | float) and not isinstance(found, bool):
        try:
            value = float(found)
        except OverflowError:
            value = float("inf")
        if isfinite(value):
            return Reading(name, value)
    return Reading(name, None, f"no number at {pointer} in the answer")
