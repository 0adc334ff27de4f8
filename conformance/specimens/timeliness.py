"""Specimens of the area timeliness."""

from conformance.specimens.specimen import Specimen

SPECIMENS: tuple[Specimen, ...] = ()
