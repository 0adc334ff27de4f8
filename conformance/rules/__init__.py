"""The catalogue of rules: claims about event streams, each with its source and how to mend what breaks it."""

from conformance.rules import http
from conformance.rules.rule import Judgement, Rule

RULES: tuple[Rule, ...] = (*http.RULES,)

__all__ = ["RULES", "Judgement", "Rule"]
