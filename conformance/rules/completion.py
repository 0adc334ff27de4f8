"""Rules of the area completion."""

from conformance.rules.rule import Rule

RULES: tuple[Rule, ...] = ()
