"""Specimens of the area order."""

from conformance.specimens.specimen import Specimen

SPECIMENS: tuple[Specimen, ...] = ()
