"""Rules of the area wire."""

from conformance.rules.rule import Rule

RULES: tuple[Rule, ...] = ()
