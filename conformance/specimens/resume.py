"""Specimens of the area resume."""

from conformance.specimens.specimen import Specimen

SPECIMENS: tuple[Specimen, ...] = ()
