"""Rules of the area order."""

from conformance.rules.rule import Rule

RULES: tuple[Rule, ...] = ()
