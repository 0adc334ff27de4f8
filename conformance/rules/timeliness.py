"""Rules of the area timeliness."""

from conformance.rules.rule import Rule

RULES: tuple[Rule, ...] = ()
