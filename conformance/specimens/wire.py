"""Specimens of the area wire."""

from conformance.specimens.specimen import Specimen

SPECIMENS: tuple[Specimen, ...] = ()
