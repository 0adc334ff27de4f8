"""Servers that are wrong on purpose: for each rule one that breaks it."""

from conformance.specimens import completion, crowd, http, order, resume, security, shutdown, timeliness, wire
from conformance.specimens.specimen import REFERENCE, Specimen, examine

SPECIMENS: tuple[Specimen, ...] = (
    *http.SPECIMENS,
    *wire.SPECIMENS,
    *timeliness.SPECIMENS,
    *order.SPECIMENS,
    *completion.SPECIMENS,
    *resume.SPECIMENS,
    *crowd.SPECIMENS,
    *security.SPECIMENS,
    *shutdown.SPECIMENS,
)

__all__ = ["REFERENCE", "SPECIMENS", "Specimen", "examine"]
