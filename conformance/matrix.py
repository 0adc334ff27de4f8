"""The mutation matrix: every rule against every specimen, in every scenario, in virtual time. Specimens whose flaw
is to be seen only from outside their process run in one, in their own scenario.

A rule that no specimen breaks is a rule that nobody has seen to fail; a specimen that trips rules it has nothing to
do with is a false alarm in waiting. The matrix shows both, and its page in the docs shows when a cell changes.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal, TypeAlias

import trio

from conformance.determinism import seeded, virtual_clock
from conformance.history import History
from conformance.judging import judge_by
from conformance.rules import RULES, Rule
from conformance.scenarios import SCENARIOS
from conformance.specimens import Specimen, examine, examine_process
from fault_injection.virtual import VirtualNetwork
from reports.results import Level

Verdict: TypeAlias = Literal["conforms", "broken", "not-applicable", "inconclusive"]
Cell: TypeAlias = Literal[
    "caught", "implied", "unasked", "missed", "warned", "passed", "undecided", "silent", "unseen"
]

MARKS: dict[Cell, str] = {
    "caught": "X",
    "implied": "x",
    "unasked": "!",
    "missed": "?",
    "warned": "w",
    "passed": ".",
    "undecided": "~",
    "silent": "-",
    "unseen": "_",
}
"""How a cell is written in a page."""

MEANINGS: dict[Cell, str] = {
    "caught": "the specimen was made to break this rule, and it is caught",
    "implied": "the flaw shows here too, as the specimen says",
    "unasked": "a MUST that has nothing to do with the flaw is broken: a false alarm",
    "missed": "the specimen was made to break this rule, and it is not caught",
    "warned": "a SHOULD that is broken too",
    "passed": "observed, and it conforms",
    "undecided": "inconclusive",
    "silent": "not applicable",
    "unseen": "not broken where it was driven: in its own scenario only, as a process, in real time",
}

_WORST: tuple[Verdict, ...] = ("broken", "conforms", "inconclusive", "not-applicable")


@dataclass(frozen=True)
class Row:
    """A specimen against every rule: each rule's verdict over all scenarios, and what that makes of the cell."""

    specimen: Specimen
    verdicts: Mapping[str, Verdict]

    def cell(self, rule: Rule) -> Cell:
        """What became of this rule on this specimen."""
        verdict = self.verdicts.get(rule.name, "not-applicable")
        if rule.name in self.specimen.breaks:
            return "caught" if verdict == "broken" else "missed"
        if self.specimen.process and verdict != "broken":
            return "unseen"
        match verdict:
            case "broken" if rule.name in self.specimen.implies:
                return "implied"
            case "broken":
                return "unasked" if rule.level is Level.MUST else "warned"
            case "conforms":
                return "passed"
            case "inconclusive":
                return "undecided"
            case "not-applicable":
                return "silent"


def row(specimen: Specimen, rules: Sequence[Rule] = RULES) -> Row:
    """Serve the specimen, drive every scenario, judge every rule. Takes about half a second, in a process of its own
    some three."""
    if specimen.process:
        return _judged(specimen, [trio.run(examine_process, specimen)], rules)
    return _judged(specimen, [_driven(specimen, scenario.name) for scenario in SCENARIOS], rules)


def _judged(specimen: Specimen, histories: Sequence[History], rules: Sequence[Rule]) -> Row:
    return Row(specimen, {rule.name: _worst(rule, histories) for rule in rules})


def _driven(specimen: Specimen, scenario: str) -> History:
    """The same history whenever and wherever it is made, and whatever was driven before."""
    drive = partial(examine, specimen, VirtualNetwork(), scenario=scenario)
    with seeded(0, epoch=None):
        return trio.run(drive, clock=virtual_clock())


def _worst(rule: Rule, histories: Iterable[History]) -> Verdict:
    """The verdict over all scenarios in which the rule is judged: one that broke it counts, then one that showed it."""
    said = {judge_by(history, rule).verdict for history in histories if history.scenario in rule.scenarios}
    return next((verdict for verdict in _WORST if verdict in said), "not-applicable")
