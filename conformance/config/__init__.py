"""The configuration: what is tested, how its streams speak, what is expected of them."""

from conformance.config.schema import (
    Cancel,
    Config,
    Expect,
    Limits,
    Override,
    Probe,
    Start,
    Status,
    Stream,
    Target,
    Variant,
)

__all__ = [
    "Cancel",
    "Config",
    "Expect",
    "Limits",
    "Override",
    "Probe",
    "Start",
    "Status",
    "Stream",
    "Target",
    "Variant",
]
