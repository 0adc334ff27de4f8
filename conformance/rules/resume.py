"""Rules of the area resume."""

from conformance.rules.rule import Rule

RULES: tuple[Rule, ...] = ()
