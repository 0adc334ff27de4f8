"""Servers that are wrong on purpose: for each rule one that breaks it."""

from conformance.specimens import http
from conformance.specimens.specimen import REFERENCE, Specimen, examine

SPECIMENS: tuple[Specimen, ...] = (*http.SPECIMENS,)

__all__ = ["REFERENCE", "SPECIMENS", "Specimen", "examine"]
