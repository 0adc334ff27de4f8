"""Specimens of the area completion."""

from conformance.specimens.specimen import Specimen

SPECIMENS: tuple[Specimen, ...] = ()
