"""Servers that are wrong on purpose: for each rule one that breaks it."""

from conformance.specimens import (
    cancel,
    completion,
    crowd,
    http,
    isolation,
    order,
    resource,
    resume,
    security,
    shutdown,
    staying,
    timeliness,
    wire,
)
from conformance.specimens.specimen import REFERENCE, Specimen, examine, examine_process

SPECIMENS: tuple[Specimen, ...] = (
    *http.SPECIMENS,
    *wire.SPECIMENS,
    *timeliness.SPECIMENS,
    *order.SPECIMENS,
    *completion.SPECIMENS,
    *resume.SPECIMENS,
    *cancel.SPECIMENS,
    *staying.SPECIMENS,
    *isolation.SPECIMENS,
    *crowd.SPECIMENS,
    *resource.SPECIMENS,
    *security.SPECIMENS,
    *shutdown.SPECIMENS,
)

SPECIMEN = {specimen.name: specimen for specimen in (REFERENCE, *SPECIMENS)}
"""By name, and the correct one."""

__all__ = ["REFERENCE", "SPECIMEN", "SPECIMENS", "Specimen", "examine", "examine_process"]
